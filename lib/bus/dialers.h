/*
 * Keeps a socket connected to every address of its peers' names.
 *
 * One NNG dialer tries one address only, the first. Here a thread resolves
 * each name (all A and AAAA records), keeps one dialer for each address, and
 * does so again every few seconds. An address is dropped when it is gone from
 * the name and its pipe is down. A name that cannot be resolved just now
 * changes nothing.
 */
#ifndef FP_BUS_DIALERS_H
#define FP_BUS_DIALERS_H

#include "lib/bus/endpoint.h"

struct fp_dialers;

/* label: of metrics and logs, "users". urls: "tcp://name:port,...". Takes the
 * socket's pipe callbacks. Nothing is connected yet when it returns. */
struct fp_dialers *dialers_open(nng_socket s, const char *label, const char *urls, const struct bus_tls *tls,
                                int resolve_every_ms, struct fp_err *err) FP_MUST_CHECK;
/* Dials no more, lets no new connection in, and asks the peers to end theirs
 * once what they sent has arrived (watch_leave). */
void dialers_leave(struct fp_dialers *d);
/* Drops every connection and dials no more. The handle stays valid, and says 0
 * up: NNG's callbacks come until the process ends. */
void dialers_close(struct fp_dialers *d);

int dialers_up(struct fp_dialers *d);        /* connections now */
bool dialers_were_up(struct fp_dialers *d);  /* there was one at some time */
int dialers_addresses(struct fp_dialers *d); /* dialed now, for tests */
/* Waits for a connection; false when there is none within timeout_ms. */
bool dialers_wait(struct fp_dialers *d, int timeout_ms);

#endif
