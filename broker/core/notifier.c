#include "core/notifier.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "core/fdstore.h"
#include "core/keep.h"
#include "core/manager.h"
#include "core/serverlife.h"
#include "core/servicefsm.h"
#include "handoff/timer.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

/* So many are taken at once, then others have their turn: whoever floods us waits in his own socket's queue. */
#define BURST_MAX 16
#define BURST_TIME (USEC_PER_MSEC / 2) /* strangers are dear: all their ancestors are asked for */

/* What was said before the end has to fit into the socket's queue, whose length (net.unix.max_dgram_qlen) is this at
 * most on any machine we know of. */
#define LAST_WORDS_MAX 4096
#define LAST_WORDS_TIME (50 * USEC_PER_MSEC)

#define LATE_MIN (100 * USEC_PER_MSEC) /* less is nothing out of the ordinary */

#define NOTIFIER_FIELD(notifier) LOG_STRING("service", (notifier)->program->service->name)

static struct process *find_server(const struct notifier *notifier) {
        return list_first(&notifier->program->handoff->processes, struct process, link);
}

static bool is_current(const struct notifier *notifier) {
        return notifier->program->service->program == notifier->program;
}

/* How long it may be silent, or take to end when it has said that it does. */
static usec_t patience(const struct notifier *notifier) {
        return notifier->stopping ? notifier->program->service->def->stop_grace_period : notifier->watchdog;
}

static void stop_server(struct notifier *notifier, const char *why) {
        struct process *process = find_server(notifier);

        if (!process || process->reason != PROCESS_ENDED)
                return;
        log_event(LOG_LEVEL_WARNING, LOG_FIELDS(NOTIFIER_FIELD(notifier), LOG_INTEGER("pid", process->launched.pid)),
                  "%s, stopping it", why);
        process_stop(process, PROCESS_SILENT);
}

static void arm_watchdog(struct notifier *notifier);

/* When it comes very late we have stood still ourselves, and perhaps the server with us: a container was paused. */
static int on_watchdog(sd_event_source *source UNUSED, uint64_t at, void *userdata) {
        struct notifier *notifier = userdata;

        if (clock_monotonic() - at > MAX_OF(patience(notifier) / 2, LATE_MIN))
                arm_watchdog(notifier);
        else
                stop_server(notifier, notifier->stopping
                                              ? "server said STOPPING=1 and has not ended within stop_grace_period"
                                              : "server has been silent for longer than its watchdog allows");
        return 0;
}

static void arm_watchdog_at(struct notifier *notifier, usec_t at) {
        sd_event *event = notifier->program->service->manager->event;

        if (at == USEC_INFINITY) {
                if (notifier->timer)
                        sd_event_source_set_enabled(notifier->timer, SD_EVENT_OFF);
        } else if (!notifier->timer) {
                sd_event_add_time(event, &notifier->timer, CLOCK_MONOTONIC, at, USEC_PER_MSEC, on_watchdog, notifier);
        } else {
                sd_event_source_set_time(notifier->timer, at);
                sd_event_source_set_enabled(notifier->timer, SD_EVENT_ONESHOT);
        }
}

static void arm_watchdog(struct notifier *notifier) {
        arm_watchdog_at(notifier, usec_add(clock_monotonic(), patience(notifier)));
}

/* A server that has to say when it is ready is not watched before. */
static bool is_watched(const struct notifier *notifier) {
        return notifier->ready || !notifier->awaited;
}

/* What says so when it has been told to end, of start_timeout for example, is late. */
static void on_ready(struct notifier *notifier, const struct process *process) {
        usec_t latency = clock_monotonic() - notifier->started_at;
        bool first = !notifier->ready && process->reason == PROCESS_ENDED;

        notifier->reloading = false;
        notifier->ready = true;
        if (!first)
                return;
        if (!notifier->stopping)
                arm_watchdog(notifier);
        measures_ready(&notifier->program->service->measures, latency);
        log_event(LOG_LEVEL_INFO, LOG_FIELDS(NOTIFIER_FIELD(notifier), LOG_DURATION("after", latency)),
                  "server is ready");
        if (is_current(notifier))
                servicefsm_post(notifier->program->service, SERVICE_EV_READY);
}

static void set_status(struct notifier *notifier, const char *text) {
        char *copy = text[0] ? strdup(text) : NULL;

        if (text[0] && !copy)
                return;
        free(notifier->status);
        notifier->status = copy;
        log_event(LOG_LEVEL_DEBUG, LOG_FIELDS(NOTIFIER_FIELD(notifier), LOG_STRING("text", text)), "server's status");
}

static void on_watchdog_message(struct notifier *notifier, const struct notifymessage *message) {
        if (message->fields & NOTIFYMESSAGE_WATCHDOG_USEC)
                notifier->watchdog = message->watchdog == 0 ? USEC_INFINITY : message->watchdog;
        if (message->fields & NOTIFYMESSAGE_WATCHDOG_TRIGGER)
                stop_server(notifier, "server said WATCHDOG=trigger");
        else if (!notifier->stopping && message->fields & (NOTIFYMESSAGE_WATCHDOG | NOTIFYMESSAGE_WATCHDOG_USEC) &&
                 is_watched(notifier))
                arm_watchdog(notifier);
}

static void on_main_pid(struct notifier *notifier, struct process *process, pid_t pid) {
        const struct kinship_family family = process_family(process);
        int pidfd, r;

        if (pid == process->launched.pid)
                return;
        pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
        if (pidfd < 0 || kinship_find(&family, pid, pidfd) != KINSHIP_MEMBER) {
                fd_close(pidfd);
                log_event(LOG_LEVEL_WARNING, LOG_FIELDS(NOTIFIER_FIELD(notifier), LOG_INTEGER("pid", pid)),
                          "MAINPID is no process of this service, ignoring it");
                return;
        }
        r = process_adopt_main(process, pid, pidfd);
        log_event(r < 0 ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO,
                  LOG_FIELDS(NOTIFIER_FIELD(notifier), LOG_INTEGER("pid", pid),
                             LOG_STRING("error", r < 0 ? err_text(r) : NULL)),
                  r < 0 ? "the new main process cannot be watched" : "server has a new main process");
}

static void extend_stop(struct notifier *notifier, usec_t usec) {
        usec_t at = usec_add(clock_monotonic(), usec);
        uint64_t due;

        if (notifier->timer && sd_event_source_get_time(notifier->timer, &due) >= 0 && at > due)
                sd_event_source_set_time(notifier->timer, at);
}

static void extend(struct notifier *notifier, struct process *process, usec_t usec) {
        struct service *service = notifier->program->service;

        if (notifier->stopping && process->reason == PROCESS_ENDED)
                extend_stop(notifier, usec);
        else if (is_current(notifier) && process->reason == PROCESS_ENDED && service->deadline != USEC_INFINITY)
                serverlife_extend_start(service, usec);
        else
                process_extend_timeout(process, usec);
}

static int store_one(struct service *service, const struct notifymessage *message, int own_fd) {
        const struct fdstore_item_request request = {
                .name = notifymessage_store_name(message),
                .poll = !(message->fields & NOTIFYMESSAGE_FDPOLL),
                .max = (size_t)service->def->fd_store,
        };
        int r = service->fdstore ? 0 : fdstore_new(service->manager->event, &service->fdstore);

        if (r < 0) {
                fd_close(own_fd);
                return r;
        }
        return fdstore_add(service->fdstore, &request, own_fd);
}

static void store(struct notifier *notifier, struct notification *note) {
        struct service *service = notifier->program->service;
        size_t full = 0;
        int error = 0;

        for (size_t i = 0; i < note->fd_count; i++) {
                int r = store_one(service, &note->message, take_fd(note->fds[i]));

                full += r == FDSTORE_FULL;
                error = r < 0 ? r : error;
        }
        if (full > 0 || error < 0)
                log_event(LOG_LEVEL_WARNING,
                          LOG_FIELDS(NOTIFIER_FIELD(notifier), LOG_INTEGER("limit", service->def->fd_store),
                                     LOG_STRING("error", error < 0 ? err_text(error) : NULL)),
                          "descriptors of the server were not stored: fd_store allows no more");
}

static void remove_stored(const struct notifier *notifier, const char *name) {
        struct service *service = notifier->program->service;

        if (service->fdstore && name[0])
                fdstore_remove(service->fdstore, name);
}

static void take_message(struct notifier *notifier, struct process *process, struct notification *note) {
        const struct notifymessage *message = &note->message;
        unsigned fields = message->fields;

        /* Who it is first, how long it may take second; then what it says. */
        if (fields & NOTIFYMESSAGE_MAINPID)
                on_main_pid(notifier, process, message->main_pid);
        if (fields & NOTIFYMESSAGE_STOPPING && !notifier->stopping) {
                notifier->stopping = true;
                arm_watchdog(notifier);
        }
        if (fields & NOTIFYMESSAGE_EXTEND_TIMEOUT_USEC)
                extend(notifier, process, message->extend_timeout);
        if (fields & NOTIFYMESSAGE_STATUS)
                set_status(notifier, message->status);
        if (fields & NOTIFYMESSAGE_ERRNO)
                notifier->error = message->error;
        if (fields & NOTIFYMESSAGE_FDSTOREREMOVE)
                remove_stored(notifier, message->fd_name);
        else if (fields & NOTIFYMESSAGE_FDSTORE)
                store(notifier, note);
        notifier->reloading = notifier->reloading || fields & NOTIFYMESSAGE_RELOADING;
        on_watchdog_message(notifier, message);
        if (fields & NOTIFYMESSAGE_READY)
                on_ready(notifier, process);
}

static void log_rejected(const struct notifier *notifier, const struct notification *note, const char *why) {
        if (!manager_may_tell_of_clients(notifier->program->service->manager))
                return;
        log_event(LOG_LEVEL_WARNING,
                  LOG_FIELDS(NOTIFIER_FIELD(notifier), LOG_INTEGER("pid", note->pid), LOG_INTEGER("uid", note->uid)),
                  "message to its notify socket ignored: %s", why);
}

static void judge(struct notifier *notifier, struct notification *note) {
        struct process *process = find_server(notifier);
        struct kinship_family family;

        if (note->message.fields & NOTIFYMESSAGE_BARRIER)
                return;
        if (!process) {
                log_rejected(notifier, note, "no server runs");
                return;
        }
        family = process_family(process);
        switch (kinship_find(&family, note->pid, note->pidfd)) {
        case KINSHIP_MEMBER:
                take_message(notifier, process, note);
                return;
        case KINSHIP_GONE:
                log_rejected(notifier, note,
                             "its sender has ended meanwhile, and whose it was nobody can tell; it should "
                             "wait for the answer (BARRIER=1, sd_notify_barrier(3))");
                return;
        default:
                log_rejected(notifier, note, "its sender is no process of this service");
        }
}

/* Returns whether there may be more. */
static bool take_one(struct notifier *notifier) {
        static const char *const reasons[] = {
                [NOTIFYSOCKET_TRUNCATED] = "it is too long, or has too many descriptors",
                [NOTIFYSOCKET_ANONYMOUS] = "the kernel does not say who sent it",
                [NOTIFYSOCKET_MALFORMED] = "it is not as sd_notify(3) says",
        };
        AUTO(notification_deinit) struct notification note;
        int r = notifysocket_receive(&notifier->socket, &note);

        if (r < 0 || r == NOTIFYSOCKET_NOTHING)
                return false;
        if (r == NOTIFYSOCKET_MESSAGE)
                judge(notifier, &note);
        else
                log_rejected(notifier, &note, reasons[r]);
        return true;
}

static void take_some(struct notifier *notifier, unsigned max, usec_t time) {
        usec_t until = clock_monotonic() + time;

        for (unsigned i = 0; i < max && take_one(notifier) && clock_monotonic() < until; i++)
                ;
}

static int on_message(sd_event_source *source UNUSED, int fd UNUSED, uint32_t events UNUSED, void *userdata) {
        take_some(userdata, BURST_MAX, BURST_TIME);
        return 0;
}

int notifier_new(struct program *program, sd_event *event, struct notifier **ret) {
        struct notifysocket socket = NOTIFYSOCKET_NULL;
        int r = notifysocket_open(&socket);

        return r < 0 ? r : notifier_adopt(program, event, socket.fd, ret);
}

int notifier_adopt(struct program *program, sd_event *event, int own_fd, struct notifier **ret) {
        struct notifier *notifier = calloc(1, sizeof(*notifier));
        int r;

        if (!notifier) {
                fd_close(own_fd);
                return err_raise(-ENOMEM);
        }
        notifier->program = program;
        notifier->watchdog = USEC_INFINITY;
        notifier->socket = NOTIFYSOCKET_NULL;
        r = notifysocket_adopt(own_fd, &notifier->socket);
        if (r == 0)
                r = sd_event_add_io(event, &notifier->io, notifier->socket.fd, EPOLLIN, on_message, notifier);
        if (r < 0) {
                notifier_free(notifier);
                return err_raise(r);
        }
        *ret = notifier;
        return 0;
}

struct notifier *notifier_free(struct notifier *notifier) {
        if (!notifier)
                return NULL;
        notifier->timer = sd_event_source_disable_unref(notifier->timer);
        notifier->io = sd_event_source_disable_unref(notifier->io);
        notifysocket_close(&notifier->socket);
        free(notifier->status);
        free(notifier);
        return NULL;
}

void notifier_begin(struct notifier *notifier) {
        set_status(notifier, "");
        notifier->ready = notifier->reloading = notifier->stopping = false;
        notifier->error = 0;
        notifier->started_at = clock_monotonic();
        notifier->watchdog = notifier->program->service->def->watchdog;
        notifier->awaited = notifier->program->service->def->ready == READY_NOTIFY;
        if (is_watched(notifier))
                arm_watchdog(notifier);
}

void notifier_end(struct notifier *notifier) {
        take_some(notifier, LAST_WORDS_MAX, LAST_WORDS_TIME);
        if (notifier->timer)
                sd_event_source_set_enabled(notifier->timer, SD_EVENT_OFF);
}

void notifier_save(const struct notifier *notifier, struct state_out out) {
        state_put_fd(out, "fd", notifier->socket.fd);
        state_put_usec(out, "watchdog", notifier->watchdog);
        state_put_usec(out, "watchdog_at", timer_due(notifier->timer));
        state_put_usec(out, "started_at", notifier->started_at);
        state_put_flag(out, "awaited", notifier->awaited);
        state_put_flag(out, "ready", notifier->ready);
        state_put_flag(out, "reloading", notifier->reloading);
        state_put_flag(out, "stopping", notifier->stopping);
        state_put_integer(out, "error", notifier->error);
        state_put_text(out, "status", notifier->status);
}

void notifier_restore(struct notifier *notifier, struct state_in in) {
        usec_t at = state_get_usec(in, "watchdog_at");

        notifier->watchdog = state_get_usec(in, "watchdog");
        notifier->started_at = state_get_usec(in, "started_at");
        notifier->awaited = state_get_flag(in, "awaited");
        notifier->ready = state_get_flag(in, "ready");
        notifier->reloading = state_get_flag(in, "reloading");
        notifier->stopping = state_get_flag(in, "stopping");
        notifier->error = (int)state_get_integer(in, "error", 0);
        notifier->status = state_get_text(in, "status");
        if (at != USEC_INFINITY)
                arm_watchdog_at(notifier, at);
}
