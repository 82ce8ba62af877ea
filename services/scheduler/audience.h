/*
 * A job's audience, frozen when it is submitted: by a client, or by a schedule.
 */
#ifndef FP_SCHEDULER_AUDIENCE_H
#define FP_SCHEDULER_AUDIENCE_H

#include "lib/ledger/jobs.h"
#include "lib/source/source.h"
#include "lib/wire/wire.h"
#include "services/scheduler/settings.h"

/* Cuts j's audience to what the source certainly has (P1), and makes a number of
 * users of a canary's share. Asks the source: its errors keep their code. */
int audience_freeze(struct fp_source *source, const struct scheduler_settings *set,
                    const Foliopost__V1__JobSpec *spec, struct ledger_job *j,
                    struct fp_err *err) FP_MUST_CHECK;

#endif
