/* PROXY headers: with every byte more the answer is to wait, until it is another one, and that one stays. */
#include "fuzz.h"

#include "net/proxyheader.h"

#include <string.h>

static enum proxy_header_outcome parse(const uint8_t *data, size_t size, struct proxy_header *ret) {
        AUTO(freep) void *copy = size > 0 ? malloc(size) : NULL; /* for the sanitizer to see its end */

        if (copy)
                memcpy(copy, data, size);
        memset(ret, 0xa5, sizeof(*ret));
        return proxy_header_parse(copy, copy ? size : 0, ret);
}

static bool is_same(const struct proxy_header *a, const struct proxy_header *b) {
        return a->size == b->size && a->version == b->version && a->kind == b->kind &&
               a->source_size == b->source_size && memcmp(&a->source, &b->source, a->source_size) == 0 &&
               a->destination_size == b->destination_size &&
               memcmp(&a->destination, &b->destination, a->destination_size) == 0;
}

static void check_address(const union sockaddr_any *sa, socklen_t size) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;

        MUST(sa->sa.sa_family == AF_INET || sa->sa.sa_family == AF_INET6 || sa->sa.sa_family == AF_UNIX, "%u",
             sa->sa.sa_family);
        MUST(size >= sizeof(sa_family_t) && size <= sizeof(*sa), "%u", size);
        addr_format_sockaddr(sa, size, &text);
        MUST(text.size > 0, "an address without a text");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        enum proxy_header_outcome last = PROXY_HEADER_MORE;
        struct proxy_header header, first = {0};

        for (size_t n = 0; n <= size && n <= PROXY_HEADER_MAX + 2; n++) {
                enum proxy_header_outcome outcome = parse(data, n, &header);

                MUST(outcome != PROXY_HEADER_MORE || n < PROXY_HEADER_MAX, "still waiting");
                MUST(last == PROXY_HEADER_MORE || outcome == last, "%d after %d, with byte %zu", outcome, last, n);
                if (outcome == PROXY_HEADER_OK && last != outcome) {
                        MUST(header.size == n, "%zu bytes of %zu", header.size, n);
                        first = header;
                } else if (outcome == PROXY_HEADER_OK) {
                        MUST(is_same(&header, &first), "%zu bytes more change it", n - first.size);
                }
                last = outcome;
        }
        if (last == PROXY_HEADER_OK && first.kind == PROXY_HEADER_ADDRESSES) {
                check_address(&first.source, first.source_size);
                check_address(&first.destination, first.destination_size);
        }
        return 0;
}
