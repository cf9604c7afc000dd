#include "handoff/handoff.h"

#include "base/err.h"

#include <assert.h>
#include <errno.h>

static const struct handoff_ops *const ways[HANDOFF_TYPE_N] = {
        [HANDOFF_TYPE_LISTENERS] = &listeners_ops,
        [HANDOFF_TYPE_SPAWN] = &spawn_ops,
};

int handoff_open(enum handoff_type type, const struct handoff_setup *setup, struct handoff **ret) {
        struct handoff *handoff = calloc(1, sizeof(*handoff));

        assert(type < HANDOFF_TYPE_N);
        if (!handoff)
                return err_raise(-ENOMEM);
        list_init(&handoff->processes);
        handoff->ops = ways[type];
        handoff->setup = *setup;
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
        handoff->setup.events->ended(handoff->setup.userdata, handoff, process->end);
}

int handoff_start_process(struct handoff *handoff, const struct launch_request *request,
                          struct connection *connection) {
        const struct process_order order = {
                .request = request,
                .policy = handoff->setup.policy,
                .on_ending = on_process_ending,
                .on_end = on_process_end,
                .userdata = handoff,
        };
        struct process *process;
        int r;

        r = process_start(handoff->setup.host, &order, &process);
        if (r < 0)
                return r;
        process->connection = connection;
        list_append(&handoff->processes, &process->link);
        handoff->process_count++;
        if (connection)
                connection_close(connection);
        handoff->setup.events->started(handoff->setup.userdata, handoff, process);
        return 0;
}

void handoff_stop(struct handoff *handoff) {
        struct process *process;

        list_for_each(process, &handoff->processes, link)
                process_stop(process, PROCESS_STOPPED);
}

void handoff_set_policy(struct handoff *handoff, const struct process_policy *policy) {
        struct process *process;

        handoff->setup.policy = *policy;
        list_for_each(process, &handoff->processes, link)
                process->policy = *policy;
}

void handoff_abandon(struct handoff *handoff) {
        struct process *process;

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
        free(handoff);
        return NULL;
}
