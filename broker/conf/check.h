/* What no key can be judged by alone: rules between the keys of one service, and between services. */
#pragma once

#include "conf/decode.h"
#include "conf/nameset.h"
#include "conf/servicedef.h"

/* What other services have taken already. */
struct check {
        struct nameset addresses;
        struct nameset asked;           /* names for tcpmux, in lower case */
        const struct service_def *main; /* borrowed */
        struct mark main_mark;
};

#define CHECK_NULL ((struct check){0})

void check_deinit(struct check *check);

/* Completes a service whose keys have been read and checks it by itself: what is missing, what does not go together.
 * DEC's path leads to the service. Keys from `defaults:` that do not apply get their own defaults again. */
void check_service(struct decoder *dec, struct record *record);

/* Checks an enabled service, after check_service(), against those before it, and remembers it for those to come. */
void check_across(struct decoder *dec, struct record *record, struct check *check);

/* The part of check_across() that is about names that are asked for. */
void check_asked_name(struct decoder *dec, const struct record *record, struct check *check);

/* Warns of services that nobody can get to: they do not listen, and no tcpmux is there to be asked for them. */
void check_asked(const struct def_set *set, struct diag *diag);

/* Parts of check_service() in files of their own. The first five come before anything is found missing. */
void check_proxy(struct decoder *dec, struct record *record);
void check_builtin(struct decoder *dec, struct record *record);
void check_pool(struct decoder *dec, struct record *record);
void check_sensor(struct decoder *dec, struct record *record);
void check_admission(struct decoder *dec, struct record *record);
void check_placeholders(struct decoder *dec, struct record *record);
void check_variables(struct decoder *dec, struct record *record);
void check_spare(struct decoder *dec, struct record *record);
void check_workers(struct decoder *dec, struct record *record);

/* A place in a service. */
struct check_place {
        enum service_key id;
        int entry; /* of a list, by index; of a mapping, by its pairs; -1: the whole value */
};

#define CHECK_KEY(key_id) ((struct check_place){.id = (key_id), .entry = -1})

/* Report something about a place; what is not there is reported at the service's name. */
void check_error(struct decoder *dec, const struct record *record, struct check_place place, const char *format, ...)
        PRINTF_LIKE(4, 5);
void check_warning(struct decoder *dec, const struct record *record, struct check_place place, const char *format, ...)
        PRINTF_LIKE(4, 5);

/* Whether the service itself says it, in a way that can be relied on. */
bool check_is_written(const struct record *record, enum service_key id);

/* Whether it says something here, or in `defaults:`, that can be judged. */
bool check_is_there(const struct record *record, enum service_key id);

/* Takes back what `defaults:` said, where it does not fit this service. */
void check_take_back(struct decoder *dec, struct record *record, enum service_key id);

/* A key that means nothing here, for the reason WHY: an error where the service itself has it. */
void check_refuse_key(struct decoder *dec, struct record *record, enum service_key id, const char *why);

/* The key of the table. */
const struct key *check_key(enum service_key id);

/* Whether all of these keys that are there can be relied on. */
static inline bool check_usable(const struct record *record, enum service_key a, enum service_key b) {
        return !record->bad[a] && !record->bad[b];
}
