/* Hosts as other programs write them, to addresses of ours. */
#pragma once

#include "import/sheet.h"

#include <stdbool.h>

bool hostport_is_ipv4(const char *host);

/* Also with a zone: fe80::1%eth0. */
bool hostport_is_ipv6(const char *host);

/* HOST:PORT, with brackets around an address of IPv6, udp: in front for datagrams, and tcp: where the name of the host
 * is that of a form of address. In the sheet's memory; NULL without any. */
char *hostport_text(struct sheet *sheet, const char *host, unsigned port, bool datagram);
