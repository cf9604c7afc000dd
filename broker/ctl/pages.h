/* What the broker answers by HTTP: /metrics, /healthz and /readyz. */
#pragma once

#include "core/manager.h"
#include "ctl/exposition.h"

#include <microhttpd.h>

struct pages {
        struct manager *manager; /* borrowed */
        /* The last text of each format; with thousands of services it is sent again for a while. */
        struct {
                struct MHD_Response *response; /* owned; others may be sending it still */
                usec_t until;                  /* monotonic: up to then it is young enough */
        } texts[EXPOSITION_FORMAT_N];
        size_t alive; /* texts that some client has not taken whole yet, and the last ones */
};

/* After the daemon was stopped: nobody sends any of its texts. */
void pages_deinit(struct pages *pages);

/* An MHD_AccessHandlerCallback, whose closure is a struct pages. */
enum MHD_Result pages_answer(void *userdata, struct MHD_Connection *connection, const char *url, const char *method,
                             const char *version, const char *data, size_t *data_size, void **request);
