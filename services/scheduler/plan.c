/*
 * Intervals and windows, as plain arithmetic.
 *
 * Calendar months in UTC, because registration times are: an interval's
 * bounds must not depend on where a scheduler runs, nor on a day without
 * midnight. Half-open ranges tile without a gap, so that the ledger can prove
 * that they do.
 *
 * What it does not do: read a clock, ask a database, know about jobs.
 */
#include "services/scheduler/plan.h"

#include "lib/base/clock.h"

/* The window holds as much as is done in five seconds: long enough to ride
 * over a slow page or a lost second, short enough that a pause, and a small
 * job behind a big one, take effect within seconds. */
#define WINDOW_S 5

/* One batch being sent, one waiting, one on its way, for each claim slot. */
#define BATCHES_PER_SLOT 3

/* Under a provider's limit the slots alone may not ask for more than this: ten
 * mailers with 120 batches between them would hold two minutes' worth of 100
 * mails a second, and a small job would wait behind all of it. */
#define SLOTS_MAX_S 10

/* An automatic window ends here: 2,000 batches of 100 are five seconds at
 * 40,000 users a second, and some 60 MB in the sockets of the pipeline. */
#define WINDOW_MAX_BATCHES 2000

static int64_t next_month_us(int64_t us)
{
    return day_add_months(day_first_of_month(day_from_us(us)), 1) * FP_US_PER_DAY;
}

/* Years 1 to 9999: outside of it the calendar's arithmetic means nothing. */
static bool in_calendar(int64_t us)
{
    return us >= INT64_C(-62135596800) * FP_US_PER_S && us < INT64_C(253402300800) * FP_US_PER_S;
}

int plan_intervals(int64_t from_us, int64_t to_us, int64_t *lower_us, int64_t *upper_us)
{
    int n = 0;

    if (from_us >= to_us)
        from_us = to_us;
    if (!in_calendar(from_us) || !in_calendar(to_us))
        return -1;
    do {
        if (n == PLAN_MAX_INTERVALS)
            return -1;
        int64_t end_us = next_month_us(from_us);
        lower_us[n] = from_us;
        upper_us[n] = end_us < to_us ? end_us : to_us;
        from_us = upper_us[n++];
    } while (from_us < to_us);
    return n;
}

/* Under a limit the window may grow to the limit's five seconds, but not to
 * more than twice what the pipeline shows it can do: where stats is slower
 * than the provider, the rest would only lie about in buffers. */
static double window_rate(const struct plan_window *w)
{
    double measured = w->measured_per_s < 0 ? PLAN_START_USERS_PER_S : w->measured_per_s;

    if (w->limit_per_s <= 0)
        return measured;
    return w->limit_per_s < 2 * measured ? w->limit_per_s : 2 * measured;
}

static double slots_window(const struct plan_window *w, double batch_size)
{
    double by_slots = (double)BATCHES_PER_SLOT * (w->slots > 0 ? w->slots : 0);
    double most = SLOTS_MAX_S * w->limit_per_s / batch_size;

    return w->limit_per_s > 0 && by_slots > most ? most : by_slots;
}

int plan_window(const struct plan_window *w)
{
    if (w->job_batches > 0)
        return w->job_batches;

    double batch_size = w->batch_size > 0 ? w->batch_size : 1;
    double by_rate = WINDOW_S * window_rate(w) / batch_size;
    double by_slots = slots_window(w, batch_size);
    double window = by_rate > by_slots ? by_rate : by_slots;
    if (!(window > 2))
        return 2;
    return window < WINDOW_MAX_BATCHES ? (int)(window + 0.5) : WINDOW_MAX_BATCHES;
}

/* A batch keeps its claim slot until all of its mails are sent, and who names a
 * provider is sent through that one alone, however slow it is. What is in flight of
 * them can all come to one mailer: so it goes by the one with the fewest slots, of
 * which one provider gets half, and all leave one free. One that is fast holds no
 * slot for long, and may have a second's worth. */
int plan_named_window(int least_slots, bool one_provider, double users_per_s, int batch_size)
{
    int by_slots = one_provider ? least_slots / 2 : least_slots - 1;
    double by_rate = users_per_s / (batch_size > 0 ? batch_size : 1);

    if (by_slots < 1)
        by_slots = 1;
    if (!(by_rate > by_slots))
        return by_slots;
    return by_rate < WINDOW_MAX_BATCHES ? (int)by_rate : WINDOW_MAX_BATCHES;
}

int plan_reserve(int64_t window, int max)
{
    int64_t tenth = window / 10;

    if (tenth < 1)
        return 1;
    return tenth < max ? (int)tenth : max;
}

double plan_throughput(double average_per_s, double last_second)
{
    if (average_per_s <
        0) /* the first figure: blended with the start value, so that the window has no step */
        average_per_s = PLAN_START_USERS_PER_S;
    return average_per_s + (last_second - average_per_s) / WINDOW_S;
}
