/* The keys of a service that say who is served when, and the service as a whole. */
#include "conf/servicedef.h"
#include "conf/types.h"

#define FIELD(member) offsetof(struct service_def, member)

static const char *const when_full_names[WHEN_FULL_N] = {[WHEN_FULL_WAIT] = "wait", [WHEN_FULL_REFUSE] = "refuse"};

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
                .meaning = "How many connections are served at a time.",
                .example = "20",
        },
        {
                .name = "per_source",
                .id = SERVICE_PER_SOURCE,
                .type = &type_count,
                .offset = FIELD(per_source.limit),
                .scope = SCOPE_CONNECTION,
                .min = 1,
                .max = COUNT_UNLIMITED - 1,
                .fallback = "unlimited",
                .meaning = "How many connections of one client address, or user of an AF_UNIX socket, are served at a "
                           "time; others are refused.",
                .example = "5",
        },
        {
                .name = "when_full",
                .id = SERVICE_WHEN_FULL,
                .type = &type_choice,
                .offset = FIELD(when_full),
                .choices = {when_full_names, WHEN_FULL_N},
                .scope = SCOPE_CONNECTION,
                .fallback = "wait",
                .meaning = "What becomes of a connection beyond instances: it waits in the kernel's queue, or is "
                           "refused.",
                .example = "refuse",
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
