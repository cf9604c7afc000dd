#include "base/number.h"

#include "base/err.h"
#include "base/fd.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

int number_parse(const char *text, int64_t min, int64_t max, int64_t *ret) {
        const char *digits = text[0] == '-' || text[0] == '+' ? text + 1 : text;
        char *end;
        long long value;

        if (!isdigit((unsigned char)digits[0]) || (digits[0] == '0' && digits[1] != '\0'))
                return -EINVAL;
        errno = 0;
        value = strtoll(text, &end, 10);
        if (*end != '\0')
                return -EINVAL;
        if (errno == ERANGE || value < min || value > max)
                return -ERANGE;
        *ret = value;
        return 0;
}

int number_read_file(const char *path, int64_t min, int64_t max, int64_t *ret) {
        AUTO(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
        char text[32];
        ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

        if (n < 0)
                return -errno;
        text[n] = '\0';
        text[strcspn(text, "\n")] = '\0';
        return number_parse(text, min, max, ret);
}

int number_parse_bool(const char *text, bool *ret) {
        static const char *const yes[] = {"yes", "true", "on"};
        static const char *const no[] = {"no", "false", "off"};

        for (size_t i = 0; i < LENGTH_OF(yes); i++) {
                if (strcasecmp(text, yes[i]) == 0) {
                        *ret = true;
                        return 0;
                }
                if (strcasecmp(text, no[i]) == 0) {
                        *ret = false;
                        return 0;
                }
        }
        return -EINVAL;
}

/* Reads digits only; advances *P. Overflow is -ERANGE. */
static int parse_digits(const char **p, uint64_t *ret) {
        uint64_t value = 0;

        if (!isdigit((unsigned char)**p))
                return -EINVAL;
        for (; isdigit((unsigned char)**p); (*p)++)
                if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
                    __builtin_add_overflow(value, (uint64_t)(**p - '0'), &value))
                        return -ERANGE;
        *ret = value;
        return 0;
}

int number_parse_size(const char *text, uint64_t *ret) {
        static const char units[] = "KMGT";
        const char *unit;
        uint64_t value;
        int r;

        r = parse_digits(&text, &value);
        if (r < 0)
                return r;
        if (*text != '\0') {
                unit = strchr(units, toupper((unsigned char)*text));
                if (!unit || text[1] != '\0')
                        return -EINVAL;
                if (__builtin_mul_overflow(value, UINT64_C(1024) << (10 * (unit - units)), &value))
                        return -ERANGE;
        }
        *ret = value;
        return 0;
}

static const struct duration_unit {
        const char *name;
        usec_t usec;
} duration_units[] = {
        {"d", 86400 * USEC_PER_SEC},
        {"h", 3600 * USEC_PER_SEC},
        {"min", 60 * USEC_PER_SEC},
        {"ms", USEC_PER_MSEC},
        {"us", 1},
        {"s", USEC_PER_SEC},
        {"m", 60 * USEC_PER_SEC},
};

/* Reads one unit at *P and advances; nothing at all means seconds. 0 when there is no such unit. */
static usec_t parse_unit(const char **p) {
        size_t n = 0;

        while (isalpha((unsigned char)(*p)[n]))
                n++;
        if (n == 0)
                return **p == '\0' ? USEC_PER_SEC : 0;
        for (size_t i = 0; i < LENGTH_OF(duration_units); i++)
                if (strlen(duration_units[i].name) == n && strncmp(duration_units[i].name, *p, n) == 0) {
                        *p += n;
                        return duration_units[i].usec;
                }
        return 0;
}

/* Reads .DIGITS at *P, up to six of them, as millionths. */
static int parse_fraction(const char **p, uint64_t *ret) {
        uint64_t value = 0, scale = 100000;

        *ret = 0;
        if (**p != '.')
                return 0;
        (*p)++;
        if (!isdigit((unsigned char)**p))
                return -EINVAL;
        for (; isdigit((unsigned char)**p); (*p)++, scale /= 10)
                value += (uint64_t)(**p - '0') * scale;
        *ret = value;
        return 0;
}

int number_parse_duration(const char *text, usec_t *ret) {
        uint64_t whole, millionths = 0;
        usec_t total = 0, unit;
        int r;

        if (strcmp(text, "infinity") == 0) {
                *ret = USEC_INFINITY;
                return 0;
        }
        do {
                r = parse_digits(&text, &whole);
                if (r == 0)
                        r = parse_fraction(&text, &millionths);
                if (r < 0)
                        return r;
                unit = parse_unit(&text);
                if (unit == 0)
                        return -EINVAL;
                if (__builtin_mul_overflow(whole, unit, &whole) || __builtin_add_overflow(total, whole, &total) ||
                    __builtin_add_overflow(total, millionths * unit / 1000000, &total))
                        return -ERANGE;
        } while (*text != '\0');
        if (total == USEC_INFINITY)
                return -ERANGE;
        *ret = total;
        return 0;
}

int number_parse_rate(const char *text, struct rate_limit *ret) {
        char count[16];
        const char *slash = strchr(text, '/');
        struct rate_limit limit;
        int64_t n;
        int r;

        if (strcmp(text, "unlimited") == 0) {
                *ret = (struct rate_limit){0};
                return 0;
        }
        if (!slash || (size_t)(slash - text) >= sizeof(count))
                return -EINVAL;
        memcpy(count, text, (size_t)(slash - text));
        count[slash - text] = '\0';
        r = number_parse(count, 1, 1000000000, &n);
        if (r < 0)
                return r;
        r = number_parse_duration(slash + 1, &limit.interval);
        if (r < 0)
                return r;
        if (limit.interval == 0 || limit.interval == USEC_INFINITY)
                return -ERANGE;
        limit.burst = (unsigned)n;
        *ret = limit;
        return 0;
}

int number_parse_mode(const char *text, mode_t *ret) {
        size_t n = strspn(text, "01234567");

        if (n == 0 || text[n] != '\0')
                return -EINVAL;
        if (n > 4 && !(n == 5 && text[0] == '0'))
                return -ERANGE;
        *ret = (mode_t)strtoul(text, NULL, 8);
        return *ret > 07777 ? -ERANGE : 0;
}

int number_parse_signal(const char *text, int *ret) {
        const char *name = strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text;
        int64_t n;

        if (number_parse(text, 1, SIGRTMAX, &n) == 0) {
                *ret = (int)n;
                return 0;
        }
        if (strncasecmp(name, "RTMIN+", 6) == 0 && number_parse(name + 6, 0, SIGRTMAX - SIGRTMIN, &n) == 0) {
                *ret = SIGRTMIN + (int)n;
                return 0;
        }
        for (int s = 1; s < SIGRTMIN; s++) {
                const char *known = sigabbrev_np(s);

                if (known && strcasecmp(known, name) == 0) {
                        *ret = s;
                        return 0;
                }
        }
        return -EINVAL;
}

void number_add_size(struct buf *buf, uint64_t value) {
        static const char units[] = "KMGT";
        int unit = -1;

        while (value > 0 && value % 1024 == 0 && unit < 3) {
                value /= 1024;
                unit++;
        }
        buf_printf(buf, "%llu", (unsigned long long)value);
        if (unit >= 0)
                buf_add_char(buf, units[unit]);
}

void number_add_duration(struct buf *buf, usec_t value) {
        if (value == USEC_INFINITY) {
                buf_add_string(buf, "infinity");
                return;
        }
        for (size_t i = 0; i < LENGTH_OF(duration_units) - 1; i++)
                if (value % duration_units[i].usec == 0 && value >= duration_units[i].usec &&
                    (duration_units[i].usec >= USEC_PER_SEC || value % USEC_PER_SEC != 0)) {
                        buf_printf(buf, "%llu%s", (unsigned long long)(value / duration_units[i].usec),
                                   duration_units[i].name);
                        return;
                }
        buf_printf(buf, "%llu%s", (unsigned long long)(value % USEC_PER_SEC ? value : value / USEC_PER_SEC),
                   value % USEC_PER_SEC ? "us" : "s");
}

void number_add_rate(struct buf *buf, const struct rate_limit *value) {
        if (value->burst == 0) {
                buf_add_string(buf, "unlimited");
                return;
        }
        buf_printf(buf, "%u/", value->burst);
        number_add_duration(buf, value->interval);
}

void number_add_signal(struct buf *buf, int value) {
        const char *name = sigabbrev_np(value);

        if (name)
                buf_printf(buf, "SIG%s", name);
        else if (value >= SIGRTMIN && value <= SIGRTMAX)
                buf_printf(buf, "SIGRTMIN+%d", value - SIGRTMIN);
        else
                buf_printf(buf, "%d", value);
}
