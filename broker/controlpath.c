#include "controlpath.h"

#include "base/buf.h"

#include <unistd.h>

char *controlpath_default(void) {
        const char *path = getenv("BROKER_CONTROL"), *runtime = getenv("XDG_RUNTIME_DIR");
        struct buf text = BUF_NULL;

        if (path && path[0] == '/')
                return strdup(path);
        if (geteuid() == 0)
                return strdup("/run/broker/control");
        if (!runtime || runtime[0] != '/')
                return NULL;
        buf_printf(&text, "%s/broker/control", runtime);
        return buf_take(&text);
}
