/* Rules about processes that are kept ready for connections. */
#include "conf/check.h"

/* A connection arrives as descriptor 3 at the highest, under the program's own limit. */
#define NOFILE_MIN 4

void check_spare(struct decoder *dec, struct record *record) {
        const struct service_def *def = record->def;

        if (!check_usable(record, SERVICE_SPARE, SERVICE_ULIMITS) || def->spare == 0)
                return;
        for (size_t i = 0; i < def->ulimits.count; i++) {
                if (def->ulimits.items[i].resource != RLIMIT_NOFILE ||
                    def->ulimits.items[i].limit.rlim_cur >= NOFILE_MIN)
                        continue;
                if (check_is_written(record, SERVICE_SPARE))
                        check_error(dec, record, CHECK_KEY(SERVICE_SPARE),
                                    "takes a connection within the program's own limits; write nofile: %d or more in "
                                    "ulimits",
                                    NOFILE_MIN);
                else
                        check_take_back(dec, record, SERVICE_SPARE);
        }
}
