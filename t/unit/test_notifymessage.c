/* What messages of programs mean, and what of them is refused. */
#include "unit.h"

#include "net/notifymessage.h"

#include <stdio.h>

#define PARSE(text, ret) notifymessage_parse(text, sizeof(text) - 1, ret)

static struct notifymessage parse(const char *text) {
        struct notifymessage message;

        assert_int_equal(notifymessage_parse(text, strlen(text), &message), NOTIFYMESSAGE_OK);
        return message;
}

static void test_fields(void **state UNUSED) {
        struct notifymessage message =
                parse("READY=1\nSTATUS=10% done\nMAINPID=4711\nWHAT=ever\nEXIT_STATUS=5\nno line");

        assert_int_equal(message.fields, NOTIFYMESSAGE_READY | NOTIFYMESSAGE_STATUS | NOTIFYMESSAGE_MAINPID);
        assert_int_equal(message.bad, 0);
        assert_string_equal(message.status, "10% done");
        assert_int_equal(message.main_pid, 4711);
        message = parse("RELOADING=1\r\n\nMONOTONIC_USEC=5\nSTOPPING=1\n");
        assert_int_equal(message.fields,
                         NOTIFYMESSAGE_RELOADING | NOTIFYMESSAGE_MONOTONIC_USEC | NOTIFYMESSAGE_STOPPING);
        assert_int_equal(message.monotonic, 5);
        message = parse("EXTEND_TIMEOUT_USEC=20000000\nWATCHDOG_USEC=18446744073709551615\nWATCHDOG=1");
        assert_int_equal(message.fields,
                         NOTIFYMESSAGE_EXTEND_TIMEOUT_USEC | NOTIFYMESSAGE_WATCHDOG_USEC | NOTIFYMESSAGE_WATCHDOG);
        assert_int_equal(message.extend_timeout, 20 * USEC_PER_SEC);
        assert_yes(message.watchdog == USEC_INFINITY);
        message = parse("FDSTORE=1\nFDNAME=my socket\nFDPOLL=0");
        assert_int_equal(message.fields, NOTIFYMESSAGE_FDSTORE | NOTIFYMESSAGE_FDNAME | NOTIFYMESSAGE_FDPOLL);
        assert_string_equal(notifymessage_store_name(&message), "my socket");
        message = parse("FDSTOREREMOVE=1\nFDNAME=x");
        assert_int_equal(message.fields, NOTIFYMESSAGE_FDSTOREREMOVE | NOTIFYMESSAGE_FDNAME);
        message = parse("ERRNO=2\nBUSERROR=org.freedesktop.DBus.Error.TimedOut");
        assert_int_equal(message.error, 2);
        assert_string_equal(message.bus_error, "org.freedesktop.DBus.Error.TimedOut");
        assert_int_equal(parse("BARRIER=1").fields, NOTIFYMESSAGE_BARRIER);
        assert_int_equal(parse("BARRIER=1\n").fields, NOTIFYMESSAGE_BARRIER);
        assert_int_equal(parse("X=1").fields, 0);
}

static void test_last_wins(void **state UNUSED) {
        struct notifymessage message = parse("STATUS=a\nMAINPID=1\nSTATUS=b\nMAINPID=2");

        assert_string_equal(message.status, "b");
        assert_int_equal(message.main_pid, 2);
        assert_int_equal(parse("WATCHDOG=trigger\nWATCHDOG=1").fields, NOTIFYMESSAGE_WATCHDOG);
        assert_int_equal(parse("WATCHDOG=1\nWATCHDOG=trigger").fields, NOTIFYMESSAGE_WATCHDOG_TRIGGER);
        assert_int_equal(parse("FDPOLL=0\nFDPOLL=1").fields, 0);
        message = parse("MAINPID=2\nMAINPID=x\nFDNAME=good\nFDNAME=b:d");
        assert_int_equal(message.fields, 0);
        assert_int_equal(message.bad, NOTIFYMESSAGE_MAINPID | NOTIFYMESSAGE_FDNAME);
        assert_string_equal(notifymessage_store_name(&message), "stored");
        message = parse("READY=0\nREADY=1");
        assert_int_equal(message.fields, NOTIFYMESSAGE_READY);
        assert_int_equal(message.bad, 0);
}

static void test_values(void **state UNUSED) {
        static const char *const bad[] = {
                "READY=0",
                "READY=",
                "READY=yes",
                "MAINPID=0",
                "MAINPID=-1",
                "MAINPID= 1",
                "MAINPID=1 ",
                "MAINPID=2147483648",
                "MAINPID=",
                "WATCHDOG_USEC=18446744073709551616",
                "WATCHDOG_USEC=0x10",
                "EXTEND_TIMEOUT_USEC=1s",
                "MONOTONIC_USEC=99999999999999999999999",
                "ERRNO=0",
                "ERRNO=4096",
                "WATCHDOG=2",
                "FDNAME=a:b",
                "FDNAME=\x80",
                "FDNAME=a\tb",
                "FDNAME=\x7f",
                "FDPOLL=2",
                "BUSERROR=",
                "BUSERROR=a\x01",
                "BARRIER=0",
        };
        char name[NOTIFYMESSAGE_NAME_MAX + 16];
        struct notifymessage message;

        for (size_t i = 0; i < LENGTH_OF(bad); i++) {
                message = parse(bad[i]);
                assert_int_equal(message.fields, 0);
                assert_int_not_equal(message.bad, 0);
                assert_int_equal(strncmp(bad[i], notifymessage_field_name(message.bad), strcspn(bad[i], "=")), 0);
        }
        snprintf(name, sizeof(name), "FDNAME=%0*d", NOTIFYMESSAGE_NAME_MAX, 0);
        assert_int_equal(parse(name).fields, NOTIFYMESSAGE_FDNAME);
        snprintf(name, sizeof(name), "FDNAME=%0*d", NOTIFYMESSAGE_NAME_MAX + 1, 0);
        assert_int_equal(parse(name).bad, NOTIFYMESSAGE_FDNAME);
        message = parse("FDNAME=");
        assert_int_equal(message.fields, NOTIFYMESSAGE_FDNAME);
        assert_string_equal(notifymessage_store_name(&message), "stored");
}

/* Nothing of it can move a cursor, begin a line or turn the text around it. */
static void test_status(void **state UNUSED) {
        static const struct {
                const char *said, *shown;
        } samples[] = {
                {"STATUS=", ""},
                {"STATUS=Grüße, 世界 😀", "Grüße, 世界 😀"},
                {"STATUS=\x1b[2J\a\tx\x7f", "?[2J??x?"},
                {"STATUS=a\xff\xc3", "a??"},
                {"STATUS=\xed\xa0\x80", "???"},
                {"STATUS=\xc0\xaf", "??"},
                {"STATUS=\xc2\x9b"
                 "1m",
                 "?1m"},
                {"STATUS=\xe2\x80\xae"
                 "x\xe2\x80\xa8y\xe2\x81\xa6\xd8\x9c\xe2\x80\x8f",
                 "?x?y???"},
                {"STATUS=a=b\nX", "a=b"},
        };
        char text[NOTIFYMESSAGE_STATUS_MAX + 64] = "STATUS=";
        struct notifymessage message;

        for (size_t i = 0; i < LENGTH_OF(samples); i++) {
                message = parse(samples[i].said);
                assert_int_equal(message.fields, NOTIFYMESSAGE_STATUS);
                assert_string_equal(message.status, samples[i].shown);
        }
        /* Cut between two characters, not within one. */
        memset(text + 7, 'x', NOTIFYMESSAGE_STATUS_MAX + 7);
        assert_int_equal(strlen(parse(text).status), NOTIFYMESSAGE_STATUS_MAX);
        memcpy(text + 7 + NOTIFYMESSAGE_STATUS_MAX - 1, "ü", 2);
        assert_int_equal(strlen(parse(text).status), NOTIFYMESSAGE_STATUS_MAX - 1);
}

static void test_refused(void **state UNUSED) {
        static char text[NOTIFYMESSAGE_SIZE_MAX + 1];
        struct notifymessage message;

        assert_int_equal(PARSE("", &message), NOTIFYMESSAGE_EMPTY);
        assert_int_equal(PARSE("\0", &message), NOTIFYMESSAGE_EMPTY);
        assert_int_equal(PARSE("\n\r\n", &message), NOTIFYMESSAGE_EMPTY);
        assert_int_equal(PARSE("READY=1\0", &message), NOTIFYMESSAGE_OK);
        assert_int_equal(PARSE("READY=1\0\0", &message), NOTIFYMESSAGE_NUL);
        assert_int_equal(PARSE("READY=1\0STATUS=x", &message), NOTIFYMESSAGE_NUL);
        assert_int_equal(PARSE("BARRIER=1\nREADY=1", &message), NOTIFYMESSAGE_BARRIER_MIXED);
        assert_int_equal(PARSE("X=1\nBARRIER=1", &message), NOTIFYMESSAGE_BARRIER_MIXED);
        memset(text, 'x', sizeof(text));
        assert_int_equal(notifymessage_parse(text, NOTIFYMESSAGE_SIZE_MAX, &message), NOTIFYMESSAGE_OK);
        assert_int_equal(notifymessage_parse(text, NOTIFYMESSAGE_SIZE_MAX + 1, &message), NOTIFYMESSAGE_OVERLONG);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_fields), cmocka_unit_test(test_last_wins), cmocka_unit_test(test_values),
                cmocka_unit_test(test_status), cmocka_unit_test(test_refused),
        };

        return cmocka_run_group_tests_name("notifymessage", tests, NULL, NULL);
}
