/* The HTTP server that faces the world: limits on everything, a table of routes. */
#ifndef FP_INBOUND_DOOR_H
#define FP_INBOUND_DOOR_H

#include "services/mailer/inbound/inbound.h"

struct door;

struct door *door_start(struct inbound *in, const struct inbound_settings *set, struct token_keys *keys,
                        struct fp_err *err) FP_MUST_CHECK;
int door_port(const struct door *d);
/* Ends connections that take too long. Called about once a second. */
void door_tick(struct door *d);
void door_close(struct door *d);   /* no new connections */
int door_open_now(struct door *d); /* connections */
void door_stop(struct door *d);    /* NULL is fine */

#endif
