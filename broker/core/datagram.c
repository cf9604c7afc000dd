#include "core/datagram.h"

#include "base/err.h"
#include "core/arrival.h"
#include "core/idleexit.h"
#include "core/manager.h"
#include "core/servicefsm.h"

#include <errno.h>
#include <netinet/in.h>

#define BATCH 16
#define LOOK_AGAIN USEC_PER_SEC

/* Of UDP. Those of vsock have 32 bits and share its places: then some that are none of ours are not answered. */
#define PORTS 65536

struct datagram_ports {
        usec_t looked_at;
        uint64_t bits[PORTS / 64];
};

struct datagram_ports *datagram_ports_free(struct datagram_ports *ports) {
        free(ports);
        return NULL;
}

static void note_ports(struct datagram_ports *ports, const struct service *service) {
        for (size_t i = 0; i < service->port_count; i++) {
                const struct port *port = service->ports[i];
                unsigned number = port->addr.type == SOCK_DGRAM ? addr_port(port->bound) % PORTS : 0;

                ports->bits[number / 64] |= UINT64_C(1) << number % 64;
        }
}

static bool is_own_port(struct manager *manager, unsigned number) {
        struct datagram_ports *ports = manager->datagram_ports;
        usec_t now = manager_now(manager);
        const struct service *service;

        if (!ports)
                ports = manager->datagram_ports = calloc(1, sizeof(*ports));
        /* Without memory it is not answered. */
        if (!ports)
                return true;
        if (ports->looked_at == 0 || ports->looked_at + LOOK_AGAIN < now) {
                *ports = (struct datagram_ports){.looked_at = now};
                list_for_each(service, &manager->services, link)
                        note_ports(ports, service);
        }
        number %= PORTS;
        return ports->bits[number / 64] >> number % 64 & 1;
}

/* A server's port is no client's: whatever is there may answer our answer, and so on. */
static enum refusal check_answer(struct service *service, const union sockaddr_any *peer) {
        unsigned number = addr_port(peer);

        if (peer->sa.sa_family == AF_UNIX || service->def->builtin == BUILTIN_DISCARD)
                return REFUSAL_NONE;
        if (!service_def_answers_at(service->def, peer))
                return REFUSAL_PUBLIC;
        return number < IPPORT_RESERVED || is_own_port(service->manager, number) ? REFUSAL_PORT : REFUSAL_NONE;
}

bool datagram_admits(void *userdata, struct handoff *handoff UNUSED, const union sockaddr_any *peer, socklen_t size) {
        const struct program *program = userdata;
        struct service *service = program->service;
        struct connection sender = {.fd = -EBADF, .peer = *peer, .peer_size = size};
        enum refusal reason;

        /* Whoever has no name says nothing, not even his family. */
        if (size == 0)
                sender.peer.sa.sa_family = AF_UNIX;
        sender.cred = (struct ucred){.uid = (uid_t)-1, .gid = (gid_t)-1};
        reason = check_answer(service, &sender.peer);
        if (reason == REFUSAL_NONE)
                reason = admission_check(service, &sender);
        if (reason == REFUSAL_NONE)
                reason = admission_take_datagram(service);
        if (reason == REFUSAL_NONE) {
                service->counters.datagrams++;
                return true;
        }
        refusal_note(service, &sender, reason);
        return false;
}

/* One at a time where each may be the one that reaches the limit: what is not taken yet waits with the kernel. */
static unsigned batch_of(const struct service *service) {
        return service->def->cps.burst > 0 && service->def->when_full == WHEN_FULL_WAIT ? 1 : BATCH;
}

void datagram_take(struct service *service, const struct port *port) {
        struct handoff *handoff = service->program->handoff;
        const struct handoff_datagrams request = {
                .fd = port->fd,
                .family = port->bound->sa.sa_family,
                .max = batch_of(service),
        };

        for (unsigned taken = 0; taken < BATCH && arrival_may_begin(service);) {
                int r = handoff->ops->take_datagrams(handoff, &request);

                /* The last one is what an earlier answer has met. */
                if (r == -EAGAIN || r == -EINTR || r == -ECONNREFUSED)
                        break;
                if (r < 0) {
                        servicefsm_pause_for_shortage(service, r);
                        return;
                }
                taken += (unsigned)r;
                if ((unsigned)r < request.max)
                        break;
        }
        idleexit_on_end(service->manager);
}
