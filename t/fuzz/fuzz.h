/* What every harness has: one function that takes any bytes, twice the same way, and nothing of the machine it runs on.
 * libFuzzer calls it, and replay.c with the corpus. */
#pragma once

#include "base/buf.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What has to hold for whatever was put in; the text is for whoever finds it. Stays where NDEBUG is set. */
#define MUST(condition, ...)                                                                                           \
        do {                                                                                                           \
                if (!(condition))                                                                                      \
                        fuzz_fail(#condition, __VA_ARGS__);                                                            \
        } while (0)

void fuzz_fail(const char *condition, const char *format, ...) PRINTF_LIKE(2, 3) __attribute__((noreturn));
