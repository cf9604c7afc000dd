/* What a message bus would answer. There is none here, but clients that think so, such as busctl(1), ask these before
 * they ask us anything. */
#include "ctl/buspeer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DRIVER_NAME "org.freedesktop.DBus"
#define DRIVER_PATH "/org/freedesktop/DBus"

static void format_peer_name(const struct bus_peer *peer, char name[16]) {
        snprintf(name, 16, ":1.%u", peer->number);
}

static int begin_reply(sd_bus_message *call, sd_bus_message **ret) {
        int r = sd_bus_message_new_method_return(call, ret);

        return r < 0 ? r : sd_bus_message_set_sender(*ret, DRIVER_NAME);
}

static int send_reply(sd_bus_message *reply, int r) {
        if (r >= 0)
                r = sd_bus_send(NULL, reply, NULL);
        sd_bus_message_unref(reply);
        return r;
}

static int on_hello(sd_bus_message *call, void *userdata, sd_bus_error *error UNUSED) {
        sd_bus_message *reply = NULL;
        char name[16];
        int r = begin_reply(call, &reply);

        format_peer_name(userdata, name);
        if (r >= 0)
                r = sd_bus_message_append(reply, "s", name);
        return send_reply(reply, r);
}

static int on_list_names(sd_bus_message *call, void *userdata, sd_bus_error *error UNUSED) {
        sd_bus_message *reply = NULL;
        char name[16];
        int r = begin_reply(call, &reply);

        format_peer_name(userdata, name);
        if (r >= 0)
                r = sd_bus_message_append(reply, "as", 4, DRIVER_NAME, BUS_NAME, BUS_OWN_NAME, name);
        return send_reply(reply, r);
}

static int on_list_activatable(sd_bus_message *call, void *userdata UNUSED, sd_bus_error *error UNUSED) {
        sd_bus_message *reply = NULL;
        int r = begin_reply(call, &reply);

        if (r >= 0)
                r = sd_bus_message_append(reply, "as", 0);
        return send_reply(reply, r);
}

static int no_owner(const char *name, sd_bus_error *error) {
        return sd_bus_error_setf(error, SD_BUS_ERROR_NAME_HAS_NO_OWNER, "The name '%s' has no owner", name);
}

/* The unique name behind the one that CALL asks for; "" where there is none. TEXT has room for one. */
static int read_owner(sd_bus_message *call, const struct bus_peer *peer, const char **ret_name, char owner[32]) {
        char own[16];
        int r = sd_bus_message_read(call, "s", ret_name);

        if (r < 0)
                return r;
        format_peer_name(peer, own);
        owner[0] = '\0';
        if (strcmp(*ret_name, BUS_NAME) == 0 || strcmp(*ret_name, BUS_OWN_NAME) == 0)
                strcpy(owner, BUS_OWN_NAME);
        else if (strcmp(*ret_name, DRIVER_NAME) == 0)
                strcpy(owner, DRIVER_NAME);
        else if (strcmp(*ret_name, own) == 0)
                strcpy(owner, own);
        return 0;
}

static int on_get_owner(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        sd_bus_message *reply = NULL;
        const char *name;
        char owner[32];
        int r = read_owner(call, userdata, &name, owner);

        if (r < 0)
                return r;
        if (owner[0] == '\0')
                return no_owner(name, error);
        r = begin_reply(call, &reply);
        if (r >= 0)
                r = sd_bus_message_append(reply, "s", owner);
        return send_reply(reply, r);
}

static int on_has_owner(sd_bus_message *call, void *userdata, sd_bus_error *error UNUSED) {
        sd_bus_message *reply = NULL;
        const char *name;
        char owner[32];
        int r = read_owner(call, userdata, &name, owner);

        if (r < 0)
                return r;
        r = begin_reply(call, &reply);
        if (r >= 0)
                r = sd_bus_message_append(reply, "b", owner[0] != '\0');
        return send_reply(reply, r);
}

/* Only about ourselves: a peer knows who it is. */
static int answer_identity(sd_bus_message *call, const struct bus_peer *peer, uint32_t value, sd_bus_error *error) {
        sd_bus_message *reply = NULL;
        const char *name;
        char owner[32];
        int r = read_owner(call, peer, &name, owner);

        if (r < 0)
                return r;
        if (strcmp(owner, BUS_OWN_NAME) != 0 && strcmp(owner, DRIVER_NAME) != 0)
                return no_owner(name, error);
        r = begin_reply(call, &reply);
        if (r >= 0)
                r = sd_bus_message_append(reply, "u", value);
        return send_reply(reply, r);
}

static int on_get_pid(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        return answer_identity(call, userdata, (uint32_t)getpid(), error);
}

static int on_get_user(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        return answer_identity(call, userdata, (uint32_t)geteuid(), error);
}

static int on_get_context(sd_bus_message *call UNUSED, void *userdata UNUSED, sd_bus_error *error) {
        return sd_bus_error_set(error, "org.freedesktop.DBus.Error.SELinuxSecurityContextUnknown",
                                "It is not known here");
}

/* We send no signals, so there is nothing to choose from. */
static int on_match(sd_bus_message *call, void *userdata UNUSED, sd_bus_error *error UNUSED) {
        sd_bus_message *reply = NULL;
        int r = begin_reply(call, &reply);

        return send_reply(reply, r);
}

static const sd_bus_vtable driver_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Hello", "", "s", on_hello, 0),
        SD_BUS_METHOD("ListNames", "", "as", on_list_names, 0),
        SD_BUS_METHOD("ListActivatableNames", "", "as", on_list_activatable, 0),
        SD_BUS_METHOD("GetNameOwner", "s", "s", on_get_owner, 0),
        SD_BUS_METHOD("NameHasOwner", "s", "b", on_has_owner, 0),
        SD_BUS_METHOD("GetConnectionUnixProcessID", "s", "u", on_get_pid, 0),
        SD_BUS_METHOD("GetConnectionUnixUser", "s", "u", on_get_user, 0),
        SD_BUS_METHOD("GetConnectionSELinuxSecurityContext", "s", "ay", on_get_context, 0),
        SD_BUS_METHOD("AddMatch", "s", "", on_match, 0),
        SD_BUS_METHOD("RemoveMatch", "s", "", on_match, 0),
        SD_BUS_VTABLE_END,
};

int bus_driver_add(struct bus_peer *peer) {
        return sd_bus_add_object_vtable(peer->connection, NULL, DRIVER_PATH, DRIVER_NAME, driver_vtable, peer);
}
