/* The keys of a file, and those of `broker:`. */
#include "conf/servicedef.h"
#include "conf/toplevel.h"
#include "conf/types.h"

#define FIELD(member) offsetof(struct toplevel, member)

static const struct key toplevel_keys[] = {
        {
                .name = "broker",
                .type = &type_node,
                .offset = FIELD(broker),
                .section = &section_broker,
                .meaning = "Settings of the broker itself; in one file at most.",
                .example = "{log: {level: debug}}",
        },
        {
                .name = "defaults",
                .type = &type_node,
                .offset = FIELD(defaults),
                .section = &section_service,
                .meaning = "Any keys of a service, for all services of the same file that do not have them.",
                .example = "{user: nobody}",
        },
        {
                .name = "services",
                .type = &type_node,
                .offset = FIELD(services),
                .section = &section_service,
                .meaning = "The services, by their names.",
                .example = "{web: {listen: 80, wait: yes, command: /usr/bin/server}}",
        },
};

static const struct key_group toplevel_group = {NULL, toplevel_keys, LENGTH_OF(toplevel_keys)};
static const struct key_group *const toplevel_groups[] = {&toplevel_group};

const struct section section_top = {
        .path = "",
        .what = "a definition file: broker, defaults and services",
        .groups = toplevel_groups,
        .group_count = LENGTH_OF(toplevel_groups),
};

static const struct key broker_keys[] = {
        {
                .name = "log",
                .type = &type_mapping,
                .section = &section_log,
                .meaning = "What the broker logs, and how.",
                .example = "{format: json, level: debug}",
        },
        {
                .name = "idle_exit",
                .type = &type_duration,
                .offset = offsetof(struct broker_def, idle_exit),
                .min = 1000,
                .fallback = "infinity",
                .meaning = "How long after the end of the last program and connection the broker itself ends, with "
                           "status 0.",
                .example = "10min",
        },
        {
                .name = "metrics",
                .type = &type_endpoint,
                .offset = offsetof(struct broker_def, metrics),
                .fallback_means = "nowhere",
                .meaning = "Where the broker serves /metrics, /healthz and /readyz by HTTP.",
                .example = "127.0.0.1:9464",
        },
        {
                .name = "control",
                .type = &type_control,
                .offset = offsetof(struct broker_def, control),
                .fallback_means = "the path that BROKER_CONTROL says, or else /run/broker/control for root and "
                                  "$XDG_RUNTIME_DIR/broker/control for others",
                .meaning = "The socket for `broker status` and the other verbs that ask a running broker, and for "
                           "D-Bus clients, see broker-bus(5); no: none.",
                .example = "/run/broker/control",
        },
};

static const struct key_group broker_group = {NULL, broker_keys, LENGTH_OF(broker_keys)};
static const struct key_group *const broker_groups[] = {&broker_group};

const struct section section_broker = {
        .path = "broker.",
        .what = "broker",
        .groups = broker_groups,
        .group_count = LENGTH_OF(broker_groups),
};

static const struct key log_keys[] = {
        {
                .name = "format",
                .type = &type_choice,
                .offset = offsetof(struct broker_def, log_format),
                .choices = {log_format_names, LOG_FORMAT_N},
                .fallback = "text",
                .meaning = "Lines for people, or JSON, on stderr; or the journal, or syslog (/dev/log).",
                .example = "json",
        },
        {
                .name = "level",
                .type = &type_choice,
                .offset = offsetof(struct broker_def, log_level),
                .choices = {log_level_names, LOG_LEVEL_N},
                .fallback = "info",
                .meaning = "The least important events that are logged.",
                .example = "debug",
        },
};

static const struct key_group log_group = {NULL, log_keys, LENGTH_OF(log_keys)};
static const struct key_group *const log_groups[] = {&log_group};

const struct section section_log = {
        .path = "broker.log.",
        .what = "broker.log",
        .groups = log_groups,
        .group_count = LENGTH_OF(log_groups),
};

const struct section *const schema_sections[] = {
        &section_top,        &section_broker,   &section_log,           &section_service, &section_listen,
        &section_keep_alive, &section_env_file, &section_source_prefix, &section_workers, &section_request,
};
const size_t schema_section_count = LENGTH_OF(schema_sections);
