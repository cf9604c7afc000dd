/* The other side of ctl/upgrade: the new binary, as it begins and as it is tried. */
#include "base/capability.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/number.h"
#include "core/keep.h"
#include "core/upgradecheck.h"
#include "ctl/upgrade.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

int upgrade_find_state(void) {
        const char *text = getenv(UPGRADE_STATE_VARIABLE);
        int64_t fd;

        if (!text)
                return -EBADF;
        if (number_parse(text, STDERR_FILENO + 1, INT32_MAX, &fd) < 0 || fd_cloexec_from(STDERR_FILENO + 1) < 0)
                fd = -EBADF;
        unsetenv(UPGRADE_STATE_VARIABLE);
        return (int)fd;
}

int upgrade_take_over(struct manager *manager, struct upgrade *upgrade, int own_fd, struct buf *why) {
        AUTO(state_reader_deinit) struct state_reader reader = STATE_READER_NULL;
        AUTO(fd_closep) int fd = own_fd;

        if (state_reader_init(&reader, fd, getpid())) {
                upgrade_set_count(upgrade, (unsigned)state_get_integer(state_reader_root(&reader), "upgrades", 1));
                manager_restore(manager, state_reader_root(&reader));
        }
        if (state_reader_failed(&reader)) {
                buf_add_string(why, buf_text(&reader.problem));
                return err_raise(-EINVAL);
        }
        state_settle_rest(&reader);
        manager_begin_again(manager);
        return 0;
}

/* Executed by the same rules as we are now, so that it has what it would have in our place. */
static void check_capabilities(struct state_reader *reader) {
        uint64_t kept = (uint64_t)state_get_integer(state_reader_root(reader), "capabilities", 0);
        struct capability_sets own;

        if (kept != 0 && (capability_get_own(&own) < 0 || (own.permitted & kept) != kept))
                state_reader_fail(reader, "it would lack capabilities that the running broker has; give them to its "
                                          "file, as they were given to the old one (setcap(8))");
}

/* Those that the running broker was started with, as we shall be. */
static void check_arguments(struct state_reader *reader, bool (*understands)(int argc, char **argv)) {
        AUTO(strlist_deinit) struct strlist arguments = STRLIST_NULL;

        state_get_texts(state_reader_root(reader), "arguments", &arguments);
        if (arguments.count > 0 && !understands((int)arguments.count, arguments.items))
                state_reader_fail(reader,
                                  "it does not understand the arguments that the running broker was started with");
}

int upgrade_check(struct manager *manager, int own_fd, bool (*understands)(int argc, char **argv)) {
        AUTO(fd_closep) int fd = own_fd;
        /* Not freed: what stands in it would be taken apart as if it were real. */
        struct state_reader reader;
        AUTO(freep) char *token = NULL;

        if (state_reader_init(&reader, fd, getppid())) {
                reader.trial = true;
                token = state_get_text(state_reader_root(&reader), "token");
                check_capabilities(&reader);
                check_arguments(&reader, understands);
                manager_restore(manager, state_reader_root(&reader));
                state_settle_rest(&reader);
        }
        log_flush();
        if (!state_reader_failed(&reader) && token && printf(UPGRADE_ANSWER "%s\n", token) > 0 && fflush(stdout) == 0)
                return EXIT_SUCCESS;
        fprintf(stderr, "%s\n", buf_text(&reader.problem));
        return EXIT_FAILURE;
}
