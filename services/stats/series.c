/*
 * A chain of series for each instrument, as a rule one. A longer one is put
 * before those that it contains, and they go when nobody holds them.
 *
 * Compared point by point, from the first one's day on: that two jobs see the
 * same closes is found out and never assumed, since each sees what was recorded
 * up to its own as_of.
 */
#include "services/stats/series.h"

#include <string.h>

#include "lib/base/mem.h"

/* About as many as instruments in a common market: short chains, 16 kB. */
#define BUCKETS 2048

struct series {
    int refs;
    int64_t id;
    size_t n;
    struct series *next;
    struct perf_point points[];
};

struct fp_series_pool {
    size_t bytes;
    struct series *buckets[BUCKETS];
};

struct fp_series_pool *series_pool_new(void)
{
    return mem_alloc(sizeof(struct fp_series_pool));
}

void series_pool_free(struct fp_series_pool *p)
{
    mem_free(p);
}

size_t series_pool_bytes(const struct fp_series_pool *p)
{
    return p->bytes;
}

static size_t bytes_of(size_t n_points)
{
    return sizeof(struct series) + n_points * sizeof(struct perf_point);
}

static struct series **bucket_of(struct fp_series_pool *p, int64_t id)
{
    return &p->buckets[((uint64_t)id * UINT64_C(0x9E3779B97F4A7C15)) >> 32 & (BUCKETS - 1)]; /* Knuth's */
}

/* The first point of this day or later. */
static size_t find_day(const struct series *s, int32_t day)
{
    size_t low = 0, high = s->n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (s->points[mid].day < day)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static bool same(const struct perf_point *a, const struct perf_point *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (a[i].day != b[i].day || a[i].value != b[i].value)
            return false;
    return true;
}

struct series *series_part(struct series *s, struct perf_series points, struct perf_series *out)
{
    size_t at = points.n ? find_day(s, points.points[0].day) : s->n;

    if (at == s->n || s->n - at < points.n || !same(s->points + at, points.points, points.n))
        return NULL;
    *out = (struct perf_series){s->points + at, points.n};
    s->refs++;
    return s;
}

static struct series *make(struct fp_series_pool *p, int64_t id, struct perf_series points)
{
    struct series *s = mem_alloc(bytes_of(points.n)), **bucket = bucket_of(p, id);

    s->refs = 1;
    s->id = id;
    s->n = points.n;
    memcpy(s->points, points.points, points.n * sizeof *points.points);
    s->next = *bucket;
    *bucket = s;
    p->bytes += bytes_of(s->n);
    return s;
}

struct series *series_of(struct fp_series_pool *p, int64_t id, struct perf_series points,
                         struct perf_series *out, bool *made)
{
    struct series *found = NULL;

    *made = false;
    *out = (struct perf_series){NULL, 0};
    if (!points.n)
        return NULL;
    for (struct series *s = *bucket_of(p, id); s && !found; s = s->next)
        if (s->id == id)
            found = series_part(s, points, out);
    if (found)
        return found;
    *made = true;
    found = make(p, id, points);
    *out = (struct perf_series){found->points, found->n};
    return found;
}

void series_put(struct fp_series_pool *p, struct series *s)
{
    if (!s || --s->refs)
        return;
    struct series **at = bucket_of(p, s->id);

    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    p->bytes -= bytes_of(s->n);
    mem_free(s);
}
