/*
 * A job's own pace: its rate, and its hours.
 *
 * Both are kept where users are let into the pipeline, by the grants and the
 * retries. The rate is virtual scheduling
 * (GCRA): who is let in moves the next one's time on by users / rate, and a second's
 * worth may be ahead. A page that is granted counts as a full one until it is read,
 * and as what it had from then on: an audience of many months with a few users
 * each is not held up by what its short pages could have had. A new leader
 * begins anew, a second's worth ahead at most.
 * A dry run has neither: its report says what they would mean.
 * What was let in and is not out by the end of the hours (a provider may have stood for long)
 * waits for the next ones: the ledger refuses claims, new intents and redos of it (OUTSIDE
 * in lib/ledger), and mailers give it back.
 */
#include "services/scheduler/pace.h"

#include <stdio.h>

#include "lib/base/clock.h"
#include "lib/cron/cron.h"
#include "lib/ledger/rates.h"

#define LOOK_US FP_US_PER_S /* at the clock; opening a zone costs more than a tick should */

/* Batches of `users` that may go now; at least one when any may. */
int64_t pace_batches(int64_t next_us, double per_second, int users, int64_t now_us)
{
    double ahead = next_us > now_us ? (double)(next_us - now_us) / FP_US_PER_S * per_second : 0;
    double most = per_second > users ? per_second : users;

    return (int64_t)((most - ahead) / users);
}

int64_t pace_charge(int64_t next_us, double per_second, int64_t users, int64_t now_us)
{
    int64_t from_us = next_us > now_us || users < 0 ? next_us : now_us;

    return from_us + (int64_t)((double)users / per_second * FP_US_PER_S);
}

bool pace_in_hours(const struct ledger_window *w, int minute)
{
    if (w->from_minute == w->to_minute)
        return true;
    if (w->from_minute < w->to_minute)
        return minute >= w->from_minute && minute < w->to_minute;
    return minute >= w->from_minute || minute < w->to_minute;
}

/* A zone that can be read no more keeps the job shut: mail at night is worse. */
bool pace_is_shut(const struct ledger_job *j, int64_t wall_us)
{
    struct ledger_window w = {0};
    struct cron_zone *z;
    int minute;

    if (!j->send_window[0])
        return false;
    if (ledger_window_parse(j->send_window, &w) || !(z = cron_zone_open(j->time_zone, NULL)))
        return true;
    bool shut = cron_local_minute(z, wall_us, &minute, NULL) || !pace_in_hours(&w, minute);
    cron_zone_close(z);
    return shut;
}

#define MINUTE_US  (60 * FP_US_PER_S)
#define LOOK_AHEAD (31 * FP_US_PER_DAY)

double pace_open_s(const struct ledger_job *j, int64_t from_us, int64_t to_us)
{
    struct ledger_window w = {0};
    struct cron_zone *z;
    int64_t open_us = 0;
    int minute;

    if (to_us <= from_us)
        return 0;
    if (!j->send_window[0])
        return (double)(to_us - from_us) / FP_US_PER_S;
    if (ledger_window_parse(j->send_window, &w) || !(z = cron_zone_open(j->time_zone, NULL)))
        return 0;
    to_us = to_us < from_us + LOOK_AHEAD ? to_us : from_us + LOOK_AHEAD;
    for (int64_t at_us = from_us, next_us; at_us < to_us; at_us = next_us) {
        next_us = (at_us / MINUTE_US + 1) * MINUTE_US;
        next_us = next_us < to_us ? next_us : to_us;
        if (cron_local_minute(z, at_us, &minute, NULL) == 0 && pace_in_hours(&w, minute))
            open_us += next_us - at_us;
    }
    cron_zone_close(z);
    return (double)open_us / FP_US_PER_S;
}

bool pace_has_rate(const struct ledger_job *j)
{
    return j->rate_limit > 0 && !j->dry_run;
}

/* What came since the last look, or, of grants that ran out and of short pages, did not. */
static void charge_pages(const struct ledger_job *j, struct leader_track *t, int64_t let_in, int64_t now_us)
{
    if (t->paced)
        t->pace_mono_us = pace_charge(t->pace_mono_us, j->rate_limit, let_in - t->let_in, now_us);
    t->let_in = let_in;
    t->paced = true;
}

static void look_at_hours(const struct ledger_job *j, struct leader_track *t, int64_t now_us)
{
    if (now_us < t->next_hours_mono_us)
        return;
    t->shut = pace_is_shut(j, clock_wall_us());
    t->next_hours_mono_us = now_us + LOOK_US;
}

void pace_room(const struct ledger_job *j, struct leader_track *t, int64_t let_in, int64_t *room)
{
    int64_t now_us = clock_mono_us();

    if (j->dry_run)
        return;
    look_at_hours(j, t, now_us);
    if (t->shut)
        *room = 0;
    if (!pace_has_rate(j)) {
        t->paced = false; /* what is let in meanwhile is not charged to a rate that comes later */
        return;
    }
    charge_pages(j, t, let_in, now_us);
    int64_t most = pace_batches(t->pace_mono_us, j->rate_limit, j->batch_size, now_us);
    if (*room > most)
        *room = most;
}

void pace_retried(const struct ledger_job *j, struct leader_track *t, int users)
{
    if (pace_has_rate(j) && users > 0)
        t->pace_mono_us = pace_charge(t->pace_mono_us, j->rate_limit, users, clock_mono_us());
}

bool pace_holds(const struct ledger_job *j, struct leader_track *t)
{
    int64_t now_us = clock_mono_us();

    if (j->dry_run)
        return false;
    look_at_hours(j, t, now_us);
    return t->shut || (pace_has_rate(j) && t->paced &&
                       pace_batches(t->pace_mono_us, j->rate_limit, j->batch_size, now_us) < 1);
}

const char *pace_waits(const struct ledger_job *j, const struct leader_track *t, char out[160])
{
    out[0] = '\0';
    if (t->shut)
        snprintf(out, 160, "outside its sending window, %s %s", j->send_window, j->time_zone);
    return out;
}
