#!/bin/sh
# A CGI program that shows what it was asked.
printf 'Content-Type: text/plain\r\n\r\n'
printf '%s %s?%s from %s\n' "$REQUEST_METHOD" "$SCRIPT_NAME" "$QUERY_STRING" "$REMOTE_ADDR"
[ "${CONTENT_LENGTH:-0}" = 0 ] || head -c "$CONTENT_LENGTH"
