/*
 * probe_report: everything the test server finds around it when it starts, as one line of JSON.
 *
 * The names of the members are an interface: the scripts in t/ read them.
 */

#pragma once

#include <stddef.h>

/* One line, with its newline, to be freed by the caller. Must be called before the caller opens
 * anything itself, as what is open now is what is reported. Ends the program when /proc cannot
 * be read: half a report would be taken for the truth. */
char *report_new(int argc, char **argv, size_t *ret_len);
