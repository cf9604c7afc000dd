#include "ctl/pages.h"

#include "base/clock.h"
#include "core/health.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* The loop writes these texts, and nobody else is served meanwhile. Asking for them as fast as one can is not to take
 * more than a twentieth of its time; below the first bound they cost as little as the request itself. */
#define COST_FREE USEC_PER_MSEC
#define COST_SHARE 20

/* Clients that read slowly keep texts in memory that can be megabytes each. */
#define TEXTS_ALIVE_MAX 8

#define TEXT_PLAIN "text/plain; charset=utf-8"

static usec_t cpu_time(void) {
        struct timespec now;

        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
        return (usec_t)now.tv_sec * USEC_PER_SEC + (usec_t)now.tv_nsec / 1000;
}

struct text {
        struct pages *pages;
        char *data;
};

static void on_text_free(void *userdata) {
        struct text *text = userdata;

        text->pages->alive--;
        free(text->data);
        free(text);
}

static struct MHD_Response *write_text(struct pages *pages, enum exposition_format format) {
        struct text *text = calloc(1, sizeof(*text));
        struct MHD_Response *response = NULL;
        struct buf out = BUF_NULL;
        size_t size;

        if (!text)
                return NULL;
        exposition_write(pages->manager, format, &out);
        size = out.size;
        text->pages = pages;
        text->data = buf_take(&out);
        pages->alive++;
        if (text->data)
                response = MHD_create_response_from_buffer_with_free_callback_cls(size, text->data, on_text_free, text);
        if (!response)
                on_text_free(text);
        else
                MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, exposition_types[format]);
        return response;
}

/* The text of now, or one that is young enough. Borrowed; NULL when memory ran out. */
static struct MHD_Response *find_text(struct pages *pages, enum exposition_format format) {
        usec_t now = clock_monotonic(), began = cpu_time(), cost;
        struct MHD_Response *response, *old = pages->texts[format].response;

        if (old && (now < pages->texts[format].until || pages->alive >= TEXTS_ALIVE_MAX))
                return old;
        response = write_text(pages, format);
        if (!response)
                return NULL;
        cost = cpu_time() - began;
        pages->texts[format].until = cost > COST_FREE ? now + cost * COST_SHARE : 0;
        pages->texts[format].response = response;
        if (old)
                MHD_destroy_response(old);
        return response;
}

void pages_deinit(struct pages *pages) {
        for (size_t i = 0; i < EXPOSITION_FORMAT_N; i++) {
                if (pages->texts[i].response)
                        MHD_destroy_response(pages->texts[i].response);
                pages->texts[i].response = NULL;
        }
}

/* OpenMetrics, but for who wants the older format only. */
static enum exposition_format choose_format(struct MHD_Connection *connection) {
        const char *accept = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT);

        return accept && strstr(accept, "text/plain") && !strstr(accept, "application/openmetrics-text")
                       ? EXPOSITION_TEXT
                       : EXPOSITION_OPENMETRICS;
}

static enum MHD_Result answer_metrics(struct pages *pages, struct MHD_Connection *connection) {
        struct MHD_Response *response = find_text(pages, choose_format(connection));

        return response ? MHD_queue_response(connection, MHD_HTTP_OK, response) : MHD_NO;
}

static enum MHD_Result answer_text(struct MHD_Connection *connection, unsigned status, const char *text) {
        struct MHD_Response *response =
                MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_MUST_COPY);
        enum MHD_Result result;

        if (!response)
                return MHD_NO;
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, TEXT_PLAIN);
        if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
                MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
        result = MHD_queue_response(connection, status, response);
        MHD_destroy_response(response);
        return result;
}

static enum MHD_Result answer_readiness(struct pages *pages, struct MHD_Connection *connection) {
        AUTO(buf_deinit) struct buf why = BUF_NULL;
        bool ready = health_is_ready(pages->manager, &why);

        return answer_text(connection, ready ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, buf_text(&why));
}

/* Called when the head of a request is complete. It is answered at once, and then no body is waited for. */
enum MHD_Result pages_answer(void *userdata, struct MHD_Connection *connection, const char *url, const char *method,
                             const char *version UNUSED, const char *data UNUSED, size_t *data_size UNUSED,
                             void **request UNUSED) {
        struct pages *pages = userdata;

        if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
                return answer_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "write GET or HEAD\n");
        if (strcmp(url, "/metrics") == 0)
                return answer_metrics(pages, connection);
        if (strcmp(url, "/readyz") == 0)
                return answer_readiness(pages, connection);
        if (strcmp(url, "/healthz") == 0)
                return answer_text(connection, MHD_HTTP_OK, "ok\n");
        return answer_text(connection, MHD_HTTP_NOT_FOUND, "there are /metrics, /healthz and /readyz\n");
}
