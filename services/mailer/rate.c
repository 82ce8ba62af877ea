/*
 * Arithmetic of slices. All in whole mails and microseconds; a slice's mails
 * become due one after the other (GCRA's emission interval), which also makes
 * a rate below ten a second exact: its slice is one mail, and longer.
 */
#include "services/mailer/rate.h"

#include <string.h>

/* Without a limit the ledger is asked again this often, to hear of a new one. */
#define UNLIMITED_US INT64_C(1000000)
/* Trying costs what cannot be used: a mail in so many slices. */
#define FULL_IN_ROW 4

void rate_init(struct rate *r, double per_second)
{
    memset(r, 0, sizeof(*r));
    r->per_second = per_second;
    r->ability = SIZE_MAX;
}

static int64_t length_us(const struct rate_slice *s)
{
    return s->end_us - s->start_us;
}

/* Mails of the slice that are due by now, used ones included. */
static size_t due(const struct rate_slice *s, int64_t now_us)
{
    if (now_us < s->start_us)
        return 0;
    if (now_us >= s->end_us)
        return s->n;
    size_t n = (size_t)((now_us - s->start_us) * (int64_t)s->n / length_us(s)) + 1;
    return n > s->n ? s->n : n;
}

/* How long a mail is good from when it is due: a slice's length, and in a slice
 * that was cut to what was waiting as long as in a whole one. */
static int64_t good_for_us(const struct rate_slice *s)
{
    return length_us(s) > RATE_SLICE_US ? length_us(s) : RATE_SLICE_US;
}

static size_t gone(const struct rate_slice *s)
{
    return s->used + s->voided;
}

static size_t usable(const struct rate_slice *s, int64_t now_us)
{
    size_t n = due(s, now_us);
    return n > gone(s) ? n - gone(s) : 0;
}

static void void_some(struct rate *r, struct rate_slice *s, size_t n)
{
    s->voided += n;
    r->voided += n;
}

static size_t whole_slice(const struct rate *r)
{
    double n = r->per_second * (double)RATE_SLICE_US / 1e6;
    return n < 1 ? 1 : (size_t)n;
}

/* Who could not use a slice asks for what he did use, but for half as much at
 * once, as a hiccup looks the same; who used some in a row tries a little more. */
static void learn(struct rate *r, const struct rate_slice *s)
{
    size_t whole = whole_slice(r), ability = r->ability < whole ? r->ability : whole;
    if (s->used < s->n) {
        r->full_in_row = 0;
        r->ability = s->used > ability / 2 ? s->used : ability / 2;
        r->ability += r->ability == 0;
    } else if (++r->full_in_row >= FULL_IN_ROW) {
        r->full_in_row = 0;
        r->ability = ability + ability / 4 + 1;
    }
}

static void void_what_is_late(struct rate *r, int64_t now_us)
{
    for (size_t i = 0; i < r->n_slices; i++) {
        struct rate_slice *s = &r->slices[i];
        size_t late = due(s, now_us - good_for_us(s));
        if (late > gone(s))
            void_some(r, s, late - gone(s));
    }
}

/* Slices overlap when an answer came late: what is good of them at once is
 * still no more than one. */
static void void_above_a_slice(struct rate *r, int64_t now_us)
{
    size_t sum = 0, most = whole_slice(r);
    for (size_t i = 0; i < r->n_slices; i++)
        sum += usable(&r->slices[i], now_us);
    for (size_t i = 0; i < r->n_slices && sum > most; i++) {
        size_t n = usable(&r->slices[i], now_us);
        n = n < sum - most ? n : sum - most;
        void_some(r, &r->slices[i], n);
        sum -= n;
    }
}

static void drop_old(struct rate *r, int64_t now_us)
{
    size_t keep = 0;
    void_what_is_late(r, now_us);
    void_above_a_slice(r, now_us);
    for (size_t i = 0; i < r->n_slices; i++) {
        struct rate_slice *s = &r->slices[i];
        if (gone(s) == s->n)
            learn(r, s);
        else
            r->slices[keep++] = *s;
    }
    r->n_slices = keep;
}

void rate_add(struct rate *r, int64_t start_us, size_t n, double per_second, int64_t now_us)
{
    r->per_second = per_second;
    if (per_second <= 0) {
        r->unlimited_until_us = now_us + UNLIMITED_US;
        return;
    }
    r->unlimited_until_us = 0;
    r->granted += n;
    drop_old(r, now_us);
    int64_t length = (int64_t)((double)n / per_second * 1e6);
    const struct rate_slice slice = {.start_us = start_us,
                                     .end_us = start_us + (length > 0 ? length : 1),
                                     .n = n};
    if (n == 0 || r->n_slices == RATE_MAX_SLICES) {
        r->voided += n;
        return;
    }
    r->slices[r->n_slices++] = slice;
}

size_t rate_available(struct rate *r, int64_t now_us)
{
    size_t sum = 0;
    if (now_us < r->unlimited_until_us)
        return SIZE_MAX;
    drop_old(r, now_us);
    for (size_t i = 0; i < r->n_slices; i++)
        sum += usable(&r->slices[i], now_us);
    return sum;
}

static const struct rate_slice *first_unused(const struct rate *r)
{
    for (size_t i = 0; i < r->n_slices; i++)
        if (gone(&r->slices[i]) < r->slices[i].n)
            return &r->slices[i];
    return NULL;
}

static int64_t due_at_us(const struct rate_slice *s, size_t mail)
{
    return s->start_us + (int64_t)mail * length_us(s) / (int64_t)s->n;
}

/* When what can be had is worth a statement. */
static int64_t worth_at_us(const struct rate *r, size_t wanted)
{
    const struct rate_slice *s = first_unused(r);
    if (!s || wanted == 0)
        return INT64_MAX;
    size_t quantum = s->n / 2 > 0 ? s->n / 2 : 1;
    size_t last = gone(s) + (wanted < quantum ? wanted : quantum) - 1;
    int64_t enough_us = last < s->n ? due_at_us(s, last) : INT64_MAX;
    int64_t waited_us = due_at_us(s, gone(s)) + length_us(s) / 2;
    return enough_us < waited_us ? enough_us : waited_us;
}

size_t rate_offer(struct rate *r, size_t wanted, int64_t now_us)
{
    size_t n = rate_available(r, now_us);
    if (n == 0 || n == SIZE_MAX)
        return n;
    return now_us >= worth_at_us(r, wanted) ? n : 0;
}

int64_t rate_use(struct rate *r, size_t n, int64_t now_us)
{
    int64_t until_us = now_us; /* for what is void already: at once is late */
    bool first = true;
    r->used += n;
    if (now_us < r->unlimited_until_us)
        return INT64_MAX;
    for (size_t i = 0; i < r->n_slices && n > 0; i++) {
        struct rate_slice *s = &r->slices[i];
        size_t can = usable(s, now_us);
        can = can < n ? can : n;
        if (can > 0 && first)
            until_us = due_at_us(s, gone(s)) + good_for_us(s);
        first &= can == 0;
        s->used += can;
        n -= can;
    }
    return until_us;
}

void rate_lose(struct rate *r)
{
    r->used--;
    r->voided++;
}

size_t rate_held(const struct rate *r)
{
    size_t held = 0;
    for (size_t i = 0; i < r->n_slices; i++)
        held += r->slices[i].n - gone(&r->slices[i]);
    return held;
}

int64_t rate_next_us(struct rate *r, size_t wanted, int64_t now_us)
{
    if (now_us < r->unlimited_until_us)
        return now_us;
    drop_old(r, now_us);
    return worth_at_us(r, wanted);
}

size_t rate_ask(struct rate *r, size_t wanted, int64_t now_us)
{
    if (wanted == 0 || now_us < r->unlimited_until_us)
        return 0;
    drop_old(r, now_us);
    for (size_t i = 0; i < r->n_slices; i++)
        if (r->slices[i].start_us > now_us)
            return 0;
    size_t held = rate_held(r);
    if (held >= wanted || r->n_slices == RATE_MAX_SLICES)
        return 0;
    size_t n = whole_slice(r);
    n = n < r->ability ? n : r->ability;
    return wanted - held < n ? wanted - held : n;
}
