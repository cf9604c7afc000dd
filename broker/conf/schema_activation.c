/* The keys of a service that say when its program is started and how it gets its sockets. */
#include "conf/servicedef.h"
#include "conf/types.h"

#define FIELD(member) offsetof(struct service_def, member)

static const char *const handoff_names[HANDOFF_N] = {
        [HANDOFF_FDS] = "fds",
        [HANDOFF_STDIO] = "stdio",
        [HANDOFF_PASS] = "pass",
        [HANDOFF_REQUEST] = "request",
};
static const char *const start_names[START_N] = {[START_ON_DEMAND] = "on-demand", [START_BOOT] = "boot"};
static const char *const restart_names[RESTART_N] = {
        [RESTART_NO] = "no",
        [RESTART_ON_FAILURE] = "on-failure",
        [RESTART_ALWAYS] = "always",
};

static const char *const send_names[SEND_PROXY_PROTOCOL_N] = {
        [SEND_PROXY_PROTOCOL_NO] = "no",
        [SEND_PROXY_PROTOCOL_V1] = "v1",
        [SEND_PROXY_PROTOCOL_V2] = "v2",
};

static const char *const builtin_names[BUILTIN_N] = {
        [BUILTIN_ECHO] = "echo",     [BUILTIN_DISCARD] = "discard", [BUILTIN_DAYTIME] = "daytime",
        [BUILTIN_TIME] = "time",     [BUILTIN_CHARGEN] = "chargen", [BUILTIN_STATUS] = "status",
        [BUILTIN_TCPMUX] = "tcpmux",
};

static const char *const tcpmux_names[TCPMUX_N] = {
        [TCPMUX_NO] = "no",
        [TCPMUX_YES] = "yes",
        [TCPMUX_PLAIN] = "plain",
};

static const char *const ready_names[READY_N] = {[READY_EXEC] = "exec", [READY_NOTIFY] = "notify"};
static const char *const on_change_names[ON_CHANGE_N] = {
        [ON_CHANGE_RESTART] = "restart",
        [ON_CHANGE_REPLACE] = "replace",
        [ON_CHANGE_KEEP] = "keep",
};

static const char *const kill_names[KILL_N] = {[KILL_GROUP] = "group", [KILL_PROCESS] = "process"};

static const struct key listen_key[] = {
        {
                .name = "listen",
                .id = SERVICE_LISTEN,
                .type = &type_listens,
                .offset = FIELD(listen),
                .required = true,
                .fallback_means = "none; it must be given, but for a service that is asked for by name (tcpmux)",
                .missing = "write where to listen, such as listen: 80",
                .section = &section_listen,
                .meaning = "Where to listen: one address, or a list; each a text, or a mapping with options.",
                .example = "[80, \"[::1]:8080\", {address: /run/web.sock, socket_mode: \"0660\"}]",
        },
};

static const struct key activation_keys[] = {
        {
                .name = "description",
                .id = SERVICE_DESCRIPTION,
                .type = &type_text,
                .offset = FIELD(description),
                .fallback_means = "none",
                .meaning = "What the service is, for people.",
                .example = "The company's web site",
        },
        {
                .name = "enabled",
                .id = SERVICE_ENABLED,
                .type = &type_bool,
                .offset = FIELD(enabled),
                .fallback = "yes",
                .meaning = "Whether the service is there at all; a disabled one is read and checked, no more.",
                .example = "no",
        },
        {
                .name = "wait",
                .id = SERVICE_WAIT,
                .type = &type_bool,
                .offset = FIELD(wait),
                .required = true,
                .fallback_means = "none; it must be given, but for a proxy and a built-in",
                .visible = true,
                .missing = "write wait: yes for a server that accepts connections itself, "
                           "wait: no for one program per connection",
                .meaning = "Who accepts: the server that was started, yes; or the broker, no, which starts one "
                           "program per connection.",
                .example = "no",
        },
        {
                .name = "handoff",
                .id = SERVICE_HANDOFF,
                .type = &type_choice,
                .offset = FIELD(handoff),
                .visible = true,
                .choices = {handoff_names, HANDOFF_N},
                .fallback_means = "fds with `wait: yes`, stdio with `wait: no`",
                .meaning = "How the program gets the socket: as descriptor 3 and up with LISTEN_FDS, as stdin and "
                           "stdout; or pass: long-lived workers take connections from a queue, which is their "
                           "descriptor 3; or request: long-lived workers read requests from stdin and answer on "
                           "stdout.",
                .example = "stdio",
        },
        {
                .name = "command",
                .id = SERVICE_COMMAND,
                .type = &type_command,
                .offset = FIELD(command),
                .required = true,
                .fallback_means = "none; it must be given, but for a proxy, a built-in and a sensor",
                .visible = true,
                .missing = "write the program to start, such as command: [/usr/bin/server, --verbose]",
                .meaning = "The program and its arguments; a text is split into words. No shell is involved.",
                .example = "[/usr/bin/server, --verbose]",
        },
        {
                .name = "proxy",
                .id = SERVICE_PROXY,
                .type = &type_proxy,
                .offset = FIELD(proxy),
                .visible = true,
                .fallback_means = "none",
                .meaning = "Where to relay connections to, for a server that cannot take sockets: an address with its "
                           "port, or a path. With a command, that server is started by the first connection.",
                .example = "127.0.0.1:8080",
        },
        {
                .name = "send_proxy_protocol",
                .id = SERVICE_SEND_PROXY_PROTOCOL,
                .type = &type_choice,
                .offset = FIELD(send_proxy_protocol),
                .scope = SCOPE_PROXY,
                .visible = true,
                .choices = {send_names, SEND_PROXY_PROTOCOL_N},
                .fallback = "no",
                .meaning = "Whether the target is told who the client is, by a PROXY header in front of each "
                           "connection.",
                .example = "v2",
        },
        {
                .name = "builtin",
                .id = SERVICE_BUILTIN,
                .type = &type_choice,
                .offset = FIELD(builtin),
                .visible = true,
                .choices = {builtin_names, BUILTIN_N},
                .fallback_means = "none",
                .meaning = "What the broker answers itself, without a program: echo, discard, daytime, time and "
                           "chargen as the RFCs say; status, ok or what is wrong in one line; tcpmux, other services "
                           "by their names.",
                .example = "echo",
        },
        {
                .name = "udp_public",
                .id = SERVICE_UDP_PUBLIC,
                .type = &type_bool,
                .offset = FIELD(udp_public),
                .scope = SCOPE_BUILTIN,
                .lenient = true,
                .fallback = "no",
                .meaning = "Whether datagrams from elsewhere than this machine are answered, whose sender may be "
                           "forged.",
                .example = "yes",
        },
        {
                .name = "tcpmux",
                .id = SERVICE_TCPMUX,
                .type = &type_choice,
                .offset = FIELD(tcpmux),
                .scope = SCOPE_CONNECTION,
                .lenient = true,
                .choices = {tcpmux_names, TCPMUX_N},
                .fallback = "no",
                .meaning = "Whether clients of a `builtin: tcpmux` get to the service by its name: yes, and the "
                           "broker says \"+Go\" to them first; plain, and nothing, for programs that begin with \"+\" "
                           "themselves. The service need not listen then.",
                .example = "yes",
        },
        {
                .name = "start",
                .id = SERVICE_START,
                .type = &type_choice,
                .offset = FIELD(start),
                .choices = {start_names, START_N},
                .scope = SCOPE_LASTING,
                .lenient = true,
                .fallback = "on-demand",
                .meaning = "Whether the server is started by the first traffic, or with the broker.",
                .example = "boot",
        },
        {
                .name = "connection_timeout",
                .id = SERVICE_CONNECTION_TIMEOUT,
                .type = &type_duration,
                .offset = FIELD(connection_timeout),
                .scope = SCOPE_HELD,
                .min = 1000,
                .fallback = "infinity",
                .meaning = "A connection that is relayed, or that a built-in answers, is closed when nothing has "
                           "moved on it for that long; with handoff: request, one that waits for a request that long, "
                           "or for its client to take an answer.",
                .example = "10min",
        },
        {
                .name = "stop_signal",
                .id = SERVICE_STOP_SIGNAL,
                .type = &type_signal,
                .offset = FIELD(stop_signal),
                .fallback = "SIGTERM",
                .meaning = "The signal that asks the program to end.",
                .example = "SIGINT",
        },
        {
                .name = "stop_grace_period",
                .id = SERVICE_STOP_GRACE_PERIOD,
                .type = &type_duration,
                .offset = FIELD(stop_grace_period),
                .fallback = "10s",
                .meaning = "How long after stop_signal the program gets SIGKILL.",
                .example = "1min",
        },
        {
                .name = "kill_mode",
                .id = SERVICE_KILL_MODE,
                .type = &type_choice,
                .offset = FIELD(kill_mode),
                .choices = {kill_names, KILL_N},
                .fallback = "group",
                .meaning = "Whom stop_signal and SIGKILL reach: the program and what it started, or it alone.",
                .example = "process",
        },
        {
                .name = "restart",
                .id = SERVICE_RESTART,
                .type = &type_choice,
                .offset = FIELD(restart),
                .choices = {restart_names, RESTART_N},
                .scope = SCOPE_BOOT,
                .lenient = true,
                .fallback = "no",
                .meaning = "Whether a server with `start: boot` is started again when it ends; on demand it always is.",
                .example = "on-failure",
        },
        {
                .name = "restart_delay",
                .id = SERVICE_RESTART_DELAY,
                .type = &type_period,
                .offset = FIELD(restart_delay),
                .min = 1000,
                .fallback = "100ms",
                .meaning = "Wait before a restart; doubles with each one that follows soon.",
                .example = "1s",
        },
        {
                .name = "restart_delay_max",
                .id = SERVICE_RESTART_DELAY_MAX,
                .type = &type_period,
                .offset = FIELD(restart_delay_max),
                .min = 1000,
                .fallback = "30s",
                .meaning = "The longest restart_delay gets, and the pause after trigger_limit was exceeded.",
                .example = "5min",
        },
        {
                .name = "trigger_limit",
                .id = SERVICE_TRIGGER_LIMIT,
                .type = &type_rate,
                .offset = FIELD(trigger_limit),
                .scope = SCOPE_SERVER,
                .fallback = "20/2s",
                .meaning = "How often traffic may start the server; beyond it the service pauses for "
                           "restart_delay_max.",
                .example = "5/10s",
        },
        {
                .name = "max_runtime",
                .id = SERVICE_MAX_RUNTIME,
                .type = &type_duration,
                .offset = FIELD(max_runtime),
                .min = 1000,
                .fallback = "infinity",
                .meaning = "How long a program may run before it is stopped.",
                .example = "1h",
        },
        {
                .name = "non_blocking",
                .id = SERVICE_NON_BLOCKING,
                .type = &type_bool,
                .offset = FIELD(non_blocking),
                .scope = SCOPE_SERVER,
                .visible = true,
                .fallback = "no",
                .meaning = "Whether listening sockets are handed over with O_NONBLOCK.",
                .example = "yes",
        },
        {
                .name = "main",
                .id = SERVICE_MAIN,
                .type = &type_bool,
                .offset = FIELD(main),
                .scope = SCOPE_SERVER,
                .lenient = true,
                .fallback = "no",
                .meaning = "Whether the broker ends, with this server's exit status, when the server ends.",
                .example = "yes",
        },
        {
                .name = "claim",
                .id = SERVICE_CLAIM,
                .type = &type_peer_users,
                .offset = FIELD(claim),
                .fallback_means = "only root and the broker's own user",
                .meaning = "Which users may take the sockets by the service's name for a while (activate --claim), "
                           "beside root and the broker's own; meanwhile the broker does not start the service.",
                .example = "[nobody, 1000]",
        },
        {
                .name = "spare",
                .id = SERVICE_SPARE,
                .type = &type_integer,
                .offset = FIELD(spare),
                .scope = SCOPE_SPAWN,
                .visible = true,
                .max = 1024,
                .fallback = "0",
                .meaning = "How many processes stand ready for the next connections, with all done that does not "
                           "depend on them, but for executing the program.",
                .example = "8",
        },
        {
                .name = "workers",
                .id = SERVICE_WORKERS,
                .type = &type_workers,
                .offset = FIELD(workers),
                .scope = SCOPE_WORKERS,
                .instead = "; write handoff: pass for workers that take accepted connections from a queue, or "
                           "handoff: request for workers that answer requests",
                .section = &section_workers,
                .min = 1,
                .max = WORKERS_MAX,
                .fallback = "1",
                .meaning = "With wait: yes, how many servers share the traffic; each has sockets of its own at the "
                           "same addresses (reuse_port), and is started and ends by itself. With handoff: pass or "
                           "request, how many workers there are: a number, or bounds between which it grows and "
                           "shrinks.",
                .example = "{min: 2, max: 16}",
        },
        {
                .name = "request",
                .id = SERVICE_REQUEST,
                .type = &type_request,
                .offset = FIELD(request),
                .visible = true,
                .scope = SCOPE_REQUEST,
                .section = &section_request,
                .fallback_means = "a line is a request, and so is a reply",
                .meaning = "How requests are told from each other, and what becomes of those that get no reply.",
                .example = "{busy_timeout: 5s, keep_alive: yes}",
        },
        {
                .name = "ready",
                .id = SERVICE_READY,
                .type = &type_choice,
                .offset = FIELD(ready),
                .scope = SCOPE_SERVER,
                .visible = true,
                .lenient = true,
                .choices = {ready_names, READY_N},
                .fallback = "exec",
                .meaning = "When a server is ready: as soon as it is started, or when it says READY=1 (sd_notify(3)).",
                .example = "notify",
        },
        {
                .name = "start_timeout",
                .id = SERVICE_START_TIMEOUT,
                .type = &type_duration,
                .offset = FIELD(start_timeout),
                .scope = SCOPE_AWAITED,
                .lenient = true,
                .min = 1000,
                .fallback = "30s",
                .meaning = "How long a server may take until it is ready; then it is stopped. As long the clients of a "
                           "proxy are held while its target does not take them; then they are closed.",
                .example = "2min",
        },
        {
                .name = "watchdog",
                .id = SERVICE_WATCHDOG,
                .type = &type_duration,
                .offset = FIELD(watchdog),
                .scope = SCOPE_SERVER,
                .visible = true,
                .lenient = true,
                .min = 1000,
                .fallback = "infinity",
                .meaning = "How long a server may be silent: one that does not say WATCHDOG=1 (sd_notify(3)) that "
                           "often is stopped, which counts as a failure, and started again as restart says, or by the "
                           "next traffic.",
                .example = "30s",
        },
        {
                .name = "fd_store",
                .id = SERVICE_FD_STORE,
                .type = &type_integer,
                .offset = FIELD(fd_store),
                .scope = SCOPE_SERVER,
                .visible = true,
                .lenient = true,
                .max = 4096,
                .fallback = "0",
                .meaning = "How many descriptors a server may store with the broker (sd_notify(3), FDSTORE=1), for the "
                           "next one to get behind its sockets. `broker stop` closes them.",
                .example = "16",
        },
        {
                .name = "on_change",
                .id = SERVICE_ON_CHANGE,
                .type = &type_choice,
                .offset = FIELD(on_change),
                .choices = {on_change_names, ON_CHANGE_N},
                .scope = SCOPE_SERVER,
                .lenient = true,
                .fallback = "restart",
                .meaning = "What a reload does to a running server whose definition has changed: restart ends it, and "
                           "starts the next one as the definition says; replace starts the new one first, and ends the "
                           "old one when that is ready; keep lets it go on until it ends by itself.",
                .example = "replace",
        },
        {
                .name = "idle_stop",
                .id = SERVICE_IDLE_STOP,
                .type = &type_duration,
                .offset = FIELD(idle_stop),
                .scope = SCOPE_LASTING,
                .lenient = true,
                .min = 100000,
                .fallback = "infinity",
                .meaning = "How long after its last connection the server is stopped; the next one starts it again. "
                           "With handoff: pass or request, how long none may have waited before one worker beyond min "
                           "ends; "
                           "there infinity means 10s.",
                .example = "5min",
        },
};

const struct key_group group_listen = {"Sockets", listen_key, LENGTH_OF(listen_key)};
const struct key_group group_activation = {"Activation", activation_keys, LENGTH_OF(activation_keys)};
