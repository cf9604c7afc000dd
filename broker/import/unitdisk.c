#include "import/unitdisk.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool unitdisk_exists(const char *path) {
        struct stat st;

        return lstat(path, &st) == 0;
}

bool unitdisk_read_link(const char *path, char *target, size_t room) {
        ssize_t size = readlink(path, target, room - 1);
        const char *slash;

        if (size < 0)
                return false;
        target[size] = '\0';
        slash = strrchr(target, '/');
        if (slash)
                memmove(target, slash + 1, strlen(slash));
        return true;
}

bool unitdisk_is_mask(const char *path) {
        struct stat st;

        return stat(path, &st) == 0 && ((S_ISREG(st.st_mode) && st.st_size == 0) || S_ISCHR(st.st_mode));
}
