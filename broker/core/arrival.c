#include "core/arrival.h"

#include "base/err.h"
#include "base/log.h"
#include "core/access.h"
#include "core/banner.h"
#include "core/manager.h"
#include "core/servicefsm.h"
#include "core/shortage.h"
#include "net/proxyheader.h"

#include <errno.h>
#include <sys/socket.h>

/* How long a proxy may take to say whom it speaks for. Its specification asks for three seconds at least, so that one
 * lost packet does no harm. */
#define HEADER_PATIENCE (5 * USEC_PER_SEC)

const char *const arrival_step_names[ARRIVAL_STEP_N] = {
        [STEP_HEADER] = "header",
        [STEP_ADMISSION] = "admission",
        [STEP_SERVICE] = "service",
};

/* What became of one step; or a negative errno, a shortage. */
enum arrival_outcome {
        ARRIVAL_GOES_ON,
        ARRIVAL_IS_OVER, /* refused, or waiting for its client: nothing to be done here now */
};

void arrival_drop(struct service *service, struct connection *own_connection) {
        limits_return(&service->admission.limits, own_connection);
        connection_close(own_connection);
        manager_return_connection(service->manager, own_connection);
}

void arrival_part(struct service *service, struct connection *own_connection) {
        limits_return(&service->admission.limits, own_connection);
        banner_part(service->manager, own_connection);
}

static enum arrival_outcome refuse(struct service *service, struct connection *connection, enum refusal reason) {
        limits_return(&service->admission.limits, connection);
        refusal_end(service, connection, reason);
        return ARRIVAL_IS_OVER;
}

/* What has come of a header, without taking it out of the socket: it may turn out to be none. */
static enum proxy_header_outcome peek_header(const struct connection *connection, struct proxy_header *ret,
                                             ssize_t *ret_size) {
        char data[PROXY_HEADER_MAX];
        ssize_t n = recv(connection->fd, data, sizeof(data), MSG_PEEK | MSG_DONTWAIT);

        *ret_size = n;
        if (n > 0)
                return proxy_header_parse(data, (size_t)n, ret);
        return n < 0 && errno == EAGAIN ? PROXY_HEADER_MORE : PROXY_HEADER_NONE;
}

static bool take_header(struct connection *connection, const struct proxy_header *header) {
        char data[PROXY_HEADER_MAX];
        struct iovec iov = {.iov_base = data, .iov_len = header->size};
        struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

        /* A record (SOCK_SEQPACKET) loses whatever stands behind the header: better nothing than half of it. */
        if (recvmsg(connection->fd, &message, MSG_DONTWAIT) != (ssize_t)header->size || message.msg_flags & MSG_TRUNC)
                return false;
        if (header->kind == PROXY_HEADER_ADDRESSES)
                connection_set_proxied(connection, header);
        return true;
}

/* LATE: nothing more is waited for. */
static int read_header(struct service *service, struct connection *connection, bool late) {
        struct proxy_header header;
        ssize_t size = 0;
        enum proxy_header_outcome outcome = peek_header(connection, &header, &size);
        int r;

        switch (outcome) {
        case PROXY_HEADER_OK:
                if (!take_header(connection, &header))
                        return refuse(service, connection, REFUSAL_HEADER);
                break;
        case PROXY_HEADER_NONE:
                if (service->def->proxy_protocol == PROXY_PROTOCOL_REQUIRE)
                        return refuse(service, connection, REFUSAL_HEADER);
                break;
        case PROXY_HEADER_MORE:
                if (!late) {
                        r = waitlist_add(&service->manager->headers, service, connection);
                        return r < 0 ? r : ARRIVAL_IS_OVER;
                }
                /* Not a word: a client of its own, where that is allowed, who waits for the server to begin. */
                if (size > 0 || service->def->proxy_protocol == PROXY_PROTOCOL_REQUIRE)
                        return refuse(service, connection, REFUSAL_HEADER);
                break;
        default:
                return refuse(service, connection, REFUSAL_HEADER);
        }
        connection->step = STEP_ADMISSION;
        return ARRIVAL_GOES_ON;
}

/* What xinetd says (RFC 1078: "+", and whatever follows). */
#define MUX_ANSWER "+Go\r\n"

static int admit(struct service *service, struct connection *connection) {
        enum refusal reason = admission_check(service, connection);
        int r = 0;

        if (reason == REFUSAL_NONE && service->def->sensor > 0) {
                r = admission_touch_sensor(service, connection);
                reason = REFUSAL_SENSOR;
        } else if (reason == REFUSAL_NONE) {
                r = admission_take(service, connection, &reason);
        }
        if (r < 0)
                return r;
        if (reason != REFUSAL_NONE)
                return refuse(service, connection, reason);
        if (connection->muxed && service->def->tcpmux == TCPMUX_YES)
                banner_say(connection, MUX_ANSWER);
        banner_send(connection, service->def->banner);
        banner_send(connection, service->def->banner_success);
        connection->step = STEP_SERVICE;
        return ARRIVAL_GOES_ON;
}

static int start(struct service *service, struct connection *connection) {
        struct handoff *handoff = service->program->handoff;
        int r = program_prepare(service->program);

        return r < 0 ? r : handoff->ops->take_connection(handoff, connection);
}

static int serve(struct service *service, struct connection *connection) {
        int r = start(service, connection);

        /* Those who are in may have all descriptors between them, and then none would ever come free. */
        if (r == -EMFILE) {
                manager_lend_spares(service->manager);
                r = start(service, connection);
                manager_take_spares(service->manager);
        }
        if (r == 0 || shortage_is(r) || r == -ENOENT || r == -ENOTDIR || r == -EACCES)
                return r;
        service->counters.failed++;
        log_event(LOG_LEVEL_ERROR, LOG_FIELDS(LOG_STRING("service", service->name)),
                  "cannot serve a connection, closing it: %s", err_text(r));
        log_err_site(r);
        arrival_drop(service, connection);
        return ARRIVAL_IS_OVER;
}

static void pause_for(struct service *service, int error) {
        if (shortage_is(error))
                servicefsm_pause_for_shortage(service, error);
        else
                servicefsm_pause_for_program(service, error);
}

/* What keeps it from going on would keep this one too. */
static bool is_short(const struct service *service) {
        return service->state == SERVICE_PAUSED &&
               (service->pause == PAUSE_SHORTAGE || service->pause == PAUSE_PROGRAM);
}

/* What keeps clients in the backlog keeps one whose header came late too, while it lasts. */
static bool is_held_back(struct service *service) {
        enum refusal limit;

        if (service->state == SERVICE_PAUSED && (service->pause == PAUSE_RATE || service->pause == PAUSE_LOAD))
                return true;
        limit = admission_holds_back(service);
        if (limit != REFUSAL_NONE && service->state != SERVICE_PAUSED)
                servicefsm_pause_for_limit(service, limit);
        return limit != REFUSAL_NONE;
}

/* Takes CONNECTION from its present step as far as it gets. Returns false when it is held. */
static bool proceed(struct service *service, struct connection *connection, bool late) {
        int r = ARRIVAL_GOES_ON;

        if (connection->step == STEP_HEADER)
                r = read_header(service, connection, late);
        if (r == ARRIVAL_GOES_ON && connection->step == STEP_ADMISSION && is_held_back(service)) {
                list_append(&service->held, &connection->link);
                return false;
        }
        if (r == ARRIVAL_GOES_ON && connection->step == STEP_ADMISSION)
                r = admit(service, connection);
        if (r == ARRIVAL_GOES_ON && is_short(service)) {
                list_append(&service->held, &connection->link);
                return false;
        }
        if (r == ARRIVAL_GOES_ON)
                r = serve(service, connection);
        if (r >= 0)
                return true;
        list_append(&service->held, &connection->link);
        pause_for(service, r);
        return false;
}

bool arrival_resume(struct service *service) {
        struct connection *connection;

        while ((connection = list_first(&service->held, struct connection, link))) {
                list_remove(&connection->link);
                if (!proceed(service, connection, false))
                        return false;
        }
        return true;
}

void arrival_drop_all(struct service *service) {
        struct connection *connection;
        struct waiter *waiter;

        lingering_drop(&service->manager->lingering, service);
        while ((connection = list_first(&service->held, struct connection, link))) {
                list_remove(&connection->link);
                arrival_drop(service, connection);
        }
        list_for_each(waiter, &service->manager->headers.waiting, link)
                if (waiter->service == service)
                        arrival_drop(service, waitlist_remove(waiter));
}

bool arrival_is_wanted(struct service *service) {
        return service->state == SERVICE_LISTENING && admission_holds_back(service) == REFUSAL_NONE;
}

bool arrival_may_begin(struct service *service) {
        enum refusal limit = admission_holds_back(service);
        int r;

        if (limit != REFUSAL_NONE) {
                servicefsm_pause_for_limit(service, limit);
                return false;
        }
        /* What is known to be missing is better found with the client still in the backlog. */
        if (!service->program || service->program->plan.path)
                return true;
        r = program_prepare(service->program);
        if (r == 0)
                return true;
        pause_for(service, r);
        return false;
}

/* A connection that was accepted, with its first step before it; one that waits for its header has its place from the
 * beginning, so that their number is bounded too. */
static enum refusal begin(struct service *service, struct connection *connection) {
        const struct access *access = service->admission.access;

        connection->step = STEP_ADMISSION;
        if (service->def->proxy_protocol == PROXY_PROTOCOL_NO)
                return REFUSAL_NONE;
        if (!access_is_proxy(access, &connection->peer))
                return service->def->proxy_protocol == PROXY_PROTOCOL_REQUIRE ? REFUSAL_HEADER : REFUSAL_NONE;
        if (!admission_knows_user(service, connection))
                return REFUSAL_IDENTITY;
        connection->step = STEP_HEADER;
        return limits_take_place(&service->admission.limits, connection) ? REFUSAL_NONE : REFUSAL_INSTANCES;
}

int arrival_accept(struct service *service, const struct port *port) {
        struct connection *connection = manager_take_connection(service->manager);
        int r = connection ? connection_accept(port->fd, connection) : ACCEPT_EXHAUSTED;
        enum refusal reason;

        if (r != ACCEPT_OK) {
                int error = connection ? -errno : -ENOMEM;

                manager_return_connection(service->manager, connection);
                if (r != ACCEPT_NOTHING)
                        servicefsm_pause_for_shortage(service, r < 0 ? r : error);
                return r;
        }
        service->counters.accepted++;
        service->load_told = false;
        connection->accepted_at = manager_now(service->manager);
        connection->protocol = port->addr.protocol;
        if (port->bound_size > 0)
                connection_set_local(connection, port->bound, port->bound_size);
        reason = begin(service, connection);
        if (reason != REFUSAL_NONE) {
                refuse(service, connection, reason);
                return ACCEPT_OK;
        }
        proceed(service, connection, false);
        if (service->state == SERVICE_LISTENING && service_is_full(service))
                servicefsm_post(service, SERVICE_EV_FULL);
        return ACCEPT_OK;
}

void arrival_forward(struct service *service, struct connection *own_connection) {
        enum refusal reason = admission_holds_back(service);

        service->counters.accepted++;
        own_connection->muxed = true;
        own_connection->step = STEP_ADMISSION;
        if (reason == REFUSAL_NONE && service->state == SERVICE_PAUSED && service->pause == PAUSE_RATE)
                reason = REFUSAL_RATE;
        else if (reason == REFUSAL_NONE && service->state == SERVICE_PAUSED && service->pause == PAUSE_LOAD)
                reason = REFUSAL_LOAD;
        if (reason != REFUSAL_NONE) {
                refuse(service, own_connection, reason);
                return;
        }
        proceed(service, own_connection, false);
        if (service->state == SERVICE_LISTENING && limits_is_full(&service->admission.limits) &&
            service->def->when_full == WHEN_FULL_WAIT)
                servicefsm_post(service, SERVICE_EV_FULL);
}

/* Out of the list, and on; a place may be free again afterwards. */
static void go_on(struct waiter *waiter, bool late) {
        struct service *service = waiter->service;

        proceed(service, waitlist_remove(waiter), late);
        servicefsm_post(service, SERVICE_EV_PLACE);
}

static void on_word(struct waiter *waiter, bool gone) {
        struct proxy_header header;
        ssize_t size;

        /* Part of a header: its place in the list, and with it its deadline, stays. */
        if (!gone && peek_header(waiter->connection, &header, &size) == PROXY_HEADER_MORE)
                return;
        go_on(waiter, gone);
}

static void on_late(struct waiter *waiter) {
        go_on(waiter, true);
}

void arrival_headers_init(struct waitlist *list) {
        waitlist_init(list);
        list->patience = HEADER_PATIENCE;
        list->on_word = on_word;
        list->on_late = on_late;
}
