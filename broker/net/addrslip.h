/* What people mean when they write an address as another program has it. */
#pragma once

#include "base/buf.h"

/* For a TEXT that addr_parse() does not take: whether it looks like something known. If so, a sentence without its
 * subject is added to WHY, which says what it is and what to write. */
bool addrslip_explain(const char *text, struct buf *why);
