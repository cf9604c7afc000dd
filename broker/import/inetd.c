/* inetd's files to definitions. */
#include "import/import.h"
#include "import/source.h"

void import_inetd(struct import *import) {
        struct source source;

        for (char *const *file = import->files; *file; file++)
                if (source_open(&source, &import->sheet, *file, NULL))
                        sheet_refuse(&import->sheet.top, &(struct mark){.file = *file},
                                     "inetd's files are not read yet");
}
