#include "net/addrslip.h"

#include <arpa/inet.h>
#include <string.h>

#define DIGITS "0123456789"

static bool is_number(const char *text, size_t size) {
        return size > 0 && strspn(text, DIGITS) >= size;
}

/* PORT:PORT or ADDRESS:PORT:PORT. */
static bool is_mapping(const char *text) {
        const char *last = strrchr(text, ':');
        const char *start = text;

        if (!last || !is_number(last + 1, strlen(last + 1)))
                return false;
        for (const char *p = text; p < last; p++)
                if (*p == ':')
                        start = p + 1;
        if (start > text && strspn(text, DIGITS ".") != (size_t)(start - text) - 1)
                return false;
        return is_number(start, (size_t)(last - start));
}

/* PORT/tcp, or the other way round. */
static bool has_protocol(const char *text) {
        const char *slash = strchr(text, '/');
        size_t n = slash ? (size_t)(slash - text) : 0;

        if (!slash)
                return false;
        return (is_number(text, n) && (strcmp(slash, "/tcp") == 0 || strcmp(slash, "/udp") == 0)) ||
               (n == 3 && (strncmp(text, "tcp", n) == 0 || strncmp(text, "udp", n) == 0) &&
                is_number(slash + 1, strlen(slash + 1)));
}

static bool is_range(const char *text) {
        size_t n = strspn(text, DIGITS);

        return n > 0 && text[n] == '-' && is_number(text + n + 1, strlen(text + n + 1));
}

/* The quotation marks of word processors, U+2018 to U+201F. */
static bool has_typographic_quotes(const char *text) {
        for (const char *p = strstr(text, "\xe2\x80"); p; p = strstr(p + 1, "\xe2\x80"))
                if ((unsigned char)p[2] >= 0x98 && (unsigned char)p[2] <= 0x9f)
                        return true;
        return false;
}

static bool is_host(const char *text) {
        struct in_addr in;

        return strcmp(text, "localhost") == 0 || inet_pton(AF_INET, text, &in) == 1;
}

bool addrslip_explain(const char *text, struct buf *why) {
        if (has_typographic_quotes(text))
                buf_add_string(why, "has typographic quotation marks in it; write \" or '");
        else if (strchr(text, '#'))
                buf_add_string(why, "has a # in it; a comment needs a blank before it");
        else if (strchr(text, '$'))
                buf_add_string(why, "has a $ in it, and nothing is expanded here; write the address itself");
        else if (strstr(text, "://"))
                buf_add_string(why, "is a URL; write HOST:PORT, or the path of a socket");
        else if (has_protocol(text))
                buf_add_string(why, "names the protocol as container engines do; write PORT for TCP, udp:PORT for UDP");
        else if (is_mapping(text))
                buf_add_string(why, "maps a port to another, as container engines do; write the one to listen on");
        else if (is_range(text))
                buf_add_string(why, "is a range of ports; write a list such as [8000, 8001]");
        else if (strchr(DIGITS, text[0]) && text[0] != '\0' && text[strcspn(text, " ,")] != '\0')
                buf_add_string(why, "is more than one address; write a list such as [80, 443]");
        else if (strncmp(text, "~/", 2) == 0)
                buf_add_string(why, "starts with ~, which shells alone expand; write an absolute path");
        else if (is_host(text))
                buf_printf(why, "has no port; write %s:PORT", text);
        else
                return false;
        return true;
}
