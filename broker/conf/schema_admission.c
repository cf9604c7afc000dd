/* The keys of a service that say who is served when, and the service as a whole. */
#include "conf/servicedef.h"
#include "conf/types.h"

#define FIELD(member) offsetof(struct service_def, member)

static const char *const when_full_names[WHEN_FULL_N] = {[WHEN_FULL_WAIT] = "wait", [WHEN_FULL_REFUSE] = "refuse"};

static const char *const refuse_with_names[REFUSE_WITH_N] = {
        [REFUSE_WITH_CLOSE] = "close",
        [REFUSE_WITH_RESET] = "reset",
};
static const char *const proxy_protocol_names[PROXY_PROTOCOL_N] = {
        [PROXY_PROTOCOL_NO] = "no",
        [PROXY_PROTOCOL_ACCEPT] = "accept",
        [PROXY_PROTOCOL_REQUIRE] = "require",
};

static const struct key admission_keys[] = {
        {
                .name = "instances",
                .id = SERVICE_INSTANCES,
                .type = &type_count,
                .offset = FIELD(instances),
                .scope = SCOPE_CONNECTION,
                .min = 1,
                .max = COUNT_UNLIMITED - 1,
                .fallback = "100",
                .instead = "; write workers for several servers",
                .meaning = "How many connections are served at a time.",
                .example = "20",
        },
        {
                .name = "per_source",
                .id = SERVICE_PER_SOURCE,
                .type = &type_per_source,
                .offset = FIELD(per_source),
                .scope = SCOPE_CONNECTION,
                .min = 1,
                .max = COUNT_UNLIMITED - 1,
                .fallback = "unlimited",
                .meaning = "How many connections of one client address, or user of an AF_UNIX socket, are served at a "
                           "time; others are refused. A mapping has exceptions for networks, of which the most "
                           "specific one counts, and `default` for everybody else.",
                .example = "{default: 5, 10.0.0.0/8: unlimited, 192.0.2.7: 50}",
        },
        {
                .name = "source_prefix",
                .id = SERVICE_SOURCE_PREFIX,
                .type = &type_mapping,
                .offset = FIELD(source_prefix),
                .scope = SCOPE_CONNECTION,
                .section = &section_source_prefix,
                .fallback_means = "{ipv4: 32, ipv6: 64}",
                .meaning = "How many first bits of an address are one source, for per_source and sensor.",
                .example = "{ipv4: 24, ipv6: 48}",
        },
        {
                .name = "when_full",
                .id = SERVICE_WHEN_FULL,
                .type = &type_choice,
                .offset = FIELD(when_full),
                .choices = {when_full_names, WHEN_FULL_N},
                .scope = SCOPE_CONNECTION,
                .fallback = "wait",
                .meaning = "What becomes of a connection beyond instances, cps or max_load: it waits in the kernel's "
                           "queue, or is refused.",
                .example = "refuse",
        },
        {
                .name = "cps",
                .id = SERVICE_CPS,
                .type = &type_rate,
                .offset = FIELD(cps),
                .scope = SCOPE_CONNECTION,
                .fallback = "unlimited",
                .meaning = "How many connections are served in how long; beyond it the service pauses for cps_pause.",
                .example = "50/1s",
        },
        {
                .name = "cps_pause",
                .id = SERVICE_CPS_PAUSE,
                .type = &type_period,
                .offset = FIELD(cps_pause),
                .scope = SCOPE_CONNECTION,
                .min = 1000,
                .fallback = "10s",
                .meaning = "How long the service pauses after cps was exceeded.",
                .example = "30s",
        },
        {
                .name = "max_load",
                .id = SERVICE_MAX_LOAD,
                .type = &type_load,
                .offset = FIELD(max_load),
                .scope = SCOPE_CONNECTION,
                .min = 1,
                .max = 1000000,
                .fallback_means = "unlimited",
                .meaning = "The load average of the last minute at which connections are no longer served.",
                .example = "2.5",
        },
        {
                .name = "only_from",
                .id = SERVICE_ONLY_FROM,
                .type = &type_networks,
                .offset = FIELD(only_from),
                .scope = SCOPE_CONNECTION,
                .fallback_means = "everybody",
                .meaning = "Who is served. Where a client is in networks of only_from and of no_access, the most "
                           "specific one decides. Hosts are looked up when the definitions are read.",
                .example = "[10.0.0.0/8, \"2001:db8::/32\", localhost]",
        },
        {
                .name = "no_access",
                .id = SERVICE_NO_ACCESS,
                .type = &type_networks,
                .offset = FIELD(no_access),
                .scope = SCOPE_CONNECTION,
                .fallback_means = "nobody",
                .meaning = "Who is refused, likewise.",
                .example = "[10.1.0.0/16, 192.0.2.7]",
        },
        {
                .name = "uid",
                .id = SERVICE_UID,
                .type = &type_peer_users,
                .offset = FIELD(uid),
                .scope = SCOPE_CONNECTION,
                .fallback_means = "everybody",
                .meaning = "Which users are served on AF_UNIX sockets; where gid is given too, either is enough.",
                .example = "[root, 1000]",
        },
        {
                .name = "gid",
                .id = SERVICE_GID,
                .type = &type_peer_groups,
                .offset = FIELD(gid),
                .scope = SCOPE_CONNECTION,
                .fallback_means = "everybody",
                .meaning = "The members of which groups are served on AF_UNIX sockets; supplementary groups count.",
                .example = "[root, 1000]",
        },
        {
                .name = "access_times",
                .id = SERVICE_ACCESS_TIMES,
                .type = &type_day_ranges,
                .offset = FIELD(access_times),
                .scope = SCOPE_CONNECTION,
                .fallback_means = "always",
                .meaning = "When clients are served, in the broker's time zone; at other times they are refused. The "
                           "end is not part of a range.",
                .example = "[8:00-12:00, 22:00-2:00]",
        },
        {
                .name = "banner",
                .id = SERVICE_BANNER,
                .type = &type_banner,
                .offset = FIELD(banner),
                .scope = SCOPE_CONNECTION,
                .fallback_means = "none",
                .meaning = "What every client gets first. A relative path counts from the directory of the definition; "
                           "the file is read with the definitions.",
                .example = "file:/etc/issue.net",
        },
        {
                .name = "banner_success",
                .id = SERVICE_BANNER_SUCCESS,
                .type = &type_banner,
                .offset = FIELD(banner_success),
                .scope = SCOPE_CONNECTION,
                .fallback_means = "none",
                .meaning = "What a client that is served gets after banner.",
                .example = "\"220 welcome\\r\\n\"",
        },
        {
                .name = "banner_fail",
                .id = SERVICE_BANNER_FAIL,
                .type = &type_banner,
                .offset = FIELD(banner_fail),
                .scope = SCOPE_CONNECTION,
                .fallback_means = "none",
                .meaning = "What a client that is refused gets after banner.",
                .example = "\"421 not now\\r\\n\"",
        },
        {
                .name = "refuse_with",
                .id = SERVICE_REFUSE_WITH,
                .type = &type_choice,
                .offset = FIELD(refuse_with),
                .choices = {refuse_with_names, REFUSE_WITH_N},
                .scope = SCOPE_CONNECTION,
                .fallback = "close",
                .meaning = "How a refused connection ends: orderly, or with a TCP reset.",
                .example = "reset",
        },
        {
                .name = "sensor",
                .id = SERVICE_SENSOR,
                .type = &type_duration,
                .offset = FIELD(sensor),
                .scope = SCOPE_CONNECTION,
                .min = 1000000,
                .fallback_means = "none",
                .meaning = "Makes the service a trap, which serves nobody and needs no command: whoever connects to it "
                           "is refused by all services for that long.",
                .example = "1h",
        },
        {
                .name = "proxy_protocol",
                .id = SERVICE_PROXY_PROTOCOL,
                .type = &type_choice,
                .offset = FIELD(proxy_protocol),
                .choices = {proxy_protocol_names, PROXY_PROTOCOL_N},
                .scope = SCOPE_CONNECTION,
                .fallback = "no",
                .meaning =
                        "Whether connections of proxy_protocol_from may, or must, begin with a PROXY header (version "
                        "1 or 2) that says who the client is.",
                .example = "require",
        },
        {
                .name = "proxy_protocol_from",
                .id = SERVICE_PROXY_PROTOCOL_FROM,
                .type = &type_networks,
                .offset = FIELD(proxy_protocol_from),
                .scope = SCOPE_CONNECTION,
                .fallback_means = "nobody",
                .meaning = "Who may say on whose behalf he connects; `unix:` stands for all local clients of AF_UNIX "
                           "sockets.",
                .example = "[10.0.0.0/24, \"unix:\"]",
        },
};

const struct key_group group_admission = {"Admission", admission_keys, LENGTH_OF(admission_keys)};

static const struct key_group *const service_groups[] = {
        &group_listen,
        &group_activation,
        &group_process,
        &group_admission,
};

const struct section section_service = {
        .path = "services.NAME.",
        .what = "a service",
        .groups = service_groups,
        .group_count = LENGTH_OF(service_groups),
};

#define PREFIX_FIELD(member) offsetof(struct source_prefix_def, member)

static const struct key source_prefix_keys[] = {
        {
                .name = "ipv4",
                .type = &type_integer,
                .offset = PREFIX_FIELD(ipv4),
                .min = 1,
                .max = 32,
                .fallback = "32",
                .meaning = "How many bits of an IPv4 address are one source.",
                .example = "24",
        },
        {
                .name = "ipv6",
                .type = &type_integer,
                .offset = PREFIX_FIELD(ipv6),
                .min = 1,
                .max = 128,
                .fallback = "64",
                .meaning = "How many bits of an IPv6 address are one source; a customer of a provider has at least a "
                           "/64.",
                .example = "48",
        },
};

static const struct key_group source_prefix_group = {NULL, source_prefix_keys, LENGTH_OF(source_prefix_keys)};
static const struct key_group *const source_prefix_groups[] = {&source_prefix_group};

const struct section section_source_prefix = {
        .path = "services.NAME.source_prefix.",
        .what = "source_prefix",
        .groups = source_prefix_groups,
        .group_count = LENGTH_OF(source_prefix_groups),
};
