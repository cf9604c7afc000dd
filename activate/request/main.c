/* What activate(1) becomes for --request. The arguments are those it was called with, and so is the name. */
#include "activate/options.h"
#include "activate/request/server.h"
#include "activate/say.h"

int main(int argc, char **argv) {
        AUTO(options_deinit) struct options options = OPTIONS_NULL;
        int r = options_parse(argc, argv, &options);

        if (r != 0)
                return r;
        if (options.mode != MODE_ACCEPT || !options.request.is_on) {
                say_error("this is a part of activate(1), which starts it for --request");
                return EXIT_USAGE;
        }
        return server_run(&options);
}
