#include "handoff/handoff.h"

#include "base/err.h"

#include <assert.h>
#include <errno.h>

const char *const handoff_type_names[HANDOFF_TYPE_N] = {
        [HANDOFF_TYPE_LISTENERS] = "listeners", [HANDOFF_TYPE_SPAWN] = "spawn", [HANDOFF_TYPE_RELAY] = "relay",
        [HANDOFF_TYPE_BUILTIN] = "builtin",     [HANDOFF_TYPE_PASS] = "pass",   [HANDOFF_TYPE_REQUEST] = "request",
        [HANDOFF_TYPE_SPARES] = "spares",
};

static const struct handoff_ops *const ways[HANDOFF_TYPE_N] = {
        [HANDOFF_TYPE_LISTENERS] = &listeners_ops, [HANDOFF_TYPE_SPAWN] = &spawn_ops,
        [HANDOFF_TYPE_RELAY] = &relay_ops,         [HANDOFF_TYPE_BUILTIN] = &builtin_ops,
        [HANDOFF_TYPE_PASS] = &pass_ops,           [HANDOFF_TYPE_REQUEST] = &request_ops,
        [HANDOFF_TYPE_SPARES] = &spares_ops,
};

int handoff_open(enum handoff_type type, const struct handoff_setup *setup, struct handoff **ret) {
        struct handoff *handoff;
        int r = 0;

        assert(type < HANDOFF_TYPE_N);
        handoff = calloc(1, MAX_OF(ways[type]->size, sizeof(*handoff)));
        if (!handoff)
                return err_raise(-ENOMEM);
        list_init(&handoff->processes);
        handoff->ops = ways[type];
        handoff->setup = *setup;
        if (handoff->ops->open)
                r = handoff->ops->open(handoff);
        if (r < 0) {
                handoff_close(handoff);
                return r;
        }
        *ret = handoff;
        return 0;
}

static void on_process_ending(void *userdata, struct process *process UNUSED) {
        struct handoff *handoff = userdata;

        handoff->setup.events->ending(handoff->setup.userdata, handoff);
}

static void on_process_end(void *userdata, struct process *process) {
        struct handoff *handoff = userdata;

        handoff->process_count--;
        if (handoff->ops->on_process_end)
                handoff->ops->on_process_end(handoff, process->end);
        handoff->setup.events->ended(handoff->setup.userdata, handoff, process->end);
}

bool handoff_owns(const struct process *process) {
        return process->on_end == on_process_end;
}

static struct process_order order_of(struct handoff *handoff, const struct launch_request *request) {
        return (struct process_order){
                .request = request,
                .policy = handoff->setup.policy,
                .on_ending = on_process_ending,
                .on_end = on_process_end,
                .userdata = handoff,
        };
}

/* With its connection, if it has one. */
static void add_process(struct handoff *handoff, struct process *process) {
        list_append(&handoff->processes, &process->link);
        handoff->process_count++;
        if (process->connection)
                connection_close(process->connection);
        handoff->setup.events->started(handoff->setup.userdata, handoff, process);
}

int handoff_start_process(struct handoff *handoff, const struct launch_request *request,
                          struct connection *connection) {
        const struct process_order order = order_of(handoff, request);
        struct process *process;
        int r;

        r = process_start(handoff->setup.host, &order, &process);
        if (r < 0)
                return r;
        process->connection = connection;
        add_process(handoff, process);
        return 0;
}

void handoff_assign_process(struct handoff *handoff, struct process *process, struct connection *connection) {
        const struct process_order order = order_of(handoff, NULL);

        process_assign(process, &order, connection);
        add_process(handoff, process);
}

int handoff_restore_process(struct handoff *handoff, const struct process *like, usec_t timer_at) {
        struct process *process;
        struct process kept = *like;
        int r;

        kept.on_ending = on_process_ending;
        kept.on_end = on_process_end;
        kept.userdata = handoff;
        r = process_restore(handoff->setup.host, &kept, timer_at, &process);
        if (r < 0)
                return r;
        list_append(&handoff->processes, &process->link);
        handoff->process_count++;
        return 0;
}

void handoff_boot(struct handoff *handoff) {
        if (handoff->ops->boot)
                handoff->ops->boot(handoff);
}

void handoff_on_listening(struct handoff *handoff) {
        if (handoff->ops->on_listening)
                handoff->ops->on_listening(handoff);
}

void handoff_retire(struct handoff *handoff, enum handoff_retirement how) {
        if (handoff->ops->retire)
                handoff->ops->retire(handoff, how);
}

void handoff_stop(struct handoff *handoff) {
        struct process *process;

        if (handoff->ops->stop)
                handoff->ops->stop(handoff);
        list_for_each(process, &handoff->processes, link)
                process_stop(process, PROCESS_STOPPED);
}

void handoff_restart(struct handoff *handoff) {
        if (handoff->ops->restart)
                handoff->ops->restart(handoff);
        else
                handoff_stop(handoff);
}

bool handoff_cut(struct handoff *handoff) {
        return handoff->ops->cut && handoff->ops->cut(handoff);
}

bool handoff_is_waiting(const struct handoff *handoff) {
        return handoff->ops->is_waiting && handoff->ops->is_waiting(handoff);
}

bool handoff_is_failing(const struct handoff *handoff, int *ret_error) {
        return handoff->ops->is_failing && handoff->ops->is_failing(handoff, ret_error);
}

bool handoff_is_alive(const struct handoff *handoff) {
        size_t idle = handoff->ops->idle_count ? handoff->ops->idle_count(handoff) : 0;

        return handoff->connection_count > 0 || handoff->process_count > idle || handoff_is_waiting(handoff);
}

bool handoff_rest(struct handoff *handoff) {
        if (!handoff->ops->rest || handoff->process_count + handoff->spare_count == 0)
                return false;
        handoff->ops->rest(handoff);
        return true;
}

bool handoff_is_full(struct handoff *handoff) {
        return handoff->ops->is_full && handoff->ops->is_full(handoff);
}

void handoff_describe(const struct handoff *handoff, const struct process *process, struct handoff_worker *ret) {
        *ret = (struct handoff_worker){0};
        if (handoff->ops->describe)
                handoff->ops->describe(handoff, process, ret);
}

void handoff_set_policy(struct handoff *handoff, const struct process_policy *policy) {
        struct process *process;

        handoff->setup.policy = *policy;
        list_for_each(process, &handoff->processes, link)
                process->policy = *policy;
        if (handoff->ops->on_policy)
                handoff->ops->on_policy(handoff);
}

void handoff_abandon(struct handoff *handoff) {
        struct process *process;

        if (handoff->ops->abandon)
                handoff->ops->abandon(handoff);
        list_for_each(process, &handoff->processes, link) {
                free(process->connection);
                process_abandon(process);
        }
        handoff->process_count = 0;
}

struct handoff *handoff_close(struct handoff *handoff) {
        if (!handoff)
                return NULL;
        assert(list_is_empty(&handoff->processes));
        assert(handoff->connection_count == 0);
        if (handoff->ops->close)
                handoff->ops->close(handoff);
        free(handoff);
        return NULL;
}
