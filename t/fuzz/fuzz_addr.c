/* Addresses: what is taken can be written, and what was written is taken again for the same. */
#include "fuzz.h"

#include "net/addr.h"

#include <string.h>

/* Two kinds that nobody reads back: IPv4 mapped into IPv6 is written as IPv4, which the kernel takes for the same; and
 * `activate --seqpacket 80` is for the kernel to refuse. */
static bool has_text(const struct addr *addr) {
        int family = addr->sockaddr.sa.sa_family;

        if (addr->form != ADDR_SOCKET || family == AF_UNIX)
                return true;
        return addr->type != SOCK_SEQPACKET &&
               (family == AF_INET || !IN6_IS_ADDR_V4MAPPED(&addr->sockaddr.in6.sin6_addr));
}

static void check_addr(const struct addr *addr) {
        AUTO(addr_list_deinit) struct addr_list list = ADDR_LIST_NULL;
        AUTO(buf_deinit) struct buf text = BUF_NULL, why = BUF_NULL;
        struct addr expected = *addr;

        MUST(addr->size <= sizeof(addr->sockaddr), "%u", addr->size);
        if (!has_text(addr))
                return;
        addr_format(addr, &text);
        MUST(addr_parse(buf_text(&text), SOCK_STREAM, &list, &why), "%s %s", buf_text(&text), buf_text(&why));
        MUST(list.count == 1, "%s", buf_text(&text));
        expected.all = false; /* a port alone is written out */
        if (addr->form == ADDR_FIFO || addr->form == ADDR_INHERITED)
                expected.type = list.items[0].type;
        MUST(addr_equal(&list.items[0], &expected), "%s", buf_text(&text));
}

static void check_text(const char *text, int type) {
        AUTO(addr_list_deinit) struct addr_list list = ADDR_LIST_NULL;
        AUTO(buf_deinit) struct buf why = BUF_NULL;

        if (!addr_parse(text, type, &list, &why)) {
                MUST(why.size > 0, "refused without a word: %s", text);
                MUST(!list.items, "%s", text);
                return;
        }
        MUST(list.count > 0, "%s", text);
        for (size_t i = 0; i < list.count; i++)
                check_addr(&list.items[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        AUTO(freep) char *text = strndup((const char *)data, size);

        if (!text)
                return 0;
        check_text(text, SOCK_STREAM);
        check_text(text, SOCK_DGRAM);
        check_text(text, SOCK_SEQPACKET);
        return 0;
}
