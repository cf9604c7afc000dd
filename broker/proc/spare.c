#include "proc/spare.h"

#include "base/err.h"
#include "base/fd.h"
#include "proc/spareword.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define ERRNO_MAX 4095 /* of the kernel */

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

static int write_image(int fd) {
        ssize_t n = write(fd, spare_image, spare_image_size);

        if (n < 0)
                return err_raise(-errno);
        if ((size_t)n != spare_image_size)
                return err_raise(-ENOSPC);
        /* As long as a process runs what its user cannot read, he cannot look into it or take its descriptors from it
         * (ptrace(2)); its program may be one that he cannot either, a set-user-ID one. */
        if (fchmod(fd, 0511) < 0)
                return err_raise(-errno);
        /* Nobody may change what runs with rights, whoever gets hold of it. */
        if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
                return err_raise(-errno);
        return 0;
}

int spare_open_image(void) {
        AUTO(fd_closep) int fd = -EBADF;
        int r;

        if (spare_image_size == 0)
                return err_raise(-EOPNOTSUPP);
        fd = memfd_create(SPARE_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
        /* Before Linux 6.3 all of them can be executed. */
        if (fd < 0 && errno == EINVAL)
                fd = memfd_create(SPARE_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
        /* vm.memfd_noexec, or a filter of system calls. */
        if (fd < 0 && (errno == EACCES || errno == EPERM || errno == ENOSYS))
                return err_raise(-EOPNOTSUPP);
        if (fd < 0)
                return err_raise(-errno);
        r = write_image(fd);
        return r < 0 ? r : take_fd(fd);
}

const char *spare_error_text(int error) {
        if (error != -EOPNOTSUPP)
                return err_text(error);
        return spare_image_size == 0 ? "there are none on this processor"
                                     : "the system lets no memory file be executed (memfd_create, vm.memfd_noexec)";
}

static bool is_room_for(int fd) {
        struct rlimit limit;

        return getrlimit(RLIMIT_NOFILE, &limit) == 0 && (rlim_t)fd < limit.rlim_cur - limit.rlim_cur / 4;
}

int spare_open_link(int ends[2]) {
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
                return err_raise(-errno);
        if (is_room_for(ends[0]) && is_room_for(ends[1]))
                return 0;
        fd_close(ends[0]);
        fd_close(ends[1]);
        return err_raise(-EMFILE);
}

static void mark_text(const char *text, bool used[256]) {
        for (; *text; text++)
                used[(unsigned char)*text] = true;
}

static void mark_used(const struct plan_words *words, bool used[256]) {
        for (size_t i = 0; i < words->count; i++)
                mark_text(words->items[i], used);
}

/* Bytes that stand in no word of the plan. */
static int find_stand_ins(struct spare_setup *setup, const struct launch_plan *plan) {
        bool used[256] = {true};
        size_t found = 0;

        memset(setup->stand_ins, 0, sizeof(setup->stand_ins));
        if (plan->argv.dynamic_count + plan->env.dynamic_count == 0)
                return 0;
        mark_used(&plan->argv, used);
        mark_used(&plan->env, used);
        /* What the child adds is no word of the plan. */
        mark_text("LISTEN_PIDFDID=", used);
        for (size_t i = 1; i < LENGTH_OF(used) && found < 2; i++)
                /* Nor what a placeholder may leave behind: digits. */
                if (!used[i] && (i < '0' || i > '9'))
                        setup->stand_ins[found++][0] = (char)i;
        return found == 2 ? 0 : err_raise(-E2BIG);
}

static void format_settings(struct spare_setup *setup, const struct launch_plan *plan) {
        int n = snprintf(setup->settings, sizeof(setup->settings), "%zu %d %u %u", plan->env.count, SPARE_GAP_MAX,
                         (unsigned char)setup->stand_ins[0][0], (unsigned char)setup->stand_ins[1][0]);

        for (size_t i = 0; i < setup->target_count; i++)
                n += snprintf(setup->settings + n, sizeof(setup->settings) - (size_t)n, " %d", setup->targets[i]);
}

int spare_make_request(struct spare_setup *setup, struct launch_request *request) {
        static const char *const gap[SPARE_GAP_MAX] = {"", "", "", "", "", "", "", "", "", "", "", "", "", "", "", ""};
        int r = find_stand_ins(setup, request->plan);

        if (r < 0)
                return r;
        format_settings(setup, request->plan);
        setup->fds[request->fd_count++] = (struct launch_fd){.from = setup->link, .to = SPARE_LINK_FD};
        setup->fds[request->fd_count++] = (struct launch_fd){.from = setup->image, .to = SPARE_IMAGE_FD};
        request->fds = setup->fds;
        request->env = gap;
        request->env_count = SPARE_GAP_MAX;
        request->remote_addr = setup->stand_ins[0];
        request->remote_port = setup->stand_ins[1];
        request->spare_settings = setup->settings;
        return 0;
}

static void add_text(struct iovec *iov, size_t *count, size_t *size, const char *text) {
        iov[*count] = (struct iovec){.iov_base = (void *)text, .iov_len = strlen(text) + 1};
        *size += iov[(*count)++].iov_len;
}

int spare_send(int link, const struct launch_request *request, int socket) {
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
        struct iovec iov[2 + SPARE_GAP_MAX];
        struct msghdr message = {.msg_iov = iov, .msg_control = &control, .msg_controllen = sizeof(control)};
        size_t count = 0, size = 0;

        if (request->env_count > SPARE_GAP_MAX)
                return err_raise(-E2BIG);
        memcpy(CMSG_DATA(&control.header), &socket, sizeof(socket));
        add_text(iov, &count, &size, request->remote_addr);
        add_text(iov, &count, &size, request->remote_port);
        for (size_t i = 0; i < request->env_count; i++)
                add_text(iov, &count, &size, request->env[i]);
        if (size > SPARE_MESSAGE_MAX - 1)
                return err_raise(-E2BIG);
        message.msg_iovlen = count;
        return sendmsg(link, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? err_raise(-errno) : 0;
}

bool spare_failure(int link, struct launch_failure *ret) {
        static const enum child_stage stages[] = {
                [SPARE_TROUBLE_FDS] = CHILD_STAGE_FDS,
                [SPARE_TROUBLE_WORDS] = CHILD_STAGE_EXEC,
                [SPARE_TROUBLE_EXEC] = CHILD_STAGE_EXEC,
        };
        struct spare_answer answer;

        /* The program's user may have written it. */
        if (recv(link, &answer, sizeof(answer), MSG_DONTWAIT) != (ssize_t)sizeof(answer) ||
            (size_t)answer.trouble >= LENGTH_OF(stages) || answer.error <= 0 || answer.error > ERRNO_MAX)
                return false;
        *ret = (struct launch_failure){.stage = stages[answer.trouble], .error = answer.error};
        return true;
}

bool spare_is_over(int link) {
        return recv(link, &(char){0}, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

bool spare_is_stopped(pid_t pid) {
        siginfo_t info = {.si_pid = 0};

        return waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
}
