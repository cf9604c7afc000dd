/* Unknown keys, and what their writers meant: a word of xinetd's, systemd's or docker compose's, a key that belongs
 * elsewhere, or a slip. */
#include "base/nearest.h"
#include "conf/decode.h"

#include <ctype.h>
#include <string.h>

struct foreign_key {
        const char *word; /* compared without case, _ and - */
        const char *advice;
};

static const struct foreign_key service_words[] = {
        /* xinetd.conf(5) */
        {"server", "write command"},
        {"server_args", "write them in command"},
        {"socket_type", "write the kind in listen: 80, \"udp:69\", \"seqpacket:/path\""},
        {"protocol", "write the kind in listen: 80, \"udp:69\", \"seqpacket:/path\""},
        {"port", "write listen"},
        {"bind", "write the address in listen: \"127.0.0.1:80\""},
        {"interface", "write the address in listen: \"127.0.0.1:80\""},
        {"disable", "write enabled: no"},
        {"disabled", "write enabled: no"},
        {"redirect", "write proxy: host:port"},
        {"flags", "write no_delay or keep_alive in listen, and enabled, or leave it out"},
        {"type", "write builtin for INTERNAL, tcpmux for TCPMUX, or leave it out"},
        {"id", "the name of the service is its id"},
        {"env", "write environment"},
        {"passenv", "write pass_environment"},
        {"log_type", "write broker: {log: {format: ...}}"},
        {"log_on_success", "leave it out; every connection is logged"},
        {"log_on_failure", "leave it out; every refusal is logged"},
        {"v6only", "write ipv6_only in listen"},
        {"deny_time", "write sensor: 1h"},
        {"rlimit_as", "write ulimits: {as: ...}"},
        {"rlimit_files", "write ulimits: {nofile: ...}"},
        {"rlimit_cpu", "write ulimits: {cpu: ...}"},
        {"rlimit_data", "write ulimits: {data: ...}"},
        {"rlimit_rss", "write ulimits: {rss: ...}"},
        {"rlimit_stack", "write ulimits: {stack: ...}"},
        {"user_id", "write user"},
        /* docker compose */
        {"ports", "write listen"},
        {"expose", "write listen"},
        {"image", "write command; the broker starts programs, not containers"},
        {"build", "write command; the broker starts programs, not containers"},
        {"entrypoint", "write command"},
        {"container_name", "the name of the service is enough"},
        {"depends_on", "leave it out; services start when their traffic comes"},
        {"volumes", "leave it out; the broker makes no mounts"},
        {"networks", "leave it out; write the address in listen"},
        {"healthcheck", "leave it out"},
        {"logging", "write broker: {log: ...}, and stderr"},
        {"security_opt", "write no_new_privileges: yes"},
        {"workdir", "write working_dir"},
        {"privileged", "write cap_add: [ALL] where the user is not root"},
        {"cpuset_cpus", "write cpuset"},
        {"cpus", "write cpuset, or leave it out"},
        {"init", "leave it out; the broker reaps what is orphaned"},
        /* what others call admission */
        {"allow", "write only_from"},
        {"allow_from", "write only_from"},
        {"deny", "write no_access"},
        {"deny_from", "write no_access"},
        {"rate_limit", "write cps: 50/1s"},
        {"max_connections", "write instances"},
        {"accept_proxy", "write proxy_protocol"},
        /* systemd.socket(5), systemd.service(5), systemd.exec(5) */
        {"ListenStream", "write listen: 80"},
        {"ListenDatagram", "write listen: \"udp:69\""},
        {"ListenSequentialPacket", "write listen: \"seqpacket:/path\""},
        {"ListenFIFO", "write listen: \"fifo:/path\""},
        {"ListenMessageQueue", "write listen: \"mqueue:/name\""},
        {"ListenNetlink", "write listen: \"netlink:route 1\""},
        {"ListenSpecial", "write listen: \"special:/path\""},
        {"Accept", "write wait: Accept=yes is wait: no, Accept=no is wait: yes"},
        {"ExecStart", "write command"},
        {"Exec", "write command"},
        {"cmd", "write command"},
        {"program", "write command"},
        {"Service", "write command"},
        {"StandardInput", "write handoff: stdio"},
        {"StandardError", "write stderr"},
        {"StandardOutput", "write stdout"},
        {"MaxConnections", "write instances"},
        {"MaxConnectionsPerSource", "write per_source"},
        {"hosts_allow", "write only_from; hosts.allow and hosts.deny are not read"},
        {"hosts_deny", "write no_access; hosts.allow and hosts.deny are not read"},
        {"motd", "write banner"},
        {"IPAddressAllow", "write only_from"},
        {"IPAddressDeny", "write no_access"},
        {"PollLimitIntervalSec", "write cps: 150/2s"},
        {"PollLimitBurst", "write cps: 150/2s"},
        {"TriggerLimitIntervalSec", "write trigger_limit: 20/2s"},
        {"TriggerLimitBurst", "write trigger_limit: 20/2s"},
        {"StartLimitIntervalSec", "write trigger_limit: 20/2s"},
        {"StartLimitBurst", "write trigger_limit: 20/2s"},
        {"FileDescriptorName", "write name in listen"},
        {"RestartSec", "write restart_delay"},
        {"RestartMaxDelaySec", "write restart_delay_max"},
        {"TimeoutStopSec", "write stop_grace_period"},
        {"KillSignal", "write stop_signal"},
        {"RuntimeMaxSec", "write max_runtime"},
        {"SupplementaryGroups", "write group_add"},
        {"WorkingDirectory", "write working_dir"},
        {"chdir", "write working_dir"},
        {"RootDirectory", "write root_dir"},
        {"chroot", "write root_dir"},
        {"CPUAffinity", "write cpuset"},
        {"OOMScoreAdjust", "write oom_score_adj"},
        {"CapabilityBoundingSet", "write cap_drop: [ALL] and cap_add"},
        {"AmbientCapabilities", "write cap_add"},
        {"capabilities", "write cap_add and cap_drop"},
        {"EnvironmentFile", "write env_file"},
        {"PassEnvironment", "write pass_environment"},
        {"LimitNOFILE", "write ulimits: {nofile: ...}"},
        {"LimitNPROC", "write ulimits: {nproc: ...}"},
        {"LimitCORE", "write ulimits: {core: ...}"},
        {"LimitAS", "write ulimits: {as: ...}"},
        {"LimitMEMLOCK", "write ulimits: {memlock: ...}"},
        {"LimitSTACK", "write ulimits: {stack: ...}"},
};

#define CONTAINER "leave it out; it is for whoever starts the broker's container"
#define NO_TLS "leave it out; put a TLS proxy in front"

/* More of docker compose, and of what process managers and people have. */
static const struct foreign_key other_words[] = {
        {"annotations", CONTAINER},
        {"attach", "write stderr and stdout"},
        {"cap", "write cap_add and cap_drop"},
        {"cgroup", CONTAINER},
        {"cgroup_parent", CONTAINER},
        {"configs", CONTAINER},
        {"cpu_shares", CONTAINER},
        {"deploy", "leave it out; limits are instances and ulimits"},
        {"develop", CONTAINER},
        {"devices", CONTAINER},
        {"dns", CONTAINER},
        {"domainname", CONTAINER},
        {"extends", "write x-name: &name {...} at the top and <<: *name here"},
        {"external_links", CONTAINER},
        {"extra_hosts", CONTAINER},
        {"gpus", CONTAINER},
        {"hostname", CONTAINER},
        {"ipc", CONTAINER},
        {"labels", CONTAINER},
        {"links", "leave it out; services start when their traffic comes"},
        {"mac_address", CONTAINER},
        {"mem_limit", CONTAINER},
        {"mem_reservation", CONTAINER},
        {"network_mode", CONTAINER},
        {"pid", CONTAINER},
        {"pids_limit", "write instances, or ulimits: {nproc: ...}"},
        {"platform", CONTAINER},
        {"profiles", "write enabled: no"},
        {"pull_policy", CONTAINER},
        {"read_only", CONTAINER},
        {"runtime", CONTAINER},
        {"secrets", CONTAINER},
        {"shm_size", CONTAINER},
        {"stdin_open", CONTAINER},
        {"storage_opt", CONTAINER},
        {"sysctls", CONTAINER},
        {"tmpfs", CONTAINER},
        {"tty", CONTAINER},
        {"userns_mode", CONTAINER},
        {"volumes_from", CONTAINER},
        {"args", "write them in command"},
        {"arguments", "write them in command"},
        {"exec_args", "write them in command"},
        {"server_arg", "write them in command"},
        {"path", "write command, or listen for a socket's path"},
        {"run", "write command"},
        {"script", "write command"},
        {"ExecStartPre", "leave it out; write a script for command that does it first"},
        {"ExecStop", "leave it out; servers are stopped by stop_signal"},
        {"ExecReload", "leave it out; send the server its signal"},
        {"cwd", "write working_dir"},
        {"dir", "write working_dir"},
        {"directory", "write working_dir"},
        {"username", "write user"},
        {"uid_gid", "write user"},
        {"envs", "write environment"},
        {"variables", "write environment"},
        {"stdin", "write handoff: stdio"},
        {"socket", "write listen"},
        {"sockets", "write listen"},
        {"host", "write it in listen: \"127.0.0.1:80\""},
        {"addresses", "write listen"},
        {"autostart", "write start: boot"},
        {"autorestart", "write restart: always"},
        {"kill_timeout", "write stop_grace_period"},
        {"stop_timeout", "write stop_grace_period"},
        {"nowait", "write wait: nowait is wait: no"},
        {"tls", NO_TLS},
        {"ssl", NO_TLS},
        {"certificate", NO_TLS},
        {"rpc_version", "leave it out; RPC services are not known here"},
        {"rpc_number", "leave it out; RPC services are not known here"},
        {"libwrap", "leave it out; hosts.allow and hosts.deny are not read"},
        {"mdns", "leave it out"},
        {"includedir", "leave it out; broker reads all files of a directory"},
        {"WantedBy", "leave it out; write enabled: no for a service that is not to be"},
        {"After", "leave it out; services start when their traffic comes"},
        {"Requires", "leave it out; services start when their traffic comes"},
        {"Sockets", "write listen"},
        {"PIDFile", "leave it out; the broker knows its processes"},
        {"PrivateTmp", CONTAINER},
        {"ProtectSystem", CONTAINER},
        {"MemoryMax", CONTAINER},
        {"CPUQuota", CONTAINER},
        {"Slice", CONTAINER},
        {"BindIPv6Only", "write ipv6_only in listen"},
        {"RuntimeDirectory", "leave it out; directories of sockets are made"},
};

static const struct foreign_key listen_words[] = {
        {"port", "write address"},
        {"host", "write both in address: \"127.0.0.1:80\""},
        {"bind", "write address"},
        {"path", "write address"},
        {"type", "write the kind in address: 80, \"udp:69\", \"seqpacket:/path\""},
        {"mode", "write socket_mode"},
        {"user", "write socket_user"},
        {"owner", "write socket_user"},
        {"group", "write socket_group"},
        {"target", "write address; there is one network"},
        {"published", "write address; there is one network"},
        {"FileDescriptorName", "write name"},
        {"fdname", "write name"},
        {"BindIPv6Only", "write ipv6_only"},
        {"v6only", "write ipv6_only"},
        {"SocketMode", "write socket_mode"},
        {"nodelay", "write no_delay"},
        {"KeepAliveTimeSec", "write keep_alive: {time: ...}"},
        {"KeepAliveIntervalSec", "write keep_alive: {interval: ...}"},
        {"KeepAliveProbes", "write keep_alive: {probes: ...}"},
        {"DeferAcceptSec", "write defer_accept"},
        {"SocketProtocol", "write protocol"},
        {"MessageQueueMaxMessages", "write max_messages"},
        {"MessageQueueMessageSize", "write message_size"},
};

static const struct foreign_key top_words[] = {
        {"version", "leave it out"},
        {"log", "write it below broker"},
        {"include", "leave it out; broker reads all files of a directory"},
        {"volumes", CONTAINER},
        {"networks", CONTAINER},
        {"secrets", CONTAINER},
        {"configs", CONTAINER},
        {"name", CONTAINER},
        {"logging", "write broker: {log: ...}"},
        {"socket", "write services"},
        {"sockets", "write services"},
        {"programs", "write services"},
};

static const struct foreign_key broker_words[] = {
        {"pidfile", "leave it out; the broker stays in the foreground"},
        {"daemonize", "leave it out; the broker stays in the foreground"},
        {"foreground", "leave it out; the broker stays in the foreground"},
        {"logfile", "write log; redirect stderr for a file"},
        {"loglevel", "write log: {level: ...}"},
        {"log_level", "write log: {level: ...}"},
        {"log_format", "write log: {format: ...}"},
};

static const struct foreign_key env_file_words[] = {
        {"file", "write path"},
        {"name", "write path"},
        {"optional", "write required: no"},
};

static const struct {
        const struct section *section;
        const struct foreign_key *words;
        size_t count;
} foreign_keys[] = {
        {&section_service, service_words, LENGTH_OF(service_words)},
        {&section_service, other_words, LENGTH_OF(other_words)},
        {&section_listen, listen_words, LENGTH_OF(listen_words)},
        {&section_env_file, env_file_words, LENGTH_OF(env_file_words)},
        {&section_top, top_words, LENGTH_OF(top_words)},
        {&section_broker, broker_words, LENGTH_OF(broker_words)},
};

static char next_letter(const char **p) {
        while (**p == '_' || **p == '-')
                (*p)++;
        return **p ? (char)tolower((unsigned char)*(*p)++) : '\0';
}

static bool same_word(const char *a, const char *b) {
        char c;

        do {
                c = next_letter(&a);
                if (c != next_letter(&b))
                        return false;
        } while (c != '\0');
        return true;
}

static const char *find_advice(const struct section *section, const char *name) {
        for (size_t i = 0; i < LENGTH_OF(foreign_keys); i++)
                for (size_t j = 0; foreign_keys[i].section == section && j < foreign_keys[i].count; j++)
                        if (same_word(foreign_keys[i].words[j].word, name))
                                return foreign_keys[i].words[j].advice;
        return NULL;
}

/* The key of another section that has this name, whatever its case. */
static const struct key *find_home(const struct section *not_here, const char *name, const struct section **ret) {
        for (size_t i = 0; i < schema_section_count; i++)
                if (schema_sections[i] != not_here)
                        section_for_each(key, schema_sections[i]) if (same_word(key->name, name)) {
                                *ret = schema_sections[i];
                                return key;
                        }
        return NULL;
}

/* KEY:VALUE, which YAML takes for one word. */
static const struct key *find_glued(const struct section *section, const char *name) {
        AUTO(freep) char *key = strndup(name, strcspn(name, ":"));

        return key && strchr(name, ':') ? section_find(section, key) : NULL;
}

static bool is_number(const char *text) {
        return text[0] != '\0' && text[strspn(text, "0123456789")] == '\0';
}

/* Whether this looks like a service that stands where only sections do. */
static bool is_service(const struct node *value) {
        for (size_t i = 0; value->kind == NODE_MAPPING && i < value->count; i++)
                if (section_find(&section_service, value->pairs[i].key->text))
                        return true;
        return false;
}

static const char *find_nearest(const struct section *section, const char *name) {
        const char *names[SECTION_NAMES_MAX];
        size_t count = section_names(section, names, LENGTH_OF(names));

        for (size_t i = 0; i < count; i++)
                if (same_word(names[i], name))
                        return names[i];
        return nearest_name(name, names, count);
}

/* The key that an advice of the form "write KEY ..." is about. */
static const struct key *find_advised(const struct section *section, const char *advice) {
        static const char lead[] = "write ";
        char name[64];
        size_t n;

        if (strncmp(advice, lead, sizeof(lead) - 1) != 0)
                return NULL;
        advice += sizeof(lead) - 1;
        n = strcspn(advice, " :,;");
        if (n >= sizeof(name))
                return NULL;
        memcpy(name, advice, n);
        name[n] = '\0';
        return section_find(section, name);
}

/* What no table of words knows. */
static const struct key *report_slip(struct decoder *dec, const struct section *section, const struct node_pair *pair) {
        const char *name = pair->key->text;
        const struct quote quote = quote_text(name);
        const struct section *home_section = NULL;
        const struct key *glued = find_glued(section, name), *home = find_home(section, name, &home_section);
        const char *nearest = glued ? NULL : find_nearest(section, name);

        if (glued)
                decode_error(dec, pair->key, "unknown key '%s'; write a blank after the colon of %s:", quote.text,
                             glued->name);
        else if (section == &section_listen && is_number(name))
                decode_error(dec, pair->key, "unknown key '%s'; write address: %s", quote.text, quote.text);
        else if (nearest && (!home || same_word(nearest, name)))
                decode_error(dec, pair->key, "unknown key '%s'; did you mean '%s'?", quote.text, nearest);
        else if (home_section == &section_top)
                decode_error(dec, pair->key, "unknown key '%s' here; it belongs to the top level", quote.text);
        else if (home)
                decode_error(dec, pair->key, "unknown key '%s' here; it belongs to %s%s", quote.text,
                             home_section->path, home->name);
        else if (section == &section_top && is_service(pair->value))
                decode_error(dec, pair->key, "unknown key '%s'; write a service below services:", quote.text);
        else
                decode_error(dec, pair->key, "unknown key '%s' in %s", quote.text, section->what);
        if (glued)
                return glued;
        return nearest && (!home || same_word(nearest, name)) ? section_find(section, nearest) : NULL;
}

const struct key *unknown_key(struct decoder *dec, const struct section *section, const struct node_pair *pair) {
        const char *advice;

        /* Looking for what was meant takes time; nobody reads the thousandth guess. */
        if (dec->diag->count >= DIAG_MAX) {
                decode_error(dec, pair->key, "unknown key '%s'", quote_text(pair->key->text).text);
                return NULL;
        }
        advice = find_advice(section, pair->key->text);
        if (!advice)
                return report_slip(dec, section, pair);
        decode_error(dec, pair->key, "unknown key '%s'; %s", quote_text(pair->key->text).text, advice);
        return find_advised(section, advice);
}
