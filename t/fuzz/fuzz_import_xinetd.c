/* xinetd.conf(5). */
#include "fuzzimport.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        fuzz_import(import_xinetd, data, size);
        return 0;
}
