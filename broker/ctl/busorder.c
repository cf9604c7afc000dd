/* Orders that peers have given and that take their time: the call is answered when its order is over. */
#include "base/list.h"
#include "ctl/buspeer.h"

#include <errno.h>

#define ORDERS_MAX 64 /* of one peer */

struct bus_order {
        struct list link;
        struct bus_peer *peer;
        sd_bus_message *call;
        struct command *command; /* NULL while it is being given */
        bool giving;
        bool over;
};

static void order_free(struct bus_order *order) {
        list_remove(&order->link);
        order->peer->order_count--;
        sd_bus_message_unref(order->call);
        free(order);
}

static const char *error_name(enum command_outcome outcome) {
        switch (outcome) {
        case COMMAND_UNKNOWN:
                return BUS_ERROR_NO_SERVICE;
        case COMMAND_REFUSED:
                return BUS_ERROR_REFUSED;
        default:
                return BUS_ERROR_FAILED;
        }
}

static void answer(const struct bus_order *order, enum command_outcome outcome, const char *why) {
        if (outcome == COMMAND_DONE)
                sd_bus_reply_method_return(order->call, "");
        else
                bus_reply_error(order->call, error_name(outcome), why);
}

static void on_done(void *userdata, enum command_outcome outcome, const char *why) {
        struct bus_order *order = userdata;

        answer(order, outcome, why);
        order->over = true;
        if (!order->giving)
                order_free(order);
}

int bus_order_give(struct bus_peer *peer, sd_bus_message *call, enum command_verb verb, sd_bus_error *error) {
        struct command_order request = {.verb = verb, .done = on_done};
        struct bus_order *order;
        int r = sd_bus_message_read(call, "s", &request.name);

        if (r < 0)
                return r;
        if (!manager_find(peer->bus->setup.manager, request.name))
                return bus_no_service(peer->bus->setup.manager, request.name, error);
        if (peer->order_count >= ORDERS_MAX)
                return sd_bus_error_set(error, SD_BUS_ERROR_LIMITS_EXCEEDED, "too many orders are under way");
        order = calloc(1, sizeof(*order));
        if (!order)
                return -ENOMEM;
        order->peer = peer;
        order->call = sd_bus_message_ref(call);
        order->giving = true;
        list_init(&order->link);
        list_append(&peer->orders, &order->link);
        peer->order_count++;
        request.userdata = order;
        order->command = command_give(peer->bus->setup.manager, &request);
        order->giving = false;
        if (order->over)
                order_free(order);
        return 1;
}

void bus_orders_forget(struct bus_peer *peer) {
        struct bus_order *order;

        list_for_each(order, &peer->orders, link) {
                order->command = command_forget(order->command);
                order_free(order);
        }
}
