#include "proc/creds.h"

#include "base/err.h"
#include "base/ids.h"
#include "base/number.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

void creds_deinit(struct creds *creds) {
        free(creds->groups);
        free(creds->name);
        free(creds->home);
        free(creds->shell);
        *creds = CREDS_NULL;
}

static int copy_entry(struct creds *creds, const struct passwd *entry) {
        creds->uid = entry->pw_uid;
        creds->gid = entry->pw_gid;
        creds->name = strdup(entry->pw_name);
        creds->home = strdup(entry->pw_dir);
        creds->shell = strdup(entry->pw_shell[0] ? entry->pw_shell : "/bin/sh");
        return creds->name && creds->home && creds->shell ? 0 : err_raise(-ENOMEM);
}

/* A number without an entry is a user too, with the group of the same number only if one is given. */
static int resolve_user(const char *user, struct creds *creds, struct buf *why) {
        const struct passwd *entry;
        uid_t uid;
        int r;

        r = ids_find_user(user, &uid);
        if (r < 0) {
                buf_printf(why, "there is no user '%s'", user);
                return r;
        }
        creds->change_user = true;
        creds->change_group = true;
        creds->uid = uid;
        creds->gid = getegid();
        entry = getpwuid(uid);
        if (entry && strcmp(entry->pw_name, user) != 0) {
                /* Several names can share a number: the one that was written is the one meant. */
                const struct passwd *by_name = getpwnam(user);

                entry = by_name ? by_name : getpwuid(uid);
        }
        return entry ? copy_entry(creds, entry) : 0;
}

static int resolve_group(const char *group, gid_t *ret, struct buf *why) {
        int r = ids_find_group(group, ret);

        if (r < 0)
                buf_printf(why, "there is no group '%s'", group);
        return r;
}

static int add_group(struct creds *creds, gid_t gid) {
        gid_t *groups = reallocarray(creds->groups, creds->group_count + 1, sizeof(*groups));

        if (!groups)
                return err_raise(-ENOMEM);
        creds->groups = groups;
        creds->groups[creds->group_count++] = gid;
        return 0;
}

/* The database's groups of the user, as login gives them. */
static int add_database_groups(struct creds *creds) {
        int count = 0;

        getgrouplist(creds->name, creds->gid, NULL, &count);
        creds->groups = calloc((size_t)count + 1, sizeof(*creds->groups));
        if (!creds->groups)
                return err_raise(-ENOMEM);
        if (getgrouplist(creds->name, creds->gid, creds->groups, &count) < 0)
                return err_raise(-EAGAIN);
        creds->group_count = (size_t)count;
        return 0;
}

static int resolve_supplementary(const struct creds_request *request, struct creds *creds, struct buf *why) {
        size_t extra = request->group_add ? request->group_add->count : 0;
        gid_t gid;
        int r = 0;

        if (!creds->change_user && extra == 0)
                return 0;
        creds->change_groups = true;
        if (creds->change_user && request->groups && creds->name)
                r = add_database_groups(creds);
        else if (!creds->change_user) {
                /* The groups we have stay; the added ones come on top. */
                int n = getgroups(0, NULL);

                creds->groups = calloc((size_t)MAX_OF(n, 0) + 1, sizeof(gid_t));
                if (!creds->groups)
                        return err_raise(-ENOMEM);
                n = getgroups(n, creds->groups);
                creds->group_count = (size_t)MAX_OF(n, 0);
        }
        for (size_t i = 0; i < extra && r == 0; i++) {
                r = resolve_group(request->group_add->items[i], &gid, why);
                if (r == 0)
                        r = add_group(creds, gid);
        }
        return r;
}

/* Without privileges only the identity we already have can be had: then there is nothing to change. */
static int check_permitted(struct creds *creds, enum creds_part *ret_part, struct buf *why) {
        if (geteuid() == 0)
                return 0;
        if (creds->change_user && creds->uid != geteuid()) {
                *ret_part = CREDS_USER;
                buf_printf(why, "uid %u cannot be taken: only root can run programs as other users", creds->uid);
                return err_raise(-EPERM);
        }
        if (creds->change_group && creds->gid != getegid()) {
                *ret_part = CREDS_GROUP;
                buf_printf(why, "gid %u cannot be taken: only root can run programs with other groups", creds->gid);
                return err_raise(-EPERM);
        }
        if (creds->change_groups && !creds->change_user) {
                *ret_part = CREDS_GROUP_ADD;
                buf_add_string(why, "groups cannot be added: only root can");
                return err_raise(-EPERM);
        }
        creds->change_user = creds->change_group = creds->change_groups = false;
        return 0;
}

int creds_resolve(const struct creds_request *request, struct creds *ret, enum creds_part *ret_part, struct buf *why) {
        AUTO(creds_deinit) struct creds creds = CREDS_NULL;
        AUTO(freep) char *user = NULL;
        const char *group = request->group;
        int r = 0;

        if (request->user) {
                user = strdup(request->user);
                if (!user)
                        return err_raise(-ENOMEM);
                if (strchr(user, ':')) {
                        char *colon = strchr(user, ':');

                        *colon = '\0';
                        if (!group)
                                group = colon + 1;
                }
                *ret_part = CREDS_USER;
                r = resolve_user(user, &creds, why);
        }
        if (r == 0 && group) {
                *ret_part = request->group ? CREDS_GROUP : CREDS_USER;
                creds.change_group = true;
                r = resolve_group(group, &creds.gid, why);
        }
        if (r == 0) {
                *ret_part = CREDS_GROUP_ADD;
                r = resolve_supplementary(request, &creds, why);
        }
        if (r == 0)
                r = check_permitted(&creds, ret_part, why);
        if (r < 0)
                return r;
        *ret = creds;
        creds = CREDS_NULL;
        return 0;
}
