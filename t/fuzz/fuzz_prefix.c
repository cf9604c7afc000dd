/* Networks: what is taken can be written, what was written is taken again for the same; what is refused says why. */
#include "fuzz.h"

#include "net/prefix.h"

#include <string.h>

static void check_bits(const struct prefix *prefix) {
        struct prefix masked = *prefix;

        MUST(prefix->family == AF_INET || prefix->family == AF_INET6, "%u", prefix->family);
        MUST(prefix->bits <= (prefix->family == AF_INET ? 32 : 128), "%u", prefix->bits);
        /* Nothing beyond its bits, so that masking it again changes nothing. */
        masked.bits = prefix->family == AF_INET ? 32 : 128;
        prefix_mask(&masked, prefix->bits);
        MUST(memcmp(masked.address, prefix->address, sizeof(masked.address)) == 0, "/%u", prefix->bits);
}

static void check_text(const char *text) {
        AUTO(buf_deinit) struct buf why = BUF_NULL, written = BUF_NULL;
        struct prefix prefix, again;

        if (!prefix_parse(text, &prefix, &why)) {
                MUST(why.size > 0, "refused without a word: %s", text);
                return;
        }
        MUST(why.size == 0, "taken, and yet: %s", buf_text(&why));
        MUST(prefix_looks_numeric(text), "taken for the name of a host: %s", text);
        check_bits(&prefix);
        prefix_format(&prefix, &written);
        MUST(prefix_parse(buf_text(&written), &again, &why), "%s %s", buf_text(&written), buf_text(&why));
        MUST(prefix_equal(&prefix, &again), "%s", buf_text(&written));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        AUTO(freep) char *text = strndup((const char *)data, size);

        if (text)
                check_text(text);
        return 0;
}
