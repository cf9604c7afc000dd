/* The address forms of systemd.socket(5) that are neither IP nor paths: vsock:, mqueue:, netlink:. Internal to
 * net/addr. */
#pragma once

#include "base/buf.h"
#include "net/addr.h"

/* Whether TEXT begins like one of these forms. */
bool addrforms_has(const char *text);

/* Reads TEXT, which is one of these forms. True with *RET filled; or false with the reason added to WHY, as
 * addr_parse() says it. */
bool addrforms_parse(const char *text, struct addr *ret, struct buf *why);

/* vsock:CID:PORT, with "any" where the kernel says all or chooses. */
void addrforms_format_vsock(const struct sockaddr_vm *vm, struct buf *out);

/* netlink:FAMILY GROUP; a group of 0, which is none, is left out. */
void addrforms_format_netlink(const struct addr *addr, struct buf *out);
