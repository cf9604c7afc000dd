#include "activate/poller.h"

#include "base/err.h"
#include "base/fd.h"

#include <errno.h>
#include <time.h>

int poller_init(struct poller *poller, const struct sockets *sockets, const sigset_t *signals) {
        *poller = POLLER_NULL;
        poller->polls = calloc(sockets->count + 1, sizeof(*poller->polls));
        if (!poller->polls)
                return err_raise(-ENOMEM);
        poller->signal_fd = signals_open(signals);
        if (poller->signal_fd < 0)
                return poller->signal_fd;
        poller->polls[0] = (struct pollfd){.fd = poller->signal_fd, .events = POLLIN};
        for (size_t i = 0; i < sockets->count; i++)
                poller->polls[i + 1] = (struct pollfd){
                        .fd = sockets->items[i].fd,
                        .events = (short)listen_events(&sockets->items[i].addr, sockets->items[i].fd),
                };
        poller->count = sockets->count;
        return 0;
}

void poller_deinit(struct poller *poller) {
        fd_close(poller->signal_fd);
        free(poller->polls);
        *poller = POLLER_NULL;
}

int poller_wait(struct poller *poller, bool traffic, usec_t timeout) {
        struct timespec ts = {.tv_sec = (time_t)(timeout / USEC_PER_SEC),
                              .tv_nsec = (long)(timeout % USEC_PER_SEC * 1000)};
        int n;

        poller->polls[0].revents = 0;
        poller->at = poller->ready = 0;
        n = ppoll(poller->polls, traffic ? poller->count + 1 : 1, timeout == USEC_INFINITY ? NULL : &ts, NULL);
        /* Memory, or a signal that cannot be blocked (SIGCONT after SIGSTOP): the next round tells. */
        if (n < 0)
                return errno == EINTR || errno == ENOMEM || errno == EAGAIN ? 0 : err_raise(-errno);
        poller->ready = (size_t)n - (n > 0 && poller->polls[0].revents != 0);
        return 0;
}

size_t poller_signals(struct poller *poller, int out[SIGNALS_MAX]) {
        return poller->polls[0].revents ? signals_read(poller->signal_fd, out) : 0;
}

int poller_next(struct poller *poller) {
        while (poller->ready > 0 && poller->at < poller->count)
                if (poller->polls[++poller->at].revents != 0) {
                        poller->ready--;
                        return (int)poller->at - 1;
                }
        return -1;
}

void poller_drop(struct poller *poller, size_t index) {
        poller->polls[index + 1].fd = -EBADF;
}
