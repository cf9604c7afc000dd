/* inetd.conf(5), of all systems. */
#include "fuzzimport.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        fuzz_import(import_inetd, data, size);
        return 0;
}
