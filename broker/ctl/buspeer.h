/* One peer at the control socket: its connection and the orders it waits for. Internal to ctl/bus. */
#pragma once

#include "core/command.h"
#include "ctl/bus.h"

#include <sys/socket.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#define BUS_NAME "org.sockbroker"
#define BUS_PATH "/org/sockbroker"
#define BUS_SERVICE_PREFIX "/org/sockbroker/service"
#define BUS_OWN_NAME ":1.0" /* unique, as a message bus would give it to us */

#define BUS_ERROR_NO_SERVICE "org.sockbroker.Error.NoSuchService"
#define BUS_ERROR_REFUSED "org.sockbroker.Error.Refused"
#define BUS_ERROR_BUSY "org.sockbroker.Error.Busy"
#define BUS_ERROR_FAILED "org.sockbroker.Error.Failed"
#define BUS_ERROR_DEFINITIONS "org.sockbroker.Error.Definitions"

struct bus_peer {
        struct list link; /* among those of its bus */
        struct bus *bus;
        sd_bus *connection;
        sd_event_source *timer; /* it is to have authenticated by then */
        struct list orders;     /* that were given and are not over */
        unsigned order_count;
        struct list claims; /* of services, that end with it */
        unsigned claim_count;
        sd_bus_message *upgrade_call; /* Upgrade, which is not answered yet; NULL: none */
        struct ucred cred;            /* as the kernel says */
        unsigned number;              /* in its unique name */
        bool gone;                    /* is freed when the loop goes on */
};

/* Whether all there is is for UID, that is, root or the broker's own user. */
static inline bool bus_is_owner(uid_t uid) {
        return uid == 0 || uid == geteuid();
}

/* Takes OWN_FD, somebody who may connect: CRED. Whoever is neither root nor the broker's own user can only claim
 * services. 0 or a negative errno. */
int bus_peer_new(struct bus *bus, int own_fd, const struct ucred *cred);

/* Not from within one of its own callbacks: see bus_peer_drop(). Its orders are forgotten, its claims
 * are over. */
void bus_peer_free(struct bus_peer *peer);

/* Frees it as soon as the loop goes on. */
void bus_peer_drop(struct bus_peer *peer);

/* Each adds to a new connection what peers can ask for. 0 or a negative errno. */
int bus_driver_add(struct bus_peer *peer);  /* org.freedesktop.DBus */
int bus_manager_add(struct bus_peer *peer); /* org.sockbroker.Manager */
int bus_service_add(struct bus_peer *peer); /* org.sockbroker.Service */
int bus_claim_add(struct bus_peer *peer);   /* org.sockbroker.Manager.Claim */

/* Appends what SERVICE does as an a{sv}: the properties of org.sockbroker.Service; ALL of them, or those that say it
 * shortly. 0 or a negative errno. */
int bus_service_append(sd_bus_message *message, const struct service *service, bool all);

/* Appends TEXT, which need not be UTF-8: addresses, and what programs say, are whatever somebody else likes. D-Bus
 * would refuse the whole message. 0 or a negative errno. */
int bus_append_text(sd_bus_message *message, const char *text);
int bus_append_texts(sd_bus_message *message, const struct strlist *texts);

/* Answers CALL with error NAME and WHY, which need not be UTF-8 either. 0 or a negative errno. */
int bus_reply_error(sd_bus_message *call, const char *name, const char *why);

/* The error of a name that no service has, with the nearest that one has. Returns a negative errno. */
int bus_no_service(const struct manager *manager, const char *name, sd_bus_error *error);

void bus_claims_end(struct bus_peer *peer);

/* Upgrade: its answer comes when the new binary has been tried. */
int bus_upgrade_begin(struct bus_peer *peer, sd_bus_message *call, sd_bus_error *error);
void bus_upgrade_forget(struct bus_peer *peer);

/* What a peer has ordered (core/command.h). */
void bus_orders_forget(struct bus_peer *peer);
int bus_order_give(struct bus_peer *peer, sd_bus_message *call, enum command_verb verb, sd_bus_error *error);
