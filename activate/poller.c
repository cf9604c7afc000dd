#include "activate/poller.h"

#include "base/err.h"
#include "base/fd.h"

#include <errno.h>
#include <time.h>

#define OTHERS 3 /* what stands before the sockets */

int poller_init(struct poller *poller, const struct sockets *sockets, const sigset_t *signals) {
        *poller = POLLER_NULL;
        poller->polls = calloc(sockets->count + OTHERS, sizeof(*poller->polls));
        if (!poller->polls)
                return err_raise(-ENOMEM);
        poller->signal_fd = signals_open(signals);
        if (poller->signal_fd < 0)
                return poller->signal_fd;
        poller->polls[0] = (struct pollfd){.fd = poller->signal_fd, .events = POLLIN};
        /* Only its end is of interest, which nobody has to ask for; without a claim poll(2) leaves it out. */
        poller->polls[1] = (struct pollfd){.fd = sockets->claim ? broker_claim_fd(sockets->claim) : -EBADF};
        poller->polls[2] = (struct pollfd){.fd = -EBADF};
        for (size_t i = 0; i < sockets->count; i++)
                poller->polls[i + OTHERS] = (struct pollfd){
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

        poller->polls[0].revents = poller->polls[1].revents = poller->polls[2].revents = 0;
        poller->at = poller->ready = 0;
        n = ppoll(poller->polls, traffic ? poller->count + OTHERS : OTHERS, timeout == USEC_INFINITY ? NULL : &ts,
                  NULL);
        /* Memory, or a signal that cannot be blocked (SIGCONT after SIGSTOP): the next round tells. */
        if (n < 0)
                return errno == EINTR || errno == ENOMEM || errno == EAGAIN ? 0 : err_raise(-errno);
        poller->ready = (size_t)n;
        for (size_t i = 0; i < OTHERS; i++)
                poller->ready -= n > 0 && poller->polls[i].revents != 0;
        return 0;
}

void poller_wait_for_room(struct poller *poller, int fd) {
        poller->polls[2] = (struct pollfd){.fd = fd, .events = POLLIN};
}

size_t poller_signals(struct poller *poller, int out[SIGNALS_MAX]) {
        return poller->polls[0].revents ? signals_read(poller->signal_fd, out) : 0;
}

bool poller_claim_is_over(struct poller *poller) {
        if (poller->polls[1].revents == 0)
                return false;
        poller_drop_claim(poller);
        return true;
}

void poller_drop_claim(struct poller *poller) {
        poller->polls[1] = (struct pollfd){.fd = -EBADF};
}

int poller_next(struct poller *poller) {
        while (poller->ready > 0 && poller->at < poller->count)
                if (poller->polls[OTHERS + poller->at++].revents != 0) {
                        poller->ready--;
                        return (int)poller->at - 1;
                }
        return -1;
}

void poller_drop(struct poller *poller, size_t index) {
        poller->polls[index + OTHERS].fd = -EBADF;
}
