#include "core/command.h"

#include "base/err.h"
#include "core/change.h"
#include "core/reload.h"
#include "core/servicefsm.h"

#include <errno.h>
#include <stdio.h>

struct command {
        struct list link;
        enum command_verb verb;
        bool waits; /* before it begins, for the end of what was stopped */
        char *name;
        void (*done)(void *userdata, enum command_outcome outcome, const char *why); /* NULL: forgotten */
        void *userdata;
};

const char *const command_verb_names[COMMAND_N] = {
        [COMMAND_START] = "start", [COMMAND_STOP] = "stop",       [COMMAND_RESTART] = "restart",
        [COMMAND_KILL] = "kill",   [COMMAND_REPLACE] = "replace",
};

/* All workers of one service. */
struct team {
        struct service **items;
        struct program **programs; /* made for each, and not theirs yet; NULL: none are */
        size_t count;
};

static void team_deinit(struct team *team) {
        for (size_t i = 0; team->programs && i < team->count; i++)
                program_free(team->programs[i]);
        free(team->programs);
        free(team->items);
}

static int team_find(struct manager *manager, const char *name, struct team *ret) {
        struct service *first = manager_find(manager, name);
        size_t room = first ? service_def_copies(first->def) : 0;

        /* A further worker is no service of its own to who gives orders. */
        if (!first || first->worker != 1)
                return 0;
        ret->items = calloc(room, sizeof(struct service *));
        if (!ret->items)
                return err_raise(-ENOMEM);
        ret->items[ret->count++] = first;
        for (unsigned worker = 2; worker <= room; worker++) {
                char worker_name[CHANGE_NAME_MAX];
                struct service *service;

                snprintf(worker_name, sizeof(worker_name), "%s/%u", name, worker);
                service = manager_find(manager, worker_name);
                if (service)
                        ret->items[ret->count++] = service;
        }
        return 0;
}

static void team_post(const struct team *team, enum service_event event) {
        for (size_t i = 0; i < team->count; i++)
                servicefsm_post(team->items[i], event);
}

static void say_diag(const struct diag *diag, struct buf *why) {
        enum diag_level level;

        for (size_t i = 0; i < diag->count; i++)
                if (diag_format_entry(diag, i, why, &level) && i + 1 < diag->count)
                        buf_add_string(why, "\n");
}

static enum command_outcome give_start(struct manager *manager, const struct team *team, struct buf *why) {
        AUTO(diag_deinit) struct diag diag = {.unplaced = true};

        if (team->items[0]->state != SERVICE_HALTED) {
                buf_printf(why, "it was not stopped: it is %s", service_state_names[team->items[0]->state]);
                return COMMAND_REFUSED;
        }
        if (reload_reopen(manager, team->items, team->count, &diag))
                return COMMAND_DONE;
        say_diag(&diag, why);
        return COMMAND_FAILED;
}

/* For all of them before any is replaced: what cannot be made changes nothing. */
static bool team_make_programs(struct team *team, struct buf *why) {
        team->programs = calloc(team->count, sizeof(struct program *));
        if (!team->programs) {
                buf_add_string(why, err_text(-ENOMEM));
                return false;
        }
        for (size_t i = 0; i < team->count; i++) {
                AUTO(diag_deinit) struct diag diag = {.unplaced = true};
                int r = change_make_program(team->items[i], &team->programs[i], &diag);

                if (r == 0)
                        continue;
                if (diag.count > 0)
                        say_diag(&diag, why);
                else
                        buf_add_string(why, err_text(r));
                return false;
        }
        return true;
}

static enum command_outcome give_replace(struct team *team, struct buf *why) {
        if (team->items[0]->def->proxy) {
                buf_add_string(why, "a proxy's target can have one server at a time: restart it");
                return COMMAND_REFUSED;
        }
        if (team->items[0]->def->builtin != BUILTIN_NONE) {
                buf_add_string(why, "a built-in has no server, the broker answers itself");
                return COMMAND_REFUSED;
        }
        if (service_def_is_pool(team->items[0]->def)) {
                buf_add_string(why, "workers have no sockets that others could take over from them: restart it");
                return COMMAND_REFUSED;
        }
        if (!team->items[0]->def->wait) {
                buf_add_string(why, "with wait: no every connection has a program of its own");
                return COMMAND_REFUSED;
        }
        for (size_t i = 0; i < team->count; i++)
                if (team->items[i]->state != SERVICE_RUNNING) {
                        buf_printf(why, "%s: %s is %s",
                                   team->items[i]->state == SERVICE_REPLACING ? "a new server is being started already"
                                                                              : "no server runs that could be replaced",
                                   team->items[i]->name, service_state_names[team->items[i]->state]);
                        return COMMAND_REFUSED;
                }
        if (!team_make_programs(team, why))
                return COMMAND_FAILED;
        for (size_t i = 0; i < team->count; i++) {
                service_set_program(team->items[i], take_ptr(team->programs[i]));
                servicefsm_post(team->items[i], SERVICE_EV_REPLACE);
        }
        return COMMAND_DONE;
}

/* Whether it was stopped, and has not come to its end yet: its processes have the addresses. */
static bool is_ending(const struct team *team) {
        for (size_t i = 0; i < team->count; i++)
                if (team->items[i]->state == SERVICE_HALTED && service_is_busy(team->items[i]))
                        return true;
        return false;
}

static enum command_outcome give(struct manager *manager, struct command *command, struct team *team, struct buf *why) {
        bool halted = team->items[0]->state == SERVICE_HALTED;

        command->waits = (command->verb == COMMAND_START || command->verb == COMMAND_RESTART) && is_ending(team);
        if (command->waits)
                return COMMAND_DONE;
        switch (command->verb) {
        case COMMAND_START:
                return give_start(manager, team, why);
        case COMMAND_STOP:
                team_post(team, SERVICE_EV_HALT);
                return COMMAND_DONE;
        case COMMAND_KILL:
                team_post(team, SERVICE_EV_KILL);
                return COMMAND_DONE;
        case COMMAND_RESTART:
                if (halted)
                        return give_start(manager, team, why);
                team_post(team, SERVICE_EV_RESTART);
                return COMMAND_DONE;
        default:
                return give_replace(team, why);
        }
}

/* The last line of a server's life, for who wanted it to begin. */
static void say_end(const struct service *service, struct buf *why) {
        char status[EXITINFO_TEXT_MAX];

        exitinfo_format(&service->last_exit, status);
        if (service->last_reason == PROCESS_LATE)
                buf_add_string(why, "it was not ready within start_timeout");
        else if (service->last_launch_failed)
                buf_add_string(why, "its program could not be executed");
        else
                buf_printf(why, "it ended, %s", status);
}

static void say_no_replacement(const struct service *service, struct buf *why) {
        buf_clear(why);
        if (service->replacement_error < 0) {
                buf_printf(why, "the old server goes on, no new one could be started: %s",
                           err_text(service->replacement_error));
        } else if (service->state == SERVICE_RUNNING && service->replacement == REPLACEMENT_FAILED) {
                buf_add_string(why, "the old server goes on, the new one did not become ready: ");
                say_end(service, why);
        } else if (service->replacement == REPLACEMENT_FAILED && service->state != SERVICE_STOPPING) {
                buf_add_string(why, "the old server has ended, and the new one did not become ready: ");
                say_end(service, why);
        } else {
                buf_printf(why, "something else has come in between: it is %s", service_state_names[service->state]);
        }
}

static void say_no_start(const struct service *service, struct buf *why) {
        buf_clear(why);
        buf_add_string(why, "the server could not be started: ");
        if (service->state == SERVICE_PAUSED)
                buf_add_string(why, err_text(service->pause_error));
        else
                say_end(service, why);
}

/* After an order that starts a server: whether none has stayed. One that ends before it is ready leaves a service that
 * listens, where it is not started again. */
static bool has_not_started(const struct service *service, enum command_verb verb) {
        if (service->state == SERVICE_BACKOFF)
                return true;
        if (service->state == SERVICE_PAUSED)
                return service->pause == PAUSE_PROGRAM;
        return service->state == SERVICE_LISTENING && service->def->wait &&
               (service->def->start == START_BOOT ||
                (verb == COMMAND_RESTART && service->after_stop == AFTER_STOP_RUN));
}

/* Whether ORDER is still being carried out on SERVICE; if not, OUTCOME gets worse where it has failed. */
static bool is_under_way(const struct service *service, enum command_verb verb, enum command_outcome *outcome,
                         struct buf *why) {
        switch (verb) {
        case COMMAND_STOP:
                return service->state == SERVICE_HALTED && service_is_busy(service);
        case COMMAND_KILL:
                return service_stopping_count(service) > 0;
        case COMMAND_REPLACE:
                if (service->state == SERVICE_REPLACING)
                        return true;
                if (service->replacement == REPLACEMENT_DONE)
                        return false;
                *outcome = COMMAND_FAILED;
                say_no_replacement(service, why);
                return false;
        default:
                if (service->state == SERVICE_STOPPING || service->state == SERVICE_STARTING ||
                    (service->state != SERVICE_RUNNING && service_stopping_count(service) > 0))
                        return true;
                if (!has_not_started(service, verb))
                        return false;
                *outcome = COMMAND_FAILED;
                say_no_start(service, why);
                return false;
        }
}

static enum command_outcome command_begin(struct manager *manager, struct command *command, struct buf *why) {
        AUTO(team_deinit) struct team team = {0};
        int r = team_find(manager, command->name, &team);

        if (r < 0) {
                buf_add_string(why, err_text(r));
                return COMMAND_FAILED;
        }
        if (team.count == 0 && manager_find(manager, command->name)) {
                buf_printf(why, "it is a worker: orders are for all of '%s'",
                           manager_find(manager, command->name)->def->name);
                return COMMAND_REFUSED;
        }
        if (team.count == 0) {
                buf_printf(why, "there is no service '%s'", command->name);
                return COMMAND_UNKNOWN;
        }
        if (manager->draining) {
                buf_add_string(why, "the broker is about to end");
                return COMMAND_REFUSED;
        }
        return give(manager, command, &team, why);
}

/* Begins what had to wait, once it need not any more. */
static bool command_is_under_way(struct manager *manager, struct command *command, enum command_outcome *outcome,
                                 struct buf *why) {
        AUTO(team_deinit) struct team team = {0};
        bool under_way = false;

        *outcome = command->waits ? command_begin(manager, command, why) : COMMAND_DONE;
        if (*outcome != COMMAND_DONE)
                return false;
        if (command->waits || team_find(manager, command->name, &team) < 0)
                return true;
        if (team.count == 0 && command->verb != COMMAND_STOP && command->verb != COMMAND_KILL) {
                *outcome = COMMAND_FAILED;
                buf_add_string(why, manager->draining ? "the broker is about to end" : "it was removed meanwhile");
        }
        for (size_t i = 0; i < team.count; i++)
                under_way = is_under_way(team.items[i], command->verb, outcome, why) || under_way;
        return under_way;
}

static struct command *command_free(struct command *command) {
        if (!command)
                return NULL;
        list_remove(&command->link);
        free(command->name);
        free(command);
        return NULL;
}

static int on_check(sd_event_source *source UNUSED, void *userdata) {
        struct manager *manager = userdata;
        struct command *command;

        list_for_each(command, &manager->commands, link) {
                AUTO(buf_deinit) struct buf why = BUF_NULL;
                enum command_outcome outcome;

                if (command_is_under_way(manager, command, &outcome, &why))
                        continue;
                list_remove(&command->link);
                if (command->done)
                        command->done(command->userdata, outcome, buf_text(&why));
                command_free(command);
        }
        return 0;
}

void command_poke(struct manager *manager) {
        if (list_is_empty(&manager->commands))
                return;
        sd_event_source_set_enabled(manager->command_check, SD_EVENT_ONESHOT);
}

static int command_new(struct manager *manager, const struct command_order *order, struct command **ret) {
        struct command *command;
        int r = 0;

        if (!manager->command_check)
                r = sd_event_add_defer(manager->event, &manager->command_check, on_check, manager);
        if (r < 0)
                return err_raise(r);
        command = calloc(1, sizeof(*command));
        if (!command)
                return err_raise(-ENOMEM);
        list_init(&command->link);
        command->verb = order->verb;
        command->done = order->done;
        command->userdata = order->userdata;
        command->name = strdup(order->name);
        if (!command->name) {
                command_free(command);
                return err_raise(-ENOMEM);
        }
        *ret = command;
        return 0;
}

struct command *command_give(struct manager *manager, const struct command_order *order) {
        AUTO(buf_deinit) struct buf why = BUF_NULL;
        struct command *command = NULL;
        enum command_outcome outcome;
        int r = command_new(manager, order, &command);

        if (r < 0) {
                order->done(order->userdata, COMMAND_FAILED, err_text(r));
                return NULL;
        }
        outcome = command_begin(manager, command, &why);
        if (outcome == COMMAND_DONE && command_is_under_way(manager, command, &outcome, &why)) {
                list_append(&manager->commands, &command->link);
                return command;
        }
        order->done(order->userdata, outcome, buf_text(&why));
        return command_free(command);
}

struct command *command_forget(struct command *command) {
        if (command)
                command->done = NULL;
        return NULL;
}

bool command_is_awaited(const struct manager *manager) {
        const struct command *command;

        list_for_each(command, &manager->commands, link)
                if (command->done)
                        return true;
        return false;
}

void commands_deinit(struct manager *manager) {
        struct command *command;

        list_for_each(command, &manager->commands, link)
                command_free(command);
        manager->command_check = sd_event_source_disable_unref(manager->command_check);
}
