/*
 * How many may be connected to a listening socket, in all and from one address.
 *
 * A peer needs no token to be connected, and NNG allocates what it announces,
 * up to the socket's limit, before it has come: memory is bounded by the number
 * of peers alone. Who comes when all places are taken gets one of a peer that
 * said nothing for a while, or of the address that has the most; else he is
 * refused, and his dialer comes again.
 *
 * Who does not finish NNG's handshake takes no place: NNG drops him after 10 s.
 */
#ifndef FP_BUS_CROWD_H
#define FP_BUS_CROWD_H

#include <nng/nng.h>
#include <stdbool.h>

struct crowd_limits {
    int total, per_address;
    int quiet_ms; /* who said nothing whole for so long makes room; 0: silence is the custom here */
};

struct fp_crowd;

/* label, metric: as in logs and metrics; kept. Lives as long as the process. */
struct fp_crowd *crowd_new(const struct crowd_limits *limits, const char *label, const char *metric);
/* For a socket that has no callback of its own; else that calls crowd_event(). */
void crowd_watch(struct fp_crowd *c, nng_socket socket);
/* ADD_PRE and REM_POST; other events change nothing. May close this pipe and others. */
void crowd_event(struct fp_crowd *c, nng_pipe pipe, nng_pipe_ev event);
/* A whole message came, and is being worked on until crowd_answered(). */
void crowd_asked(struct fp_crowd *c, nng_pipe pipe);
void crowd_answered(struct fp_crowd *c, nng_pipe pipe);

#endif
