/*
 * queue: a client and a server of POSIX message queues for the tests, since Perl has none.
 *   queue send NAME TEXT     puts one message into the queue
 *   queue receive FD         takes one message from the queue that is open at FD, and says it on stderr
 *   queue make NAME          makes the queue, for 2 messages of 64 bytes
 *   queue remove NAME        removes it
 *   queue look NAME          "mode=… uid=… gid=… max_messages=… message_size=…" on stdout
 *
 * Exit status: 0; 1 after having said why not; 2 wrong arguments; 77 where the kernel has no message queues.
 */

#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define STATUS_USAGE 2
#define STATUS_NO_QUEUES 77

static int failed(const char *what) {
        int status = errno == ENOSYS ? STATUS_NO_QUEUES : 1;

        fprintf(stderr, "queue: %s: %s\n", what, strerror(errno));
        return status;
}

static int send_text(const char *name, const char *text) {
        mqd_t queue = mq_open(name, O_WRONLY | O_CLOEXEC);

        if (queue < 0 || mq_send(queue, text, strlen(text), 0) < 0)
                return failed(name);
        return 0;
}

static int receive(mqd_t queue) {
        struct mq_attr attr;
        char *text;
        ssize_t n;

        if (mq_getattr(queue, &attr) < 0)
                return failed("descriptor");
        text = malloc((size_t)attr.mq_msgsize);
        n = text ? mq_receive(queue, text, (size_t)attr.mq_msgsize, NULL) : -1;
        if (n < 0)
                return failed("receive");
        fprintf(stderr, "received %.*s\n", (int)n, text);
        free(text);
        return 0;
}

static int make(const char *name) {
        struct mq_attr attr = {.mq_maxmsg = 2, .mq_msgsize = 64};

        return mq_open(name, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600, &attr) < 0 ? failed(name) : 0;
}

static int look(const char *name) {
        mqd_t queue = mq_open(name, O_RDONLY | O_CLOEXEC);
        struct mq_attr attr;
        struct stat st;

        if (queue < 0 || mq_getattr(queue, &attr) < 0 || fstat(queue, &st) < 0)
                return failed(name);
        printf("mode=%04o uid=%u gid=%u max_messages=%ld message_size=%ld\n", st.st_mode & 07777, st.st_uid, st.st_gid,
               attr.mq_maxmsg, attr.mq_msgsize);
        return 0;
}

int main(int argc, char **argv) {
        const char *verb = argc > 2 ? argv[1] : "";

        if (strcmp(verb, "send") == 0 && argc == 4)
                return send_text(argv[2], argv[3]);
        if (strcmp(verb, "receive") == 0)
                return receive(atoi(argv[2]));
        if (strcmp(verb, "make") == 0)
                return make(argv[2]);
        if (strcmp(verb, "remove") == 0)
                return mq_unlink(argv[2]) < 0 ? failed(argv[2]) : 0;
        if (strcmp(verb, "look") == 0)
                return look(argv[2]);
        fputs("usage: queue send|receive|make|remove|look NAME|FD [TEXT]\n", stderr);
        return STATUS_USAGE;
}
