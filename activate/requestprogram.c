#include "activate/requestprogram.h"

#include "activate/say.h"
#include "base/err.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME "activate-request"

/* Returns false where there is none, or nobody can say. */
static bool find_beside(char path[PATH_MAX + sizeof(NAME)]) {
        ssize_t n = readlink("/proc/self/exe", path, PATH_MAX);
        char *slash;

        if (n <= 0 || n >= PATH_MAX)
                return false;
        path[n] = '\0';
        slash = strrchr(path, '/');
        if (!slash)
                return false;
        strcpy(slash + 1, NAME);
        return access(path, X_OK) == 0;
}

int requestprogram_become(char **argv) {
        char beside[PATH_MAX + sizeof(NAME)];
        const char *path = find_beside(beside) ? beside : REQUEST_PROGRAM;

        execv(path, argv);
        say_error("--request needs '%s', which cannot be executed: %s", path, err_text(-errno));
        return EXIT_FAILURE;
}
