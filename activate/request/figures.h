/* What SIGUSR1 and SIGUSR2 show, in lines on stderr: the counts of requests as `broker status` has them, and each
 * worker. */
#pragma once

#include "activate/request/server.h"

void figures_say(const struct server *server);
void figures_say_workers(const struct server *server);
