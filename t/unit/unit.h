/* What every unit test begins with: assertions that stay, and cmocka with what it wants before it. */
#pragma once

#undef NDEBUG

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <assert.h>
#include <stdbool.h>
#include <string.h>

/* cmocka's own takes any integer for a truth value. */
#define assert_yes(condition) assert_true((condition) ? 1 : 0)
#define assert_no(condition) assert_false((condition) ? 1 : 0)
