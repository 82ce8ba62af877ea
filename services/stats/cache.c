/*
 * Periods in a short list, each with a hash table of instruments; their closes
 * are parts of series that all periods share (series.c), since most of the
 * memory is closes and jobs at once ask for nearly the same. Each job still
 * loads for itself what it needs, once: it may see other closes than the job
 * before it, by its as_of. When a longer series has come, what was a series of
 * its own becomes a part of it, in all periods.
 *
 * One lock for everything, never held over a query. Entries are counted: a view
 * keeps those it uses, the table keeps one count of each. Above the limit in
 * bytes, and for a new period above their number, the period that nobody uses
 * goes, the longest unused first. When all are in use, the table of the one that
 * is filled is emptied and begins anew, which costs a reload of what is still
 * needed.
 *
 * Key of a period is (start, end, as_of, round): a retry reads anew, since data may have been
 * mended before it.
 */
#include "services/stats/cache.h"

#include <pthread.h>
#include <string.h>

#include "lib/base/mem.h"
#include "services/stats/series.h"

/* About as many as instruments in a common market: short chains, 16 kB. */
#define BUCKETS 2048

struct cache_entry {
    int refs;
    struct portfolio_instrument *instrument; /* its closes lie in the series */
    struct series *closes;
    struct cache_entry *next;
};

struct cache_period {
    struct portfolio_period key;
    int users;
    uint64_t last_used;
    struct cache_period *next;

    bool has_rates;
    struct portfolio_rates rates; /* fixed once there; points lie in the series */
    struct series **rate_series;
    struct cache_entry *buckets[BUCKETS];
};

struct fp_cache {
    pthread_mutex_t lock; /* all of it */
    struct cache_period *periods;
    int n_periods, max_periods;
    size_t bytes, max_bytes; /* bytes: without the series */
    uint64_t clock;
    struct fp_series_pool *closes, *rates;
};

static size_t all_bytes(const struct fp_cache *c)
{
    return c->bytes + series_pool_bytes(c->closes) + series_pool_bytes(c->rates);
}

/* --- entries ------------------------------------------------------------------------------ */

static size_t entry_bytes(const struct cache_entry *e)
{
    return sizeof *e + e->instrument->bytes;
}

static void entry_unref(struct fp_cache *c, struct cache_entry *e)
{
    if (!e || --e->refs)
        return;
    c->bytes -= entry_bytes(e);
    series_put(c->closes, e->closes);
    mem_free(e->instrument);
    mem_free(e);
}

/* With another series for the closes, which are the same. */
static struct portfolio_instrument *copy_instrument(const struct portfolio_instrument *from,
                                                    struct perf_series closes)
{
    size_t splits_bytes = from->data.n_splits * sizeof(struct perf_split);
    struct portfolio_instrument *i = mem_alloc(sizeof *i + splits_bytes);

    *i = *from;
    i->bytes = sizeof *i + splits_bytes;
    if (splits_bytes)
        memcpy(i + 1, from->data.splits, splits_bytes);
    i->data.splits = (const struct perf_split *)(i + 1);
    i->data.closes_e8 = closes;
    return i;
}

/* Takes over the count of the series. */
static struct cache_entry *entry_new(struct fp_cache *c, const struct portfolio_instrument *from,
                                     struct series *series, struct perf_series closes)
{
    struct cache_entry *e = mem_alloc(sizeof *e);

    e->refs = 1; /* the table's */
    e->instrument = copy_instrument(from, closes);
    e->closes = series;
    c->bytes += entry_bytes(e);
    return e;
}

static struct cache_entry **place_of(struct cache_period *p, int64_t id)
{
    struct cache_entry **at =
        &p->buckets[((uint64_t)id * UINT64_C(0x9E3779B97F4A7C15)) >> 32 & (BUCKETS - 1)]; /* Knuth's */

    while (*at && (*at)->instrument->id != id)
        at = &(*at)->next;
    return at;
}

/* Where the new series contains what a period has as one of its own, the period
 * takes the part instead; views keep what they have. */
static void share_with_others(struct fp_cache *c, int64_t id, struct series *series)
{
    for (struct cache_period *p = c->periods; p; p = p->next) {
        struct cache_entry **at = place_of(p, id), *old = *at;
        struct perf_series part;

        if (!old || old->closes == series || !series_part(series, old->instrument->data.closes_e8, &part))
            continue;
        *at = entry_new(c, old->instrument, series, part);
        (*at)->next = old->next;
        entry_unref(c, old);
    }
}

/* --- periods ---------------------------------------------------------------------------- */

static void empty_table(struct fp_cache *c, struct cache_period *p)
{
    for (size_t i = 0; i < BUCKETS; i++)
        while (p->buckets[i]) {
            struct cache_entry *e = p->buckets[i];

            p->buckets[i] = e->next;
            entry_unref(c, e);
        }
}

static size_t rates_bytes(const struct cache_period *p)
{
    return p->rates.n_pairs * (sizeof *p->rates.pairs + sizeof(struct series *));
}

static void period_free(struct fp_cache *c, struct cache_period *p)
{
    empty_table(c, p);
    for (size_t i = 0; i < p->rates.n_pairs; i++)
        series_put(c->rates, p->rate_series[i]);
    c->bytes -= sizeof *p + rates_bytes(p);
    mem_free(p->rate_series);
    portfolio_rates_fini(&p->rates);
    mem_free(p);
}

struct fp_cache *cache_new(int max_periods, size_t max_bytes)
{
    struct fp_cache *c = mem_alloc(sizeof *c);

    pthread_mutex_init(&c->lock, NULL);
    c->max_periods = max_periods;
    c->max_bytes = max_bytes;
    c->closes = series_pool_new();
    c->rates = series_pool_new();
    return c;
}

void cache_free(struct fp_cache *c)
{
    if (!c)
        return;
    while (c->periods) {
        struct cache_period *p = c->periods;

        c->periods = p->next;
        period_free(c, p);
    }
    series_pool_free(c->closes);
    series_pool_free(c->rates);
    pthread_mutex_destroy(&c->lock);
    mem_free(c);
}

/* False when all are in use: there are no more of them than workers. */
static bool drop_oldest(struct fp_cache *c)
{
    struct cache_period **oldest = NULL, *p;

    for (struct cache_period **at = &c->periods; *at; at = &(*at)->next)
        if (!(*at)->users && (!oldest || (*at)->last_used < (*oldest)->last_used))
            oldest = at;
    if (!oldest)
        return false;
    p = *oldest;
    *oldest = p->next;
    c->n_periods--;
    period_free(c, p);
    return true;
}

static void make_room(struct fp_cache *c, struct cache_period *filled)
{
    while (all_bytes(c) > c->max_bytes && drop_oldest(c))
        ;
    if (all_bytes(c) > c->max_bytes)
        empty_table(c, filled);
}

static bool same_key(const struct portfolio_period *a, const struct portfolio_period *b)
{
    return a->start == b->start && a->end == b->end && a->as_of_us == b->as_of_us && a->round == b->round;
}

/* With the lock held. */
static struct cache_period *period_get(struct fp_cache *c, const struct portfolio_period *key)
{
    struct cache_period *p;

    for (p = c->periods; p && !same_key(&p->key, key);)
        p = p->next;
    if (!p) {
        while (c->n_periods >= c->max_periods && drop_oldest(c))
            ;
        p = mem_alloc(sizeof *p);
        p->key = *key;
        p->next = c->periods;
        c->periods = p;
        c->n_periods++;
        c->bytes += sizeof *p;
    }
    p->users++;
    p->last_used = ++c->clock;
    return p;
}

/* With the lock held: the period's rates become these, whose points are copied or shared. */
static void put_rates(struct fp_cache *c, struct cache_period *p, struct portfolio_rates *loaded)
{
    p->rates = *loaded;
    p->rates.points = NULL; /* the loaded ones go */
    p->rate_series = mem_array(loaded->n_pairs + 1, sizeof(struct series *));
    for (size_t i = 0; i < loaded->n_pairs; i++) {
        struct perf_pair *pair = &p->rates.pairs[i];
        bool made;

        p->rate_series[i] = series_of(c->rates, (int64_t)pair->base << 32 | pair->quote, pair->rates_e10,
                                      &pair->rates_e10, &made);
    }
    mem_free(loaded->points);
    c->bytes += rates_bytes(p);
    p->has_rates = true;
}

static int load_rates(struct fp_cache *c, struct cache_period *p, struct fp_source *s, struct fp_err *err)
{
    struct portfolio_rates mine;

    if (portfolio_rates_load(s, &p->key, &mine, err))
        return -1;
    pthread_mutex_lock(&c->lock);
    if (p->has_rates) {
        portfolio_rates_fini(&mine); /* another worker was first */
    } else {
        put_rates(c, p, &mine);
        make_room(c, p);
    }
    pthread_mutex_unlock(&c->lock);
    return 0;
}

/* --- instruments -------------------------------------------------------------------------- */

static struct cache_entry *use(struct cache_entry *e)
{
    if (e)
        e->refs++;
    return e;
}

/* With the lock held. */
static size_t find_all(struct cache_view *v, const int64_t *ids, size_t n, int64_t *missing)
{
    size_t n_missing = 0;

    for (size_t i = 0; i < n; i++) {
        v->entries[i] = use(*place_of(v->period, ids[i]));
        if (!v->entries[i])
            missing[n_missing++] = ids[i];
    }
    return n_missing;
}

/* With the lock held. Returns the caller's own count of the entry; if another
 * worker was first, his stays. */
static struct cache_entry *insert(struct fp_cache *c, struct cache_period *p,
                                  const struct portfolio_instrument *i)
{
    struct cache_entry **at = place_of(p, i->id), *e = *at;
    struct perf_series closes;
    bool made;

    if (e)
        return use(e);
    struct series *series = series_of(c->closes, i->id, i->data.closes_e8, &closes, &made);
    e = use(entry_new(c, i, series, closes));
    *at = e;
    if (made)
        share_with_others(c, i->id, series);
    make_room(c, p);
    return e;
}

static int load_missing(struct cache_view *v, struct fp_source *s, const int64_t *missing, size_t n_missing,
                        size_t n, struct fp_err *err)
{
    struct portfolio_instrument **loaded = mem_array(n_missing, sizeof *loaded);
    size_t next = 0;

    if (portfolio_instruments_load(s, &v->period->key, missing, n_missing, loaded, err)) {
        mem_free(loaded);
        return -1;
    }
    pthread_mutex_lock(&v->cache->lock);
    for (size_t i = 0; i < n; i++)
        if (!v->entries[i]) {
            v->entries[i] = insert(v->cache, v->period, loaded[next]);
            mem_free(loaded[next++]);
        }
    pthread_mutex_unlock(&v->cache->lock);
    mem_free(loaded);
    return 0;
}

/* --- views -------------------------------------------------------------------------------- */

static void point_market(struct cache_view *v, const int64_t *ids, size_t n)
{
    const struct perf_instrument **data = mem_array(n + 1, sizeof *data);

    for (size_t i = 0; i < n; i++) {
        v->instruments[i] = v->entries[i]->instrument;
        data[i] = v->instruments[i]->known ? &v->instruments[i]->data : NULL;
    }
    v->market = (struct perf_market){data, ids, n, v->period->rates.pairs, v->period->rates.n_pairs};
}

int cache_view_open(struct fp_cache *c, struct fp_source *s, const struct portfolio_period *period,
                    const int64_t *ids, size_t n, struct cache_view *out, struct fp_err *err)
{
    int64_t *missing = mem_array(n + 1, sizeof *missing);
    size_t n_missing;
    bool has_rates;
    int rc = 0;

    *out = (struct cache_view){.cache = c};
    out->entries = mem_array(n + 1, sizeof(struct cache_entry *));
    out->instruments = mem_array(n + 1, sizeof(struct portfolio_instrument *));
    out->market.n_instruments = n;
    pthread_mutex_lock(&c->lock);
    out->period = period_get(c, period);
    n_missing = find_all(out, ids, n, missing);
    has_rates = out->period->has_rates;
    pthread_mutex_unlock(&c->lock);
    if ((!has_rates && load_rates(c, out->period, s, err)) ||
        (n_missing && load_missing(out, s, missing, n_missing, n, err)))
        rc = -1;
    else
        point_market(out, ids, n);
    mem_free(missing);
    if (rc)
        cache_view_release(out);
    return rc;
}

void cache_view_release(struct cache_view *v)
{
    pthread_mutex_lock(&v->cache->lock);
    for (size_t i = 0; i < v->market.n_instruments; i++)
        entry_unref(v->cache, v->entries[i]);
    v->period->users--;
    pthread_mutex_unlock(&v->cache->lock);
    mem_free((void *)v->market.instruments);
    mem_free(v->instruments);
    mem_free(v->entries);
    *v = (struct cache_view){0};
}

void cache_sizes(struct fp_cache *c, int *periods, size_t *bytes)
{
    pthread_mutex_lock(&c->lock);
    *periods = c->n_periods;
    *bytes = all_bytes(c);
    pthread_mutex_unlock(&c->lock);
}
