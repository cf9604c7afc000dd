/* What texts must look like to be names, paths and the like. Each returns NULL, or what is wrong as a sentence without
 * its subject: "is not …; write …". */
#pragma once

const char *refuse_path(const char *text);
const char *refuse_user(const char *text);
const char *refuse_owner(const char *text); /* a user without a group */
const char *refuse_group(const char *text);
const char *refuse_device(const char *text);
const char *refuse_network(const char *text); /* as tcpd, firewalls and people write them */
const char *refuse_host(const char *text);    /* RFC 1123, and underscores */
const char *refuse_word(const char *text);
const char *refuse_socket_name(const char *text);
const char *refuse_service_name(const char *text);
const char *refuse_asked_name(const char *text); /* of a service that clients of tcpmux ask for */
const char *refuse_env_name(const char *text);
const char *refuse_frame_end(const char *text); /* of requests */
