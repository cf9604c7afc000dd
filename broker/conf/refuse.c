#include "conf/refuse.h"

#include "base/defs.h"

#include <limits.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

const char *refuse_path(const char *text) {
        if (text[0] != '/')
                return "is not an absolute path; write one that starts with /";
        return strlen(text) < PATH_MAX ? NULL : "is too long for a path";
}

static bool has_blanks(const char *text) {
        for (const unsigned char *p = (const unsigned char *)text; *p; p++)
                if (*p <= ' ' || *p == 0x7f)
                        return true;
        return false;
}

const char *refuse_user(const char *text) {
        const char *colon = strchr(text, ':');

        if (text[0] == '\0' || has_blanks(text) || colon == text ||
            (colon && (colon[1] == '\0' || strchr(colon + 1, ':'))))
                return "is not a user; write a name or a number, either with :GROUP";
        return NULL;
}

static bool is_identity(const char *text) {
        return text[0] != '\0' && !has_blanks(text) && !strchr(text, ':');
}

const char *refuse_owner(const char *text) {
        return is_identity(text) ? NULL : "is not a user; write a name or a number";
}

const char *refuse_group(const char *text) {
        return is_identity(text) ? NULL : "is not a group; write a name or a number";
}

const char *refuse_device(const char *text) {
        if (text[0] == '\0' || strlen(text) >= IFNAMSIZ || has_blanks(text) || strchr(text, '/'))
                return "is not a network interface; write a name such as eth0";
        return NULL;
}

const char *refuse_host(const char *text) {
        static const char problem[] = "is not the name of a host; write one address, network or name";
        const char *p = text;

        do {
                size_t n = strspn(p, LETTERS DIGITS "-_");

                if (n == 0 || n > 63 || p[0] == '-' || p[n - 1] == '-')
                        return problem;
                p += n;
        } while (*p == '.' && *++p != '\0');
        return *p == '\0' && p - text <= 254 ? NULL : problem;
}

const char *refuse_word(const char *text) {
        return text[0] == '\0' || has_blanks(text) ? "is not a name; write one word" : NULL;
}

const char *refuse_socket_name(const char *text) {
        if (text[0] == '\0' || strlen(text) > 255)
                return "is not a socket's name; write 1 to 255 characters";
        for (const unsigned char *p = (const unsigned char *)text; *p; p++)
                if (*p < ' ' || *p > '~' || *p == ':' || *p == '\\')
                        return "is not a socket's name; write printable ASCII without a colon or a backslash";
        return NULL;
}

const char *refuse_service_name(const char *text) {
        if (!strchr(LETTERS DIGITS, text[0]) || text[0] == '\0' || text[strspn(text, LETTERS DIGITS "_.@-")] != '\0')
                return "is not a service's name; write letters, digits and _.@-, a letter or digit first";
        return strlen(text) <= 64 ? NULL : "is too long for a service's name; write 64 bytes at most";
}

const char *refuse_asked_name(const char *text) {
        if (strcasecmp(text, "help") == 0)
                return "cannot be for a service with this name, since HELP asks for the list of all; call it something "
                       "else";
        return NULL;
}

const char *refuse_env_name(const char *text) {
        if (text[0] == '\0' || strchr(text, '=') || has_blanks(text))
                return "is not a variable's name; write one without blanks and =";
        return NULL;
}

/* ADDRESS-ADDRESS or ADDRESS-NUMBER. */
static bool is_range(const char *text) {
        size_t first = strspn(text, DIGITS ".");

        return first > 0 && text[first] == '-' && memchr(text, '.', first) &&
               text[first + 1 + strspn(text + first + 1, DIGITS ".")] == '\0';
}

static bool has_port(const char *text) {
        const char *colon = strchr(text, ':');

        return colon && colon[1] != '\0' && strcspn(text, LETTERS) < (size_t)(colon - text) &&
               colon[1 + strspn(colon + 1, DIGITS)] == '\0';
}

const char *refuse_network(const char *text) {
        static const char *const words[] = {"LOCAL", "KNOWN", "UNKNOWN", "PARANOID"};
        static const char *const everybody[] = {"all", "any", "everybody", "everyone", "*"};

        for (size_t i = 0; i < LENGTH_OF(everybody); i++)
                if (strcasecmp(text, everybody[i]) == 0)
                        return "is not an address; write 0.0.0.0/0 and \"::/0\" for everybody";
        for (size_t i = 0; i < LENGTH_OF(words); i++)
                if (strcmp(text, words[i]) == 0)
                        return "is a word of tcpd's; write networks";
        if (strchr(text, '$'))
                return "has a $ in it, and nothing is expanded here; write the address itself";
        if (strchr(text, '#'))
                return "has a # in it; a comment needs a blank before it";
        if (text[0] == '!')
                return "has a ! before it; write in no_access who is to stay out";
        if (strstr(text, "://"))
                return "is a URL; write the address of its host";
        if (is_range(text))
                return "is a range; write networks such as 10.0.0.0/28, or each address";
        return has_port(text) ? "has a port; write the host alone" : NULL;
}

const char *refuse_frame_end(const char *text) {
        if (text[0] == '\0' || strlen(text) > 16)
                return "is nothing that a request could end with; write 1 to 16 characters";
        return NULL;
}
