#include "base/ids.h"

#include "base/err.h"
#include "base/number.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>

/* (uid_t)-1 means "leave it" to the kernel, so it is no identity. */
#define ID_MAX (UINT32_MAX - 1)

int ids_find_user(const char *name, uid_t *ret) {
        const struct passwd *entry;
        int64_t id;

        if (number_parse(name, 0, ID_MAX, &id) == 0) {
                *ret = (uid_t)id;
                return 0;
        }
        errno = 0;
        entry = getpwnam(name);
        if (!entry)
                return err_raise(errno == 0 || errno == ESRCH ? -ENOENT : -errno);
        *ret = entry->pw_uid;
        return 0;
}

int ids_find_group(const char *name, gid_t *ret) {
        const struct group *entry;
        int64_t id;

        if (number_parse(name, 0, ID_MAX, &id) == 0) {
                *ret = (gid_t)id;
                return 0;
        }
        errno = 0;
        entry = getgrnam(name);
        if (!entry)
                return err_raise(errno == 0 || errno == ESRCH ? -ENOENT : -errno);
        *ret = entry->gr_gid;
        return 0;
}
