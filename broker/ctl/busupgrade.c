/* Manager.Upgrade: answered before the step is taken, since the connection ends with it; whoever asked comes back and
 * sees by the property Upgrades that it was taken. */
#include "ctl/buspeer.h"
#include "ctl/upgrade.h"

#include <errno.h>

void bus_upgrade_forget(struct bus_peer *peer) {
        if (!peer->upgrade_call)
                return;
        upgrade_forget(peer->bus->upgrade, peer);
        peer->upgrade_call = sd_bus_message_unref(peer->upgrade_call);
}

static void on_outcome(void *userdata, enum upgrade_outcome outcome, const char *why) {
        struct bus_peer *peer = userdata;

        if (outcome == UPGRADE_REFUSED)
                bus_reply_error(peer->upgrade_call, BUS_ERROR_FAILED, why);
        else if (outcome == UPGRADE_BEGINS)
                sd_bus_reply_method_return(peer->upgrade_call, "");
        else
                bus_peer_drop(peer);
        if (outcome != UPGRADE_BEGINS)
                peer->upgrade_call = sd_bus_message_unref(peer->upgrade_call);
}

int bus_upgrade_begin(struct bus_peer *peer, sd_bus_message *call, sd_bus_error *error) {
        const struct bus *bus = peer->bus;

        if (!bus->upgrade)
                return sd_bus_error_set(error, SD_BUS_ERROR_NOT_SUPPORTED, "this broker cannot be upgraded");
        if (bus->setup.manager->draining)
                return sd_bus_error_set(error, BUS_ERROR_REFUSED, "the broker is about to end");
        if (upgrade_is_under_way(bus->upgrade))
                return sd_bus_error_set(error, BUS_ERROR_BUSY, "an upgrade is under way already");
        peer->upgrade_call = sd_bus_message_ref(call);
        upgrade_begin(bus->upgrade, on_outcome, peer);
        return 1;
}
