#include "proc/caps.h"

/* What can be given at all. Exec gives root whatever is bounding; another user only what is ambient, and that has to be
 * permitted to begin with. */
static uint64_t givable(const struct caps_request *request) {
        return request->root ? request->own.bounding : request->own.bounding & request->own.permitted;
}

uint64_t caps_missing(const struct caps_request *request) {
        return request->add == CAPABILITY_ALL ? 0 : request->add & ~givable(request);
}

void caps_work_out(const struct caps_request *request, struct caps_plan *ret) {
        const struct capability_sets *own = &request->own;
        bool add_all = request->add == CAPABILITY_ALL, drop_all = request->drop == CAPABILITY_ALL;
        uint64_t named = drop_all ? 0 : request->drop, kept = add_all ? ~named : ~request->drop | request->add;

        *ret = CAPS_PLAN_NULL;
        if (request->drop == 0 && request->add == 0)
                return;
        ret->change = true;
        ret->bounding_drop = own->bounding & ~kept;
        if (request->root) {
                ret->permitted = own->permitted & kept;
                ret->inheritable = own->inheritable & kept;
                return;
        }
        ret->ambient = givable(request) & (add_all ? kept : request->add);
        if (!request->changes_user)
                ret->ambient |= own->ambient & kept;
        ret->permitted = ret->inheritable = ret->ambient;
        ret->keep = request->changes_user && ret->permitted != 0;
}
