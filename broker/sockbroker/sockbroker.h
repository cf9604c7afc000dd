/* libsockbroker: what programs under sockbroker can use. Needs the C library only; see sockbroker(3).
 *
 * Functions return a negative errno when they fail, and write their results only when they do not. What has a _free
 * function is freed by it; those take NULL and return NULL. There is no state beside the objects: different threads may
 * use different objects at the same time. */
#ifndef SOCKBROKER_H
#define SOCKBROKER_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Sockets this program was started with: LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES, as sd_listen_fds_with_names(3) has
 * them. */

#define BROKER_LISTEN_FDS_START 3

/* Returns how many descriptors there are, from BROKER_LISTEN_FDS_START on, each close-on-exec from now on; 0 when none
 * were meant for this process. RET_NAMES, unless NULL, gets as many names and a NULL, or NULL with 0; "unknown" where
 * there are none. With UNSET_ENVIRONMENT the variables are removed, on every path. -EINVAL: they are malformed, or
 * names and descriptors differ in number; -EBADF: a descriptor that was announced is not open; -ENOMEM. */
int broker_listen_fds(bool unset_environment, char ***ret_names);
char **broker_names_free(char **names);

/* Connections that a worker takes from the queue of its pool (`handoff: pass`), which is descriptor 3 there. */

struct broker_connection;

/* Takes one. Returns 1 with a connection in RET; 0 when there will be no more, since all others have closed their end
 * of the queue; or a negative errno, with nothing left open: -EAGAIN (the queue does not block and there is nothing),
 * -EINTR, -EBADMSG (what came was no connection), -EMSGSIZE (it was too long), -EMFILE (no descriptor was free for the
 * connection, which is lost), -ENOMEM, or what recvmsg(2) says. */
int broker_receive(int queue_fd, struct broker_connection **ret);

/* The connection, blocking and close-on-exec. It is closed by broker_connection_free(), unless it was taken. */
int broker_connection_fd(const struct broker_connection *connection);
int broker_connection_take_fd(struct broker_connection *connection);

/* What the environment of a program started for this connection would say: REMOTE_ADDR, SERVER_PORT... NULL when it
 * says nothing of KEY. Valid as long as the connection object. */
const char *broker_connection_get(const struct broker_connection *connection, const char *key);

/* All of it: "KEY=VALUE", with a NULL at the end. */
char *const *broker_connection_environment(const struct broker_connection *connection);

struct broker_connection *broker_connection_free(struct broker_connection *connection);

/* Listening sockets that are taken from the running broker by the name of their service (`claim:` in its definition).
 * Meanwhile the broker neither accepts from them nor starts the service. libsystemd is loaded by the first claim. */

struct broker_claim;

/* CONTROL is the path of the broker's control socket; NULL: $BROKER_CONTROL, else /run/broker/control, else
 * $XDG_RUNTIME_DIR/broker/control. RET_MESSAGE, unless NULL, gets a sentence about an error, to be freed with free(3);
 * or NULL where there is none. -ENOENT: there is no broker; -ESRCH: it has no such service; -EACCES: this user may not;
 * -EBUSY: somebody else has claimed it; -EHOSTDOWN: it has been stopped; -ENOSYS: libsystemd is missing, or the broker
 * knows nothing of claims; -ETIMEDOUT: the broker does not answer; -EBADMSG: what it answers cannot be used; and what
 * connect(2) says. */
int broker_claim(const char *service, const char *control, struct broker_claim **ret, char **ret_message);

/* The sockets: in the order of the definition, worker by worker; close-on-exec. They are closed by broker_claim_free().
 * INDEX is less than the count. */
size_t broker_claim_count(const struct broker_claim *claim);
int broker_claim_socket(const struct broker_claim *claim, size_t index);
const char *broker_claim_name(const struct broker_claim *claim, size_t index);

/* The connection that the claim lives as long as: it becomes readable or hangs up when the broker ends the claim. A
 * program that executes another may let it inherit this descriptor. */
int broker_claim_fd(const struct broker_claim *claim);

/* Gives the sockets back: the broker listens again. */
struct broker_claim *broker_claim_free(struct broker_claim *claim);

#ifdef __cplusplus
}
#endif

#endif
