/*
 * Periods in a short list, each with a hash table of instruments.
 *
 * Two locks, never held over a query: the cache's for the list of periods and
 * their counts of users, a period's read-write lock for its table. Entries are
 * counted: a view keeps those it uses, the table keeps one count of each. A
 * table that grew past its limit is emptied and begins anew, which costs one
 * reload of what is still needed and needs no bookkeeping on the way of each
 * lookup. A period that nobody uses is dropped for a new one, oldest first.
 *
 * Key of a period is (start, end, as_of): a job with another as_of may see
 * other prices.
 */
#include "services/stats/cache.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "lib/base/mem.h"

/* About as many as instruments in a common market: short chains, 16 kB. */
#define BUCKETS 2048

struct cache_entry {
    atomic_int refs;
    struct portfolio_instrument *instrument;
    struct cache_entry *next;
};

struct cache_period {
    struct portfolio_period key;
    int users;          /* under the cache's lock */
    uint64_t last_used; /* under the cache's lock */
    struct cache_period *next;

    pthread_rwlock_t lock; /* all below */
    bool has_rates;
    struct portfolio_rates rates; /* fixed once there */
    size_t bytes;
    struct cache_entry *buckets[BUCKETS];
};

struct fp_cache {
    pthread_mutex_t lock;
    struct cache_period *periods;
    int n_periods, max_periods;
    size_t max_bytes;
    uint64_t clock;
};

static void entry_unref(struct cache_entry *e)
{
    if (e && atomic_fetch_sub(&e->refs, 1) == 1) {
        mem_free(e->instrument);
        mem_free(e);
    }
}

/* --- periods ---------------------------------------------------------------------------- */

static void empty_table(struct cache_period *p)
{
    for (size_t i = 0; i < BUCKETS; i++)
        while (p->buckets[i]) {
            struct cache_entry *e = p->buckets[i];

            p->buckets[i] = e->next;
            entry_unref(e);
        }
    p->bytes = 0;
}

static void period_free(struct cache_period *p)
{
    empty_table(p);
    portfolio_rates_fini(&p->rates);
    pthread_rwlock_destroy(&p->lock);
    mem_free(p);
}

struct fp_cache *cache_new(int max_periods, size_t max_bytes)
{
    struct fp_cache *c = mem_alloc(sizeof *c);

    pthread_mutex_init(&c->lock, NULL);
    c->max_periods = max_periods;
    c->max_bytes = max_bytes;
    return c;
}

void cache_free(struct fp_cache *c)
{
    if (!c)
        return;
    while (c->periods) {
        struct cache_period *p = c->periods;

        c->periods = p->next;
        period_free(p);
    }
    pthread_mutex_destroy(&c->lock);
    mem_free(c);
}

/* With the lock held. More periods in use than the limit are kept: there are
 * no more of them than workers. */
static void drop_oldest(struct fp_cache *c)
{
    struct cache_period **oldest = NULL, *p;

    for (struct cache_period **at = &c->periods; *at; at = &(*at)->next)
        if (!(*at)->users && (!oldest || (*at)->last_used < (*oldest)->last_used))
            oldest = at;
    if (!oldest)
        return;
    p = *oldest;
    *oldest = p->next;
    c->n_periods--;
    period_free(p);
}

static bool same_key(const struct portfolio_period *a, const struct portfolio_period *b)
{
    return a->start == b->start && a->end == b->end && a->as_of_us == b->as_of_us;
}

static struct cache_period *period_get(struct fp_cache *c, const struct portfolio_period *key)
{
    struct cache_period *p;

    pthread_mutex_lock(&c->lock);
    for (p = c->periods; p && !same_key(&p->key, key);)
        p = p->next;
    if (!p) {
        while (c->n_periods >= c->max_periods) {
            int before = c->n_periods;

            drop_oldest(c);
            if (c->n_periods == before)
                break;
        }
        p = mem_alloc(sizeof *p);
        p->key = *key;
        pthread_rwlock_init(&p->lock, NULL);
        p->next = c->periods;
        c->periods = p;
        c->n_periods++;
    }
    p->users++;
    p->last_used = ++c->clock;
    pthread_mutex_unlock(&c->lock);
    return p;
}

static void period_put(struct fp_cache *c, struct cache_period *p)
{
    pthread_mutex_lock(&c->lock);
    p->users--;
    pthread_mutex_unlock(&c->lock);
}

static int need_rates(struct cache_period *p, struct fp_source *s, struct fp_err *err)
{
    struct portfolio_rates mine;
    bool have;

    pthread_rwlock_rdlock(&p->lock);
    have = p->has_rates;
    pthread_rwlock_unlock(&p->lock);
    if (have)
        return 0;
    if (portfolio_rates_load(s, &p->key, &mine, err))
        return -1;
    pthread_rwlock_wrlock(&p->lock);
    have = p->has_rates;
    if (!have)
        p->rates = mine;
    p->has_rates = true;
    pthread_rwlock_unlock(&p->lock);
    if (have)
        portfolio_rates_fini(&mine);
    return 0;
}

/* --- instruments -------------------------------------------------------------------------- */

static struct cache_entry **bucket_of(struct cache_period *p, int64_t id)
{
    return &p->buckets[((uint64_t)id * UINT64_C(0x9E3779B97F4A7C15)) >> 32 & (BUCKETS - 1)]; /* Knuth's */
}

static struct cache_entry *find(struct cache_period *p, int64_t id)
{
    struct cache_entry *e = *bucket_of(p, id);

    while (e && e->instrument->id != id)
        e = e->next;
    if (e)
        atomic_fetch_add(&e->refs, 1);
    return e;
}

static size_t find_all(struct cache_view *v, const int64_t *ids, size_t n, int64_t *missing)
{
    size_t n_missing = 0;

    pthread_rwlock_rdlock(&v->period->lock);
    for (size_t i = 0; i < n; i++) {
        v->entries[i] = find(v->period, ids[i]);
        if (!v->entries[i])
            missing[n_missing++] = ids[i];
    }
    pthread_rwlock_unlock(&v->period->lock);
    return n_missing;
}

/* Takes over the instrument; if another worker was first, his stays. Returns
 * the caller's own count of the entry. */
static struct cache_entry *insert(struct fp_cache *c, struct cache_period *p, struct portfolio_instrument *i)
{
    struct cache_entry *e = find(p, i->id), **bucket = bucket_of(p, i->id);
    size_t bytes = i->bytes + sizeof *e;

    if (e) {
        mem_free(i);
        return e;
    }
    if (p->bytes + bytes > c->max_bytes)
        empty_table(p);
    e = mem_alloc(sizeof *e);
    e->instrument = i;
    atomic_init(&e->refs, 2); /* the table's and the caller's */
    e->next = *bucket;
    *bucket = e;
    p->bytes += bytes;
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
    pthread_rwlock_wrlock(&v->period->lock);
    for (size_t i = 0; i < n; i++)
        if (!v->entries[i])
            v->entries[i] = insert(v->cache, v->period, loaded[next++]);
    pthread_rwlock_unlock(&v->period->lock);
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
    int rc = 0;

    *out = (struct cache_view){.cache = c, .period = period_get(c, period)};
    out->entries = mem_array(n + 1, sizeof(struct cache_entry *));
    out->instruments = mem_array(n + 1, sizeof(struct portfolio_instrument *));
    out->market.n_instruments = n;
    n_missing = find_all(out, ids, n, missing);
    if (need_rates(out->period, s, err) || (n_missing && load_missing(out, s, missing, n_missing, n, err)))
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
    for (size_t i = 0; i < v->market.n_instruments; i++)
        entry_unref(v->entries[i]);
    mem_free((void *)v->market.instruments);
    mem_free(v->instruments);
    mem_free(v->entries);
    if (v->period)
        period_put(v->cache, v->period);
    *v = (struct cache_view){0};
}

void cache_sizes(struct fp_cache *c, int *periods, size_t *bytes)
{
    *bytes = 0;
    pthread_mutex_lock(&c->lock);
    *periods = c->n_periods;
    for (struct cache_period *p = c->periods; p; p = p->next) {
        pthread_rwlock_rdlock(&p->lock);
        *bytes += p->bytes;
        pthread_rwlock_unlock(&p->lock);
    }
    pthread_mutex_unlock(&c->lock);
}
