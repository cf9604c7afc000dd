#include "import/source.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE_LIMIT ((size_t)16 * 1024 * 1024)

/* Returns 0 or an errno. Nothing here is executed or obeyed, so who wrote the file does not matter. */
static int read_all(int fd, struct buf *text) {
        char piece[16384];
        ssize_t n;

        while ((n = read(fd, piece, sizeof(piece))) != 0) {
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return errno;
                buf_add(text, piece, (size_t)n);
                if (text->size > SIZE_LIMIT)
                        return EFBIG;
        }
        return buf_failed(text) ? ENOMEM : 0;
}

bool source_open(struct source *source, struct sheet *sheet, const char *path, const struct mark *from) {
        bool standard = strcmp(path, "-") == 0;
        const struct mark whole = {.file = path};
        AUTO(buf_deinit) struct buf text = BUF_NULL;
        AUTO(fd_closep) int fd = -EBADF;
        int r;

        fd = standard ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        r = fd < 0 ? errno : read_all(fd, &text);
        if (r != 0) {
                sheet_refuse(&sheet->top, from ? from : &whole, "%s cannot be read: %s", path, strerror(r));
                return false;
        }
        if (strlen(buf_text(&text)) != text.size) {
                sheet_refuse(&sheet->top, from ? from : &whole, "%s is not a text file: there is a NUL byte in it",
                             path);
                return false;
        }
        source->name = sheet_copy(sheet, standard ? "stdin" : path);
        source->next = sheet_copy(sheet, buf_text(&text));
        source->line = 0;
        return source->name && source->next;
}

static int compare_names(const struct dirent **a, const struct dirent **b) {
        return strcmp((*a)->d_name, (*b)->d_name);
}

int source_scan(const char *path, struct dirent ***ret, int (*filter)(const struct dirent *)) {
        return scandir(path, ret, filter, compare_names);
}

char *source_line(struct source *source, struct mark *ret) {
        char *line = source->next, *end;

        if (!line || !*line)
                return NULL;
        end = line + strcspn(line, "\n");
        source->next = *end ? end + 1 : end;
        *end = '\0';
        if (end > line && end[-1] == '\r')
                end[-1] = '\0';
        source->line++;
        *ret = source_mark(source);
        return line;
}
