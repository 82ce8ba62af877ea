/*
 * For the tests of the scheduler: a database of the test program's own with
 * the ledger and the data contract, a leader with a bus in memory, and a fake
 * userstream and mailer that do what the real ones do by the same functions of
 * lib/ledger. Each test program includes it once.
 */
#ifndef FP_SCHEDULER_TESTING_H
#define FP_SCHEDULER_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/base/embedded.h"
#include "lib/base/text.h"
#include "lib/ledger/batches.h"
#include "lib/wire/wire.h"
#include "services/scheduler/leader.h"

#define T_UNUSED   __attribute__((unused))
#define T_MAX_WORK 4096

extern const struct fp_embedded embedded_portfolio[];

static char t_database[64], t_dsn[600];
static struct fp_ledger *t_ledger; /* of the fake services and the test itself */
static struct fp_source *t_source;
static struct fp_err t_err;
static char t_mailer[LEDGER_UUID];

#define assert_ok(call)                                                                                      \
    do {                                                                                                     \
        t_err.msg[0] = '\0';                                                                                 \
        if ((call) < 0)                                                                                      \
            fail_msg("%s: %s", #call, t_err.msg);                                                            \
    } while (0)

/* --- the database --------------------------------------------------------------------- */

static T_UNUSED int64_t __attribute__((format(printf, 1, 2))) t_sql(const char *fmt, ...)
{
    char sql[2048];
    struct fp_rows *rows;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(sql, sizeof sql, fmt, ap);
    va_end(ap);
    if (pg_run(ledger_pg(t_ledger), NULL, sql, NULL, &rows, &t_err))
        fail_msg("%s: %s", sql, t_err.msg);
    int64_t v = pg_rows_count(rows) > 0 && pg_text(rows, 0, 0)[0] ? pg_i64(rows, 0, 0) : -1;
    pg_rows_free(rows);
    return v;
}

static int t_admin(const char *verb, const char *options)
{
    struct pg_options o = {.dsn = getenv("FOLIOPOST_TEST_DSN")};
    char sql[256];

    snprintf(sql, sizeof sql, "%s DATABASE %s %s", verb, t_database, options);
    struct fp_pg *pg = pg_new(&o, &t_err);
    int rc = !pg || pg_run(pg, NULL, sql, NULL, NULL, &t_err) ? -1 : 0;
    pg_free(pg);
    if (rc)
        fprintf(stderr, "%s: %s\n", sql, t_err.msg);
    return rc;
}

static struct pg_options t_pg(void)
{
    return (struct pg_options){.dsn = t_dsn, .application = "scheduler_test", .prepare = true};
}

static int t_contract(void)
{
    for (const struct fp_embedded *e = embedded_portfolio; e->name; e++)
        if (strcmp(e->name, "portfolio.sql") == 0)
            return pg_run_script(ledger_pg(t_ledger), e->text, &t_err);
    return -1;
}

static T_UNUSED int t_up(void **state)
{
    int applied;

    (void)state;
    if (!getenv("FOLIOPOST_TEST_DSN")) {
        fprintf(stderr, "FOLIOPOST_TEST_DSN is not set: run this by script/with-postgres\n");
        return -1;
    }
    snprintf(t_database, sizeof t_database, "scheduler_test_%d", (int)getpid());
    snprintf(t_dsn, sizeof t_dsn, "%s dbname=%s", getenv("FOLIOPOST_TEST_DSN"), t_database);
    if (t_admin("CREATE", ""))
        return -1;
    struct pg_options o = t_pg();
    t_ledger = ledger_open(&o, &t_err);
    t_source = source_open(&o, &t_err);
    if (ledger_migrate(t_ledger, &applied, &t_err) || t_contract()) {
        fprintf(stderr, "%s\n", t_err.msg);
        return -1;
    }
    return 0;
}

static T_UNUSED int t_down(void **state)
{
    (void)state;
    source_close(t_source);
    ledger_close(t_ledger);
    return t_admin("DROP", "WITH (FORCE)");
}

static T_UNUSED void t_instance(const char *service, char id[LEDGER_UUID])
{
    struct ledger_instance i = {.slots = 1};

    text_new_uuid(id);
    memcpy(i.id, id, sizeof i.id);
    snprintf(i.service, sizeof i.service, "%s", service);
    snprintf(i.address, sizeof i.address, "%s-0", service);
    assert_ok(ledger_instance_start(t_ledger, &i, &t_err));
}

/* n users, registered one each `every` from `first` on, with ids from 1. */
static T_UNUSED void t_users(int n, const char *first, const char *every)
{
    t_sql(
        "INSERT INTO portfolio.users (id, email, created_at, base_currency) SELECT g, 'u' || g || '@example.com',"
        " timestamptz '%s+00' + (g - 1) * interval '%s', 'EUR' FROM generate_series(1, %d) g",
        first, every, n);
}

/* --- the leader, and the bus in memory -------------------------------------------------- */

struct t_scheduler {
    struct leader leader;
    struct lead lead;
    bool unrenewed; /* t_tick() leaves the lead alone */
    char owner[LEDGER_UUID];
    int peers;
    bool deaf; /* nobody takes a message */
};

struct t_work {
    int64_t job_id;
    int32_t interval_no, grant_no, pages; /* of a grant */
    int64_t batch_id;                     /* of a batch to send again */
};

static struct t_work t_bus[T_MAX_WORK];
static int t_n_work;
static struct scheduler_settings t_set;

static void t_owner(void *ctx, char out[LEDGER_UUID])
{
    memcpy(out, ((struct t_scheduler *)ctx)->owner, LEDGER_UUID);
}

static int t_peers(void *ctx)
{
    return ((struct t_scheduler *)ctx)->peers;
}

static int t_send(void *ctx, const void *data, size_t bytes, int timeout_ms, struct fp_err *err)
{
    struct fp_arena *arena = arena_new(WIRE_MAX_ARENA_BYTES);

    (void)timeout_ms;
    if (((struct t_scheduler *)ctx)->deaf) {
        arena_free(arena);
        return err_set(err, FP_UNAVAILABLE, "nobody takes it");
    }
    Foliopost__V1__Work *w = wire_unpack(&foliopost__v1__work__descriptor, data, bytes, arena, &t_err);
    if (!w)
        fail_msg("the scheduler sent what a userstream refuses: %s", t_err.msg);
    assert_true(t_n_work < T_MAX_WORK);
    struct t_work *t = &t_bus[t_n_work++];
    *t = (struct t_work){.job_id = w->job_id};
    if (w->work_case == FOLIOPOST__V1__WORK__WORK_GRANT) {
        t->interval_no = w->grant->interval_no;
        t->grant_no = w->grant->grant_no;
        t->pages = w->grant->pages;
    } else {
        t->batch_id = w->batch->batch_id;
    }
    arena_free(arena);
    return 0;
}

static T_UNUSED void t_scheduler_up(struct t_scheduler *s)
{
    struct pg_options o = t_pg();

    memset(s, 0, sizeof *s);
    s->peers = 1;
    text_new_uuid(s->owner);
    lead_init(&s->lead, ledger_open(&o, &t_err), s, t_owner);
    struct leader_options lo = {.set = &t_set,
                                .ledger = ledger_open(&o, &t_err),
                                .source = source_open(&o, &t_err),
                                .lead = &s->lead,
                                .ctx = s,
                                .send = t_send,
                                .peers = t_peers};
    assert_ok(leader_init(&s->leader, &lo, &t_err));
}

static T_UNUSED void t_scheduler_down(struct t_scheduler *s)
{
    lead_resign(&s->lead);
    ledger_close(s->lead.ledger);
    lead_fini(&s->lead);
    leader_fini(&s->leader);
    source_close(s->leader.o.source);
    ledger_close(s->leader.o.ledger);
}

/* A turn with its sweep, its counts and its try to complete: ticks follow each
 * other here faster than the pauses between these. */
static T_UNUSED void t_tick(struct t_scheduler *s)
{
    s->leader.next_sweep_mono_us = 0;
    for (int i = 0; i < s->leader.n_jobs; i++) {
        s->leader.tracks[i].next_count_mono_us = 0;
        if (s->leader.jobs[i].state == JOB_IN_PROGRESS)
            s->leader.tracks[i].next_try_mono_us = 0;
    }
    if (!s->unrenewed)
        (void)lead_turn(&s->lead);
    (void)leader_tick(&s->leader);
}

/* Between tests: nothing in either schema, an empty bus, the default settings. */
static T_UNUSED int t_clean(void **state)
{
    (void)state;
    t_n_work = 0;
    t_set = (struct scheduler_settings){.guard_after = 1000,
                                        .batch_size = 100,
                                        .max_attempts = 3,
                                        .range_start = (char *)"",
                                        .max_jobs = 3,
                                        .grant_pages = 10,
                                        .grant_due_ms = 15000,
                                        .redo_after_ms = 30000,
                                        .tick_ms = 10};
    t_sql(
        "TRUNCATE foliopost.suppressions, foliopost.delivery_events, foliopost.jobs, foliopost.intervals, foliopost.batches, foliopost.deliveries,"
        " foliopost.instances, foliopost.audit, foliopost.error_log, foliopost.provider_rates, portfolio.users");
    t_sql("UPDATE foliopost.leader SET owner = NULL, lease_until = '-infinity'");
    t_instance("mailer", t_mailer);
    return 0;
}

static T_UNUSED struct ledger_job t_spec(void)
{
    static int number;
    struct ledger_job j = {.period_start_day = 20000,
                           .period_end_day = 20030,
                           .max_attempts = 3,
                           .batch_size = 100};

    snprintf(j.request_id, sizeof j.request_id, "request-%d", ++number);
    snprintf(j.spec_hash, sizeof j.spec_hash, "hash");
    snprintf(j.kind, sizeof j.kind, "monthly");
    snprintf(j.brand, sizeof j.brand, "default");
    snprintf(j.template_name, sizeof j.template_name, "statement");
    snprintf(j.traceparent, sizeof j.traceparent, "00-%032d-%016d-01", 1, 1);
    j.audience_end_us = clock_wall_us();
    return j;
}

static T_UNUSED int64_t t_submit(const struct ledger_job *spec)
{
    struct ledger_job j;
    bool existing;

    assert_ok(ledger_job_submit(t_ledger, spec, 1000, "tester", &j, &existing, &t_err));
    ledger_job_fini(&j);
    return j.id;
}

static T_UNUSED struct ledger_job t_job(int64_t id)
{
    struct ledger_job j;

    assert_ok(ledger_job_get(t_ledger, id, &j, &t_err));
    ledger_job_fini(&j);
    return j;
}

/* --- a fake userstream -------------------------------------------------------------------- */

/* The next page behind the cursor into ids; fills the cursor of p. */
static size_t t_read_page(const struct ledger_job *j, const struct ledger_interval *iv, struct ledger_page *p,
                          int64_t *ids)
{
    static struct source_user users[WIRE_MAX_USERS];
    size_t n = 0;

    p->to_us = p->from_us;
    if (j->n_user_ids == 0) {
        const struct source_range range = {
            j->kind, p->from_us, p->from_id, iv->upper_us, {j->share_ppm, j->share_seed}};
        int got = source_users_page(t_source, &range, users, j->batch_size, &t_err);
        assert_true(got >= 0);
        for (; n < (size_t)got; n++)
            ids[n] = users[n].id;
        if (n > 0)
            p->to_us = users[n - 1].created_us;
    } else {
        for (size_t i = 0; i < j->n_user_ids && n < (size_t)j->batch_size; i++)
            if (j->user_ids[i] > p->from_id)
                ids[n++] = j->user_ids[i];
    }
    p->to_id = n > 0 ? ids[n - 1] : p->from_id;
    return n;
}

/* One page of a grant; the batch's id, 0 when there is none; *more false when the grant is over. */
static int64_t t_page(const struct t_work *w, bool *more)
{
    struct ledger_interval iv;
    struct ledger_paged done = {0};
    struct ledger_job j;
    int64_t ids[WIRE_MAX_USERS];

    *more = false;
    assert_ok(ledger_job_get(t_ledger, w->job_id, &j, &t_err));
    assert_ok(ledger_interval_get(t_ledger, w->job_id, w->interval_no, &iv, &t_err));
    if (iv.grant_no == w->grant_no && strcmp(iv.state, "granted") == 0) {
        struct ledger_page p = {.job_id = j.id,
                                .interval_no = iv.no,
                                .grant_no = iv.grant_no,
                                .from_us = iv.cursor_us,
                                .from_id = iv.cursor_id,
                                .user_ids = ids,
                                .due_ms = (int)t_set.redo_after_ms};
        p.n_users = t_read_page(&j, &iv, &p, ids);
        p.last = p.n_users < (size_t)j.batch_size;
        assert_ok(ledger_page(t_ledger, &p, &done, &t_err));
        *more = done.moved && !done.ended && done.pages_left > 0;
    }
    ledger_job_fini(&j);
    return done.batch_id;
}

/* --- a fake mailer -------------------------------------------------------------------------- */

/* Gives each due user of the batch the outcome, or `first` to the first one. */
static T_UNUSED void t_mail(int64_t batch_id, enum delivery_state first, enum delivery_state rest)
{
    struct ledger_claim c;
    struct ledger_outcome out[WIRE_MAX_USERS];
    char token[LEDGER_UUID];
    bool done;

    text_new_uuid(token);
    assert_ok(ledger_claim(t_ledger, t_mailer, batch_id, token, &c, &t_err));
    for (size_t i = 0; i < c.n_due; i++)
        out[i] = (struct ledger_outcome){.batch_id = batch_id,
                                         .user_id = c.due[i],
                                         .state = i ? rest : first,
                                         .reason = "said so",
                                         .attempted = true};
    if (c.won) {
        struct ledger_held held = {.batch_id = batch_id, .epoch = c.epoch};
        struct ledger_record r = {
            .owner = t_mailer, .held = &held, .n_held = 1, .outcomes = out, .n_outcomes = c.n_due};
        assert_ok(ledger_record(t_ledger, &r, &t_err));
        assert_ok(ledger_finish(t_ledger, t_mailer, batch_id, c.epoch, &done, &t_err));
        assert_true(done);
    }
    mem_free(c.due);
    mem_free(c.attempts);
}

/* --- all of it -------------------------------------------------------------------------------- */

/* Everything on the bus is paged and sent. */
static T_UNUSED void t_pump(void)
{
    for (int i = 0; i < t_n_work; i++) {
        bool more = t_bus[i].batch_id == 0;
        if (!more)
            t_mail(t_bus[i].batch_id, DELIVERY_SENT, DELIVERY_SENT);
        while (more) {
            int64_t batch = t_page(&t_bus[i], &more);
            if (batch)
                t_mail(batch, DELIVERY_SENT, DELIVERY_SENT);
        }
    }
    t_n_work = 0;
}

static T_UNUSED void t_run_until(struct t_scheduler *s, int64_t job, enum job_state wanted, int ticks)
{
    for (int i = 0; i < ticks; i++) {
        t_tick(s);
        if (t_job(job).state == wanted)
            return;
        t_pump();
    }
    fail_msg("job %lld is %s after %d ticks, not %s", (long long)job, job_state_name(t_job(job).state), ticks,
             job_state_name(wanted));
}

/* Grants on the bus for a job, and the pages in them. */
static T_UNUSED int t_grants(int64_t job, int *pages)
{
    int n = 0;

    *pages = 0;
    for (int i = 0; i < t_n_work; i++) {
        if (t_bus[i].job_id != job || t_bus[i].batch_id)
            continue;
        n++;
        *pages += t_bus[i].pages;
    }
    return n;
}

#endif
