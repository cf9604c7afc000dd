/*
 * A server that takes its sockets by LISTEN_FDS, with libsockbroker (sd_listen_fds_with_names(3) of libsystemd does the
 * same). Clients of a stream socket are told its name; datagrams are sent back.
 *
 *     cc -o server server.c $(pkg-config --cflags --libs libsockbroker)
 */
#include <sockbroker.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOCKETS_MAX 16

static void serve_client(int listener, const char *name) {
        char text[128];
        int client = accept(listener, NULL, NULL);

        if (client < 0)
                return;
        snprintf(text, sizeof(text), "%s: served by C, process %d\n", name, (int)getpid());
        send(client, text, strlen(text), MSG_NOSIGNAL);
        close(client);
}

static void send_back(int fd) {
        struct sockaddr_storage peer;
        socklen_t length = sizeof(peer);
        char text[65536];
        ssize_t size = recvfrom(fd, text, sizeof(text), 0, (struct sockaddr *)&peer, &length);

        if (size >= 0)
                sendto(fd, text, (size_t)size, 0, (struct sockaddr *)&peer, length);
}

int main(void) {
        struct pollfd sockets[SOCKETS_MAX];
        char **names;
        int n = broker_listen_fds(true, &names);

        if (n <= 0 || n > SOCKETS_MAX) {
                fprintf(stderr, "server: not socket-activated\n");
                return EXIT_FAILURE;
        }
        for (int i = 0; i < n; i++)
                sockets[i] = (struct pollfd){.fd = BROKER_LISTEN_FDS_START + i, .events = POLLIN};
        while (poll(sockets, (nfds_t)n, -1) > 0)
                for (int i = 0; i < n; i++) {
                        if (sockets[i].revents == 0)
                                continue;
                        if (strcmp(names[i], "datagrams") == 0)
                                send_back(sockets[i].fd);
                        else
                                serve_client(sockets[i].fd, names[i]);
                }
        return EXIT_FAILURE;
}
