/* wait: yes. The states in which a service has a server: starting, running, being replaced, being stopped, about to be
 * started again. These are transitions of core/servicefsm.c's table, which says what each is for. */
#pragma once

#include "core/service.h"

void serverlife_start(struct service *service);
void serverlife_give_up(struct service *service);
void serverlife_on_ended(struct service *service);
void serverlife_enter_running(struct service *service);
void serverlife_on_ended_while_stopping(struct service *service);
void serverlife_on_ended_while_replacing(struct service *service);
void serverlife_on_replacing_timer(struct service *service);
void serverlife_on_replacement_ready(struct service *service);
void serverlife_on_replace(struct service *service);
void serverlife_on_idle(struct service *service);
void serverlife_on_changed(struct service *service);
void serverlife_on_changed_while_replacing(struct service *service);
void serverlife_on_changed_while_starting(struct service *service);
void serverlife_on_changed_while_stopping(struct service *service);
void serverlife_on_kill_while_stopping(struct service *service);
void serverlife_on_restart_while_stopping(struct service *service);
void serverlife_on_kill(struct service *service);
void serverlife_on_restart(struct service *service);
void serverlife_on_resume(struct service *service);

/* EXTEND_TIMEOUT_USEC of a server that is not ready yet: start_timeout is not over before that. */
void serverlife_extend_start(struct service *service, usec_t usec);
