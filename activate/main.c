/* activate(1): sockets for one program, without a daemon and without a definition. */
#include "activate/options.h"
#include "activate/requestprogram.h"
#include "activate/run.h"
#include "activate/say.h"
#include "activate/serve.h"
#include "base/err.h"
#include "base/fd.h"
#include "config.h"

#include <stdio.h>

int main(int argc, char **argv) {
        AUTO(options_deinit) struct options options = OPTIONS_NULL;
        int r;

        /* Or the first socket would land on a standard descriptor. */
        r = fd_fill_standard();
        if (r < 0) {
                say_error("cannot open /dev/null: %s", err_text(r));
                return EXIT_FAILURE;
        }
        r = options_parse(argc, argv, &options);
        if (r != 0)
                return r;
        switch (options.mode) {
        case MODE_HELP:
                options_print_help(&options);
                break;
        case MODE_VERSION:
                printf("%s (sockbroker) %s\n", options.systemd ? "systemd-socket-activate" : "activate", VERSION);
                break;
        case MODE_ONESHOT:
                return run_oneshot(&options);
        case MODE_WAIT:
                return run_wait(&options);
        case MODE_ACCEPT:
                return options.request.is_on ? requestprogram_become(argv) : serve(&options);
        }
        return fflush(stdout) == 0 ? 0 : EXIT_FAILURE;
}
