/* How many connections a service of xinetd serves, how fast, when, and what clients are told. */
#include "base/dayranges.h"
#include "base/number.h"
#include "import/xinetd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DEFAULT_CPS 50       /* xinetd's own */
#define DEFAULT_CPS_PAUSE 10 /* seconds */
#define NUMBER_MAX 4294967294

/* What is about connections, said by a service that has none here. What defaults say may be meant for others. */
static void tell_useless(struct xinetd_job *job, const char *why) {
        static const char *const names[] = {"instances", "per_source", "cps", "max_load"};

        for (size_t i = 0; i < LENGTH_OF(names); i++)
                if (xinetd_find(job->entry, names[i]))
                        job_note(job, names[i], SHEET_END, why);
}

static void set_count(struct xinetd_job *job, const char *name, const char *value) {
        int64_t number;

        if (number_parse(value, 1, NUMBER_MAX, &number) == 0)
                sheet_raw(job->out, name, "%lld", (long long)number);
        else
                sheet_refuse(job->out, job_mark(job, name), "%s = %s: not a number of connections, 1 at least", name,
                             value);
}

/* IPv4 is written with four parts. */
static bool listens_to_ipv6(struct xinetd_job *job) {
        const struct sheet_node *listen = sheet_find(job->out, "listen"), *address = listen;

        for (const struct sheet_node *child = listen && listen->kind == SHEET_MAP ? listen->first : NULL; child;
             child = child->next)
                if (strcmp(child->key, "address") == 0)
                        address = child;
        return address && address->text && (!strchr(address->text, '.') || strchr(address->text, '['));
}

static void make_instances(struct xinetd_job *job) {
        const char *instances = job_value(job, "instances"), *per_source = job_value(job, "per_source");

        if (!instances || strcasecmp(instances, "UNLIMITED") == 0)
                sheet_raw(job->out, "instances", "unlimited");
        else
                set_count(job, "instances", instances);
        if (!per_source || strcasecmp(per_source, "UNLIMITED") == 0)
                return;
        set_count(job, "per_source", per_source);
        if (listens_to_ipv6(job)) /* xinetd counts addresses, the broker networks of 64 bits */
                node_raw(node_key(sheet_key(job->out, "source_prefix"), "ipv6"), "128");
}

static void make_cps(struct xinetd_job *job) {
        struct xinetd_attr *attr = job_take(job, "cps");
        const struct xinetd_word *first = attr ? attr->words : NULL, *second = first ? first->next : NULL;
        int64_t count = DEFAULT_CPS, pause = DEFAULT_CPS_PAUSE;

        if (!attr)
                sheet_remark(job->out, "cps", "xinetd's default");
        else if (!second || second->next || number_parse(first->text, 0, 1000000, &count) < 0 ||
                 number_parse(second->text, 0, 1000000, &pause) < 0)
                sheet_refuse(job->out, job_mark(job, "cps"), "%s: two numbers are needed", attr->line->text);
        if (count == 0)
                return;
        sheet_raw(job->out, "cps", "%d/1s", (int)count);
        if (pause > 0)
                sheet_raw(job->out, "cps_pause", "%ds", (int)pause);
        else
                sheet_raw(job->out, "cps_pause", "1ms");
}

static void make_load(struct xinetd_job *job) {
        const char *value = job_value(job, "max_load");
        char *end;
        double load;

        if (!value)
                return;
        load = strtod(value, &end);
        if (end == value || *end != '\0' || !(load >= 0 && load <= 10000))
                sheet_refuse(job->out, job_mark(job, "max_load"), "max_load = %s: not a load", value);
        else if (load >= 0.01)
                sheet_raw(job->out, "max_load", "%g", load);
}

/* xinetd's range has its last minute, ours ends with it. */
static void make_time(struct xinetd_job *job, const struct xinetd_word *word) {
        AUTO(buf_deinit) struct buf text = BUF_NULL, why = BUF_NULL;
        const char *dash = strchr(word->text, '-');
        unsigned hours, minutes;
        struct day_range range;
        char rest;

        if (!dash || sscanf(dash + 1, "%2u:%2u%c", &hours, &minutes, &rest) != 2 || hours > 24 || minutes > 59) {
                sheet_refuse(job->out, &word->line->mark, "access_times = %s: not a range of times", word->text);
                return;
        }
        minutes = hours < 24 ? 60 * hours + minutes + 1 : MINUTES_PER_DAY;
        buf_printf(&text, "%.*s-%u:%02u", (int)(dash - word->text), word->text, minutes / 60, minutes % 60);
        if (!dayranges_parse(buf_text(&text), &range, &why)) {
                sheet_refuse(job->out, &word->line->mark, "access_times = %s: it %s", word->text, buf_text(&why));
                return;
        }
        if (range.to <= range.from) {
                sheet_refuse(job->out, &word->line->mark,
                             "access_times = %s: it ends before it begins; xinetd does not start the service either",
                             word->text);
                return;
        }
        buf_clear(&text);
        dayranges_format(&range, &text);
        sheet_append(job->out, "access_times", buf_text(&text));
}

static void make_banner(struct xinetd_job *job, const char *name) {
        const char *path = job_value(job, name);

        if (path)
                sheet_text(job->out, name, sheet_printf(job->sheet, "file:%s", path));
}

void job_limits(struct xinetd_job *job) {
        struct xinetd_attr *times = job_take(job, "access_times");

        if (job->wait) {
                tell_useless(job, "the server takes all connections, and the broker counts none");
                if (times)
                        sheet_refuse(
                                job->out, job_mark(job, "access_times"),
                                "access_times with wait = yes: the server has the socket and takes what comes, at any "
                                "time");
                job_note(job, "banner", SHEET_END, "the server has the connections");
                job_note(job, "banner_success", SHEET_END, "the server has the connections");
                job_note(job, "banner_fail", SHEET_END, "the server has the connections");
                return;
        }
        if (job->nobody || job->form == XINETD_SENSOR)
                job_remark(job, "access_times", SHEET_END, "a sensor is one at all times");
        else
                for (const struct xinetd_word *word = times ? times->words : NULL; word; word = word->next)
                        make_time(job, word);
        if (!job->datagram)
                make_banner(job, "banner");
        if (!job->datagram)
                make_banner(job, "banner_fail");
        if (job->form == XINETD_SENSOR) {
                tell_useless(job, "a sensor serves nobody");
                return;
        }
        if (!job->datagram)
                make_banner(job, "banner_success");
        if (!job->datagram)
                make_instances(job);
        sheet_raw(job->out, "when_full", "refuse");
        make_cps(job);
        make_load(job);
}
