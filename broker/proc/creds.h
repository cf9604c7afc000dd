/* Who a program runs as, worked out at load time so that starting one asks no database. */
#pragma once

#include "base/buf.h"
#include "base/strlist.h"

#include <stdbool.h>
#include <sys/types.h>

/* What to become, as an administrator says it. All borrowed; NULL: not said. */
struct creds_request {
        const char *user;  /* NAME, UID, or either with :GROUP */
        const char *group; /* wins over a group in user */
        const struct strlist *group_add;
        bool groups; /* the user's supplementary groups from the database as well */
};

struct creds {
        bool change_user;
        bool change_group;
        bool change_groups; /* supplementary */
        bool drop_ambient; /* capabilities that we pass on ourselves are not for another user; set by who makes plans */
        uid_t uid;
        gid_t gid;
        gid_t *groups;
        size_t group_count;
        /* For USER, LOGNAME, HOME, SHELL; NULL unless a user was asked for that the database knows. */
        char *name;
        char *home;
        char *shell;
};

#define CREDS_NULL ((struct creds){0})

/* Which part of a request was at fault. */
enum creds_part {
        CREDS_USER,
        CREDS_GROUP,
        CREDS_GROUP_ADD,
};

/* Returns 0 with *RET filled, or a negative errno with a sentence in WHY and the part at fault in *RET_PART:
 * an unknown name, or an identity this process may not take (-EPERM). */
int creds_resolve(const struct creds_request *request, struct creds *ret, enum creds_part *ret_part, struct buf *why);
void creds_deinit(struct creds *creds);
