/* What a definition can say about one socket beside its address. Data only: conf fills it in, net/listen applies it. */
#pragma once

#include "base/defs.h"
#include "base/strlist.h"

#include <stdbool.h>
#include <sys/types.h>

#define OPTION_UNSET (-1) /* the kernel's own default stays */

struct keep_alive_options {
        int on;       /* 0, 1 or OPTION_UNSET */
        int time;     /* seconds before the first probe, or OPTION_UNSET */
        int interval; /* seconds between probes, or OPTION_UNSET */
        int probes;   /* unanswered probes that end the connection, or OPTION_UNSET */
};

enum listen_protocol {
        LISTEN_MPTCP,
        LISTEN_SCTP,
        LISTEN_UDPLITE,
        LISTEN_PROTOCOL_N,
};

/* Integers are OPTION_UNSET where nothing was said; yes is 1 and no is 0. */
struct listen_options {
        int protocol; /* a listen_protocol; the address has it too, as a number of IPPROTO_* */
        int backlog;
        int ipv6_only;
        int reuse_port;
        int free_bind;
        int transparent;
        int no_delay;
        int defer_accept; /* seconds */
        int fast_open;    /* length of the queue */
        int mark;
        int priority;
        int ip_tos;
        int ip_ttl;
        int pass_credentials;
        int pass_security;
        int pass_packet_info;
        int timestamping;
        int max_messages;       /* message queues: how many it holds */
        int64_t message_size;   /* message queues: bytes of the longest */
        int64_t receive_buffer; /* bytes */
        int64_t send_buffer;    /* bytes */
        int64_t pipe_size;      /* bytes, FIFOs */
        struct keep_alive_options keep_alive;
        char *bind_to_device; /* NULL: any */
        char *tcp_congestion; /* NULL: the system's */
        char *socket_user;    /* name or number; NULL: the broker's own */
        char *socket_group;
        mode_t socket_mode;    /* AF_UNIX paths, FIFOs, message queues */
        mode_t directory_mode; /* directories made on the way to paths */
        bool writable;         /* special files: open them for writing too */
        bool remove_on_stop;
        struct strlist symlinks;
};
