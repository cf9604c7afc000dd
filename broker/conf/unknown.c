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
        {"flags", "write no_delay or keep_alive in listen, and enabled, or leave it out"},
        {"type", "leave it out"},
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
        {"EnvironmentFile", "write env_file"},
        {"PassEnvironment", "write pass_environment"},
        {"LimitNOFILE", "write ulimits: {nofile: ...}"},
        {"LimitNPROC", "write ulimits: {nproc: ...}"},
        {"LimitCORE", "write ulimits: {core: ...}"},
        {"LimitAS", "write ulimits: {as: ...}"},
        {"LimitMEMLOCK", "write ulimits: {memlock: ...}"},
        {"LimitSTACK", "write ulimits: {stack: ...}"},
};

static const struct foreign_key listen_words[] = {
        {"port", "write address"},
        {"host", "write both in address: \"127.0.0.1:80\""},
        {"bind", "write address"},
        {"path", "write address"},
        {"type", "write the kind in address: 80, \"udp:69\", \"seqpacket:/path\""},
        {"protocol", "write the kind in address: 80, \"udp:69\", \"seqpacket:/path\""},
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
};

static const struct foreign_key top_words[] = {
        {"version", "leave it out"},
        {"log", "write it below broker"},
        {"include", "leave it out; broker reads all files of a directory"},
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
        {&section_listen, listen_words, LENGTH_OF(listen_words)},
        {&section_env_file, env_file_words, LENGTH_OF(env_file_words)},
        {&section_top, top_words, LENGTH_OF(top_words)},
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

/* The section that has a key of this very name. */
static const struct section *find_home(const struct section *not_here, const char *name) {
        for (size_t i = 0; i < schema_section_count; i++)
                if (schema_sections[i] != not_here && section_find(schema_sections[i], name))
                        return schema_sections[i];
        return NULL;
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

const struct key *unknown_key(struct decoder *dec, const struct section *section, const struct node *node) {
        const struct quote quote = quote_text(node->text);
        const struct section *home;
        const char *found;

        /* Looking for what was meant takes time; nobody reads the thousandth guess. */
        if (dec->diag->count >= DIAG_MAX) {
                decode_error(dec, node, "unknown key '%s'", quote.text);
                return NULL;
        }
        found = find_advice(section, node->text);
        if (found) {
                decode_error(dec, node, "unknown key '%s'; %s", quote.text, found);
                return find_advised(section, found);
        }
        home = find_home(section, node->text);
        found = find_nearest(section, node->text);
        if (found && (!home || same_word(found, node->text))) {
                decode_error(dec, node, "unknown key '%s'; did you mean '%s'?", quote.text, found);
                return section_find(section, found);
        }
        if (home == &section_top)
                decode_error(dec, node, "unknown key '%s' here; it belongs to the top level", quote.text);
        else if (home)
                decode_error(dec, node, "unknown key '%s' here; it belongs to %s%s", quote.text, home->path,
                             node->text);
        else
                decode_error(dec, node, "unknown key '%s' in %s", quote.text, section->what);
        return NULL;
}
