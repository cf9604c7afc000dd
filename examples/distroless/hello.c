/*
 * The program of the image: answers HTTP with one sentence, on the connection that it gets as stdin and stdout.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void) {
        const char *client = getenv("REMOTE_ADDR");
        char line[4096], text[256];

        while (fgets(line, sizeof(line), stdin) && strcmp(line, "\r\n") != 0 && strcmp(line, "\n") != 0)
                continue;
        snprintf(text, sizeof(text), "Hello %s, there is no shell in here.\n", client ? client : "you");
        printf("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n%s", strlen(text), text);
        return EXIT_SUCCESS;
}
