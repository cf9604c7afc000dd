/* Units of systemd: a socket and its service, which are cut from the input at a line of %%%, with another socket behind
 * a second one. */
#include "fuzzimport.h"

#include "import/unitdisk.h"

#include <string.h>

bool __wrap_unitdisk_exists(const char *path);
bool __wrap_unitdisk_read_link(const char *path, char *target, size_t room);
bool __wrap_unitdisk_is_mask(const char *path);

bool __wrap_unitdisk_exists(const char *path) {
        return fuzz_has_file(path);
}

bool __wrap_unitdisk_read_link(const char *path UNUSED, char *target UNUSED, size_t room UNUSED) {
        return false;
}

bool __wrap_unitdisk_is_mask(const char *path UNUSED) {
        return false;
}

/* Ends *TEXT at the next line of %%% and returns what stands behind it. */
static char *cut(char *text) {
        static const char line[] = "\n%%%\n";
        char *end = strstr(text, line);

        if (!end)
                return text + strlen(text);
        end[1] = '\0';
        return end + strlen(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;
        char *service, *more;

        buf_add(&text, (const char *)data, size);
        buf_add_char(&text, '\n');
        service = cut(text.data);
        more = cut(service);
        fuzz_import_files(import_systemd,
                          (struct fuzz_file[]){{"fuzz@one.socket", text.data, true},
                                               {"fuzz@.service", service, false},
                                               {"more.socket", more, *more != '\0'},
                                               {"fuzz.service", service, false}},
                          4);
        return 0;
}
