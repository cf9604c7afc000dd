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

static bool is_about(const struct xinetd_line *line, const char *name) {
        size_t n = strlen(name);

        return strncmp(line->text, name, n) == 0 && line->text[n] != '\0' && strchr(" =+-", line->text[n]);
}

/* What an entry says about the log, line by line. */
static void tell_lines(struct xinetd_entry *entry, struct sheet_service *out) {
        for (struct xinetd_line *line = entry->lines; line; line = line->next) {
                bool who = strstr(line->text, "USERID");

                if (is_about(line, "log_type"))
                        sheet_note(out, SHEET_END, &line->mark, "%s: there is one log, see broker: {log: …}",
                                   line->text);
                else if (!is_about(line, "log_on_success") && !is_about(line, "log_on_failure"))
                        continue;
                else if (who)
                        sheet_note(out, SHEET_END, &line->mark, "%s: " NO_IDENT, line->text);
                else
                        sheet_remark(out, SHEET_END, "%s: " LOGGED, line->text);
                line->used = true;
        }
}

void job_log(struct xinetd_job *job) {
        struct xinetd_attr *success = xinetd_find(job->entry, "log_on_success");

        if (job->flags & XINETD_FLAG_IDONLY && has_word(success, "USERID"))
                sheet_refuse(job->out, job_mark(job, "flags"),
                             "flags = IDONLY: clients that do not say who they are (ident) cannot be told from others");
        else if (job->flags & XINETD_FLAG_IDONLY)
                sheet_note(job->out, SHEET_END, job_mark(job, "flags"), "flags = IDONLY: " NO_IDENT);
        tell_lines(job->entry, job->out);
        job_note(job, "mdns", SHEET_END, "services are not announced");
}

void xinetd_log_defaults(struct xinetd *xinetd) {
        tell_lines(&xinetd->defaults, &xinetd->import->sheet.top);
}
