/* How far a job is, how fast, and how long still: pure arithmetic over polls. */
#ifndef FP_CLI_PROGRESS_H
#define FP_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/wire/wire.h"

#define PROGRESS_SAMPLES 32 /* at two polls a second: the rate of the last 15 s */

struct progress {
    struct progress_sample {
        int64_t at_us, done, sent;
    } samples[PROGRESS_SAMPLES];
    int n, next;
};

struct progress_view {
    int64_t done;  /* users with an outcome, in batches that are done */
    int64_t total; /* users to do; 0: not known yet */
    bool total_is_exact;
    double part; /* 0 to 1; -1: not known yet */
    double users_per_s, mails_per_s;
    double eta_s; /* -1: not known */
    int intervals_behind;
};

/* One poll of the job at a moment of CLOCK_MONOTONIC. */
void progress_add(struct progress *p, const Foliopost__V1__Job *job, int64_t now_us,
                  struct progress_view *out);

#endif
