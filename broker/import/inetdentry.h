/* One service of an inetd.conf, in whichever notation: what its fields say, not yet what that is here. */
#pragma once

#include "import/inetdlines.h"
#include "import/sheet.h"

/* Who wrote the file, as far as it shows: they differ in what a line means that does not say. */
enum inetd_dialect {
        INETD_BSD, /* OpenBSD, FreeBSD and whoever else does as 4.4BSD did */
        INETD_DEBIAN,
        INETD_NETBSD,
        INETD_GNU,
};

enum inetd_mux {
        INETD_MUX_NO,
        INETD_MUX,      /* tcpmux/NAME: the program answers that it is there */
        INETD_MUX_PLUS, /* tcpmux/+NAME: inetd does */
};

#define INETD_UNSET (-1)

struct inetd_entry {
        struct mark mark;
        const char *text; /* as written, in one line */
        bool off;
        bool quoted;
        bool indented;
        const char *refusal; /* why it is left out; NULL: it is not */

        const char *host; /* addresses with commas between, * for all; NULL: the default */
        const char *service;
        enum inetd_mux mux;
        int type;           /* SOCK_STREAM… */
        int accept_max;     /* processes at a time, before which connections wait; this and what follows may be UNSET */
        const char *filter; /* accept filter, or NULL */

        const char *protocol; /* as written, without buffers */
        const char *base;     /* tcp, udp or unix */
        int family;           /* AF_INET, AF_INET6, AF_UNIX, or AF_UNSPEC for both */
        bool family_written;
        bool ttcp;
        int receive_buffer;
        int send_buffer;

        bool wait;
        int rate;        /* starts in a minute */
        int max_child;   /* FreeBSD: like accept_max */
        int source_rate; /* of one address, in a minute */
        int source_max;  /* of one address, at a time */

        const char *user;
        const char *group;       /* NULL: the user's */
        const char *login_class; /* NULL: none written */
        const char *socket_user; /* of a path; NULL: not written, as the next two */
        const char *socket_group;
        const char *socket_mode;
        const char *ipsec; /* a policy of its own; "" for none whatever the lines before say; NULL: as they say */

        const char *server; /* NULL: internal */
        char **args;        /* from its name on; of internal services too */
        size_t arg_count;

        /* What inetd.c finds out about it. */
        const char *heading; /* of it and those that follow; NULL: none of its own */
        unsigned port;       /* of tcp and udp */
        bool unknown;        /* there is no port of that name */
        const char *policy;  /* what IPsec is to do, or NULL */
        struct mark policy_mark;
        const struct inetd_entry *replaced_by; /* a later line for the same; NULL: none */
        struct inetd_entry *next;
};

/* What LINE says, an ENTRY or KEYED in FILE; with a refusal where it makes no sense. All of it is the sheet's. NULL
 * when memory ran out. */
struct inetd_entry *inetd_entry_new(struct sheet *sheet, const char *file, const struct inetd_line *line);

/* For inetdkeyed.c: each reads one field into ENTRY, or refuses the entry. */
void inetd_entry_refuse(struct sheet *sheet, struct inetd_entry *entry, const char *format, ...) PRINTF_LIKE(3, 4);
void inetd_entry_set_service(struct sheet *sheet, struct inetd_entry *entry, const char *text);
void inetd_entry_set_type(struct sheet *sheet, struct inetd_entry *entry, const char *text);
void inetd_entry_set_protocol(struct sheet *sheet, struct inetd_entry *entry, const char *text);
void inetd_entry_set_server(struct sheet *sheet, struct inetd_entry *entry, const char *text);
void inetd_entry_set_args(struct sheet *sheet, struct inetd_entry *entry, char *const *items, size_t count);
int inetd_entry_number(struct sheet *sheet, struct inetd_entry *entry, const char *what, const char *text);
int inetd_entry_size(struct sheet *sheet, struct inetd_entry *entry, const char *text);

/* Reads NetBSD's KEY = VALUE notation; NAME on is read already. */
void inetd_keyed_read(struct sheet *sheet, struct inetd_entry *entry, const struct inetd_line *line);

/* The same notation, once the host is known: it says what tcp and udp are. */
void inetd_keyed_infer(struct sheet *sheet, struct inetd_entry *entry);
