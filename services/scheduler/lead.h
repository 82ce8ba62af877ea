/*
 * The lead: whether this process may act as the leader, apart from the loop
 * that acts. A thread with a connection of its own calls lead_turn() once a
 * second, so that neither a long proof nor a slow source lets the lead run
 * out; the loop looks at it before each of its steps.
 */
#ifndef FP_SCHEDULER_LEAD_H
#define FP_SCHEDULER_LEAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/ledger/ledger.h"

struct lead {
    struct fp_ledger *ledger; /* for lead_turn() alone */
    void *ctx;
    void (*process)(void *ctx, char out[LEDGER_UUID]); /* the process's present owner UUID */
    pthread_mutex_t lock;                              /* of what follows; lead_turn() alone writes it */
    char owner[LEDGER_UUID];
    bool leading;
    int64_t term;
    int64_t
        answered_boot_us;  /* when the last try that was answered was sent; 0: none since the lead was lost */
    int64_t until_boot_us; /* the lead's end by our own clock */
    int64_t since_boot_us; /* answers have come in time since then */
};

struct lead_view {
    bool held; /* now */
    char owner[LEDGER_UUID];
    int64_t term;
    int64_t steady_ms; /* so long the ledger has answered without a gap, as leader and as standby before */
};

void lead_init(struct lead *d, struct fp_ledger *ledger, void *ctx,
               void (*process)(void *ctx, char out[LEDGER_UUID]));
void lead_fini(struct lead *d);
/* Contests or renews the lead. Returns after how many ms to do it again. */
int lead_turn(struct lead *d);
/* Thread-safe, asks nobody. Returns v->held. */
bool lead_look(struct lead *d, struct lead_view *v);
/* Gives the lead away, so that the standby need not wait for the lease's end.
 * Nobody calls lead_turn() at the same time or after it. */
void lead_resign(struct lead *d);

#endif
