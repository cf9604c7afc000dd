/*
 * What Node lacks to be a worker of handoff: pass: receiving a descriptor. watch(FD, CALLBACK) calls CALLBACK(fd, text) for
 * each connection that comes out of the queue FD, and CALLBACK(-1, "") when this worker is to end.
 *
 *     cc -shared -fPIC -I/usr/include/node -o queue.node queue.c      (Debian: libnode-dev)
 */
#include <node_api.h>
#include <uv.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

static struct {
        napi_env env;
        napi_ref callback;
        uv_poll_t poll;
        int fd;
} queue;

/* The descriptor, or -1 at the end; -2: nothing, since another worker was faster. */
static int receive(char *text, size_t room, size_t *size) {
        union {
                struct cmsghdr header;
                char room[CMSG_SPACE(sizeof(int))];
        } control;
        struct iovec iov = {text, room};
        struct msghdr message = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof(control.room)};
        const struct cmsghdr *header;
        ssize_t n = recvmsg(queue.fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        int fd;

        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? -2 : -1;
        *size = (size_t)n;
        header = n > 0 ? CMSG_FIRSTHDR(&message) : NULL;
        if (!header || header->cmsg_type != SCM_RIGHTS)
                return -1;
        memcpy(&fd, CMSG_DATA(header), sizeof(fd));
        return fd;
}

static void on_readable(uv_poll_t *poll, int status, int events) {
        napi_handle_scope scope;
        napi_value arguments[2], callback, receiver;
        char text[65536];
        size_t size = 0;
        int fd = receive(text, sizeof(text), &size);

        (void)status;
        (void)events;
        if (fd == -2)
                return;
        if (fd == -1)
                uv_poll_stop(poll);
        napi_open_handle_scope(queue.env, &scope);
        napi_get_reference_value(queue.env, queue.callback, &callback);
        napi_get_global(queue.env, &receiver);
        napi_create_int32(queue.env, fd, &arguments[0]);
        napi_create_string_utf8(queue.env, text, fd < 0 ? 0 : size, &arguments[1]);
        napi_make_callback(queue.env, NULL, receiver, callback, 2, arguments, NULL);
        napi_close_handle_scope(queue.env, scope);
}

static napi_value watch(napi_env env, napi_callback_info info) {
        napi_value arguments[2];
        size_t count = 2;
        uv_loop_t *loop;

        if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok || count != 2 ||
            napi_get_value_int32(env, arguments[0], &queue.fd) != napi_ok ||
            napi_create_reference(env, arguments[1], 1, &queue.callback) != napi_ok ||
            napi_get_uv_event_loop(env, &loop) != napi_ok) {
                napi_throw_error(env, NULL, "watch(FD, CALLBACK)");
                return NULL;
        }
        queue.env = env;
        uv_poll_init(loop, &queue.poll, queue.fd);
        /* That has set O_NONBLOCK, which belongs to the queue and so to all workers, also those that rely on waiting. */
        fcntl(queue.fd, F_SETFL, fcntl(queue.fd, F_GETFL) & ~O_NONBLOCK);
        uv_poll_start(&queue.poll, UV_READABLE, on_readable);
        return NULL;
}

NAPI_MODULE_INIT() {
        napi_value function;

        napi_create_function(env, "watch", NAPI_AUTO_LENGTH, watch, NULL, &function);
        napi_set_named_property(env, exports, "watch", function);
        return exports;
}
