/*
 * The life of a run: begin (checks, slots, a checkpoint's state), walk the
 * days, and draw the figures from what stands in the books at the close. And
 * the small things that all its files use: faults, products, roundings, events.
 */
#include "lib/performance/performance.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/performance/internal.h"

struct fp_performance *performance_new(void)
{
    return mem_alloc(sizeof(struct fp_performance));
}

void performance_free(struct fp_performance *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->cap_holdings; i++)
        lots_free(&p->holdings[i].lots);
    mem_free(p->holdings);
    mem_free(p->slot_of);
    mem_free(p->order);
    mem_free(p->ever);
    mem_free(p->flow_days);
    mem_free(p->lines);
    mem_free(p->positions);
    mem_free(p->chart);
    mem_free(p->mwr_flows);
    mem_free(p->kept);
    mem_free(p);
}

bool perf_fail(struct fp_performance *p, const char *reason, const char *fmt, ...)
{
    va_list ap;

    if (p->dry)
        return false;
    snprintf(p->fault->reason, sizeof p->fault->reason, "%s", reason);
    va_start(ap, fmt);
    vsnprintf(p->fault->detail, sizeof p->fault->detail, fmt, ap);
    va_end(ap);
    return false;
}

long long perf_id(const struct fp_performance *p, int32_t instrument)
{
    return (long long)p->in->market->instrument_ids[instrument];
}

int32_t perf_index_of(const struct perf_market *m, int64_t id)
{
    size_t lo = 0, hi = m->n_instruments;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (m->instrument_ids[mid] < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < m->n_instruments && m->instrument_ids[lo] == id ? (int32_t)lo : -1;
}

void perf_step(struct fp_performance *p, struct perf_step s)
{
    s.day = p->day;
    s.in_period = p->in_period;
    p->in->trace->step(p->in->trace->ctx, &s);
}

static int bits(unsigned __int128 v)
{
    uint64_t hi = (uint64_t)(v >> 64), lo = (uint64_t)v;

    if (hi)
        return 128 - __builtin_clzll(hi);
    return lo ? 64 - __builtin_clzll(lo) : 0;
}

/* By the lengths of the factors: clang's checked multiplication of 128 bits
 * needs a function that is not linked. */
bool perf_mul(struct fp_performance *p, fp_i128 a, int64_t b, fp_i128 *out)
{
    if (a == (int64_t)a) { /* two words cannot overflow, nearly always */
        *out = a * b;
        return true;
    }
    unsigned __int128 abs_a = a < 0 ? -(unsigned __int128)a : (unsigned __int128)a;
    unsigned __int128 abs_b = b < 0 ? -(unsigned __int128)b : (unsigned __int128)b;

    if (bits(abs_a) + bits(abs_b) > 126)
        return perf_fail(p, "overflow", "a product beyond 128 bits");
    *out = a * b;
    return true;
}

void perf_sort(void *base, size_t n, size_t bytes, int (*compare)(const void *, const void *))
{
    const char *at = base;

    for (size_t i = 1; i < n; i++)
        if (compare(at + (i - 1) * bytes, at + i * bytes) > 0) {
            qsort(base, n, bytes, compare);
            return;
        }
}

bool perf_to_minor(struct fp_performance *p, fp_i128 v_e8, int64_t *out)
{
    if (v_e8 == (int64_t)v_e8 && ratio_scale(&p->minor, (int64_t)v_e8, out))
        return true;
    if (fixed_from_i128(fixed_div(v_e8, p->minor.denominator), out))
        return true;
    return perf_fail(p, "overflow", "a sum beyond 64 bits");
}

bool perf_rate_fits(double rate)
{
    return isfinite(rate) && fabs(rate) < 9e10; /* an int64 of 1e-8 ends at 9.2e10 */
}

/* By day, then by what does not depend on the order of the books. */
int perf_event_compare(const void *a, const void *b)
{
    const struct perf_event *x = a, *y = b;

    if (x->day != y->day)
        return x->day < y->day ? -1 : 1;
    if (x->instrument != y->instrument)
        return x->instrument < y->instrument ? -1 : 1;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    return x->amount_minor < y->amount_minor ? -1 : x->amount_minor > y->amount_minor;
}

/* What may be wrong before what happened, of which there can be much. */
static int rank_of(enum perf_event_kind kind)
{
    switch (kind) {
    case PERF_EVENT_DIVIDEND:
        return 4;
    case PERF_EVENT_SPLIT:
        return 3;
    case PERF_EVENT_STALE_PRICE:
        return 2;
    case PERF_EVENT_NOT_PRICED:
        return 1;
    default:
        return 0;
    }
}

int perf_event_by_rank(const void *a, const void *b)
{
    int x = rank_of(((const struct perf_event *)a)->kind), y = rank_of(((const struct perf_event *)b)->kind);

    return x != y ? x - y : perf_event_compare(a, b);
}

/* The first ones by rank are kept, in whatever order they come. */
void perf_event(struct fp_performance *p, const struct perf_event *e)
{
    struct perf_event *last = &p->events[0];

    if (p->n_events < PERF_EVENTS_KEPT) {
        p->events[p->n_events++] = *e;
        return;
    }
    for (int i = 1; i < p->n_events; i++)
        if (perf_event_by_rank(&p->events[i], last) > 0)
            last = &p->events[i];
    if (perf_event_by_rank(e, last) < 0)
        *last = *e;
}

bool performance_summarise(struct fp_performance *p, const struct perf_input *in, struct perf_summary *out,
                           struct perf_fault *fault)
{
    bool ok;

    memset(fault, 0, sizeof *fault);
    memset(out, 0, sizeof *out);
    p->in = in;
    p->fault = fault;
    ok = perf_begin(p) && perf_run(p) && perf_statement(p, out) && perf_spans(p, out) && perf_groups(p, out);
    perf_slots_reset(p);
    p->in = NULL;
    p->fault = NULL;
    return ok;
}

size_t performance_lines(const struct fp_performance *p, const struct perf_line **lines)
{
    *lines = p->lines;
    return p->n_lines;
}

size_t performance_positions(const struct fp_performance *p, const struct perf_position **positions)
{
    *positions = p->positions;
    return p->n_positions;
}

size_t performance_chart(const struct fp_performance *p, const struct perf_chart_point **points)
{
    *points = p->chart;
    return p->n_chart;
}

const uint8_t *performance_checkpoint(const struct fp_performance *p, size_t *n)
{
    *n = p->n_kept;
    return p->n_kept ? p->kept : NULL;
}
