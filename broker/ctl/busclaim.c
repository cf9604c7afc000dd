/* Manager.Claim: the listening sockets of a service, for as long as the peer is connected (core/claim.h). The only
 * thing there is for users who are let in because some service may be claimed by them. */
#include "base/fd.h"
#include "core/claim.h"
#include "ctl/buspeer.h"

#include <errno.h>

#define SOCKETS_MAX 253 /* in one message: SCM_MAX_FD of the kernel */

struct bus_claim {
        struct list link;
        struct bus_peer *peer;
        struct claim *claim;
};

static void bus_claim_free(struct bus_claim *own) {
        claim_end(own->claim);
        list_remove(&own->link);
        own->peer->claim_count--;
        free(own);
}

void bus_claims_end(struct bus_peer *peer) {
        struct bus_claim *claim;

        list_for_each(claim, &peer->claims, link)
                bus_claim_free(claim);
}

/* The claimer learns it from the end of its connection, even if it has become another program by now. */
static void on_ended(void *userdata) {
        const struct bus_claim *claim = userdata;

        bus_peer_drop(claim->peer);
}

static int count_socket(void *userdata, int fd UNUSED, const char *name UNUSED) {
        (*(size_t *)userdata)++;
        return 0;
}

static int append_fd(void *userdata, int fd, const char *name UNUSED) {
        return sd_bus_message_append_basic(userdata, 'h', &fd);
}

static int append_name(void *userdata, int fd UNUSED, const char *name) {
        return bus_append_text(userdata, name);
}

static int append_sockets(sd_bus_message *reply, const struct claim *claim) {
        int r = sd_bus_message_open_container(reply, 'a', "h");

        if (r >= 0)
                r = claim_each_socket(claim, append_fd, reply);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "s");
        if (r >= 0)
                r = claim_each_socket(claim, append_name, reply);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int answer(sd_bus_message *call, const struct claim *claim, sd_bus_error *error) {
        sd_bus_message *reply = NULL;
        size_t count = 0;
        int r;

        claim_each_socket(claim, count_socket, &count);
        if (count > SOCKETS_MAX)
                return sd_bus_error_setf(error, SD_BUS_ERROR_LIMITS_EXCEEDED,
                                         "service '%s' has %zu sockets, more than a message can carry (%d)",
                                         claim->name, count, SOCKETS_MAX);
        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = append_sockets(reply, claim);
        if (r >= 0)
                r = sd_bus_send(NULL, reply, NULL);
        sd_bus_message_unref(reply);
        return r;
}

static const char *error_name(enum claim_outcome outcome) {
        switch (outcome) {
        case CLAIM_UNKNOWN:
                return BUS_ERROR_NO_SERVICE;
        case CLAIM_REFUSED:
                return SD_BUS_ERROR_ACCESS_DENIED;
        case CLAIM_BUSY:
                return BUS_ERROR_BUSY;
        case CLAIM_STOPPED:
                return BUS_ERROR_REFUSED;
        default:
                return SD_BUS_ERROR_NO_MEMORY;
        }
}

static int on_claim(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        struct bus_peer *peer = userdata;
        struct claim_request request = {.uid = peer->cred.uid, .pid = peer->cred.pid, .ended = on_ended};
        AUTO(buf_deinit) struct buf why = BUF_NULL;
        enum claim_outcome outcome;
        struct bus_claim *claim;
        int r = sd_bus_message_read(call, "s", &request.service);

        if (r < 0)
                return r;
        claim = calloc(1, sizeof(*claim));
        if (!claim)
                return -ENOMEM;
        *claim = (struct bus_claim){.peer = peer};
        request.userdata = claim;
        outcome = claim_begin(peer->bus->setup.manager, &request, &claim->claim, &why);
        if (outcome != CLAIM_DONE) {
                free(claim);
                return sd_bus_error_set(error, error_name(outcome), buf_text(&why));
        }
        list_init(&claim->link);
        list_append(&peer->claims, &claim->link);
        peer->claim_count++;
        r = answer(call, claim->claim, error);
        if (r < 0)
                bus_claim_free(claim);
        return r < 0 ? r : 1;
}

/* A claimer hands its connection on to the program that it becomes, which may be another user's: the credentials looked
 * at are those of who has connected. So nothing more can be asked for with them. */
static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        const struct bus_peer *peer = userdata;

        if (sd_bus_message_is_method_call(message, NULL, NULL) <= 0)
                return 0;
        if (!bus_is_owner(peer->cred.uid) && sd_bus_message_is_method_call(message, NULL, "Claim") <= 0)
                return sd_bus_error_set(error, SD_BUS_ERROR_ACCESS_DENIED,
                                        "this user may claim services, and ask for nothing else");
        if (peer->claim_count == 0)
                return 0;
        return sd_bus_error_set(error, SD_BUS_ERROR_ACCESS_DENIED,
                                "this connection is for the claim that was made on it alone");
}

static const sd_bus_vtable claim_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("Claim", SD_BUS_ARGS("s", service), SD_BUS_RESULT("ah", sockets, "as", names), on_claim,
                                0),
        SD_BUS_VTABLE_END,
};

int bus_claim_add(struct bus_peer *peer) {
        int r = sd_bus_add_filter(peer->connection, NULL, on_message, peer);

        if (r < 0)
                return r;
        return sd_bus_add_object_vtable(peer->connection, NULL, BUS_PATH, "org.sockbroker.Manager", claim_vtable, peer);
}
