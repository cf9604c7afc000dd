/* The program that serves --request. It needs an event loop library, which would have to be loaded into every
 * activate: so it is another one, and we become it, with the same process id, descriptors, arguments and name. It
 * takes its arguments apart again; so it has to be of the same build. */
#pragma once

/* Becomes it: the one beside our own binary, as in a build, or else the installed one. Returns the exit status
 * after having said why that does not succeed. */
int requestprogram_become(char **argv);
