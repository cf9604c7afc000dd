#include "core/change.h"

#include "base/err.h"
#include "core/access.h"
#include "core/idle.h"

#include <errno.h>
#include <string.h>

static bool addr_lists_equal(const struct addr_list *a, const struct addr_list *b) {
        if (a->count != b->count)
                return false;
        for (size_t i = 0; i < a->count; i++)
                if (!addr_equal(&a->items[i], &b->items[i]))
                        return false;
        return true;
}

static bool listens_equal(const struct listens_def *a, const struct listens_def *b) {
        if (a->count != b->count)
                return false;
        for (size_t i = 0; i < a->count; i++)
                if (strcmp(a->items[i].name, b->items[i].name) != 0 ||
                    !addr_lists_equal(&a->items[i].addrs, &b->items[i].addrs) ||
                    !listen_options_equal(&a->items[i].options, &b->items[i].options))
                        return false;
        return true;
}

static void report(struct reload *reload, const struct change *change, size_t listen_index, const char *why) {
        AUTO(buf_deinit) struct buf path = BUF_NULL;

        /* A service that is only asked for by name does not listen. */
        if (listen_index < change->def->listen.count)
                buf_printf(&path, "services.%s.listen[%zu]", change->def->name, listen_index);
        else
                buf_printf(&path, "services.%s", change->def->name);
        diag_error(reload->diag,
                   listen_index < change->def->listen.count ? &change->def->listen.items[listen_index].mark
                                                            : &change->def->mark,
                   buf_text(&path), "%s", why);
        reload->bind_failed = true;
}

static int add_port(struct change *change, struct port *port) {
        if (change->port_count == change->port_room) {
                size_t room = change->port_room + 4;
                struct port **ports = reallocarray(change->ports, room, sizeof(*ports));

                if (!ports)
                        return err_raise(-ENOMEM);
                change->ports = ports;
                change->port_room = room;
        }
        change->ports[change->port_count++] = port;
        return 0;
}

static struct port *find_port(const struct service *service, const struct port_request *request) {
        for (size_t i = 0; i < service->port_count; i++) {
                struct port *port = service->ports[i];

                if (port->stays || port->yields || port->inherited != request->inherited)
                        continue;
                if (request->inherited ||
                    (addr_equal(&port->addr, request->addr) &&
                     listen_is_same(port->fd, &port->addr, &port->def->options, &request->def->options)))
                        return port;
        }
        return NULL;
}

/* An open socket of that very address: its own, or that of a service that gives it up. Where the kernel chose the port,
 * only the service itself can mean it. */
static struct port *find_open(struct reload *reload, const struct change *change, const struct port_request *request) {
        struct port *port = change->is_new ? NULL : find_port(change->service, request);
        struct service *service;

        if (port || addr_is_any_port(request->addr))
                return port;
        list_for_each(service, &reload->manager->services, link) {
                if (service->keeps_ports || service == change->service)
                        continue;
                port = find_port(service, request);
                if (port)
                        return port;
        }
        return NULL;
}

/* Whether a socket that will be there after the reload is in the way of REQUEST. */
static bool is_taken(const struct reload *reload, const struct port_request *request) {
        bool shares = request->def->options.reuse_port == 1;

        for (size_t i = 0; i < reload->count; i++) {
                const struct change *change = &reload->changes[i];
                bool stays = change->keep || change->same_program;
                struct port *const *ports = stays ? change->service->ports : change->ports;
                size_t count = stays ? change->service->port_count : change->port_count;

                for (size_t j = 0; j < count; j++)
                        if (port_is_in_way(ports[j], request) &&
                            !(shares && (ports[j]->opened_up || ports[j]->def->options.reuse_port == 1)))
                                return true;
        }
        return false;
}

/* What keeps a new socket from being bound may be one that goes with the commit: 127.0.0.1:80, where it is to be 80.
 * Returns whether it may be tried again. */
static bool make_way(const struct reload *reload, const struct port_request *request) {
        bool found = lingering_is_in_way(&reload->manager->lingering, request);
        struct service *service;

        if (addr_is_any_port(request->addr) || is_taken(reload, request))
                return false;
        list_for_each(service, &reload->manager->services, link)
                for (size_t i = 0; i < service->port_count && !service->keeps_ports; i++) {
                        struct port *port = service->ports[i];

                        if (port->stays || !port_is_in_way(port, request))
                                continue;
                        port_give_way(port);
                        found = true;
                }
        return found;
}

static bool was_at(const struct service *service, const struct addr *addr) {
        for (size_t i = 0; i < service->def->listen.count; i++) {
                const struct addr_list *addrs = &service->def->listen.items[i].addrs;

                for (size_t j = 0; j < addrs->count; j++) {
                        const struct addr *other = &addrs->items[j];
                        bool same_port = addr_is_ip(addr) && addr_is_ip(other) && addr->type == other->type &&
                                         addr_port(&addr->sockaddr) == addr_port(&other->sockaddr);

                        if (same_port || addr_equal(addr, other))
                                return true;
                }
        }
        return false;
}

/* A service that was removed or stopped has no sockets any more, but its processes that are ending have. */
static void name_holder(const struct manager *manager, const struct addr *addr, struct buf *why) {
        const struct list *lists[] = {&manager->leaving, &manager->services};

        for (size_t i = 0; i < LENGTH_OF(lists); i++) {
                const struct service *service;

                list_for_each(service, lists[i], link)
                        if (service->port_count == 0 && service_is_busy(service) && was_at(service, addr)) {
                                buf_printf(why, ": '%s' was there, and its processes have not ended yet",
                                           service->name);
                                return;
                        }
        }
}

static int open_port(const struct reload *reload, const struct port_request *request, struct port **ret,
                     struct buf *why) {
        struct port_request again = *request;
        int r = port_open(reload->manager->event, request, ret, why);

        if (r != -EADDRINUSE)
                return r;
        if (!make_way(reload, request)) {
                name_holder(reload->manager, request->addr, why);
                return r;
        }
        buf_clear(why);
        again.into_place = true;
        return port_open(reload->manager->event, &again, ret, why);
}

/* The first worker's socket for the address that CHANGE takes next: all take them in the same order. */
static const struct port *first_port(const struct change *change) {
        const struct change *first = change->first;

        if (!first)
                return NULL;
        /* One that stays as it is has taken nothing, and has what its definition says. */
        if (first->keep || first->same_program)
                return first->service->ports[change->port_count];
        return first->ports[change->port_count];
}

static void take_port(struct reload *reload, struct change *change, size_t listen_index,
                      const struct port_request *request) {
        AUTO(buf_deinit) struct buf why = BUF_NULL;
        struct port *port = find_open(reload, change, request);
        int r = 0;

        if (port) {
                r = port_keep(port, request->def);
        } else if (request->inherited && request->inherited->taken) {
                report(reload, change, listen_index, "the inherited socket is used by another service");
                return;
        } else {
                r = open_port(reload, request, &port, &why);
                if (r < 0) {
                        report(reload, change, listen_index, why.size > 0 ? buf_text(&why) : err_text(r));
                        return;
                }
        }
        port->next_listen_index = listen_index;
        if (r < 0 || add_port(change, port) < 0) {
                if (!port->stays)
                        port_close(port);
                report(reload, change, listen_index, "out of memory");
        }
}

static void take_inherited(struct reload *reload, struct change *change, size_t listen_index, const struct addr *addr) {
        const struct listen_def *def = &change->def->listen.items[listen_index];
        struct inherit *inherit = &reload->manager->inherit;
        size_t found = 0;

        for (size_t i = 0; i < inherit->count; i++)
                if (strcmp(inherit->items[i].name, addr->sockaddr.un.sun_path) == 0) {
                        const struct port_request request = {.def = def, .addr = addr, .inherited = &inherit->items[i]};

                        take_port(reload, change, listen_index, &request);
                        found++;
                }
        if (found == 0)
                report(reload, change, listen_index,
                       "the broker was not started with a socket of that name (LISTEN_FDNAMES)");
}

static void take_ports(struct reload *reload, struct change *change) {
        for (size_t i = 0; i < change->def->listen.count; i++) {
                const struct listen_def *def = &change->def->listen.items[i];

                for (size_t j = 0; j < def->addrs.count; j++) {
                        const struct port_request request = {
                                .def = def, .addr = &def->addrs.items[j], .beside = first_port(change)};

                        if (request.addr->form == ADDR_INHERITED)
                                take_inherited(reload, change, i, request.addr);
                        else
                                take_port(reload, change, i, &request);
                }
        }
}

static void check_builtin_port(struct reload *reload, const struct change *change, const struct port *port) {
        const struct service_def *def = change->def;
        int type = port->addr.type;

        if (!port->inherited)
                return;
        if (type != SOCK_STREAM && (type != SOCK_DGRAM || def->builtin == BUILTIN_TCPMUX))
                report(reload, change, port->next_listen_index,
                       "the inherited socket is none that this built-in can answer at");
        else if (type == SOCK_DGRAM && !service_def_answers_at(def, port->bound))
                report(reload, change, port->next_listen_index,
                       "the inherited socket can be reached from elsewhere, by datagrams whose sender may be forged; "
                       "write udp_public: yes");
}

/* What could not be known before the sockets were there. */
static void check_ports(struct reload *reload, struct change *change) {
        const struct service_def *def = change->def;

        if (def->wait && def->handoff == HANDOFF_STDIO && change->port_count > 1)
                report(reload, change, 0, "handoff: stdio takes one socket, and this is more than one");
        for (size_t i = 0; i < change->port_count && def->proxy; i++)
                if (change->ports[i]->addr.type != SOCK_STREAM)
                        report(reload, change, 0, "the inherited socket is no stream socket, which a proxy takes");
        for (size_t i = 0; i < change->port_count && def->builtin != BUILTIN_NONE; i++)
                check_builtin_port(reload, change, change->ports[i]);
        for (size_t i = 0; i < change->port_count && !def->wait && !def->proxy && !def->builtin; i++)
                if (!port_is_connectable(change->ports[i]))
                        report(reload, change, 0, "the inherited socket has no connections to accept: write wait: yes");
}

static int make_program(struct reload *reload, struct change *change) {
        static const char *const connection_name = "connection", *const queue_name = "queue";
        struct manager *manager = reload->manager;
        AUTO(freep) const char **names = calloc(change->port_count + 1, sizeof(*names));
        AUTO(freep) int *fds = calloc(change->port_count + 1, sizeof(*fds));
        AUTO(diag_deinit) struct diag said_already = DIAG_NULL;
        struct program_request request = {
                .plan = {.base = &manager->base,
                         .def = change->def,
                         .fd_names = names,
                         .fd_count = change->port_count,
                         .kept = change->kept},
                .service = change->service,
                .host = &manager->host,
                .events = &service_handoff_events,
                .listeners = fds,
                .listener_count = change->port_count,
        };

        if (!names || !fds)
                return err_raise(-ENOMEM);
        for (size_t i = 0; i < change->port_count; i++) {
                names[i] = change->def->listen.items[change->ports[i]->next_listen_index].name;
                fds[i] = change->ports[i]->fd;
        }
        if (!change->def->wait) {
                request.plan.fd_names = service_def_is_pool(change->def) ? &queue_name : &connection_name;
                request.plan.fd_count = 1;
                if (change->def->builtin == BUILTIN_NONE)
                        request.listener_count = 0;
        }
        return program_new(&request, &change->program, change->first ? &said_already : reload->diag);
}

int change_make_program(struct service *service, struct program **ret, struct diag *diag) {
        return change_make_kept_program(service, NULL, ret, diag);
}

int change_make_kept_program(struct service *service, struct planmake_kept *kept, struct program **ret,
                             struct diag *diag) {
        struct reload reload = {.manager = service->manager, .diag = diag};
        struct change change = {
                .def = service->def,
                .service = service,
                .ports = service->ports,
                .port_count = service->port_count,
                .kept = kept,
        };
        int r;

        for (size_t i = 0; i < service->port_count; i++)
                service->ports[i]->next_listen_index = service->ports[i]->listen_index;
        r = make_program(&reload, &change);
        if (r == 0)
                *ret = change.program;
        return r;
}

bool change_stays_halted(const struct change *change) {
        const struct change *first = change->first ? change->first : change;

        return !first->is_new && first->service->state == SERVICE_HALTED && !first->reopens;
}

void change_classify(struct reload *reload, struct change *change) {
        struct service *old = manager_find(reload->manager, change->name);

        change->service = old;
        change->is_new = !old;
        if (!old)
                return;
        change->keep = service_def_same(old->def, change->def);
        change->same_program = !change->keep && old->def->wait == change->def->wait &&
                               service_def_equal(old->def, change->def) &&
                               listens_equal(&old->def->listen, &change->def->listen);
        old->keeps_ports = change->keep || change->same_program;
}

static void prepare(struct reload *reload, struct change *change) {
        size_t errors = reload->diag->errors;
        int r = 0;

        if (change->is_new) {
                r = service_new(reload->manager, change->name, change->def, &change->service);
                if (r < 0) {
                        report(reload, change, 0, "out of memory");
                        return;
                }
                change->service->worker = change->worker;
        }
        if (change_stays_halted(change))
                return;
        take_ports(reload, change);
        check_ports(reload, change);
        r = change->def->sensor > 0 ? 0 : make_program(reload, change);
        /* What is wrong with a definition has been said; anything else has not. */
        if (r < 0 && (r != -EINVAL || reload->diag->errors == errors))
                report(reload, change, 0, err_text(r));
}

void change_prepare(struct reload *reload, struct change *change) {
        struct change *first = change->first ? change->first : change;
        size_t errors = reload->diag->errors;

        /* Workers have one definition, and one message about it is enough. */
        if (change->keep || first->failed)
                return;
        if (access_new(change->def, &change->access) < 0)
                report(reload, change, 0, "out of memory");
        else if (!change->same_program)
                prepare(reload, change);
        first->failed = reload->diag->errors > errors;
}

void change_begin(struct reload *reload, struct change *change) {
        for (size_t i = 0; i < change->port_count; i++) {
                struct port *port = change->ports[i];
                AUTO(buf_deinit) struct buf why = BUF_NULL;

                if (!port->stays && port_begin(port, &why) < 0)
                        report(reload, change, port->next_listen_index, buf_text(&why));
        }
        if (change->same_program)
                idle_check(change->def, change->service->ports, change->service->port_count, reload->diag);
        else if (!change->first)
                idle_check(change->def, change->ports, change->port_count, reload->diag);
}

void change_discard(struct change *change) {
        change->program = program_free(change->program);
        change->access = access_free(change->access);
        for (size_t j = 0; j < change->port_count; j++)
                if (!change->ports[j]->stays)
                        port_close(change->ports[j]);
        free(change->ports);
        if (change->is_new && change->service) {
                service_free(change->service); /* with its definition */
                change->def = NULL;
        }
        service_def_free(change->def);
}
