/* The other way round of net/proxyheader.h: the header that tells a target who its client is. Nothing is sent
 * here. */
#pragma once

#include "net/proxyheader.h"

/* Writes the header that HEADER's version, kind, source and destination describe, and returns its size. IPv4
 * addresses mapped into IPv6 are written as IPv4 where both are. Version 1 knows TCP alone: anything else is
 * UNKNOWN; in version 2 it is AF_UNIX, or UNSPEC where the two do not go together. */
size_t proxy_header_write(const struct proxy_header *header, char out[PROXY_HEADER_MAX]);
