/* What sheet.c and sheetprint.c share. */
#pragma once

struct sheet_comment {
        const char *text; /* one paragraph */
        struct sheet_comment *next;
};
