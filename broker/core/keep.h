/* What survives when the broker's binary is replaced, noun by noun: x_save() writes it, x_restore() makes it again
 * in the new process. A noun that is only there when somebody has it is written only then, and restored when it is
 * there.
 *
 * x_save() changes nothing: when the new binary refuses, the old broker goes on as it was. x_restore() does nothing
 * that others would notice, since it is also run as a trial, by the new binary beside the old broker and with
 * stand-ins for the descriptors (core/state.h): whatever makes it fail is found there, before anything is let go.
 * What is wrong goes to the reader; whoever restores something else next need not look. */
#pragma once

#include "core/manager.h"
#include "core/notifier.h"
#include "core/state.h"

/* All of it. What waits in the log goes along and is the old broker's to forget. */
void manager_save(struct manager *manager, struct state_out out);

/* MANAGER is new and has no services. */
void manager_restore(struct manager *manager, struct state_in in);

/* What goes on only now that MANAGER is the one in earnest: claims are over, servers are looked at for idle_stop. */
void manager_begin_again(struct manager *manager);

/* Servers that idle_stop holds still go on, and none is held until it is resumed: nobody would let go of them. */
void manager_pause_idle(struct manager *manager);
void manager_resume_idle(struct manager *manager);

/* Whether nothing has happened that its service was not told of yet: that would be lost. */
bool manager_is_settled(struct manager *manager);

/* A service, whether it leaves or not, with its ports, programs, processes and connections. */
void service_save(const struct service *service, struct state_out out);
void service_restore(struct manager *manager, struct state_in in, bool leaves);

/* A definition: as YAML text, with what was found out when it was loaded (conf/kept.h). NULL where it cannot be
 * read. */
void definition_save(const struct service_def *def, struct state_out out);
struct service_def *definition_restore(struct state_in in);

/* The `broker:` section likewise. */
void broker_def_save(const struct broker_def *def, struct state_out out);
void broker_def_restore(struct broker_def *def, struct state_in in);

/* Ports refer to inherited sockets by their index. NULL where it cannot be made again. */
void port_save(const struct port *port, const struct inherit *inherit, struct state_out out);
struct port *port_restore(struct service *service, struct state_in in);

/* A generation of a service's program: the current one, or one that only waits for its processes to end. The
 * service has its ports already. */
void program_save(const struct program *program, struct state_out out);
struct program *program_restore_current(struct service *service, struct state_in in);
struct program *program_restore_retired(struct service *service, struct state_in in);

/* Of a program that is a proxy. Its processes are there already. */
void relays_save(const struct program *program, struct state_out out);
void relays_restore(struct program *program, struct state_in in);

/* Of a program that is a built-in. */
void builtins_save(const struct program *program, struct state_out out);
void builtins_restore(struct program *program, struct state_in in);
extern const char *const builtin_kind_names[HANDOFF_BUILTIN_N];

/* Of one with handoff: pass, likewise. */
void pass_save(const struct program *program, struct state_out out);
void pass_restore(struct program *program, struct state_in in);

/* Of one with handoff: request, likewise. */
void requests_save(const struct program *program, struct state_out out);
void requests_restore(struct program *program, struct state_in in);

void notifier_save(const struct notifier *notifier, struct state_out out);
void notifier_restore(struct notifier *notifier, struct state_in in);

/* A connection that is being served, or on its way there. SERVICE is the one whose place and ticket it has; NULL: none.
 * NULL where it cannot be made again. */
void connection_save(const struct connection *connection, struct state_out out);
struct connection *connection_restore(struct manager *manager, struct service *service, struct state_in in);

void blocklist_save(const struct blocklist *list, struct state_out out, const char *key);
void blocklist_restore(struct blocklist *list, struct state_in in, const char *key);

/* By which the reasons of ends are known in the state. */
extern const char *const process_reason_names[PROCESS_REASON_N];

/* What a service counts. */
void counters_save(const struct service *service, struct state_out out);
void counters_restore(struct service *service, struct state_in in);

/* Addresses and networks. */
void sockaddr_save(const union sockaddr_any *sa, socklen_t size, struct state_out out, const char *key);
socklen_t sockaddr_restore(union sockaddr_any *sa, struct state_in in, const char *key);
void addr_save(const struct addr *addr, struct state_out out);
void addr_restore(struct addr *addr, struct state_in in);
void prefix_save(const struct prefix *prefix, struct state_out out);
void prefix_restore(struct prefix *prefix, struct state_in in);
