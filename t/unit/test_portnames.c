#include "unit.h"

#include "import/portnames.h"

#include <stdio.h>
#include <unistd.h>

static void test_file(void **state UNUSED) {
        char path[] = "/tmp/portnames-XXXXXX";
        int fd = mkstemp(path);
        struct portnames names = {0};
        struct sheet sheet;
        unsigned port = 0;

        assert_yes(fd >= 0);
        dprintf(fd, "# x\nqm-test 4243/tcp alias # other\r\nqm-test\t4244/udp\n\nbad\nbad 0/tcp\nworse x/tcp\nqm-test "
                    "1/tcp\n");
        sheet_init(&sheet);
        assert_yes(portnames_read(&names, &sheet, path));
        assert_yes(portnames_find(&names, "qm-test", "tcp", &port));
        assert_int_equal(port, 4243);
        assert_yes(portnames_find(&names, "alias", "tcp", &port));
        assert_int_equal(port, 4243);
        assert_yes(portnames_find(&names, "qm-test", "udp", &port));
        assert_int_equal(port, 4244);
        assert_yes(portnames_find(&names, "80", "udp", &port));
        assert_int_equal(port, 80);
        assert_no(portnames_find(&names, "alias", "udp", &port));
        assert_no(portnames_find(&names, "other", "tcp", &port));
        assert_no(portnames_find(&names, "worse", "tcp", &port));
        assert_no(portnames_find(&names, "65536", "tcp", &port));
        assert_no(portnames_find(&names, "0", "tcp", &port));
        assert_int_equal(port, 80);
        assert_no(diag_has_errors(&sheet.diag));
        unlink(path);
        close(fd);
        assert_no(portnames_read(&names, &sheet, path));
        assert_yes(diag_has_errors(&sheet.diag));
        sheet_deinit(&sheet);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_file),
        };

        return cmocka_run_group_tests_name("portnames", tests, NULL, NULL);
}
