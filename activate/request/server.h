/* --request: workers that stay, and answer requests of connections that are ours, until told to stop. Everything
 * that is about requests is the broker's own handoff (broker/handoff/requests.h); here is what a service is around
 * it there. */
#pragma once

#include "activate/options.h"
#include "activate/program.h"
#include "activate/request/intake.h"
#include "handoff/answers.h"

#define SERVER_SIGNALS_MAX 8

enum server_state {
        SERVER_ACCEPTING,
        SERVER_DRAINING, /* no more listeners; who is in is answered */
        SERVER_KILLING,  /* told so twice: connections were cut, and workers killed */
};

struct server {
        const struct options *options;
        enum server_state state;
        bool is_retired; /* the handoff knows that nobody comes any more */
        bool must_reap;  /* some child has ended */
        int exit_status; /* what it has come to so far */
        sd_event *event;
        sd_event_source *signals[SERVER_SIGNALS_MAX];
        size_t signal_count;
        sd_event_source *claim; /* its end; NULL: there is none */
        sd_event_source *turn;  /* enabled when there is something to be done that events are not the place for */
        int null_fd;
        struct sockets sockets;
        struct program program;
        struct launch_plan plan;
        struct launcher *launcher;
        struct process_host host;
        struct handoff_pool pool;
        struct handoff_request request;
        struct handoff *handoff;
        struct intake intake;
        struct answers answers;
        uint64_t spawns;
        struct rate failures; /* of workers, said so far */
};

/* Returns the exit status. */
int server_run(const struct options *options);
