/* The types that keys can have (struct key_type in conf/schema.h), by what their fields are in C. */
#pragma once

#include "conf/schema.h"

/* conf/types_number.c */
extern const struct key_type type_bool;       /* bool */
extern const struct key_type type_flag;       /* int: 1, 0 or OPTION_UNSET */
extern const struct key_type type_integer;    /* int, or OPTION_UNSET */
extern const struct key_type type_seconds;    /* int, whole seconds, or OPTION_UNSET */
extern const struct key_type type_bytes;      /* int64_t, or OPTION_UNSET */
extern const struct key_type type_count;      /* uint32_t, or COUNT_UNLIMITED */
extern const struct key_type type_adjustment; /* int32_t, or ADJUSTMENT_UNSET */
extern const struct key_type type_duration;   /* usec_t */
extern const struct key_type type_period;     /* usec_t; infinity is refused */
extern const struct key_type type_rate;       /* struct rate_limit */
extern const struct key_type type_signal;     /* int */
extern const struct key_type type_mode;       /* mode_t, or UMASK_UNSET */

/* conf/types_text.c */
extern const struct key_type type_text;          /* char * */
extern const struct key_type type_choice;        /* an enum that counts from 0 */
extern const struct key_type type_choice_option; /* int by the names of choices, or OPTION_UNSET */
extern const struct key_type type_tos;           /* int, or OPTION_UNSET */
extern const struct key_type type_texts;         /* struct strlist */
extern const struct key_type type_output;        /* struct output_def */

/* conf/types_control.c */
extern const struct key_type type_control; /* struct control_def */

/* conf/types_process.c */
extern const struct key_type type_command;          /* struct strlist */
extern const struct key_type type_pass_environment; /* struct pass_environment_def */
extern const struct key_type type_ulimits;          /* struct ulimits_def */

/* conf/types_proxy.c */
extern const struct key_type type_proxy; /* struct proxy_def * */

/* conf/types_rights.c */
extern const struct key_type type_capabilities; /* struct capabilities_def * */
extern const struct key_type type_cpus;         /* struct cpus_def * */

/* conf/types_environment.c */
extern const struct key_type type_environment; /* struct strlist */
extern const struct key_type type_env_files;   /* struct env_files_def */

/* conf/types_listen.c */
extern const struct key_type type_listens;    /* struct listens_def */
extern const struct key_type type_keep_alive; /* struct keep_alive_options */

/* conf/types_network.c */
extern const struct key_type type_networks;   /* struct networks_def */
extern const struct key_type type_per_source; /* struct per_source_def */

/* conf/types_admission.c */
extern const struct key_type type_load;        /* uint32_t, in hundredths */
extern const struct key_type type_day_ranges;  /* struct day_ranges */
extern const struct key_type type_banner;      /* struct banner_def * */
extern const struct key_type type_peer_users;  /* struct peer_ids_def * */
extern const struct key_type type_peer_groups; /* struct peer_ids_def * */

/* conf/types_endpoint.c */
extern const struct key_type type_endpoint; /* struct endpoint_def */

/* conf/types_workers.c */
extern const struct key_type type_workers; /* struct workers_def */

/* types_request.c */
extern const struct key_type type_request; /* struct request_def * */

/* conf/types_mapping.c */
extern const struct key_type type_mapping; /* key->section, in the structure of the section around it */
extern const struct key_type type_node;    /* const struct node *: looked at by whoever reads the file */
