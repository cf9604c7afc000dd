/* What all entries of states have in common. Internal to core/servicefsm and core/serverlife. */
#pragma once

#include "core/service.h"

/* Every state begins with this: without a timer, without its ports watched, and without waiting for what ran short. */
void servicefsm_leave_state(struct service *service);

/* Ends with this. */
void servicefsm_set_state(struct service *service, enum service_state state);

/* SERVICE_EV_TIMER comes after DELAY, unless the state is left before. */
void servicefsm_arm_timer(struct service *service, usec_t delay);

void servicefsm_enter_claimed(struct service *service);
void servicefsm_enter_listening(struct service *service);
void servicefsm_enter_paused(struct service *service); /* service->pause says why */
void servicefsm_enter_open(struct service *service);   /* listening, or running with start: boot */
