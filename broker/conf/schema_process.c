/* The keys of a service that shape its processes. */
#include "conf/refuse.h"
#include "conf/servicedef.h"
#include "conf/types.h"

#define FIELD(member) offsetof(struct service_def, member)

static const struct key process_keys[] = {
        {
                .name = "user",
                .id = SERVICE_USER,
                .type = &type_text,
                .offset = FIELD(user),
                .visible = true,
                .refuse = refuse_user,
                .fallback_means = "the broker's own",
                .meaning = "Who the program runs as: a name or a number, either with :GROUP.",
                .example = "nobody",
        },
        {
                .name = "group",
                .id = SERVICE_GROUP,
                .type = &type_text,
                .offset = FIELD(group),
                .visible = true,
                .refuse = refuse_group,
                .fallback_means = "the user's",
                .meaning = "The program's group, by name or number; it wins over a group in user.",
                .example = "www-data",
        },
        {
                .name = "group_add",
                .id = SERVICE_GROUP_ADD,
                .type = &type_texts,
                .offset = FIELD(group_add),
                .visible = true,
                .refuse = refuse_group,
                .fallback_means = "none",
                .meaning = "Supplementary groups beside those of the user.",
                .example = "[audio, \"1001\"]",
        },
        {
                .name = "groups",
                .id = SERVICE_GROUPS,
                .type = &type_bool,
                .offset = FIELD(groups),
                .visible = true,
                .fallback = "yes",
                .meaning = "Whether the user's supplementary groups are taken from the database.",
                .example = "no",
        },
        {
                .name = "umask",
                .id = SERVICE_UMASK,
                .type = &type_mode,
                .offset = FIELD(umask),
                .visible = true,
                .max = 0777,
                .fallback_means = "the broker's own",
                .meaning = "File mode creation mask, in octal.",
                .example = "\"027\"",
        },
        {
                .name = "working_dir",
                .id = SERVICE_WORKING_DIR,
                .type = &type_text,
                .offset = FIELD(working_dir),
                .visible = true,
                .refuse = refuse_path,
                .fallback_means = "the broker's own",
                .meaning = "The directory the program starts in.",
                .example = "/srv/www",
        },
        {
                .name = "environment",
                .id = SERVICE_ENVIRONMENT,
                .type = &type_environment,
                .offset = FIELD(environment),
                .visible = true,
                .fallback_means = "none",
                .meaning = "Environment variables; one without a value gets the broker's own. They win over env_file.",
                .example = "{LANG: C.UTF-8, TOKEN: }",
        },
        {
                .name = "env_file",
                .id = SERVICE_ENV_FILE,
                .type = &type_env_files,
                .offset = FIELD(env_file),
                .section = &section_env_file,
                .fallback_means = "none",
                .meaning = "Files of NAME=VALUE lines, read when the definitions are; later ones win.",
                .example = "[server.env, {path: /etc/secrets.env, required: no}]",
        },
        {
                .name = "pass_environment",
                .id = SERVICE_PASS_ENVIRONMENT,
                .type = &type_pass_environment,
                .offset = FIELD(pass_environment),
                .visible = true,
                .fallback = "yes",
                .meaning = "Which of the broker's own environment variables the program gets: all, none, or those "
                           "named.",
                .example = "[PATH, TZ]",
        },
        {
                .name = "ulimits",
                .id = SERVICE_ULIMITS,
                .type = &type_ulimits,
                .offset = FIELD(ulimits),
                .visible = true,
                .fallback_means = "the broker's own",
                .meaning = "Resource limits by their names in docker compose; one number is both soft and hard limit.",
                .example = "{nofile: {soft: 1024, hard: 65536}, core: 0}",
        },
        {
                .name = "nice",
                .id = SERVICE_NICE,
                .type = &type_nice,
                .offset = FIELD(nice),
                .visible = true,
                .min = -20,
                .max = 19,
                .fallback_means = "the broker's own",
                .meaning = "Scheduling priority: -20 is the most favourable, 19 the least.",
                .example = "5",
        },
        {
                .name = "stderr",
                .id = SERVICE_STDERR,
                .type = &type_output,
                .offset = FIELD(stderr_to),
                .visible = true,
                .fallback = "log",
                .meaning = "Where stderr goes: the broker's log, a line each; its own stderr; the socket; nowhere; a "
                           "file.",
                .example = "append:/var/log/server.log",
        },
        {
                .name = "stdout",
                .id = SERVICE_STDOUT,
                .type = &type_output,
                .offset = FIELD(stdout_to),
                .visible = true,
                .scope = SCOPE_STDOUT,
                .fallback = "log",
                .meaning = "Where stdout goes, likewise.",
                .example = "inherit",
        },
        {
                .name = "no_new_privileges",
                .id = SERVICE_NO_NEW_PRIVILEGES,
                .type = &type_bool,
                .offset = FIELD(no_new_privileges),
                .visible = true,
                .fallback = "no",
                .meaning = "Whether the program and what it starts are kept from gaining privileges by exec.",
                .example = "yes",
        },
};

const struct key_group group_process = {"Process", process_keys, LENGTH_OF(process_keys)};

#define FILE_FIELD(member) offsetof(struct env_file_def, member)

static const struct key env_file_keys[] = {
        {
                .name = "path",
                .type = &type_text,
                .offset = FILE_FIELD(path),
                .required = true,
                .meaning = "The file; a relative path counts from the directory of the definition.",
                .example = "/etc/secrets.env",
        },
        {
                .name = "required",
                .type = &type_bool,
                .offset = FILE_FIELD(required),
                .fallback = "yes",
                .meaning = "Whether it is an error when there is no such file.",
                .example = "no",
        },
};

static const struct key_group env_file_group = {NULL, env_file_keys, LENGTH_OF(env_file_keys)};
static const struct key_group *const env_file_groups[] = {&env_file_group};

const struct section section_env_file = {
        .path = "services.NAME.env_file.",
        .what = "an entry of env_file",
        .groups = env_file_groups,
        .group_count = LENGTH_OF(env_file_groups),
};
