#include "conf/check.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

void check_deinit(struct check *check) {
        nameset_deinit(&check->addresses);
        nameset_deinit(&check->asked);
        *check = CHECK_NULL;
}

const struct key *check_key(enum service_key id) {
        section_for_each(key, &section_service) if (key->id == id) return key;
        assert(!"every id has its key");
        return NULL;
}

typedef void report_fn(struct decoder *dec, const struct node *node, const char *format, ...);

/* The node and the path of an entry within a key's value; the value itself where it has no entries. */
static const struct node *enter(const struct node *value, struct check_place place, struct path *path) {
        size_t i = (size_t)place.entry;

        if (place.entry < 0 || value->kind == NODE_SCALAR || i >= value->count)
                return NULL;
        if (value->kind == NODE_SEQUENCE) {
                path->index = i;
                return value->items[i];
        }
        if (place.id != SERVICE_ENVIRONMENT)
                return NULL; /* a single entry of what could be a list */
        path->name = value->pairs[i].key->text;
        return value->pairs[i].value;
}

static void report(struct decoder *dec, const struct record *record, struct check_place place, report_fn *fn,
                   const char *text) {
        const struct path *up = dec->path;
        const struct path path = {.up = up, .name = check_key(place.id)->name};
        struct path entry_path = {.up = &path};
        const struct node *value = record->values[place.id], *entry = value ? enter(value, place, &entry_path) : NULL;

        dec->path = entry ? &entry_path : &path;
        fn(dec, entry ? entry : value ? value : record->name, "%s", text);
        dec->path = up;
}

void check_error(struct decoder *dec, const struct record *record, struct check_place place, const char *format, ...) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;
        va_list args;

        va_start(args, format);
        buf_vprintf(&text, format, args);
        va_end(args);
        report(dec, record, place, decode_error, buf_text(&text));
}

void check_warning(struct decoder *dec, const struct record *record, struct check_place place, const char *format,
                   ...) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;
        va_list args;

        va_start(args, format);
        buf_vprintf(&text, format, args);
        va_end(args);
        report(dec, record, place, decode_warning, buf_text(&text));
}

bool check_is_written(const struct record *record, enum service_key id) {
        return record->origins[id] == KEY_WRITTEN && !record->bad[id];
}

bool check_is_there(const struct record *record, enum service_key id) {
        return record->origins[id] != KEY_ABSENT && !record->bad[id];
}

void check_take_back(struct decoder *dec, struct record *record, enum service_key id) {
        const struct key *key = check_key(id);

        if (!key_set_default(key, key_field(key, record->def)))
                decode_no_memory(dec, record->name);
        record->origins[id] = KEY_ABSENT;
        record->values[id] = NULL;
}

void check_refuse_key(struct decoder *dec, struct record *record, enum service_key id, const char *why) {
        if (record->origins[id] == KEY_DEFAULTED) {
                check_take_back(dec, record, id);
                return;
        }
        check_error(dec, record, CHECK_KEY(id), "%s", why);
        record->bad[id] = true;
}

/* A sensor and a built-in start no program, a proxy need not, and the last two accept in any case. Who is asked for by
 * name need not listen. */
static bool is_missing(const struct record *record, const struct key *key) {
        bool proxy = record->origins[SERVICE_PROXY] != KEY_ABSENT || record->origins[SERVICE_BUILTIN] != KEY_ABSENT;

        if (!key->required || record->origins[key->id] != KEY_ABSENT)
                return false;
        if (key->id == SERVICE_LISTEN)
                return record->bad[SERVICE_TCPMUX] || record->def->tcpmux == TCPMUX_NO;
        if (key->id == SERVICE_COMMAND)
                return !proxy && record->origins[SERVICE_SENSOR] == KEY_ABSENT;
        return !(key->id == SERVICE_WAIT && proxy);
}

static void check_missing(struct decoder *dec, struct record *record) {
        section_for_each(key, &section_service) if (is_missing(record, key)) {
                check_error(dec, record, CHECK_KEY(key->id), "is missing; %s", key->missing);
                record->bad[key->id] = true;
        }
}

static bool is_default(struct decoder *dec, const struct record *record, const struct key *key) {
        struct service_def fresh = {0};
        bool same;

        if (!key_set_default(key, key_field(key, &fresh)))
                decode_no_memory(dec, record->name);
        same = key_equal(key, key_field(key, &fresh), key_field(key, record->def));
        key_clear(key, key_field(key, &fresh));
        return same;
}

static bool scope_is_known(const struct record *record, enum key_scope scope) {
        if (record->bad[SERVICE_WAIT])
                return false;
        return !(scope == SCOPE_BOOT && record->bad[SERVICE_START]) &&
               !((scope == SCOPE_STDOUT || scope == SCOPE_LASTING || scope == SCOPE_WORKERS || scope == SCOPE_REQUEST ||
                  scope == SCOPE_HELD) &&
                 record->bad[SERVICE_HANDOFF]);
}

static void check_scope(struct decoder *dec, struct record *record, const struct key *key) {
        const struct service_def *def = record->def;

        if (record->origins[key->id] == KEY_ABSENT || record->bad[key->id] || !scope_is_known(record, key->scope) ||
            key_applies(key, def))
                return;
        if (record->origins[key->id] == KEY_WRITTEN && key->lenient && is_default(dec, record, key))
                return;
        if (record->origins[key->id] == KEY_WRITTEN &&
            !(key->scope == SCOPE_BOOT && (def->wait || def->command.count > 0) && (def->wait || def->proxy))) {
                check_error(dec, record, CHECK_KEY(key->id), "is for %s%s", key_scope_text(key->scope),
                            key->instead ? key->instead : "");
                return;
        }
        if (record->origins[key->id] == KEY_WRITTEN)
                check_warning(dec, record, CHECK_KEY(key->id),
                              "changes nothing; a server that starts on demand starts again with the next traffic");
        check_take_back(dec, record, key->id);
}

static size_t count_sockets(const struct service_def *def) {
        size_t n = 0;

        for (size_t i = 0; i < def->listen.count; i++)
                n += def->listen.items[i].addrs.count;
        return n;
}

static void check_listen(struct decoder *dec, const struct record *record) {
        const struct service_def *def = record->def;

        if (!check_usable(record, SERVICE_LISTEN, SERVICE_WAIT))
                return;
        for (size_t i = 0; i < def->listen.count && !def->wait && !def->proxy && !def->builtin; i++) {
                const struct addr_list *addrs = &def->listen.items[i].addrs;

                if (addrs->count > 0 && !addr_is_connectable(&addrs->items[0]))
                        check_error(dec, record, (struct check_place){SERVICE_LISTEN, (int)i},
                                    "a %s has no connections to accept; write wait: yes", addr_noun(&addrs->items[0]));
        }
        if (def->wait && def->handoff == HANDOFF_STDIO && !record->bad[SERVICE_HANDOFF] && count_sockets(def) > 1)
                check_error(dec, record, CHECK_KEY(SERVICE_HANDOFF),
                            "stdin and stdout can be one socket, and listen has %zu; split the service, or write "
                            "handoff: fds",
                            count_sockets(def));
}

static void check_output(struct decoder *dec, struct record *record, enum service_key id) {
        const struct service_def *def = record->def;
        const struct output_def *output = key_const_field(check_key(id), def);

        if (record->bad[id] || output->kind != OUTPUT_SOCKET || !check_usable(record, SERVICE_WAIT, SERVICE_HANDOFF) ||
            !(def->proxy || service_def_is_pool(def) || (def->wait && def->handoff == HANDOFF_FDS)))
                return;
        if (check_is_written(record, id))
                check_error(dec, record, CHECK_KEY(id),
                            "%s has no connection to write to; write log, inherit, null or append:/path",
                            def->proxy                 ? "a proxy's server"
                            : service_def_is_pool(def) ? "a worker, which serves many,"
                                                       : "a server that gets its sockets as descriptors");
        else
                check_take_back(dec, record, id);
}

static void check_fd_store(struct decoder *dec, struct record *record) {
        const struct service_def *def = record->def;

        if (record->bad[SERVICE_FD_STORE] || !check_usable(record, SERVICE_WAIT, SERVICE_HANDOFF) || !def->wait ||
            def->fd_store == 0 || def->handoff == HANDOFF_FDS)
                return;
        if (check_is_written(record, SERVICE_FD_STORE))
                check_error(dec, record, CHECK_KEY(SERVICE_FD_STORE),
                            "needs handoff: fds; what is stored is given back as descriptors behind the sockets");
        else
                check_take_back(dec, record, SERVICE_FD_STORE);
}

static void check_restart(struct decoder *dec, struct record *record) {
        const struct service_def *def = record->def;
        bool at_delay =
                check_is_written(record, SERVICE_RESTART_DELAY) || !check_is_written(record, SERVICE_RESTART_DELAY_MAX);

        if (check_usable(record, SERVICE_RESTART_DELAY, SERVICE_RESTART_DELAY_MAX) &&
            def->restart_delay > def->restart_delay_max)
                check_error(dec, record, CHECK_KEY(at_delay ? SERVICE_RESTART_DELAY : SERVICE_RESTART_DELAY_MAX),
                            "restart_delay is longer than restart_delay_max");
        if (!check_usable(record, SERVICE_MAIN, SERVICE_RESTART) || record->bad[SERVICE_WAIT] || !def->wait ||
            !def->main || def->restart == RESTART_NO)
                return;
        if (check_is_written(record, SERVICE_RESTART))
                check_error(dec, record, CHECK_KEY(SERVICE_RESTART),
                            "contradicts main: yes, with which the broker ends when the server does");
        else
                check_take_back(dec, record, SERVICE_RESTART);
}

/* Whether the kernel tells who is connected to it (net/sockdiag.h). What an inherited socket is, shows later. */
static bool has_connections(const struct addr *addr) {
        if (addr->form == ADDR_INHERITED)
                return true;
        if (addr->sockaddr.sa.sa_family != AF_UNIX && addr->protocol != 0 && addr->protocol != IPPROTO_TCP &&
            addr->protocol != IPPROTO_MPTCP)
                return false;
        return addr_is_connectable(addr) && (addr_is_ip(addr) || addr->sockaddr.sa.sa_family == AF_UNIX);
}

static void check_idle_stop(struct decoder *dec, struct record *record) {
        const struct service_def *def = record->def;
        const struct check_place place = CHECK_KEY(SERVICE_IDLE_STOP);
        bool written = check_is_written(record, SERVICE_IDLE_STOP);

        if (record->bad[SERVICE_IDLE_STOP] || def->idle_stop == USEC_INFINITY)
                return;
        if (!record->bad[SERVICE_MAIN] && def->main) {
                if (written)
                        check_error(dec, record, place,
                                    "contradicts main: yes, with which the broker ends when the server does");
                else
                        check_take_back(dec, record, SERVICE_IDLE_STOP);
                return;
        }
        /* A proxy counts its connections itself, and a pool those that wait. */
        for (size_t i = 0; i < def->listen.count && !record->bad[SERVICE_LISTEN] && def->wait; i++) {
                const struct listen_def *listen = &def->listen.items[i];

                if (listen->addrs.count == 0 || has_connections(&listen->addrs.items[0]))
                        continue;
                if (written)
                        check_error(dec, record, place,
                                    "goes by connections of TCP and AF_UNIX sockets, and '%s' is none of them",
                                    quote_text(listen->address).text);
                else
                        check_take_back(dec, record, SERVICE_IDLE_STOP);
                return;
        }
}

static struct place place_of(const struct decoder *dec, const struct record *record, enum service_key id) {
        const struct mark mark = decode_mark(dec, record->values[id] ? record->values[id] : record->name);

        return (struct place){.line = mark.line, .column = mark.column};
}

static void finish_def(struct decoder *dec, struct record *record) {
        struct service_def *def = record->def;

        if (def->proxy || def->builtin != BUILTIN_NONE)
                def->handoff = HANDOFF_NONE;
        else if (def->handoff == HANDOFF_AUTO)
                def->handoff = def->wait ? HANDOFF_FDS : HANDOFF_STDIO;
        if (def->handoff == HANDOFF_REQUEST && !def->request && !(def->request = request_def_new()))
                decode_no_memory(dec, record->name);
        for (size_t i = 0; i < def->listen.count; i++) {
                struct listen_def *listen = &def->listen.items[i];

                if (!listen->name)
                        /* An inherited socket has a name already. */
                        listen->name = strdup(listen->addrs.count > 0 && listen->addrs.items[0].form == ADDR_INHERITED
                                                      ? listen->addrs.items[0].sockaddr.un.sun_path
                                                      : def->name);
                if (!listen->name)
                        decode_no_memory(dec, record->name);
        }
        def->places.command = place_of(dec, record, SERVICE_COMMAND);
        def->places.user = place_of(dec, record, SERVICE_USER);
        def->places.group = place_of(dec, record, SERVICE_GROUP);
        def->places.group_add = place_of(dec, record, SERVICE_GROUP_ADD);
        def->places.root_dir = place_of(dec, record, SERVICE_ROOT_DIR);
        def->places.ulimits = place_of(dec, record, SERVICE_ULIMITS);
        def->places.idle_stop = place_of(dec, record, SERVICE_IDLE_STOP);
        def->places.oom_score_adj = place_of(dec, record, SERVICE_OOM_SCORE_ADJ);
}

void check_service(struct decoder *dec, struct record *record) {
        check_builtin(dec, record);
        check_proxy(dec, record);
        check_pool(dec, record);
        check_sensor(dec, record);
        check_missing(dec, record);
        finish_def(dec, record);
        section_for_each(key, &section_service) if (key->scope != SCOPE_ALL) check_scope(dec, record, key);
        check_listen(dec, record);
        check_output(dec, record, SERVICE_STDERR);
        check_output(dec, record, SERVICE_STDOUT);
        check_fd_store(dec, record);
        check_restart(dec, record);
        check_spare(dec, record);
        check_workers(dec, record);
        check_idle_stop(dec, record);
        check_admission(dec, record);
        check_placeholders(dec, record);
        check_variables(dec, record);
}

/* Whether two sockets at this address would be in each other's way, and by which name that shows; "" where not. */
static void address_key(const struct addr *addr, const struct listen_options *options, struct buf *out) {
        if (addr->form == ADDR_SPECIAL || addr_has_path(addr)) {
                buf_add_string(out, addr->sockaddr.un.sun_path);
                return;
        }
        if (addr_is_any_port(addr) || addr->sockaddr.sa.sa_family == AF_NETLINK)
                return;
        addr_format(addr, out);
        /* MPTCP is TCP to whoever binds a port; the others count their ports for themselves. */
        if (addr->protocol == IPPROTO_SCTP || addr->protocol == IPPROTO_UDPLITE)
                buf_printf(out, " by protocol %d", addr->protocol);
        if (options->bind_to_device)
                buf_printf(out, " on %s", options->bind_to_device);
}

struct claim {
        const struct listen_def *listen;
        struct check_place place;
        const char *key;
};

/* Returns whether the address was free. */
static bool claim_address(struct decoder *dec, const struct record *record, struct check *check,
                          const struct claim *claim) {
        const struct nameset_item *found = nameset_find(&check->addresses, claim->key);
        const struct nameset_item item = {
                .mark = claim->listen->mark,
                .owner = record->def->name,
                .thing = claim->listen,
        };
        const struct listen_def *other = found ? found->thing : NULL;

        if (claim->key[0] == '\0' || other == claim->listen)
                return true;
        if (!found)
                return nameset_put(&check->addresses, claim->key, &item) == 0 || decode_no_memory(dec, record->name);
        if (other->options.reuse_port == 1 && claim->listen->options.reuse_port == 1)
                return true;
        check_error(dec, record, claim->place, "'%s' is taken already by services.%s, at %s:%u:%u",
                    quote_text(claim->listen->address).text, found->owner, found->mark.file, found->mark.line,
                    found->mark.column);
        return false;
}

/* A port alone takes IPv4 too, unless told otherwise. */
static void claim_addresses(struct decoder *dec, const struct record *record, struct check *check, size_t index) {
        const struct listen_def *listen = &record->def->listen.items[index];

        for (size_t i = 0; i < listen->addrs.count; i++) {
                AUTO(buf_deinit) struct buf text = BUF_NULL;
                struct claim claim = {.listen = listen, .place = {SERVICE_LISTEN, (int)index}};
                struct addr addr = listen->addrs.items[i];

                address_key(&addr, &listen->options, &text);
                claim.key = buf_text(&text);
                if (!claim_address(dec, record, check, &claim))
                        return;
                if (!addr.all || listen->options.ipv6_only == 1)
                        continue;
                addr.sockaddr = (union sockaddr_any){
                        .in = {.sin_family = AF_INET, .sin_port = addr.sockaddr.in6.sin6_port},
                };
                addr.size = sizeof(addr.sockaddr.in);
                buf_clear(&text);
                address_key(&addr, &listen->options, &text);
                claim.key = buf_text(&text);
                if (!claim_address(dec, record, check, &claim))
                        return;
        }
}

void check_across(struct decoder *dec, struct record *record, struct check *check) {
        const struct service_def *def = record->def;

        if (!record->bad[SERVICE_LISTEN])
                for (size_t i = 0; i < def->listen.count; i++)
                        claim_addresses(dec, record, check, i);
        check_asked_name(dec, record, check);
        if (record->bad[SERVICE_MAIN] || !def->main)
                return;
        if (check->main) {
                check_error(dec, record, CHECK_KEY(SERVICE_MAIN), "services.%s is main already, at %s:%u:%u",
                            check->main->name, check->main_mark.file, check->main_mark.line, check->main_mark.column);
                return;
        }
        check->main = def;
        check->main_mark = decode_mark(dec, record->values[SERVICE_MAIN]);
}
