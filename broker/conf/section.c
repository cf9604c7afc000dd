#include "conf/schema.h"

#include "conf/decode.h"
#include "conf/servicedef.h"
#include "conf/yaml.h"

#include <assert.h>
#include <string.h>

const struct key *section_find(const struct section *section, const char *name) {
        section_for_each(key, section) if (strcmp(key->name, name) == 0) return key;
        return NULL;
}

size_t section_names(const struct section *section, const char **names, size_t room) {
        size_t n = 0;

        section_for_each(key, section) if (n < room) names[n++] = key->name;
        return n;
}

static bool has_own_stdout(const struct service_def *def) {
        return def->proxy || def->builtin != BUILTIN_NONE ||
               (def->handoff != HANDOFF_REQUEST && def->handoff != HANDOFF_STDIO &&
                !(def->handoff == HANDOFF_AUTO && !def->wait));
}

static bool is_about_process(const struct key *key) {
        for (size_t i = 0; i < group_process.count; i++)
                if (&group_process.keys[i] == key)
                        return true;
        return false;
}

bool key_is_for_bare_proxies(const struct key *key) {
        switch (key->id) {
        case SERVICE_HANDOFF:
        case SERVICE_COMMAND:
        case SERVICE_STOP_SIGNAL:
        case SERVICE_KILL_MODE:
        case SERVICE_RESTART_DELAY:
        case SERVICE_RESTART_DELAY_MAX:
        case SERVICE_MAX_RUNTIME:
                return false;
        default:
                return !is_about_process(key);
        }
}

bool key_is_for_builtins(const struct key *key) {
        return key->id != SERVICE_PROXY && key->id != SERVICE_SENSOR && key_is_for_bare_proxies(key);
}

bool key_is_for_sensors(const struct key *key) {
        if (is_about_process(key))
                return false;
        switch (key->id) {
        case SERVICE_HANDOFF:
        case SERVICE_COMMAND:
        case SERVICE_STOP_SIGNAL:
        case SERVICE_STOP_GRACE_PERIOD:
        case SERVICE_RESTART_DELAY:
        case SERVICE_RESTART_DELAY_MAX:
        case SERVICE_KILL_MODE:
        case SERVICE_SPARE:
        case SERVICE_MAX_RUNTIME:
        case SERVICE_INSTANCES:
        case SERVICE_PER_SOURCE:
        case SERVICE_WHEN_FULL:
        case SERVICE_CPS:
        case SERVICE_CPS_PAUSE:
        case SERVICE_MAX_LOAD:
        case SERVICE_TCPMUX:
        case SERVICE_BANNER_SUCCESS:
                return false;
        default:
                return true;
        }
}

bool key_applies(const struct key *key, const struct service_def *def) {
        bool has_server = def->wait || (def->proxy && def->command.count > 0);

        if (def->sensor != 0 && !key_is_for_sensors(key))
                return false;
        if (def->proxy && (key->id == SERVICE_HANDOFF || (!has_server && !key_is_for_bare_proxies(key))))
                return false;
        if (def->builtin != BUILTIN_NONE && !key_is_for_builtins(key))
                return false;
        switch (key->scope) {
        case SCOPE_SERVER:
                return def->wait;
        case SCOPE_CONNECTION:
                return !def->wait;
        case SCOPE_BOOT:
                return has_server && def->start == START_BOOT;
        case SCOPE_LASTING:
                return has_server || service_def_is_pool(def);
        case SCOPE_WORKERS:
                return def->wait || service_def_is_pool(def);
        case SCOPE_PROXY:
                return def->proxy != NULL;
        case SCOPE_BUILTIN:
                return def->builtin != BUILTIN_NONE;
        case SCOPE_REQUEST:
                return def->handoff == HANDOFF_REQUEST;
        case SCOPE_HELD:
                return def->proxy || def->builtin != BUILTIN_NONE || def->handoff == HANDOFF_REQUEST;
        case SCOPE_AWAITED:
                return def->wait || def->proxy;
        case SCOPE_SPAWN:
                return !def->wait && !def->proxy && def->builtin == BUILTIN_NONE && !service_def_is_pool(def);
        case SCOPE_STDOUT:
                return has_own_stdout(def);
        default:
                return true;
        }
}

const char *key_scope_text(enum key_scope scope) {
        static const char *const texts[SCOPE_N] = {
                [SCOPE_SERVER] = "servers that accept connections themselves (wait: yes)",
                [SCOPE_CONNECTION] = "connections that the broker accepts itself (wait: no)",
                [SCOPE_BOOT] = "servers that start with the broker (start: boot, with wait: yes or for a proxy)",
                [SCOPE_LASTING] =
                        "servers (wait: yes, or the command of a proxy), and workers (handoff: pass or request)",
                [SCOPE_WORKERS] = "servers (wait: yes), and workers that the broker passes connections or requests to "
                                  "(handoff: pass or request)",
                [SCOPE_PROXY] = "services that relay to a target (proxy)",
                [SCOPE_BUILTIN] = "services that the broker answers itself (builtin)",
                [SCOPE_REQUEST] = "workers that answer requests (handoff: request)",
                [SCOPE_HELD] = "services that relay to a target (proxy), that the broker answers itself (builtin), or "
                               "whose workers answer requests (handoff: request)",
                [SCOPE_AWAITED] = "servers (wait: yes), and services that relay to a target (proxy)",
                [SCOPE_SPAWN] = "programs that serve one connection each (wait: no)",
                [SCOPE_STDOUT] = "programs that do not have the socket as their stdout (handoff: fds or pass)",
        };

        return texts[scope];
}

bool key_equal(const struct key *key, const void *a, const void *b) {
        return key->type->equal ? key->type->equal(key, a, b) : memcmp(a, b, key->type->size) == 0;
}

bool key_copy(const struct key *key, const void *from, void *to) {
        if (key->type->copy)
                return key->type->copy(key, from, to);
        memcpy(to, from, key->type->size);
        return true;
}

void key_clear(const struct key *key, void *field) {
        if (key->type->clear)
                key->type->clear(key, field);
        else
                memset(field, 0, key->type->size);
}

bool key_is_set(const struct key *key, const void *field) {
        _Alignas(max_align_t) char unset[FIELD_SIZE_MAX] = {0};

        if (key->required || key->fallback || key->type->size == 0)
                return true;
        assert(key->type->size <= sizeof(unset));
        key_clear(key, unset);
        return !key_equal(key, field, unset);
}

void section_clear(const struct section *section, void *base) {
        section_for_each(key, section) key_clear(key, key_field(key, base));
}

bool section_copy(const struct section *section, const void *from, void *to) {
        section_for_each(key, section) if (!key_copy(key, key_const_field(key, from), key_field(key, to))) return false;
        return true;
}

bool section_equal(const struct section *section, const void *a, const void *b) {
        section_for_each(key,
                         section) if (!key_equal(key, key_const_field(key, a), key_const_field(key, b))) return false;
        return true;
}

bool key_set_default(const struct key *key, void *field) {
        const struct node node = {.kind = NODE_SCALAR, .text = (char *)key->fallback};
        AUTO(diag_deinit) struct diag diag = DIAG_NULL;
        struct decoder dec = {.diag = &diag};

        key_clear(key, field);
        if (key->type->size == 0 && key->section)
                return section_set_defaults(key->section, field);
        return !key->fallback || key->type->decode(&dec, key, &node, field);
}

bool section_set_defaults(const struct section *section, void *base) {
        section_for_each(key, section) if (!key_set_default(key, key_field(key, base))) return false;
        return true;
}
