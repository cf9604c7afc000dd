#include "core/program.h"

#include "base/err.h"
#include "core/fdstore.h"
#include "core/manager.h"
#include "core/service.h"

#include <errno.h>
#include <string.h>

static void store_free(struct handoff_store *store) {
        if (!store)
                return;
        free(store->listener_names);
        free(store);
}

static int list_stored(void *userdata, struct handoff_stored **ret, size_t *ret_count) {
        const struct program *program = userdata;

        return fdstore_list(program->service->fdstore, ret, ret_count);
}

/* Whoever gets back what was stored is told about all descriptors at the start. */
static int make_store(struct program *program, const struct planmake_request *request) {
        AUTO(buf_deinit) struct buf names = BUF_NULL;

        if (request->def->fd_store == 0)
                return 0;
        program->store = calloc(1, sizeof(*program->store));
        if (!program->store)
                return err_raise(-ENOMEM);
        planmake_add_fd_names(request, &names);
        program->store->listener_names = buf_failed(&names) ? NULL : strdup(buf_text(&names));
        program->store->list = list_stored;
        program->store->userdata = program;
        return program->store->listener_names ? 0 : err_raise(-ENOMEM);
}

struct program *program_free(struct program *program) {
        if (!program)
                return NULL;
        list_remove(&program->link);
        program->notifier = notifier_free(program->notifier);
        program->handoff = handoff_close(program->handoff);
        output_deinit(&program->err);
        output_deinit(&program->out);
        manager_bury(program->service->manager, program);
        return NULL;
}

bool program_sweep(struct list *buried, struct launcher *launcher) {
        struct program *program;

        if (!launcher_is_idle(launcher))
                return !list_is_empty(buried);
        list_for_each(program, buried, link) {
                list_remove(&program->link);
                plan_deinit(&program->plan);
                free(program->relay);
                free(program->builtin);
                free(program->pool);
                free(program->answers);
                free(program->listeners);
                store_free(program->store);
                free(program);
        }
        return false;
}

static struct process_policy policy_of(const struct service_def *def) {
        return (struct process_policy){
                .stop_signal = def->stop_signal,
                .stop_grace_period = def->stop_grace_period,
                .max_runtime = def->max_runtime,
                .process_only = def->kill_mode == KILL_PROCESS,
                /* A server of inetd's may leave a child with its client, and end so that inetd listens again. */
                .ends_group = def->handoff == HANDOFF_PASS || def->handoff == HANDOFF_REQUEST ||
                              (def->wait && def->handoff == HANDOFF_FDS),
        };
}

static void set_relay_times(struct handoff_relay *relay, const struct service_def *def) {
        relay->connection_timeout = def->connection_timeout;
        relay->start_timeout = def->start_timeout;
        relay->idle_stop = def->idle_stop;
        relay->restart_delay = def->restart_delay;
        relay->restart_delay_max = def->restart_delay_max;
        relay->restarts = relay->has_server && def->start == START_BOOT && def->restart != RESTART_NO;
        relay->restarts_always = relay->restarts && def->restart == RESTART_ALWAYS;
}

static int make_relay(struct program *program, const struct service_def *def) {
        static const unsigned versions[SEND_PROXY_PROTOCOL_N] = {
                [SEND_PROXY_PROTOCOL_V1] = 1,
                [SEND_PROXY_PROTOCOL_V2] = 2,
        };
        const struct addr_list *targets;

        if (!def->proxy)
                return 0;
        targets = &def->proxy->addrs;
        program->relay = calloc(1, sizeof(*program->relay) + targets->count * sizeof(struct addr));
        if (!program->relay)
                return err_raise(-ENOMEM);
        memcpy(program->relay->targets, targets->items, targets->count * sizeof(struct addr));
        program->relay->setup = (struct handoff_relay){
                .targets = program->relay->targets,
                .target_count = targets->count,
                .header_version = versions[def->send_proxy_protocol],
                .has_server = def->command.count > 0,
        };
        set_relay_times(&program->relay->setup, def);
        return 0;
}

static int make_builtin(struct program *program, enum handoff_builtin_kind kind, usec_t connection_timeout) {
        program->builtin = malloc(sizeof(*program->builtin));
        if (!program->builtin)
                return err_raise(-ENOMEM);
        *program->builtin = (struct handoff_builtin){.kind = kind, .connection_timeout = connection_timeout};
        return 0;
}

static int make_own(struct program *program, const struct service_def *def) {
        static const enum handoff_builtin_kind kinds[BUILTIN_N] = {
                [BUILTIN_ECHO] = HANDOFF_BUILTIN_ECHO,       [BUILTIN_DISCARD] = HANDOFF_BUILTIN_DISCARD,
                [BUILTIN_DAYTIME] = HANDOFF_BUILTIN_DAYTIME, [BUILTIN_TIME] = HANDOFF_BUILTIN_TIME,
                [BUILTIN_CHARGEN] = HANDOFF_BUILTIN_CHARGEN, [BUILTIN_STATUS] = HANDOFF_BUILTIN_STATUS,
                [BUILTIN_TCPMUX] = HANDOFF_BUILTIN_TCPMUX,
        };

        return def->builtin == BUILTIN_NONE ? make_relay(program, def)
                                            : make_builtin(program, kinds[def->builtin], def->connection_timeout);
}

/* Of a generation that connects to nobody any more. */
static int make_retired(struct program *program, const struct program_retired *what) {
        if (what->type == HANDOFF_TYPE_BUILTIN)
                return make_builtin(program, what->builtin, USEC_INFINITY);
        if (what->type != HANDOFF_TYPE_RELAY)
                return 0;
        program->relay = calloc(1, sizeof(*program->relay));
        if (!program->relay)
                return err_raise(-ENOMEM);
        program->relay->setup.connection_timeout = program->relay->setup.start_timeout = USEC_INFINITY;
        program->relay->setup.idle_stop = USEC_INFINITY;
        return 0;
}

#define SHRINK_AFTER (10 * USEC_PER_SEC)

static void set_pool(struct handoff_pool *pool, const struct service_def *def) {
        const struct workers_def *workers = &def->workers;

        *pool = (struct handoff_pool){
                .workers =
                        {
                                .min = (size_t)workers->min,
                                .max = (size_t)workers->max,
                                .spare = (size_t)workers->spare,
                                .max_age = workers->max_age,
                                .max_requests = workers->max_requests == COUNT_UNLIMITED ? 0 : workers->max_requests,
                                .shrink_after = def->idle_stop == USEC_INFINITY ? SHRINK_AFTER : def->idle_stop,
                                .restart_delay = def->restart_delay,
                                .restart_delay_max = def->restart_delay_max,
                        },
                .queue_max = def->instances,
                .is_prompt = def->per_source.limit != COUNT_UNLIMITED || def->per_source.count > 0,
        };
}

static int make_pool(struct program *program, const struct service_def *def) {
        if (!service_def_is_pool(def))
                return 0;
        program->pool = calloc(1, sizeof(*program->pool));
        if (!program->pool)
                return err_raise(-ENOMEM);
        set_pool(program->pool, def);
        return 0;
}

/* Of a generation that starts nobody any more. */
static int make_retired_pool(struct program *program, enum handoff_type type) {
        if (type != HANDOFF_TYPE_PASS && type != HANDOFF_TYPE_REQUEST)
                return 0;
        program->pool = calloc(1, sizeof(*program->pool));
        if (!program->pool)
                return err_raise(-ENOMEM);
        program->pool->workers.max = program->pool->queue_max = 1;
        program->pool->workers.max_age = program->pool->workers.shrink_after = USEC_INFINITY;
        return 0;
}

static struct framing frame(const char *end) {
        return (struct framing){.end = end, .end_size = strlen(end)};
}

static int copy_answers(struct program *program, const struct request_def *request, usec_t connection_timeout) {
        size_t end = strlen(request->end) + 1, reply_end = strlen(request->reply_end) + 1;
        struct program_answers *answers = calloc(1, sizeof(*answers) + end + reply_end + strlen(request->error) + 1);

        if (!answers)
                return err_raise(-ENOMEM);
        answers->setup = (struct handoff_request){
                .end = frame(strcpy(answers->texts, request->end)),
                .reply_end = frame(strcpy(answers->texts + end, request->reply_end)),
                .error = strcpy(answers->texts + end + reply_end, request->error),
                .max_size = (size_t)request->max_size,
                .queue = (size_t)request->queue,
                .keep_alive = request->keep_alive,
                .busy_timeout = request->busy_timeout,
                .connection_timeout = connection_timeout,
        };
        program->answers = answers;
        return 0;
}

int program_set_answers(struct program *program, const struct request_def *request, usec_t connection_timeout) {
        struct program_answers *old = program->answers;
        int r = copy_answers(program, request, connection_timeout);

        if (r < 0)
                return r;
        free(old);
        program->handoff->setup.request = &program->answers->setup;
        return 0;
}

static int make_answers(struct program *program, const struct service_def *def) {
        return def->request ? copy_answers(program, def->request, def->connection_timeout) : 0;
}

/* Of a generation that begins no connection any more, and gets the rest of what it goes by from before an upgrade. */
static int make_retired_answers(struct program *program, enum handoff_type type) {
        static const struct request_def none = {.end = (char *)"\n", .reply_end = (char *)"\n", .error = (char *)""};

        return type == HANDOFF_TYPE_REQUEST ? copy_answers(program, &none, USEC_INFINITY) : 0;
}

void program_set_policy(struct program *program, const struct service_def *def) {
        const struct process_policy policy = policy_of(def);

        if (program->relay)
                set_relay_times(&program->relay->setup, def);
        if (program->builtin)
                program->builtin->connection_timeout = def->connection_timeout;
        if (program->pool && service_def_is_pool(def))
                set_pool(program->pool, def);
        if (program->answers)
                program->answers->setup.connection_timeout = def->connection_timeout;
        handoff_set_policy(program->handoff, &policy);
}

static enum handoff_type type_of(const struct service_def *def) {
        if (def->wait)
                return HANDOFF_TYPE_LISTENERS;
        if (def->builtin != BUILTIN_NONE)
                return HANDOFF_TYPE_BUILTIN;
        if (service_def_is_pool(def))
                return def->handoff == HANDOFF_PASS ? HANDOFF_TYPE_PASS : HANDOFF_TYPE_REQUEST;
        if (def->proxy)
                return HANDOFF_TYPE_RELAY;
        return def->spare > 0 ? HANDOFF_TYPE_SPARES : HANDOFF_TYPE_SPAWN;
}

static int open_handoff(struct program *program, const struct program_request *request, enum handoff_type type) {
        const struct service_def *def = request->plan.def;
        const struct handoff_setup setup = {
                .host = request->host,
                .plan = &program->plan,
                .policy = policy_of(def),
                .spares = (unsigned)def->spare,
                .stdio = def->handoff == HANDOFF_STDIO,
                .non_blocking = def->non_blocking,
                .stdout_fd = HANDOFF_FD_INHERIT,
                .stderr_fd = HANDOFF_FD_INHERIT,
                .listeners = program->listeners,
                .listener_count = request->listener_count,
                .relay = program->relay ? &program->relay->setup : NULL,
                .builtin = program->builtin,
                .pool = program->pool,
                .request = program->answers ? &program->answers->setup : NULL,
                .store = program->store,
                .events = request->events,
                .userdata = program,
        };

        return handoff_open(type, &setup, &program->handoff);
}

static const struct output_def *stdout_of(const struct service_def *def) {
        static const struct output_def socket = {.kind = OUTPUT_SOCKET};

        return def->handoff == HANDOFF_STDIO || def->handoff == HANDOFF_REQUEST ? &socket : &def->stdout_to;
}

/* Opens what the program's output goes to; a file that cannot be opened is the definition's fault. */
static int open_outputs(struct program *program, const struct service_def *def, struct diag *diag) {
        AUTO(buf_deinit) struct buf why = BUF_NULL, path = BUF_NULL;
        const char *key = "stdout";
        int r;

        r = output_init(&program->out, stdout_of(def), program->service->name, key, &why);
        if (r == 0) {
                key = "stderr";
                r = output_init(&program->err, &def->stderr_to, program->service->name, key, &why);
        }
        if (r == 0)
                return 0;
        buf_printf(&path, "services.%s.%s", def->name, key);
        diag_error(diag, &def->mark, buf_text(&path), "%s", buf_text(&why));
        return -EINVAL;
}

static void close_outputs(struct program *program, const struct service_def *def) {
        output_init_closed(&program->out, stdout_of(def), program->service->name, "stdout");
        output_init_closed(&program->err, &def->stderr_to, program->service->name, "stderr");
}

/* That of before an upgrade, whose name its server knows, or a new one. */
static int open_notifier(struct program *program, struct planmake_kept *kept) {
        sd_event *event = program->service->manager->event;

        if (kept && kept->notify_fd >= 0)
                return notifier_adopt(program, event, take_fd(kept->notify_fd), &program->notifier);
        return notifier_new(program, event, &program->notifier);
}

static int make_plan(struct program *program, const struct planmake_request *request, struct diag *diag) {
        struct planmake_request complete = *request;
        int r;

        if (service_def_is_supervised(request->def)) {
                r = open_notifier(program, request->kept);
                if (r < 0)
                        return r;
                complete.notify_socket = program->notifier->socket.name;
        }
        return planmake(&complete, &program->plan, diag);
}

/* Without a plan, outputs and a handoff. */
static int program_new_bare(const struct program_request *request, struct program **ret) {
        struct program *program = calloc(1, sizeof(*program));

        if (!program)
                return err_raise(-ENOMEM);
        list_init(&program->link);
        program->service = request->service;
        program->plan = PLAN_NULL;
        program->out.write_fd = program->err.write_fd = -EBADF;
        program->out.read_fd = program->err.read_fd = -EBADF;
        program->listeners = calloc(request->listener_count + 1, sizeof(*program->listeners));
        if (!program->listeners) {
                program_free(program);
                return err_raise(-ENOMEM);
        }
        if (request->listener_count > 0)
                memcpy(program->listeners, request->listeners, request->listener_count * sizeof(*program->listeners));
        *ret = program;
        return 0;
}

int program_new(const struct program_request *request, struct program **ret, struct diag *diag) {
        struct program *program = NULL;
        int r;

        r = program_new_bare(request, &program);
        if (r < 0)
                return r;
        r = make_plan(program, &request->plan, diag);
        if (r == 0)
                r = make_store(program, &request->plan);
        if (r == 0 && request->plan.kept)
                close_outputs(program, request->plan.def);
        else if (r == 0)
                r = open_outputs(program, request->plan.def, diag);
        if (r == 0)
                r = make_own(program, request->plan.def);
        if (r == 0)
                r = make_pool(program, request->plan.def);
        if (r == 0)
                r = make_answers(program, request->plan.def);
        if (r == 0)
                r = open_handoff(program, request, type_of(request->plan.def));
        if (r < 0) {
                program_free(program);
                return r;
        }
        *ret = program;
        return 0;
}

int program_new_retired(const struct program_request *request, const struct program_retired *what,
                        struct program **ret) {
        const struct output_def log = {.kind = OUTPUT_LOG};
        struct program *program = NULL;
        int r;

        r = program_new_bare(request, &program);
        if (r < 0)
                return r;
        output_init_closed(&program->out, &log, request->service->name, "stdout");
        output_init_closed(&program->err, &log, request->service->name, "stderr");
        r = make_retired(program, what);
        if (r == 0)
                r = make_retired_pool(program, what->type);
        if (r == 0)
                r = make_retired_answers(program, what->type);
        if (r == 0)
                r = open_handoff(program, request, what->type);
        if (r == 0 && request->plan.kept && request->plan.kept->notify_fd >= 0)
                r = open_notifier(program, request->plan.kept);
        if (r < 0) {
                program_free(program);
                return r;
        }
        *ret = program;
        return 0;
}

int program_prepare(struct program *program) {
        struct handoff_setup *setup = &program->handoff->setup;
        int r;

        if (program->plan.argv.count == 0)
                return 0;
        if (!program->plan.path) {
                r = planmake_find_program(&program->plan);
                if (r < 0)
                        return r;
        }
        r = output_open(&program->out, setup->host->event);
        if (r == 0)
                r = output_open(&program->err, setup->host->event);
        if (r < 0)
                return r;
        setup->stdout_fd = output_fd(&program->out, setup->host->null_fd);
        setup->stderr_fd = output_fd(&program->err, setup->host->null_fd);
        return 0;
}
