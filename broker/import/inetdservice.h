/* One service of an inetd.conf as a service of the broker. */
#pragma once

#include "import/inetdentry.h"

/* What ENTRY is called here, but for a suffix where there are several. */
const char *inetd_service_name(struct sheet *sheet, const struct inetd_entry *entry);

/* Fills SERVICE, or refuses it. */
void inetd_service_write(struct sheet_service *service, enum inetd_dialect dialect, const struct inetd_entry *entry);

/* Its `listen`; for inetdservice.c. */
void inetd_listen_write(struct sheet_service *service, const struct inetd_entry *entry);

/* Whether two services with the same port have an address in common, which Linux gives to one of them alone. */
bool inetd_listen_overlaps(const struct inetd_entry *a, const struct inetd_entry *b);

/* Whether only this machine reaches it. */
bool inetd_listen_is_local(const struct inetd_entry *entry);

/* The port of one of inetd's own services, where there is no services database, as in most containers; 0: none. */
unsigned inetd_builtin_port(const char *name);

/* How often a service is started in a minute where its line does not say. */
int inetd_default_rate(enum inetd_dialect dialect);
