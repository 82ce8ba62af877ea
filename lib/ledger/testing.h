/*
 * What the tests of lib/ledger share: a database of their own, and the way to
 * a batch that is claimed. Each test program includes it once.
 *
 * FOLIOPOST_TEST_DSN is a superuser's key=value connection string, as
 * script/with-postgres gives it.
 */
#ifndef FP_LEDGER_TESTING_H
#define FP_LEDGER_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/base/text.h"
#include "lib/ledger/ledger_internal.h"
#include "lib/ledger/events.h"
#include "lib/ledger/rates.h"
#include "lib/ledger/sweep.h"

#define T_UNUSED __attribute__((unused))
#define T_DAY    FP_US_PER_DAY

static char t_dsn[1024];
static char t_database[64];
static struct fp_ledger *t_ledger; /* of the main thread */
static char t_leader[37], t_mailer[37];
static struct fp_err t_err;

static T_UNUSED int32_t t_day; /* of ledger_rate_take() */

#define assert_ok(call)                                                                                      \
    do {                                                                                                     \
        t_err.msg[0] = '\0';                                                                                 \
        if ((call) < 0)                                                                                      \
            fail_msg("%s: %s", #call, t_err.msg);                                                            \
    } while (0)
#define assert_code(call, expected)                                                                          \
    do {                                                                                                     \
        assert_int_equal((call), -1);                                                                        \
        assert_int_equal(t_err.code, expected);                                                              \
    } while (0)

static T_UNUSED struct fp_ledger *t_open(void)
{
    struct pg_options o = {.dsn = t_dsn, .application = "ledger_test", .prepare = true};
    struct fp_ledger *l = ledger_open(&o, &t_err);
    assert_non_null(l);
    return l;
}

/* Runs a statement of the test's own; its first cell as a number, -1 without one. */
static T_UNUSED int64_t t_sql_on(struct fp_ledger *l, const char *sql)
{
    struct fp_rows *rows;
    struct fp_err err;
    if (pg_run(l->pg, NULL, sql, NULL, &rows, &err) != 0)
        fail_msg("%s: %s", sql, err.msg);
    int64_t v = pg_rows_count(rows) > 0 && pg_text(rows, 0, 0)[0] != '\0' ? pg_i64(rows, 0, 0) : -1;
    pg_rows_free(rows);
    return v;
}

static T_UNUSED int64_t __attribute__((format(printf, 1, 2))) t_sql(const char *fmt, ...)
{
    char sql[2048];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(sql, sizeof sql, fmt, ap);
    va_end(ap);
    return t_sql_on(t_ledger, sql);
}

/* Around the database's name: CREATE DATABASE x, DROP DATABASE x WITH (FORCE). */
static int t_admin(const char *verb, const char *options)
{
    char sql[256];
    struct pg_options o = {.dsn = getenv("FOLIOPOST_TEST_DSN")};
    struct fp_pg *pg = pg_new(&o, &t_err);
    snprintf(sql, sizeof sql, "%s DATABASE %s %s", verb, t_database, options);
    int rc = pg == NULL ? -1 : pg_run(pg, NULL, sql, NULL, NULL, &t_err);
    pg_free(pg);
    if (rc != 0)
        fprintf(stderr, "%s: %s\n", sql, t_err.msg);
    return rc;
}

/* A database without the schema. */
static T_UNUSED int t_database_up(void **state)
{
    const char *dsn = getenv("FOLIOPOST_TEST_DSN");
    (void)state;
    if (dsn == NULL) {
        fprintf(stderr, "FOLIOPOST_TEST_DSN is not set: run this by script/with-postgres\n");
        return -1;
    }
    snprintf(t_database, sizeof t_database, "ledger_test_%d", (int)getpid());
    snprintf(t_dsn, sizeof t_dsn, "%s dbname=%s", dsn, t_database);
    return t_admin("CREATE", "");
}

static T_UNUSED int t_database_down(void **state)
{
    (void)state;
    ledger_close(t_ledger);
    t_ledger = NULL;
    return t_admin("DROP", "WITH (FORCE)");
}

static T_UNUSED void t_instance(const char *service, char id[37])
{
    struct ledger_instance i = {.slots = 2};
    text_new_uuid(id);
    snprintf(i.id, sizeof i.id, "%s", id);
    snprintf(i.service, sizeof i.service, "%s", service);
    assert_ok(ledger_instance_start(t_ledger, &i, &t_err));
}

/* With the schema, a leader and a mailer. */
static T_UNUSED int t_ledger_up(void **state)
{
    bool leading;
    int64_t term;
    int applied;
    if (t_database_up(state) != 0)
        return -1;
    t_ledger = t_open();
    if (ledger_migrate(t_ledger, &applied, &t_err) != 0) {
        fprintf(stderr, "%s\n", t_err.msg);
        return -1;
    }
    text_new_uuid(t_leader);
    t_instance("mailer", t_mailer);
    return ledger_lead(t_ledger, t_leader, &leading, &term, &t_err);
}

/* Between tests: no job, fresh leases. */
static T_UNUSED int t_clean(void **state)
{
    bool leading;
    int64_t term;
    (void)state;
    t_sql("TRUNCATE foliopost.jobs, foliopost.intervals, foliopost.batches, foliopost.deliveries,"
          " foliopost.instances, foliopost.audit, foliopost.provider_rates, foliopost.suppressions,"
          " foliopost.delivery_events, foliopost.providers");
    t_sql("UPDATE foliopost.leader SET owner = NULL, lease_until = '-infinity', clock_high = '-infinity'");
    t_instance("mailer", t_mailer);
    return ledger_lead(t_ledger, t_leader, &leading, &term, &t_err);
}

static T_UNUSED struct ledger_job t_spec(void)
{
    static int number;
    struct ledger_job j = {.max_attempts = 3,
                           .batch_size = 100,
                           .period_start_day = 20000,
                           .period_end_day = 20030};
    snprintf(j.request_id, sizeof j.request_id, "request-%d", ++number);
    snprintf(j.spec_hash, sizeof j.spec_hash, "hash");
    snprintf(j.kind, sizeof j.kind, "monthly");
    snprintf(j.traceparent, sizeof j.traceparent, "00-trace-01");
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

static T_UNUSED enum job_state t_state(int64_t job)
{
    struct ledger_job j;
    assert_ok(ledger_job_get(t_ledger, job, &j, &t_err));
    ledger_job_fini(&j);
    return j.state;
}

/* In progress with one interval [1 day, its audience's end). */
static T_UNUSED int64_t t_started(bool resend)
{
    struct ledger_job spec = t_spec(), j;
    int64_t lower = T_DAY;
    bool done;
    spec.resend = resend;
    int64_t id = t_submit(&spec);
    assert_ok(ledger_job_get(t_ledger, id, &j, &t_err));
    assert_ok(ledger_job_start(
        t_ledger, t_leader, id,
        &(struct ledger_start){.max_jobs = 100, .lower_us = &lower, .upper_us = &j.audience_end_us, .n = 1},
        &done, &t_err));
    ledger_job_fini(&j);
    assert_true(done);
    return id;
}

/* Grants and pages users first..first+n-1 of interval 1; the batch. */
static T_UNUSED int64_t t_paged(int64_t job, int64_t first, int n, bool last)
{
    struct ledger_interval v;
    struct ledger_paged out;
    int64_t ids[200];
    bool granted;
    int32_t grant_no;
    for (int i = 0; i < n; i++)
        ids[i] = first + i;
    assert_ok(ledger_grant(t_ledger, t_leader, job, 1, 1, 10000, &granted, &grant_no, &t_err));
    assert_true(granted);
    assert_ok(ledger_interval_get(t_ledger, job, 1, &v, &t_err));
    struct ledger_page p = {.job_id = job,
                            .interval_no = 1,
                            .grant_no = grant_no,
                            .from_us = v.cursor_us,
                            .from_id = v.cursor_id,
                            .to_us = 2 * T_DAY + first,
                            .to_id = first + n - 1,
                            .user_ids = ids,
                            .n_users = (size_t)n,
                            .last = last,
                            .due_ms = 30000};
    assert_ok(ledger_page(t_ledger, &p, &out, &t_err));
    assert_true(out.moved);
    return out.batch_id;
}

/* A claim by the mailer; 0 when it was not won. The due users are given up. */
/* The job's hours, so many from now on. */
static T_UNUSED void t_hours(int64_t job, int from, int to)
{
    t_sql(
        "UPDATE foliopost.jobs SET time_zone = 'Asia/Kolkata', send_window ="
        " to_char(clock_timestamp() AT TIME ZONE 'Asia/Kolkata' + %d * interval '1 h', 'HH24:MI') || '-' ||"
        " to_char(clock_timestamp() AT TIME ZONE 'Asia/Kolkata' + %d * interval '1 h', 'HH24:MI') WHERE id = %lld",
        from, to, (long long)job);
}

static T_UNUSED int32_t t_claimed_by(const char *owner, int64_t batch, size_t *n_due)
{
    struct ledger_claim c;
    char token[37];
    text_new_uuid(token);
    assert_ok(ledger_claim(t_ledger, owner, batch, token, &c, &t_err));
    if (n_due != NULL)
        *n_due = c.n_due;
    mem_free(c.due);
    mem_free(c.attempts);
    return c.won ? c.epoch : 0;
}

static T_UNUSED int32_t t_claimed(int64_t batch)
{
    int32_t epoch = t_claimed_by(t_mailer, batch, NULL);
    assert_int_not_equal(epoch, 0);
    return epoch;
}

/* One record of one batch: outcomes of `state` for n users from first on, and
 * as many intents. Returns whether the claim held. */
static T_UNUSED bool t_record(const char *owner, int64_t batch, int32_t epoch, enum delivery_state state,
                              int64_t first, int n, int64_t first_intent, int n_intents)
{
    struct ledger_held held = {.batch_id = batch, .epoch = epoch};
    struct ledger_outcome outcomes[200];
    struct ledger_intent intents[200];
    for (int i = 0; i < n; i++) {
        outcomes[i] = (struct ledger_outcome){
            .batch_id = batch, .user_id = first + i, .state = state, .reason = "250 ok", .attempted = true};
    }
    for (int i = 0; i < n_intents; i++)
        intents[i] = (struct ledger_intent){.batch_id = batch, .user_id = first_intent + i};
    struct ledger_record r = {.owner = owner,
                              .held = &held,
                              .n_held = 1,
                              .outcomes = outcomes,
                              .n_outcomes = (size_t)n,
                              .intents = intents,
                              .n_intents = (size_t)n_intents};
    assert_ok(ledger_record(t_ledger, &r, &t_err));
    return held.held;
}

/* All users of a fresh batch are sent and it is finished. */
static T_UNUSED void t_sent(int64_t batch, int64_t first, int n)
{
    bool done;
    int32_t epoch = t_claimed(batch);
    assert_true(t_record(t_mailer, batch, epoch, DELIVERY_SENT, first, n, 0, 0));
    assert_ok(ledger_finish(t_ledger, t_mailer, batch, epoch, &done, &t_err));
    assert_true(done);
}

static T_UNUSED int64_t t_count(int64_t job, const char *where)
{
    return t_sql("SELECT count(*) FROM foliopost.deliveries WHERE job_id = %lld AND %s", (long long)job,
                 where);
}

static T_UNUSED int64_t t_batch(int64_t batch, const char *expression)
{
    return t_sql("SELECT %s FROM foliopost.batches WHERE id = %lld", expression, (long long)batch);
}

static T_UNUSED void t_lease_over(const char *instance)
{
    t_sql("UPDATE foliopost.instances SET lease_until = clock_timestamp() - interval '1 s' WHERE id = '%s'",
          instance);
}

static T_UNUSED void t_lead_lost(void)
{
    t_sql("UPDATE foliopost.leader SET owner = gen_random_uuid()");
}

#endif
