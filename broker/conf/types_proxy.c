/* What a proxy relays to: one address that can be connected to. */
#include "conf/decode.h"
#include "conf/print.h"
#include "conf/servicedef.h"
#include "conf/types.h"

#include <string.h>

static void describe_proxy(const struct key *key, struct buf *out) {
        buf_printf(out, "an address with its port such as %s, or the path of a socket", key->example);
}

static bool is_everywhere(const struct addr *addr) {
        const union sockaddr_any *sa = &addr->sockaddr;

        if (addr->all)
                return true;
        if (sa->sa.sa_family == AF_INET6)
                return IN6_IS_ADDR_UNSPECIFIED(&sa->in6.sin6_addr);
        return sa->sa.sa_family == AF_INET && sa->in.sin_addr.s_addr == htonl(INADDR_ANY);
}

/* Why nobody can connect to ADDR, or NULL. */
static const char *refuse_target(const struct addr *addr) {
        int family = addr->sockaddr.sa.sa_family;

        if (addr->form != ADDR_SOCKET ||
            (family != AF_INET && family != AF_INET6 && family != AF_UNIX && family != AF_VSOCK))
                return "is nothing to connect to; write an address with its port, or the path of a socket";
        if (addr->type != SOCK_STREAM)
                return "is no stream address, and a proxy relays streams of bytes";
        if (is_everywhere(addr))
                return "does not say where the target is; write its address, such as 127.0.0.1:8080";
        if (addr_is_any_port(addr))
                return "has no port to connect to";
        return NULL;
}

static void clear_proxy(const struct key *key UNUSED, void *field) {
        struct proxy_def **proxy = field;

        if (*proxy) {
                addr_list_deinit(&(*proxy)->addrs);
                free((*proxy)->text);
                free(*proxy);
        }
        *proxy = NULL;
}

/* Also looks up hosts, and names of ports. */
static bool parse_target(struct decoder *dec, const struct node *node, struct proxy_def *proxy) {
        const struct kept_answer *kept = kept_find(dec->kept, KEPT_ADDRESS, proxy->text);
        AUTO(buf_deinit) struct buf why = BUF_NULL;

        if (kept) {
                proxy->addrs.items = copy_items(kept->data, 1, kept->size);
                proxy->addrs.count = proxy->addrs.items ? kept->size / sizeof(struct addr) : 0;
                return proxy->addrs.items || decode_no_memory(dec, node);
        }
        if (addr_parse(proxy->text, SOCK_STREAM, &proxy->addrs, &why))
                return true;
        decode_error(dec, node, "'%s' %s", quote_text(proxy->text).text, buf_text(&why));
        return false;
}

static bool decode_proxy(struct decoder *dec, const struct key *key, const struct node *node, void *field) {
        const char *text = decode_text(dec, key, node), *problem;
        struct proxy_def **proxy = field;

        if (!text)
                return false;
        *proxy = calloc(1, sizeof(**proxy));
        if (!*proxy || !((*proxy)->text = strdup(text)))
                return decode_no_memory(dec, node);
        if (!parse_target(dec, node, *proxy))
                return false;
        problem = refuse_target(&(*proxy)->addrs.items[0]);
        if (problem)
                decode_error(dec, node, "'%s' %s", quote_text(text).text, problem);
        return !problem;
}

static void print_proxy(const struct key *key UNUSED, const void *field, struct printer *printer) {
        const struct proxy_def *const *proxy = field;

        print_text_value(printer, (*proxy)->text);
}

static bool equal_proxies(const struct key *key UNUSED, const void *a, const void *b) {
        const struct proxy_def *first = *(const struct proxy_def *const *)a;
        const struct proxy_def *second = *(const struct proxy_def *const *)b;

        if (!first || !second)
                return first == second;
        if (strcmp(first->text, second->text) != 0 || first->addrs.count != second->addrs.count)
                return false;
        for (size_t i = 0; i < first->addrs.count; i++)
                if (!addr_equal(&first->addrs.items[i], &second->addrs.items[i]))
                        return false;
        return true;
}

static bool copy_proxy(const struct key *key UNUSED, const void *from, void *to) {
        const struct proxy_def *source = *(const struct proxy_def *const *)from;
        struct proxy_def **copy = to;

        if (!source)
                return true;
        *copy = calloc(1, sizeof(**copy));
        if (!*copy || !((*copy)->text = strdup(source->text)))
                return false;
        (*copy)->addrs.items = copy_items(source->addrs.items, source->addrs.count, sizeof(struct addr));
        if (!(*copy)->addrs.items)
                return false;
        (*copy)->addrs.count = source->addrs.count;
        return true;
}

const struct key_type type_proxy = {
        .name = "an address to connect to",
        .size = sizeof(struct proxy_def *),
        .describe = describe_proxy,
        .decode = decode_proxy,
        .print = print_proxy,
        .equal = equal_proxies,
        .copy = copy_proxy,
        .clear = clear_proxy,
};
