/* One service on its way from a new definition to the running broker: everything that can fail, done before anything is
 * changed. Internal to core/reload. */
#pragma once

#include "core/manager.h"

#include <stdbool.h>

#define CHANGE_NAME_MAX 80 /* of a service, with the number of a worker */

/* One service of the new set, or one of its workers, on its way from definition to running service. */
struct change {
        struct service_def *def; /* owned until the service takes it */
        char name[CHANGE_NAME_MAX];
        unsigned worker;         /* which one of DEF's workers it is, from 1 */
        struct change *first;    /* the first worker, whose change comes before the others'; NULL: this one is it */
        bool failed;             /* of the first: it could not be prepared, nor will the others be */
        struct service *service; /* the one there is, or a new one made in prepare */
        bool is_new;
        bool keep;           /* nothing about it has changed */
        bool same_program;   /* only what its programs do not see has: they go on */
        bool reopens;        /* an order to start it: its sockets are to be opened, though it is halted */
        struct port **ports; /* new ones, and old ones marked `stays` */
        size_t port_count;
        size_t port_room;
        struct program *program;    /* NULL for a sensor, which has none */
        struct planmake_kept *kept; /* of a service that is there again after an upgrade; NULL: it is new */
        struct access *access;
};

struct reload {
        struct manager *manager;
        struct diag *diag;
        struct change *changes;
        size_t count;
        bool bind_failed; /* what is wrong is not (only) in the definitions */
};

/* Finds the service CHANGE is about, and what about it changes. For all of them before the first change_prepare(): a
 * service that stays as it is keeps its sockets. */
void change_classify(struct reload *reload, struct change *change);

/* Opens, resolves and binds what CHANGE takes. What is wrong goes to RELOAD's diag. */
void change_prepare(struct reload *reload, struct change *change);

/* Whether its service was stopped by an order, and stays so, with all its workers, new ones too: its sockets are opened
 * when it is started, and its program is made then. */
bool change_stays_halted(const struct change *change);

/* The last step that can fail, when all changes have been prepared: new sockets begin to listen. What is wrong goes to
 * RELOAD's diag. */
void change_begin(struct reload *reload, struct change *change);

/* Undoes that: the broker is as it was. Frees the definition. */
void change_discard(struct change *change);

/* Makes another program of SERVICE's definition, for the sockets it has. As program_new(). */
int change_make_program(struct service *service, struct program **ret, struct diag *diag);

/* The same with what was found out for it before the broker was upgraded, KEPT. Its outputs are left closed. */
int change_make_kept_program(struct service *service, struct planmake_kept *kept, struct program **ret,
                             struct diag *diag);
