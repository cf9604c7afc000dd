/* How many connections and how often, how long things may take, and how a program is stopped. */
#include "base/number.h"
#include "import/systemd.h"
#include "import/unitvalue.h"
#include "import/unitword.h"

#include <inttypes.h>

/* What systemd does where a unit says nothing. */
#define DEFAULT_CONNECTIONS 64
#define DEFAULT_ACCEPT_BURST 200
#define DEFAULT_BURST 20
#define DEFAULT_TRIGGER_INTERVAL (2 * USEC_PER_SEC)
#define DEFAULT_START_BURST 5
#define DEFAULT_START_INTERVAL (10 * USEC_PER_SEC)
#define DEFAULT_TIMEOUT (90 * USEC_PER_SEC)

/* What the broker does. */
#define DEFAULT_RESTART_DELAY_MAX (30 * USEC_PER_SEC)

static void raw_duration(struct conversion *conv, const char *key, usec_t value) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;

        if (value == USEC_INFINITY)
                buf_add_string(&text, "infinity");
        else
                number_add_duration(&text, value);
        sheet_raw(conv->out, key, "%s", buf_text(&text));
}

static void raw_rate(struct conversion *conv, const char *key, int64_t burst, usec_t interval) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;

        if (burst == 0 || interval == 0 || interval == USEC_INFINITY) {
                sheet_raw(conv->out, key, "unlimited");
                return;
        }
        number_add_duration(&text, interval);
        sheet_raw(conv->out, key, "%" PRId64 "/%s", burst, buf_text(&text));
}

static int64_t read_number(struct conversion *conv, const struct effective *effective, const char *name,
                           int64_t fallback) {
        const struct unit_entry *entry = systemd_last(effective, name);
        int64_t value = fallback;

        if (entry && !unitvalue_integer(entry->value, 0, UINT32_MAX - 1, &value))
                systemd_note(conv, SHEET_END, entry, "is not a whole number, so it means nothing");
        return value;
}

static void convert_connections(struct conversion *conv, const struct effective *socket) {
        const struct unit_entry *most = systemd_last(socket, "MaxConnections");
        int64_t instances = read_number(conv, socket, "MaxConnections", DEFAULT_CONNECTIONS);
        int64_t per_source = read_number(conv, socket, "MaxConnectionsPerSource", 0);

        if (instances == 0 && most)
                sheet_refuse(conv->out, &most->mark, "MaxConnections=0: nobody could connect, which systemd refuses");
        else
                sheet_raw(conv->out, "instances", "%" PRId64, instances);
        sheet_raw(conv->out, "when_full", "refuse");
        if (per_source > 0) {
                sheet_raw(conv->out, "per_source", "%" PRId64, per_source);
                node_raw(node_key(sheet_key(conv->out, "source_prefix"), "ipv6"), "128");
        } else if (systemd_last(socket, "MaxConnectionsPerSource")) {
                sheet_raw(conv->out, "per_source", "unlimited");
        }
        raw_rate(conv, "cps", read_number(conv, socket, "TriggerLimitBurst", DEFAULT_ACCEPT_BURST),
                 systemd_read_duration(conv, socket, "TriggerLimitIntervalSec", DEFAULT_TRIGGER_INTERVAL));
}

void systemd_convert_limits(struct conversion *conv, const struct effective *socket) {
        const char *const names[] = {"MaxConnections", "MaxConnectionsPerSource"};
        const struct unit_entry *burst = systemd_last(socket, "TriggerLimitBurst");
        const struct unit_entry *interval = systemd_last(socket, "TriggerLimitIntervalSec");
        const struct unit_entry *accept = systemd_last(socket, "Accept");

        if (accept && !conv->accept)
                systemd_add_to_group(conv, GROUP_HELD, accept);
        if (conv->accept) {
                convert_connections(conv, socket);
                return;
        }
        for (size_t i = 0; i < LENGTH_OF(names); i++) {
                const struct unit_entry *entry = systemd_last(socket, names[i]);

                if (entry)
                        systemd_note(conv, "instances", entry, "means nothing with Accept=no; the server accepts");
        }
        if (burst || interval)
                raw_rate(conv, "trigger_limit", read_number(conv, socket, "TriggerLimitBurst", DEFAULT_BURST),
                         systemd_read_duration(conv, socket, "TriggerLimitIntervalSec", DEFAULT_TRIGGER_INTERVAL));
}

/* A start limit is what stops a server that ends again and again, and with it its sockets. */
static void convert_start_limit(struct conversion *conv, const struct effective *service) {
        static const char *const names[] = {"StartLimitIntervalSec", "StartLimitInterval", "StartLimitBurst"};
        usec_t interval = DEFAULT_START_INTERVAL;
        bool any = false;

        for (size_t i = 0; i < LENGTH_OF(names); i++) {
                const struct unit_entry *entry = systemd_last(service, names[i]);

                if (!entry)
                        continue;
                any = true;
                if (conv->accept || sheet_has(conv->out, "trigger_limit"))
                        systemd_note(conv, conv->accept ? "cps" : "trigger_limit", entry, "%s",
                                     conv->accept ? "each connection is a start of its own"
                                                  : "there is one limit, and TriggerLimit has set it");
                else if (i < 2)
                        interval = systemd_read_duration(conv, service, names[i], DEFAULT_START_INTERVAL);
        }
        if (any && !conv->accept && !sheet_has(conv->out, "trigger_limit"))
                raw_rate(conv, "trigger_limit", read_number(conv, service, "StartLimitBurst", DEFAULT_START_BURST),
                         interval);
}

static bool is_one_of(const char *text, const char *words) {
        size_t size = strlen(text);

        for (const char *p = words; size > 0 && (p = strstr(p, text)); p += size)
                if ((p == words || p[-1] == ' ') && (p[size] == ' ' || p[size] == '\0'))
                        return true;
        return false;
}

static void refuse_entry(struct conversion *conv, const struct unit_entry *entry, const char *why) {
        sheet_refuse(conv->out, &entry->mark, "%s=%s: %s", entry->name, entry->value, why);
}

static void convert_type(struct conversion *conv, const struct effective *service) {
        const struct unit_entry *type = systemd_last(service, "Type");
        const struct unit_entry *name = systemd_last(service, "BusName");
        const char *value = type ? type->value : name ? "dbus" : "simple";

        if (is_one_of(value, "notify notify-reload")) {
                if (conv->accept)
                        systemd_note(conv, "ready", type,
                                     "ready is for servers; a connection's program is not waited "
                                     "for");
                else
                        sheet_raw(conv->out, "ready", "notify");
                if (strcmp(value, "notify-reload") == 0)
                        systemd_note(conv, "ready", type, "nobody tells a server to reload");
        } else if (strcmp(value, "forking") == 0) {
                refuse_entry(conv, type,
                             "the program leaves its process, and the broker would take it to have ended; "
                             "give it the option that keeps it in the foreground, and write Type=exec");
        } else if (strcmp(value, "dbus") == 0) {
                systemd_note(conv, "ready", type ? type : name,
                             "a server is ready when it is started, not when it has "
                             "its name on the bus");
        } else if (type && is_one_of(value, "simple exec idle oneshot")) {
                systemd_add_to_group(conv, GROUP_HELD, type);
        } else if (type) {
                systemd_note(conv, "ready", type, "is no type, so it means nothing");
        }
        if (name && (type || strcmp(value, "dbus") != 0))
                systemd_add_to_group(conv, GROUP_ABOUT, name);
}

static bool is_type(const struct effective *service, const char *words) {
        const struct unit_entry *type = systemd_last(service, "Type");

        return type && is_one_of(type->value, words);
}

/* The later one of a directive and TimeoutSec, which stands for it. */
static const struct unit_entry *find_timeout(const struct effective *service, const char *name) {
        for (size_t i = service->count; i-- > 0;) {
                const char *found = service->items[i].directive->name;

                if (strcmp(found, name) == 0 || strcmp(found, "TimeoutSec") == 0)
                        return service->items[i].entry;
        }
        return NULL;
}

/* 0 stands for no limit here. */
static usec_t read_timeout(struct conversion *conv, const struct unit_entry *entry) {
        usec_t value = DEFAULT_TIMEOUT;

        if (entry && !unitvalue_duration(entry->value, &value))
                systemd_note(conv, SHEET_END, entry, "is not a time span, so it means nothing");
        return value == 0 ? USEC_INFINITY : value;
}

static void convert_start_timeout(struct conversion *conv, const struct effective *service) {
        const struct unit_entry *entry = find_timeout(service, "TimeoutStartSec");
        bool is_own = entry && strcmp(entry->name, "TimeoutStartSec") == 0;
        usec_t value = read_timeout(conv, entry);

        if (is_type(service, "oneshot")) {
                if (entry)
                        raw_duration(conv, "max_runtime", value);
        } else if (conv->accept) {
                if (is_own)
                        systemd_note(conv, "start_timeout", entry,
                                     "start_timeout is for servers; a connection's program is not waited for");
        } else if (entry || is_type(service, "notify notify-reload")) {
                raw_duration(conv, "start_timeout", MAX_OF(value, USEC_PER_MSEC));
        }
}

static void convert_stop_timeout(struct conversion *conv, const struct effective *service) {
        const struct unit_entry *kill = systemd_last(service, "SendSIGKILL");
        usec_t value = read_timeout(conv, find_timeout(service, "TimeoutStopSec"));

        if (!systemd_read_bool(conv, service, "SendSIGKILL", true)) {
                const struct unit_entry *entry = systemd_last(service, "TimeoutStopSec");

                sheet_remark(conv->out, "stop_grace_period", "SendSIGKILL=%s", kill->value);
                if (entry)
                        sheet_remark(conv->out, "stop_grace_period", "TimeoutStopSec=%s", entry->value);
                value = USEC_INFINITY;
        } else if (kill) {
                systemd_hold_bool(conv, kill);
        }
        raw_duration(conv, "stop_grace_period", value);
}

static void convert_kill_mode(struct conversion *conv, const struct effective *service) {
        const struct unit_entry *entry = systemd_last(service, "KillMode");

        if (!entry)
                return;
        if (strcmp(entry->value, "process") == 0)
                sheet_raw(conv->out, "kill_mode", "process");
        else if (strcmp(entry->value, "control-group") == 0)
                sheet_raw(conv->out, "kill_mode", "group");
        else if (strcmp(entry->value, "mixed") == 0)
                systemd_note(conv, "kill_mode", entry,
                             "stop_signal reaches what the program has started, too; with "
                             "kill_mode: process not even SIGKILL would");
        else if (strcmp(entry->value, "none") == 0)
                refuse_entry(conv, entry, "the broker has to stop what it has started");
        else
                systemd_note(conv, "kill_mode", entry,
                             "is not control-group, mixed, process or none, so it means "
                             "nothing");
}

/* `kill -SIGNAL $MAINPID` and its like say what stop_signal is. False for any other command. */
static bool read_kill(const char *command, char signal[32]) {
        AUTO(buf_deinit) struct buf word = BUF_NULL;
        char words[5][32] = {0};
        size_t count = 0;

        command += strspn(command, "-@:+!");
        while (unitword_next(&command, &word) < UNITWORD_END) {
                if (count == LENGTH_OF(words) || word.size >= sizeof(words[0]))
                        return false;
                memcpy(words[count++], buf_text(&word), word.size + 1);
        }
        if (count < 3 || strcmp(words[count - 1], "$MAINPID") != 0 || words[1][0] != '-' ||
            !is_one_of(words[0], "kill /bin/kill /usr/bin/kill"))
                return false;
        if (count == 3)
                strcpy(signal, words[1] + (strncmp(words[1], "-s", 2) == 0 ? 2 : 1));
        else if (count == 4 && is_one_of(words[1], "-s --signal"))
                strcpy(signal, words[2]);
        else
                return false;
        return true;
}

static void raw_signal(struct conversion *conv, int number) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;

        number_add_signal(&text, number);
        sheet_raw(conv->out, "stop_signal", "%s", buf_text(&text));
}

static void convert_stop_commands(struct conversion *conv, const struct effective *service) {
        const struct unit_entry *entry;
        char signal[32];
        int number;

        for (size_t i = 0; (entry = systemd_next(service, "ExecStop", &i));) {
                if (sheet_has(conv->out, "stop_signal") || !read_kill(entry->value, signal) ||
                    number_parse_signal(signal, &number) < 0) {
                        systemd_add_to_group(conv, GROUP_COMMANDS, entry);
                        continue;
                }
                raw_signal(conv, number);
                sheet_remark(conv->out, "stop_signal", "ExecStop=%s", entry->value);
        }
}

/* systemd takes the smaller of the two for both. */
static void convert_restart_delay(struct conversion *conv, const struct effective *service, usec_t delay) {
        usec_t longest = systemd_read_duration(conv, service, "RestartMaxDelaySec", USEC_INFINITY);
        bool has_longest = systemd_last(service, "RestartMaxDelaySec");

        delay = MAX_OF(delay, USEC_PER_MSEC);
        raw_duration(conv, "restart_delay", delay < longest ? delay : MAX_OF(longest, USEC_PER_MSEC));
        if (!has_longest && delay > DEFAULT_RESTART_DELAY_MAX)
                raw_duration(conv, "restart_delay_max", delay);
}

static void convert_restart(struct conversion *conv, const struct effective *service) {
        const struct unit_entry *delay = systemd_last(service, "RestartSec");
        const struct unit_entry *remain = systemd_last(service, "RemainAfterExit");
        usec_t value = systemd_read_duration(conv, service, "RestartSec", 0);

        if (delay && (conv->accept || value == USEC_INFINITY))
                systemd_add_to_group(conv, GROUP_RESTART, delay);
        else if (delay)
                convert_restart_delay(conv, service, value);
        if (remain && systemd_read_bool(conv, service, "RemainAfterExit", false))
                refuse_entry(conv, remain,
                             "the service would count as running after its program has ended, and traffic "
                             "would start nothing");
        else if (remain)
                systemd_hold_bool(conv, remain);
}

static void convert_watchdog(struct conversion *conv, const struct effective *service) {
        static const struct directive as_key = {.name = "WatchdogSec", .key = "watchdog"};
        const struct unit_entry *entry = systemd_last(service, "WatchdogSec");
        usec_t value = systemd_read_duration(conv, service, "WatchdogSec", 0);

        if (entry && value == 0)
                systemd_add_to_group(conv, GROUP_HELD, entry);
        else if (entry)
                systemd_apply_key(conv, &as_key, entry);
        if (sheet_has(conv->out, "watchdog"))
                sheet_remark(conv->out, "watchdog", "a server that is silent gets stop_signal, not SIGABRT");
}

static void convert_runtime(struct conversion *conv, const struct effective *service) {
        static const struct directive as_key = {.name = "RuntimeMaxSec", .key = "max_runtime"};
        const struct unit_entry *entry = systemd_last(service, "RuntimeMaxSec");

        if (entry && is_type(service, "oneshot"))
                systemd_note(conv, "max_runtime", entry, "means nothing with Type=oneshot");
        else if (entry)
                systemd_apply_key(conv, &as_key, entry);
}

/* More descriptors than the broker would keep are rarely meant. */
static void convert_store(struct conversion *conv, const struct effective *service) {
        static const struct directive as_key = {.name = "FileDescriptorStoreMax", .key = "fd_store"};
        const struct unit_entry *entry = systemd_last(service, "FileDescriptorStoreMax");
        const struct key *key = section_find(&section_service, "fd_store");
        int64_t value;

        if (!entry)
                return;
        if (!conv->accept && conv->shape.handoff == HANDOFF_STDIO &&
            unitvalue_integer(entry->value, 1, UINT32_MAX, &value)) {
                systemd_note(conv, "fd_store", entry,
                             "what is stored is given back as descriptors behind the sockets, and this program has its "
                             "socket as stdin");
        } else if (key_applies(key, &conv->shape) &&
                   unitvalue_integer(entry->value, key->max + 1, UINT32_MAX, &value)) {
                sheet_raw(conv->out, "fd_store", "%" PRId64, key->max);
                systemd_note(conv, "fd_store", entry, "%" PRId64 " is the most there is here", key->max);
        } else {
                systemd_apply_key(conv, &as_key, entry);
        }
}

static void convert_notify_access(struct conversion *conv, const struct effective *service) {
        const struct unit_entry *entry = systemd_last(service, "NotifyAccess");
        bool has_socket = sheet_has(conv->out, "watchdog") || sheet_has(conv->out, "fd_store") ||
                          is_type(service, "notify notify-reload");

        if (!entry)
                return;
        if (conv->accept || (!has_socket && strcmp(entry->value, "none") != 0))
                systemd_note(conv, "ready", entry,
                             "there is NOTIFY_SOCKET with ready: notify, watchdog and fd_store "
                             "only");
        else if (strcmp(entry->value, "all") == 0 || !has_socket)
                systemd_add_to_group(conv, GROUP_HELD, entry);
        else
                sheet_remark(conv->out, "ready", "NotifyAccess=%s: all processes of the service may speak for it",
                             entry->value);
}

static void convert_blocking(struct conversion *conv, const struct effective *service) {
        static const struct directive as_key = {.name = "NonBlocking", .key = "non_blocking"};
        const struct unit_entry *entry = systemd_last(service, "NonBlocking");

        if (entry && (conv->accept || conv->shape.handoff == HANDOFF_STDIO) &&
            !systemd_read_bool(conv, service, "NonBlocking", false))
                systemd_add_to_group(conv, GROUP_HELD, entry);
        else if (entry)
                systemd_apply_key(conv, &as_key, entry);
}

void systemd_convert_times(struct conversion *conv) {
        const struct effective *service = &conv->service_effective;

        convert_type(conv, service);
        convert_start_limit(conv, service);
        convert_stop_commands(conv, service);
        convert_start_timeout(conv, service);
        convert_stop_timeout(conv, service);
        convert_runtime(conv, service);
        convert_kill_mode(conv, service);
        convert_watchdog(conv, service);
        convert_store(conv, service);
        convert_blocking(conv, service);
        convert_notify_access(conv, service);
        convert_restart(conv, service);
}
