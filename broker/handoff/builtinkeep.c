#include "handoff/builtinkeep.h"

#include "base/err.h"
#include "handoff/builtins.h"
#include "handoff/builtintext.h"

#include <errno.h>

const char *const builtinkeep_step_names[BUILTINKEEP_STEP_N] = {
        [BUILTIN_OPEN] = "open",
        [BUILTIN_ASKING] = "asking",
};

void builtinkeep_each(struct handoff *handoff,
                      void (*each)(void *userdata, const struct builtinkeep_connection *connection), void *userdata) {
        struct builtins *builtins = builtins_of(handoff);
        struct list *const lists[] = {&builtins->open, &builtins->brief};
        const struct builtin *builtin;

        for (size_t i = 0; i < LENGTH_OF(lists); i++)
                list_for_each(builtin, lists[i], link) {
                        const struct builtinkeep_connection kept = {
                                .connection = builtin->connection,
                                .step = builtin->step,
                                .position = builtin->position,
                                .since = builtin->since,
                                .received = builtin->received,
                                .sent = builtin->sent,
                        };

                        each(userdata, &kept);
                }
}

bool builtinkeep_is_settled(const struct handoff *handoff) {
        return list_is_empty(&((const struct builtins *)handoff)->over);
}

/* Watched anew, whatever was ready is told once more by the kernel; what waits for room is found by trying. */
int builtinkeep_add(struct handoff *handoff, const struct builtinkeep_connection *own_connection) {
        struct builtins *builtins = builtins_of(handoff);
        struct builtin *builtin = calloc(1, sizeof(*builtin));
        int r;

        if (!builtin)
                return err_raise(-ENOMEM);
        list_init(&builtin->link);
        list_init(&builtin->busy_link);
        builtin->builtins = builtins;
        builtin->connection = own_connection->connection;
        builtin->step = own_connection->step;
        builtin->position = own_connection->position % BUILTIN_PATTERN_SIZE;
        builtin->since = own_connection->since;
        builtin->received = own_connection->received;
        builtin->sent = own_connection->sent;
        handoff->connection_count++;
        builtins_join(builtin);
        list_append(&builtins->busy, &builtin->busy_link);
        builtins_run_soon(builtins);
        r = builtins_watch(builtin);
        if (r < 0)
                builtins_end(builtin, HANDOFF_RESET, r);
        return r;
}
