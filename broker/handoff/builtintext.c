#include "handoff/builtintext.h"

#include <arpa/inet.h>
#include <stdio.h>

#define SECONDS_1900_TO_1970 UINT32_C(2208988800)
#define PRINTING_COUNT 95
#define LINE_SIZE 72

void builtintext_daytime(time_t now, char out[BUILTIN_DAYTIME_SIZE + 1]) {
        char text[64] = "";
        struct tm tm;

        /* ctime(3) and no locale: what reads this expects English names. */
        if (localtime_r(&now, &tm))
                asctime_r(&tm, text);
        text[strcspn(text, "\n")] = '\0';
        snprintf(out, BUILTIN_DAYTIME_SIZE + 1, "%.24s\r\n", text);
}

void builtintext_time(time_t now, char out[BUILTIN_TIME_SIZE]) {
        uint32_t seconds = htonl((uint32_t)now + SECONDS_1900_TO_1970);

        memcpy(out, &seconds, sizeof(seconds));
}

void builtintext_pattern(char out[BUILTIN_PATTERN_SIZE]) {
        for (unsigned line = 0; line < PRINTING_COUNT; line++) {
                for (unsigned i = 0; i < LINE_SIZE; i++)
                        *out++ = (char)(' ' + (line + i) % PRINTING_COUNT);
                *out++ = '\r';
                *out++ = '\n';
        }
}
