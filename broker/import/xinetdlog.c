/* What xinetd logs. The broker logs peer, pid, duration, exit status and why somebody was refused, always. */
#include "import/xinetd.h"

#include <string.h>

#define NO_IDENT "clients are not asked who they are (ident)"
#define LOGGED "the broker logs that and more, always"

static bool has_word(const struct xinetd_attr *attr, const char *text) {
        for (const struct xinetd_word *word = attr ? attr->words : NULL; word; word = word->next)
                if (strcmp(word->text, text) == 0)
                        return true;
        return false;
}

/* Each of the service's own lines once; those of defaults stand at the top. */
static void tell_lines(struct xinetd_job *job, const char *name) {
        struct xinetd_attr *attr = xinetd_find(job->entry, name);
        const struct xinetd_line *before = NULL;

        for (struct xinetd_word *word = attr ? attr->words : NULL; word; word = word->next) {
                const struct xinetd_line *line = word->line;
                bool own = !xinetd_find(&job->xinetd->defaults, name) || !line->used;

                if (line == before || !own)
                        continue;
                before = line;
                word->line->used = true;
                if (strstr(line->text, "USERID"))
                        sheet_note(job->out, SHEET_END, &line->mark, "%s: " NO_IDENT, line->text);
                else
                        sheet_remark(job->out, SHEET_END, "%s: " LOGGED, line->text);
        }
}

void job_log(struct xinetd_job *job) {
        struct xinetd_attr *success = xinetd_find(job->entry, "log_on_success");

        if (job->flags & XINETD_FLAG_IDONLY && has_word(success, "USERID"))
                sheet_refuse(job->out, job_mark(job, "flags"),
                             "flags = IDONLY: clients that do not say who they are (ident) cannot be told from others");
        else if (job->flags & XINETD_FLAG_IDONLY)
                sheet_note(job->out, SHEET_END, job_mark(job, "flags"), "flags = IDONLY: " NO_IDENT);
        tell_lines(job, "log_on_success");
        tell_lines(job, "log_on_failure");
        if (xinetd_find(job->entry, "log_type"))
                job_note(job, "log_type", SHEET_END, "there is one log, see broker: {log: …}");
        job_note(job, "mdns", SHEET_END, "services are not announced");
}

void xinetd_log_defaults(struct xinetd *xinetd) {
        static const char *const names[] = {"log_type", "log_on_success", "log_on_failure"};
        struct sheet_service *top = &xinetd->import->sheet.top;

        for (struct xinetd_line *line = xinetd->defaults.lines; line; line = line->next)
                for (size_t i = 0; i < LENGTH_OF(names); i++) {
                        size_t n = strlen(names[i]);

                        if (strncmp(line->text, names[i], n) != 0 || !strchr(" =+-", line->text[n]))
                                continue;
                        line->used = true;
                        if (i == 0)
                                sheet_note(top, SHEET_END, &line->mark, "%s: there is one log, see broker: {log: …}",
                                           line->text);
                        else if (strstr(line->text, "USERID"))
                                sheet_note(top, SHEET_END, &line->mark, "%s: " NO_IDENT, line->text);
                        else
                                sheet_remark(top, SHEET_END, "%s: " LOGGED, line->text);
                }
}
