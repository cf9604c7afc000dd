#include "proc/slot.h"

#include "base/err.h"
#include "base/template.h"
#include "proc/spareword.h"

#include <errno.h>
#include <string.h>

/* With the highest descriptor a program needs below this, the child shares our table at first; above it, copying the
 * table is no dearer than copying most of it. */
#define SHARED_FD_MAX 1024

/* Takes SIZE bytes of the slot's scratch; on overflow the start of it, so that callers need not check each time. */
static void *slot_alloc(struct slot *slot, size_t size) {
        char *scratch = slot->memory + SLOT_GUARD + SLOT_STACK;
        size_t aligned = (size + 7) & ~(size_t)7;

        if (aligned > SLOT_SCRATCH / 2) {
                slot->overflow = true;
                return scratch;
        }
        if (slot->used + aligned > SLOT_SCRATCH) {
                slot->overflow = true;
                slot->used = 0;
        }
        slot->used += aligned;
        return scratch + slot->used - aligned;
}

static void slot_add_patch(struct slot *slot, char *at, enum child_number number) {
        if (slot->order.patch_count == CHILD_PATCHES_MAX) {
                slot->overflow = true;
                return;
        }
        slot->order.patches[slot->order.patch_count++] = (struct child_patch){.at = at, .number = number};
}

/* Copies NAME= with a gap behind it for the child to fill. */
static char *slot_number_entry(struct slot *slot, const char *name, enum child_number number) {
        size_t n = strlen(name);
        char *entry = slot_alloc(slot, n + CHILD_DIGITS + 1);

        memcpy(entry, name, n);
        memset(entry + n, ' ', CHILD_DIGITS);
        entry[n + CHILD_DIGITS] = '\0';
        slot_add_patch(slot, entry + n, number);
        return entry;
}

#define PID_GAPS_MAX 16

struct filling {
        const struct launch_request *request;
        size_t gaps[PID_GAPS_MAX]; /* where in the output a pid goes */
        size_t gap_count;
};

static bool fill_word(void *userdata, const struct template_name *name, struct buf *out) {
        struct filling *filling = userdata;
        const char *value = NULL;

        if (strcmp(name->name, "pid") == 0 && filling->gap_count < PID_GAPS_MAX) {
                filling->gaps[filling->gap_count++] = out->size;
                buf_printf(out, "%*s", CHILD_DIGITS, "");
                return true;
        }
        if (strcmp(name->name, "remote_addr") == 0)
                value = filling->request->remote_addr;
        else if (strcmp(name->name, "remote_port") == 0)
                value = filling->request->remote_port;
        buf_add_string(out, value ? value : "");
        return true;
}

static char *slot_fill_word(struct slot *slot, const struct launch_request *request, const char *word) {
        AUTO(buf_deinit) struct buf out = BUF_NULL;
        struct filling filling = {.request = request};
        char *copy;

        template_expand(word, fill_word, &filling, &out);
        if (buf_failed(&out))
                slot->overflow = true;
        copy = slot_alloc(slot, out.size + 1);
        if (slot->overflow)
                return copy;
        memcpy(copy, buf_text(&out), out.size + 1);
        for (size_t i = 0; i < filling.gap_count; i++)
                slot_add_patch(slot, copy + filling.gaps[i], CHILD_PID);
        return copy;
}

/* The plan's own vector where nothing in it changes from start to start; else a copy with room for EXTRA more. */
static char **slot_fill_words(struct slot *slot, const struct launch_request *request, const struct plan_words *words,
                              size_t extra) {
        char **items;

        if (extra == 0 && words->dynamic_count == 0)
                return words->items;
        items = slot_alloc(slot, (words->count + extra + 1) * sizeof(*items));
        if (slot->overflow)
                return items;
        if (words->count > 0)
                memcpy(items, words->items, words->count * sizeof(*items));
        items[words->count] = NULL;
        for (size_t i = 0; i < words->dynamic_count; i++) {
                size_t at = words->dynamic[i];

                items[at] = slot_fill_word(slot, request, words->items[at]);
        }
        return items;
}

static char **slot_fill_env(struct slot *slot, const struct launch_request *request, bool pidfdid) {
        const struct launch_plan *plan = request->plan;
        size_t extra = request->env_count + (plan->listen_pid ? 2 : 0);
        char **env = slot_fill_words(slot, request, &plan->env, extra);
        size_t at = plan->env.count;

        if (extra == 0 || slot->overflow)
                return env;
        for (size_t i = 0; i < request->env_count; i++) {
                size_t n = strlen(request->env[i]) + 1;

                env[at++] = memcpy(slot_alloc(slot, n), request->env[i], n);
        }
        if (plan->listen_pid)
                env[at++] = slot_number_entry(slot, "LISTEN_PID=", CHILD_PID);
        if (plan->listen_pid && pidfdid)
                env[at++] = slot_number_entry(slot, "LISTEN_PIDFDID=", CHILD_PIDFDID);
        env[at] = NULL;
        return env;
}

/* What a spare is told, in front of the arguments of its program (proc/spareword.h). */
static char **slot_add_settings(struct slot *slot, const struct launch_request *request, char **argv) {
        const char *const words[] = {SPARE_NAME, request->spare_settings, request->plan->path};
        size_t count = request->plan->argv.count;
        char **items = slot_alloc(slot, (LENGTH_OF(words) + count + 1) * sizeof(*items));

        if (slot->overflow)
                return items;
        for (size_t i = 0; i < LENGTH_OF(words); i++) {
                size_t n = strlen(words[i]) + 1;

                items[i] = memcpy(slot_alloc(slot, n), words[i], n);
        }
        memcpy(items + LENGTH_OF(words), argv, (count + 1) * sizeof(*items));
        return items;
}

int slot_prepare(struct slot *slot, const struct launch_request *request, bool share_table, bool pidfdid) {
        struct child_order *order = &slot->order;
        int highest = 2;

        order->plan = request->plan;
        order->patches = slot_alloc(slot, CHILD_PATCHES_MAX * sizeof(*order->patches));
        order->fds = slot_alloc(slot, request->fd_count * sizeof(*order->fds));
        if (request->fd_count > 0)
                memcpy(order->fds, request->fds, request->fd_count * sizeof(*order->fds));
        order->fd_count = request->fd_count;
        for (size_t i = 0; i < request->fd_count; i++)
                highest = MAX_OF(highest, request->fds[i].from);
        order->shared_fds_up_to = share_table && highest < SHARED_FD_MAX ? highest : -1;
        order->argv = slot_fill_words(slot, request, &request->plan->argv, 0);
        order->envp = slot_fill_env(slot, request, pidfdid);
        order->image = -1;
        if (request->spare_settings) {
                order->argv = slot_add_settings(slot, request, (char **)order->argv);
                order->image = SPARE_IMAGE_FD;
        }
        return slot->overflow ? err_raise(-E2BIG) : 0;
}
