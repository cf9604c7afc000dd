/* Built-ins' answers to datagrams. Their sender may be forged, and then the answer goes to somebody who has not asked:
 * it is never larger than the question, but to those who are known to be there; there is none to what a whole network
 * was asked; and it is the service's to say who is answered at all. */
#include "handoff/builtins.h"
#include "handoff/builtintext.h"
#include "handoff/datagrams.h"

#include "base/clock.h"
#include "base/err.h"

#include <errno.h>

#define CHARACTERS_MAX 512 /* RFC 864 */

/* Whether it is so many characters does not matter, as long as it is not always the same number. */
static size_t choose_size(void) {
        return (size_t)(clock_monotonic() % (CHARACTERS_MAX + 1));
}

static bool is_known(const struct builtins *builtins, const struct datagram *datagram) {
        return addr_is_loopback(&datagram->peer) ||
               (builtins->seen && builtinseen_has(builtins->seen, &datagram->peer, builtins_now(builtins)));
}

/* What is no answer unless it is whole. */
static void answer_whole(const struct builtins *builtins, struct datagram *datagram, const char *data, size_t size) {
        if (size > DATAGRAM_SIZE_MAX || (size > datagram->size && !is_known(builtins, datagram)))
                return;
        memcpy(datagram->data, data, size);
        datagram->size = size;
        datagram->answered = true;
}

static void answer(struct builtins *builtins, struct datagram *datagram) {
        AUTO(buf_deinit) struct buf reply = BUF_NULL;
        size_t size;

        switch (builtins_setup(builtins)->kind) {
        case HANDOFF_BUILTIN_DISCARD:
        case HANDOFF_BUILTIN_TCPMUX:
                return;
        case HANDOFF_BUILTIN_ECHO:
                datagram->answered = true;
                return;
        case HANDOFF_BUILTIN_CHARGEN:
                size = choose_size();
                if (size > datagram->size && !is_known(builtins, datagram))
                        size = datagram->size;
                answer_whole(builtins, datagram, builtins->pattern, size);
                return;
        default:
                builtins_reply(builtins, &reply);
                if (!buf_failed(&reply))
                        answer_whole(builtins, datagram, buf_text(&reply), reply.size);
        }
}

int builtins_take_datagrams(struct handoff *handoff, const struct handoff_datagrams *request) {
        struct builtins *builtins = builtins_of(handoff);
        const struct handoff_setup *setup = &handoff->setup;
        struct datagrams *datagrams = setup->host->datagrams;
        int count;

        if (!datagrams)
                datagrams = setup->host->datagrams = datagrams_new();
        if (!datagrams)
                return err_raise(-ENOMEM);
        count = datagrams_receive(datagrams, request->fd, request->family, request->max);
        for (int i = 0; i < count; i++) {
                struct datagram *datagram = datagrams_at(datagrams, (unsigned)i);

                if (setup->events->admits(setup->userdata, handoff, &datagram->peer, datagram->peer_size) &&
                    !datagram->to_many)
                        answer(builtins, datagram);
        }
        if (count > 0)
                datagrams_answer(datagrams, request->fd, (unsigned)count);
        return count;
}
