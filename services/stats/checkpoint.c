/*
 * Fingerprints of instruments and rates are the same for all users, and cost a
 * scan of their history: each is asked for once for a period, as_of and round, for both
 * the day of the states that are read and that of those that are left behind, and kept
 * in a table of the process. The lock is never held over a query; two workers
 * may ask for the same thing once.
 *
 * The market may be corrected while a process computes with what it loaded. A
 * state may then carry an old mark with new figures, which is found stale and
 * costs a life, but never a new mark with old ones, which nobody would find. So
 * marks of the day that is kept are read before what they stand for: in one snapshot with
 * those that a checkpoint is judged by (read_rows), before the market is loaded
 * (checkpoints_prime). The first that is known stays, and a table lives longer
 * than the market of its period in the cache.
 */
#include "services/stats/checkpoint.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"
#include "lib/performance/checkpoint.h"

#define MAX_INSTRUMENTS                                                                                      \
    100000 /* of one day; beyond, its table is emptied and nothing kept. 16 bytes each                       \
            */
#define LOG_EVERY_MS 60000

struct mark {
    int64_t id;
    struct fingerprint_marks marks;
};

struct marks { /* of the market up to two days, as recorded by a moment */
    struct fingerprint_days days;
    int64_t as_of_us;
    int32_t round;
    bool has_rates, spilled;
    struct fingerprint_marks rates;
    uint64_t last_used;
    struct mark *list; /* by id */
    size_t n, cap;
};

struct fp_checkpoints {
    struct checkpoint_settings set;
    pthread_mutex_t lock; /* all below */
    struct marks *tables; /* (days, as_of, round) each */
    int n_tables, max_tables;
    uint64_t clock;
    long long logged_us;
};

struct fp_checkpoints *checkpoints_new(const struct checkpoint_settings *s)
{
    struct fp_checkpoints *c = mem_alloc(sizeof *c);

    c->set = *s;
    c->max_tables = s->periods + 2;
    c->tables = mem_array((size_t)c->max_tables, sizeof *c->tables);
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

void checkpoints_free(struct fp_checkpoints *c)
{
    if (!c)
        return;
    for (int i = 0; i < c->n_tables; i++)
        mem_free(c->tables[i].list);
    mem_free(c->tables);
    pthread_mutex_destroy(&c->lock);
    mem_free(c);
}

int32_t checkpoint_day_before(int32_t day)
{
    return day_first_of_month(day) - 1;
}

int32_t checkpoint_day_up_to(int32_t day)
{
    return checkpoint_day_before(day + 1);
}

int32_t checkpoint_day_kept(const struct portfolio_period *period)
{
    int32_t day = checkpoint_day_up_to(period->end);

    return day >= period->start ? day : checkpoint_day_before(period->start);
}

/* --- marks of the market ------------------------------------------------------------------- */

static struct fingerprint_days days_of(const struct portfolio_period *period)
{
    return (struct fingerprint_days){{[FINGERPRINT_BEFORE] = checkpoint_day_before(period->start),
                                      [FINGERPRINT_KEPT] = checkpoint_day_kept(period)}};
}

static bool is_of(const struct marks *m, const struct fingerprint_days *days,
                  const struct portfolio_period *period)
{
    return memcmp(&m->days, days, sizeof *days) == 0 && m->as_of_us == period->as_of_us &&
           m->round == period->round;
}

/* With the lock held: the table of a period, made in place of the oldest one. */
static struct marks *marks_of(struct fp_checkpoints *c, const struct portfolio_period *period)
{
    const struct fingerprint_days days = days_of(period);
    struct marks *m = &c->tables[0];

    for (int i = 0; i < c->n_tables; i++) {
        if (is_of(&c->tables[i], &days, period)) {
            c->tables[i].last_used = ++c->clock;
            return &c->tables[i];
        }
        if (c->tables[i].last_used < m->last_used)
            m = &c->tables[i];
    }
    if (c->n_tables < c->max_tables)
        m = &c->tables[c->n_tables++];
    m->days = days;
    m->as_of_us = period->as_of_us;
    m->round = period->round;
    m->has_rates = m->spilled = false;
    m->n = 0;
    m->last_used = ++c->clock;
    return m;
}

static int by_id(const void *a, const void *b)
{
    int64_t x = ((const struct mark *)a)->id, y = ((const struct mark *)b)->id;

    return x < y ? -1 : x > y;
}

static const struct mark *find(const struct mark *list, size_t n, int64_t id)
{
    const struct mark want = {.id = id};

    return n ? bsearch(&want, list, n, sizeof *list, by_id) : NULL;
}

/* Those that another worker brought meanwhile stay as they are: he may have loaded the market since. */
static void add_marks(struct fp_checkpoints *c, const struct portfolio_period *period, const struct mark *new,
                      size_t n)
{
    struct marks *m;
    size_t known;

    pthread_mutex_lock(&c->lock);
    m = marks_of(c, period);
    if (m->n + n > MAX_INSTRUMENTS) {
        m->n = 0;
        m->spilled = true;
    }
    known = m->n;
    for (size_t i = 0; i < n; i++) {
        if (find(m->list, known, new[i].id))
            continue;
        if (m->n == m->cap) {
            m->cap = m->cap * 2 + 256;
            m->list = mem_resize(m->list, m->cap, sizeof *m->list);
        }
        m->list[m->n++] = new[i];
    }
    qsort(m->list, m->n, sizeof *m->list, by_id);
    pthread_mutex_unlock(&c->lock);
}

static bool is_spilled(struct fp_checkpoints *c, const struct portfolio_period *period)
{
    pthread_mutex_lock(&c->lock);
    bool spilled = marks_of(c, period)->spilled;
    pthread_mutex_unlock(&c->lock);
    return spilled;
}

/* What is known already; the rest stays as it was, with its ids in `missing`. */
static size_t known_marks(struct fp_checkpoints *c, const struct portfolio_period *period, struct mark *list,
                          size_t n, int64_t *missing)
{
    size_t n_missing = 0;

    pthread_mutex_lock(&c->lock);
    struct marks *m = marks_of(c, period);
    for (size_t i = 0; i < n; i++) {
        const struct mark *known = find(m->list, m->n, list[i].id);

        if (known)
            list[i] = *known;
        else
            missing[n_missing++] = list[i].id;
    }
    pthread_mutex_unlock(&c->lock);
    return n_missing;
}

/* Fills the marks of a list in the order of ids. */
static int fill_marks(struct fp_checkpoints *c, struct fp_source *s, const struct portfolio_period *period,
                      struct mark *list, size_t n, struct fp_err *err)
{
    const struct fingerprint_days days = days_of(period);
    int64_t *missing = mem_array(n + 1, sizeof *missing);
    struct fingerprint_marks *marks = mem_array(n + 1, sizeof *marks);
    struct mark *new = mem_array(n + 1, sizeof *new);
    size_t n_missing = known_marks(c, period, list, n, missing);
    int rc = 0;

    if (n_missing)
        rc = fingerprint_instruments(s, &days, period->as_of_us, missing, n_missing, marks, err);
    for (size_t i = 0; rc == 0 && i < n_missing; i++) {
        new[i] = (struct mark){missing[i], marks[i]};
        ((struct mark *)find(list, n, missing[i]))->marks = marks[i];
    }
    if (rc == 0 && n_missing)
        add_marks(c, period, new, n_missing);
    mem_free(missing);
    mem_free(marks);
    mem_free(new);
    return rc;
}

static int rates_marks(struct fp_checkpoints *c, struct fp_source *s, const struct portfolio_period *period,
                       struct fingerprint_marks *out, struct fp_err *err)
{
    const struct fingerprint_days days = days_of(period);
    struct marks *m;
    bool known;

    pthread_mutex_lock(&c->lock);
    m = marks_of(c, period);
    known = m->has_rates;
    *out = m->rates;
    pthread_mutex_unlock(&c->lock);
    if (known)
        return 0;
    if (fingerprint_rates(s, &days, out, err))
        return -1;
    pthread_mutex_lock(&c->lock);
    m = marks_of(c, period);
    if (!m->has_rates) {
        m->has_rates = true;
        m->rates = *out;
    }
    *out = m->rates;
    pthread_mutex_unlock(&c->lock);
    return 0;
}

int checkpoints_prime(struct fp_checkpoints *c, struct fp_source *s, const struct portfolio_period *period,
                      const int64_t *ids, size_t n, struct fp_err *err)
{
    struct fingerprint_marks rates;
    struct mark *list;
    int rc;

    if (!c->set.on)
        return 0;
    list = mem_array(n + 1, sizeof *list);
    for (size_t i = 0; i < n; i++)
        list[i].id = ids[i];
    rc = fill_marks(c, s, period, list, n, err) || rates_marks(c, s, period, &rates, err) ? -1 : 0;
    mem_free(list);
    return rc;
}

/* --- fingerprints of users ------------------------------------------------------------------- */

struct subject { /* one state, and where its instruments (and its benchmark) lie in `ids` */
    const uint8_t *state;
    size_t n_state;
    int64_t benchmark_id;
    size_t first, n;
};

struct judged { /* of a set of states of one day */
    struct subject *subjects;
    size_t n;
    int64_t *ids;       /* of all subjects, one after the other */
    struct mark *marks; /* distinct, by id */
    size_t n_marks;
    struct fingerprint_marks rates;
};

static void list_instruments(struct judged *j)
{
    size_t total = 0, at = 0;

    for (size_t i = 0; i < j->n; i++)
        total += checkpoint_instruments(j->subjects[i].state, j->subjects[i].n_state, NULL, 0) + 1;
    j->ids = mem_array(total + 1, sizeof *j->ids);
    j->marks = mem_array(total + 1, sizeof *j->marks);
    for (size_t i = 0; i < j->n; i++) {
        struct subject *s = &j->subjects[i];

        s->first = at;
        at += checkpoint_instruments(s->state, s->n_state, j->ids + at, total - at);
        if (s->state && s->benchmark_id)
            j->ids[at++] = s->benchmark_id;
        s->n = at - s->first;
    }
    for (size_t i = 0; i < at; i++)
        j->marks[i] = (struct mark){.id = j->ids[i]};
    qsort(j->marks, at, sizeof *j->marks, by_id);
    for (size_t i = 0; i < at; i++)
        if (!j->n_marks || j->marks[j->n_marks - 1].id != j->marks[i].id)
            j->marks[j->n_marks++] = j->marks[i];
}

static int read_marks(struct judged *j, struct fp_checkpoints *c, struct fp_source *s,
                      const struct portfolio_period *period, struct fp_err *err)
{
    return fill_marks(c, s, period, j->marks, j->n_marks, err) || rates_marks(c, s, period, &j->rates, err)
               ? -1
               : 0;
}

static void judged_close(struct judged *j)
{
    mem_free(j->subjects);
    mem_free(j->ids);
    mem_free(j->marks);
}

/* which: FINGERPRINT_BEFORE or FINGERPRINT_KEPT */
static void make(const struct judged *j, size_t i, int which, struct fingerprint_parts *p,
                 uint8_t out[FINGERPRINT_BYTES])
{
    const struct subject *s = &j->subjects[i];
    uint64_t *marks = mem_array(s->n + 1, sizeof *marks);

    for (size_t k = 0; k < s->n; k++)
        marks[k] = find(j->marks, j->n_marks, j->ids[s->first + k])->marks.of[which];
    p->format = CHECKPOINT_VERSION;
    p->instrument_ids = j->ids + s->first;
    p->instruments = marks;
    p->n_instruments = s->n;
    p->rates = j->rates.of[which];
    fingerprint_make(p, out);
    mem_free(marks);
}

/* --- reading ------------------------------------------------------------------------------------ */

/* Some users, the same for every worker and every try of a job. */
static bool is_sampled(const struct fp_checkpoints *c, int64_t user_id, int64_t as_of_us)
{
    uint64_t h = ((uint64_t)user_id ^ (uint64_t)as_of_us) * UINT64_C(0x9E3779B97F4A7C15);

    return (double)(h >> 11) / 9007199254740992.0 < c->set.verify; /* 2^53 */
}

static void judge_rows(struct fp_checkpoints *c, const struct judged *j,
                       const struct portfolio_period *period, const struct checkpoint_set *set,
                       struct checkpoint_user *users)
{
    for (size_t i = 0; i < set->n; i++) {
        const struct ledger_checkpoint *row = &set->rows[i];
        struct fingerprint_parts p = {.user_id = users[i].id,
                                      .base_currency = users[i].base_currency,
                                      .day = set->day,
                                      .benchmark_id = users[i].benchmark_id,
                                      .txs = users[i].before};
        uint8_t now[FINGERPRINT_BYTES];

        if (!row->state || row->month_end != set->day) {
            metrics_add("foliopost_stats_checkpoints_total", "found=\"none\"", 1);
            continue;
        }
        make(j, i, FINGERPRINT_BEFORE, &p, now);
        if (memcmp(now, row->fingerprint, sizeof now) != 0) {
            metrics_add("foliopost_stats_checkpoints_total", "found=\"stale\"", 1);
            continue;
        }
        metrics_add("foliopost_stats_checkpoints_total", "found=\"valid\"", 1);
        users[i].state = row->state;
        users[i].n_state = row->n_state;
        users[i].verify = is_sampled(c, users[i].id, period->as_of_us);
    }
}

static int sum_transactions(struct fp_source *s, const struct portfolio_period *period, int32_t day,
                            const int64_t *ids, struct checkpoint_user *users, size_t n, struct fp_err *err)
{
    struct fingerprint_sum *sums = mem_array(n + 1, sizeof *sums);
    int rc = fingerprint_txs(s, day, period->as_of_us, ids, n, sums, err);

    for (size_t i = 0; rc == 0 && i < n; i++)
        users[i].before = sums[i];
    mem_free(sums);
    return rc;
}

static int read_rows(struct fp_checkpoints *c, struct fp_ledger *l, struct fp_source *s,
                     const struct portfolio_period *period, struct checkpoint_user *users,
                     struct checkpoint_set *set, const int64_t *ids, struct fp_err *err)
{
    struct judged j = {.n = set->n};
    int rc;

    if (ledger_checkpoints_load(l, ids, set->n, period->start, set->rows, err))
        return -1;
    j.subjects = mem_array(set->n + 1, sizeof *j.subjects);
    for (size_t i = 0; i < set->n; i++)
        j.subjects[i] =
            (struct subject){set->rows[i].state, set->rows[i].n_state, users[i].benchmark_id, 0, 0};
    list_instruments(&j);
    rc = read_marks(&j, c, s, period, err);
    if (rc == 0)
        rc = sum_transactions(s, period, set->day, ids, users, set->n, err);
    if (rc == 0)
        judge_rows(c, &j, period, set, users);
    judged_close(&j);
    return rc;
}

int checkpoints_find(struct fp_checkpoints *c, struct fp_ledger *l, struct fp_source *s,
                     const struct portfolio_period *period, struct checkpoint_user *users, size_t n,
                     struct checkpoint_set *set, struct fp_err *err)
{
    int64_t *ids;
    int rc;

    *set = (struct checkpoint_set){.day = checkpoint_day_before(period->start), .n = n};
    if (!c->set.on)
        return 0;
    ids = mem_array(n + 1, sizeof *ids);
    set->rows = mem_array(n + 1, sizeof *set->rows);
    for (size_t i = 0; i < n; i++)
        ids[i] = users[i].id;
    rc = read_rows(c, l, s, period, users, set, ids, err);
    mem_free(ids);
    if (rc)
        checkpoints_release(set);
    return rc;
}

void checkpoints_release(struct checkpoint_set *set)
{
    if (set->rows)
        ledger_checkpoints_fini(set->rows, set->n);
    mem_free(set->rows);
    set->rows = NULL;
}

/* --- writing -------------------------------------------------------------------------------------- */

static int write_rows(struct fp_checkpoints *c, struct fp_ledger *l, struct fp_source *s,
                      const struct portfolio_period *period, struct checkpoint_made *made, size_t n,
                      struct fp_err *err)
{
    const int32_t day = checkpoint_day_kept(period);
    struct ledger_checkpoint *rows = mem_array(n + 1, sizeof *rows);
    struct judged j = {.n = n, .subjects = mem_array(n + 1, sizeof *j.subjects)};
    int rc;

    for (size_t i = 0; i < n; i++)
        j.subjects[i] = (struct subject){made[i].state, made[i].n_state, made[i].benchmark_id, 0, 0};
    list_instruments(&j);
    rc = read_marks(&j, c, s, period, err); /* all are known, see checkpoints_prime() */
    if (rc == 0 && is_spilled(c, period))
        rc = err_set(err, FP_RESOURCE_EXHAUSTED, "more than %d instruments in one period", MAX_INSTRUMENTS);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        struct fingerprint_parts p = {.user_id = made[i].user_id,
                                      .base_currency = made[i].base_currency,
                                      .day = day,
                                      .benchmark_id = made[i].benchmark_id,
                                      .txs = made[i].txs};

        rows[i] = (struct ledger_checkpoint){.user_id = made[i].user_id,
                                             .month_end = day,
                                             .state = made[i].state,
                                             .n_state = made[i].n_state};
        make(&j, i, FINGERPRINT_KEPT, &p, rows[i].fingerprint);
    }
    if (rc == 0)
        rc = ledger_checkpoints_store(l, rows, n, c->set.keep_months, err);
    judged_close(&j);
    mem_free(rows);
    return rc;
}

void checkpoints_write(struct fp_checkpoints *c, struct fp_ledger *l, struct fp_source *s,
                       const struct portfolio_period *period, struct checkpoint_made *made, size_t n)
{
    struct fp_err err = {0};

    if (!c->set.on || !n)
        return;
    if (write_rows(c, l, s, period, made, n, &err) == 0) {
        metrics_add("foliopost_stats_checkpoints_written_total", "", (double)n);
        return;
    }
    metrics_add("foliopost_stats_checkpoints_unwritten_total", "", (double)n);
    pthread_mutex_lock(&c->lock);
    bool say = log_limited(&c->logged_us, LOG_EVERY_MS);
    pthread_mutex_unlock(&c->lock);
    if (say)
        log_warn("", "checkpoints not written", "users=%zu reason=%s", n, err.msg);
}

void checkpoints_wrong(struct fp_ledger *l, int64_t user_id, const char *what)
{
    struct fp_err err;

    metrics_add("foliopost_stats_checkpoints_wrong_total", "", 1);
    log_warn("", "a checkpoint led to other figures than the user's life; deleted", "user=%lld differs=%s",
             (long long)user_id, what);
    if (ledger_checkpoints_forget(l, user_id, &err))
        log_warn("", "it could not be deleted", "user=%lld reason=%s", (long long)user_id, err.msg);
}
