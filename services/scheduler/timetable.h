/*
 * A schedule between its three forms: a client's message, a row of the ledger, and
 * the job that a due time makes of it.
 */
#ifndef FP_SCHEDULER_TIMETABLE_H
#define FP_SCHEDULER_TIMETABLE_H

#include "lib/ledger/schedules.h"
#include "services/scheduler/convert.h"
#include "services/scheduler/settings.h"

#define TIMETABLE_SHOWN 10 /* due times and firings in a reply */

/* Checks a client's schedule; INVALID_ARGUMENT names the field. out->next_due_us
 * is the first due time behind now. */
int timetable_check(const Foliopost__V1__Schedule *m, const struct scheduler_settings *set, int64_t now_us,
                    struct ledger_schedule *out, struct fp_err *err) FP_MUST_CHECK;

/* Which due time is to fire now: the latest within the catch-up time. */
struct timetable_due {
    int64_t due_us;
    int64_t missed;  /* earlier ones that were not looked at; of more than a week not all are counted */
    bool too_late;   /* due_us is older than the catch-up time */
    int64_t next_us; /* the first due time behind now */
};
/* s->next_due_us is at or before now. */
int timetable_due(const struct ledger_schedule *s, int64_t now_us, struct timetable_due *out,
                  struct fp_err *err) FP_MUST_CHECK;
/* The first due time behind now. */
int timetable_next(const struct ledger_schedule *s, int64_t now_us, int64_t *next_us,
                   struct fp_err *err) FP_MUST_CHECK;

/* ": cron, spec.provider": what of a schedule another version of it has changed, for the audit; "" when
 * nothing has. */
void timetable_changes(const struct ledger_schedule *before, const struct ledger_schedule *after,
                       struct fp_arena *arena, struct fp_str *out);

/* The job of a due time: its period by the zone's calendar, its deadline counted
 * from there. request_id "": one made of name and due time. *spec lives in the
 * arena; *out is to be finished, also after an error. */
int timetable_job(const struct ledger_schedule *s, const struct scheduler_settings *set, int64_t due_us,
                  int64_t now_us, const char *request_id, struct fp_arena *arena,
                  const Foliopost__V1__JobSpec **spec, struct ledger_job *out,
                  struct fp_err *err) FP_MUST_CHECK;

/* For replies. */
Foliopost__V1__Schedule *timetable_convert(struct convert *c, const struct ledger_schedule *s,
                                           const struct ledger_firing *firings, int n_firings);

#endif
