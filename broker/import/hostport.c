#include "import/hostport.h"

#include "net/addr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

bool hostport_is_ipv4(const char *host) {
        struct in_addr address;

        return inet_pton(AF_INET, host, &address) == 1;
}

bool hostport_is_ipv6(const char *host) {
        char address[INET6_ADDRSTRLEN];
        size_t size = strcspn(host, "%");
        struct in6_addr in6;

        if (size >= sizeof(address))
                return false;
        snprintf(address, sizeof(address), "%.*s", (int)size, host);
        return inet_pton(AF_INET6, address, &in6) == 1;
}

char *hostport_text(struct sheet *sheet, const char *host, unsigned port, bool datagram) {
        bool ipv6 = hostport_is_ipv6(host);
        char *text = sheet_printf(sheet, ipv6 ? "[%s]:%u" : "%s:%u", host, port);

        if (!text || (!datagram && !addr_has_form(text)))
                return text;
        return sheet_printf(sheet, "%s%s", datagram ? "udp:" : "tcp:", text);
}
