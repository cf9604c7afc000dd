/* Programs, their output and their processes on their way to the next binary (core/keep.h). The plan of a start is made
 * anew from the definition, so that a newer broker makes it as it does; whom its program runs as and where its file is
 * were found out at load, and go along. */
#include "base/err.h"
#include "base/fd.h"
#include "core/change.h"
#include "core/keep.h"
#include "handoff/timer.h"

#include <errno.h>
#include <string.h>

const char *const process_reason_names[PROCESS_REASON_N] = {
        [PROCESS_ENDED] = "ended",        [PROCESS_STOPPED] = "stopped", [PROCESS_OVERRAN] = "max_runtime",
        [PROCESS_LATE] = "start_timeout", [PROCESS_SILENT] = "watchdog", [PROCESS_IDLE] = "idle",
        [PROCESS_BUSY] = "busy_timeout",  [PROCESS_CHATTY] = "chatty",   [PROCESS_MUTE] = "mute",
};

static void creds_save(const struct creds *creds, struct state_out out) {
        state_put_flag(out, "change_user", creds->change_user);
        state_put_flag(out, "change_group", creds->change_group);
        state_put_flag(out, "change_groups", creds->change_groups);
        state_put_integer(out, "uid", creds->uid);
        state_put_integer(out, "gid", creds->gid);
        if (creds->group_count > 0)
                state_put_bytes(out, "groups", creds->groups, creds->group_count * sizeof(*creds->groups));
        state_put_text(out, "name", creds->name);
        state_put_text(out, "home", creds->home);
        state_put_text(out, "shell", creds->shell);
}

static void creds_restore(struct creds *creds, struct state_in in) {
        AUTO(buf_deinit) struct buf groups = BUF_NULL;

        state_get_buf(in, "groups", &groups);
        *creds = (struct creds){
                .change_user = state_get_flag(in, "change_user"),
                .change_group = state_get_flag(in, "change_group"),
                .change_groups = state_get_flag(in, "change_groups"),
                .uid = (uid_t)state_get_integer(in, "uid", 0),
                .gid = (gid_t)state_get_integer(in, "gid", 0),
                .group_count = groups.size / sizeof(*creds->groups),
                .name = state_get_text(in, "name"),
                .home = state_get_text(in, "home"),
                .shell = state_get_text(in, "shell"),
        };
        if (creds->group_count > 0)
                creds->groups = (gid_t *)buf_take(&groups);
        /* By mistake it would be the broker's own user. */
        if (!state_has(in, "uid") || !state_has(in, "gid"))
                state_reader_fail(in.reader, "the running broker does not say who a program runs as");
}

static void output_save(const struct output *output, struct state_out out) {
        state_put_fd(out, "read", output->read_fd);
        state_put_fd(out, "write", output->write_fd);
        if (output->partial && output->partial->size > 0)
                state_put_bytes(out, "partial", output->partial->data, output->partial->size);
}

static void output_restore(struct output *output, sd_event *event, struct state_in in) {
        AUTO(buf_deinit) struct buf partial = BUF_NULL;
        int read_fd = state_take_fd(in, "read"), write_fd = state_take_fd(in, "write"), r;

        state_get_buf(in, "partial", &partial);
        r = output_adopt(output, event, read_fd, write_fd, &partial);
        if (r < 0)
                state_reader_fail(in.reader, "the output of programs cannot be watched: %s", err_text(r));
}

static void process_save(const struct process *process, struct state_out out) {
        const struct process_policy *policy = &process->policy;

        state_put_integer(out, "pid", process->launched.pid);
        state_put_fd(out, "pidfd", process->launched.pidfd);
        state_put_integer(out, "group", process->group);
        state_put_fd(out, "group_pidfd", process->group_pidfd);
        if (process->spare_link >= 0)
                state_put_fd(out, "spare_link", process->spare_link);
        state_put_usec(out, "started_at", process->started_at);
        state_put_usec(out, "timer_at", timer_due(process->timer));
        state_put_name(out, "reason", process_reason_names, PROCESS_REASON_N, process->reason);
        state_put_flag(out, "killed", process->killed);
        state_put_integer(out, "stop_signal", policy->stop_signal);
        state_put_flag(out, "process_only", policy->process_only);
        state_put_flag(out, "ends_group", policy->ends_group);
        state_put_usec(out, "stop_grace_period", policy->stop_grace_period);
        state_put_usec(out, "max_runtime", policy->max_runtime);
        if (process->launch_failed) {
                state_put_name(out, "failed", child_stage_names, CHILD_STAGE_N, process->failure.stage);
                state_put_integer(out, "error", process->failure.error);
        }
        if (process->connection)
                connection_save(process->connection, state_put_object(out, "connection"));
}

static void process_restore_in(struct program *program, struct state_in in) {
        struct service *service = program->service;
        struct process like = {
                .launched = {.pid = (pid_t)state_get_integer(in, "pid", -1), .pidfd = state_take_fd(in, "pidfd")},
                .group = (pid_t)state_get_integer(in, "group", -1),
                .group_pidfd = state_take_fd(in, "group_pidfd"),
                .spare_link = state_has(in, "spare_link") ? state_take_fd(in, "spare_link") : -EBADF,
                .started_at = state_get_usec(in, "started_at"),
                .reason = state_get_name(in, "reason", process_reason_names, PROCESS_REASON_N, PROCESS_ENDED),
                .killed = state_get_flag(in, "killed"),
                .policy =
                        {
                                .stop_signal = (int)state_get_integer(in, "stop_signal", SIGTERM),
                                .process_only = state_get_flag(in, "process_only"),
                                .ends_group = state_get_flag(in, "ends_group"),
                                .stop_grace_period = state_get_usec(in, "stop_grace_period"),
                                .max_runtime = state_get_usec(in, "max_runtime"),
                        },
                .launch_failed = state_has(in, "failed"),
                .failure =
                        {
                                .stage = state_get_name(in, "failed", child_stage_names, CHILD_STAGE_N, 0),
                                .error = (int)state_get_integer(in, "error", 0),
                        },
        };
        int r;

        /* Signals to the groups of everybody, or our own, are what a pid of 1 or 0 would mean. */
        if (like.launched.pid <= 1 || like.group <= 1 || like.launched.pidfd < 0) {
                state_reader_fail(in.reader, "a process of service %s has no pid or no descriptor", service->name);
                return;
        }
        if (state_has(in, "connection"))
                like.connection = connection_restore(service->manager, service, state_get_object(in, "connection"));
        r = handoff_restore_process(program->handoff, &like, state_get_usec(in, "timer_at"));
        if (r < 0)
                state_reader_fail(in.reader, "a process of service %s cannot be watched: %s", service->name,
                                  err_text(r));
}

void program_save(const struct program *program, struct state_out out) {
        struct state_out processes;
        const struct process *process;

        state_put_name(out, "handoff", handoff_type_names, HANDOFF_TYPE_N, program->handoff->ops->type);
        state_put_text(out, "path", program->plan.path);
        creds_save(&program->plan.creds, state_put_object(out, "creds"));
        output_save(&program->out, state_put_object(out, "stdout"));
        output_save(&program->err, state_put_object(out, "stderr"));
        if (program->notifier)
                notifier_save(program->notifier, state_put_object(out, "notifier"));
        processes = state_put_list(out, "processes");
        list_for_each(process, &program->handoff->processes, link)
                process_save(process, state_add_object(processes));
        if (program->relay)
                relays_save(program, state_put_object(out, "proxy"));
        if (program->builtin)
                builtins_save(program, state_put_object(out, "builtin"));
        if (program->handoff->ops->type == HANDOFF_TYPE_PASS)
                pass_save(program, state_put_object(out, "pass"));
        if (program->handoff->ops->type == HANDOFF_TYPE_REQUEST)
                requests_save(program, state_put_object(out, "requests"));
}

static void restore_rest(struct program *program, struct state_in in) {
        struct state_in processes = state_get_list(in, "processes");
        sd_event *event = program->service->manager->event;

        output_restore(&program->out, event, state_get_object(in, "stdout"));
        output_restore(&program->err, event, state_get_object(in, "stderr"));
        if (program->notifier && state_has(in, "notifier"))
                notifier_restore(program->notifier, state_get_object(in, "notifier"));
        for (size_t i = 0; i < state_count(processes); i++)
                process_restore_in(program, state_entry(processes, i));
        if (state_has(in, "proxy"))
                relays_restore(program, state_get_object(in, "proxy"));
        if (state_has(in, "builtin"))
                builtins_restore(program, state_get_object(in, "builtin"));
        if (state_has(in, "pass"))
                pass_restore(program, state_get_object(in, "pass"));
        if (state_has(in, "requests"))
                requests_restore(program, state_get_object(in, "requests"));
}

/* Its name is asked of it, so that in a trial nothing can stand in for it. */
static int take_notify_fd(struct state_in in) {
        int fd = state_take_fd(state_get_object(in, "notifier"), "fd");

        return in.reader->trial ? fd_close(fd) : fd;
}

struct program *program_restore_current(struct service *service, struct state_in in) {
        AUTO(diag_deinit) struct diag diag = DIAG_NULL;
        AUTO(creds_deinit) struct creds creds = CREDS_NULL;
        AUTO(freep) char *path = state_get_text(in, "path");
        struct planmake_kept kept = {.creds = &creds, .path = path, .notify_fd = take_notify_fd(in)};
        struct program *program = NULL;
        int r;

        creds_restore(&creds, state_get_object(in, "creds"));
        r = change_make_kept_program(service, &kept, &program, &diag);
        path = kept.path;
        fd_close(kept.notify_fd);
        if (r < 0) {
                AUTO(buf_deinit) struct buf problems = BUF_NULL;

                diag_format(&diag, &problems);
                state_reader_fail(in.reader, "the program of service %s cannot be taken over: %s%s", service->name,
                                  diag_has_errors(&diag) ? "" : err_text(r), buf_text(&problems));
                return NULL;
        }
        restore_rest(program, in);
        return program;
}

struct program *program_restore_retired(struct service *service, struct state_in in) {
        struct planmake_kept kept = {.notify_fd = take_notify_fd(in)};
        const struct program_request request = {
                .plan = {.def = service->def, .kept = &kept},
                .service = service,
                .host = &service->manager->host,
                .events = &service_handoff_events,
        };
        const struct program_retired what = {
                .type = state_get_name(in, "handoff", handoff_type_names, HANDOFF_TYPE_N, HANDOFF_TYPE_SPAWN),
                .builtin = state_get_name(state_get_object(in, "builtin"), "kind", builtin_kind_names,
                                          HANDOFF_BUILTIN_N, HANDOFF_BUILTIN_DISCARD),
        };
        struct program *program = NULL;

        if (program_new_retired(&request, &what, &program) < 0) {
                fd_close(kept.notify_fd);
                state_reader_fail(in.reader, "memory ran out");
                return NULL;
        }
        restore_rest(program, in);
        return program;
}
