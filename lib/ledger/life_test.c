/*
 * A job's whole life with mailers that stop at any line.
 *
 * Four mailers claim, open intents, send and record; each may stop dead after
 * any step, or go on although its lease was ended. A leader sweeps. "Sending"
 * is a counter for each user, so that the truth is known: with the policy hold
 * nobody is sent to twice, everybody has one outcome, and `sent` is said of
 * nobody who was not sent to. With resend every second sending stands in
 * maybe_doubles.
 */
#include "lib/ledger/testing.h"

#include <pthread.h>
#include <stdatomic.h>

#define MAILERS   4
#define BATCHES   30
#define PER_BATCH 10
#define USERS     (BATCHES * PER_BATCH)
#define CHAOS_US  (3 * FP_US_PER_S)

static atomic_int sendings[USERS + 1];
static atomic_bool calm; /* no more deaths */
static int64_t job;
static int64_t batches[BATCHES];

struct mailer {
    pthread_t thread;
    unsigned seed;
    char id[37];
    struct fp_ledger *l;
    char why[512]; /* an assertion that failed; cmocka's are for the main thread */
};

static bool dies(struct mailer *m, int one_in)
{
    return !atomic_load(&calm) && rand_r(&m->seed) % one_in == 0;
}

static void oops(struct mailer *m, const char *what, const struct fp_err *err)
{
    if (m->why[0] == '\0')
        snprintf(m->why, sizeof m->why, "%s: %.400s", what, err->msg);
}

static void new_life(struct mailer *m)
{
    struct fp_err err;
    struct ledger_instance i = {.service = "mailer", .slots = 1};
    text_new_uuid(m->id);
    snprintf(i.id, sizeof i.id, "%s", m->id);
    if (ledger_instance_start(m->l, &i, &err) != 0)
        oops(m, "instance", &err);
}

/* Settles `done` (0: nobody) and opens `next` (0: nobody). */
static bool step(struct mailer *m, const struct ledger_claim *c, int64_t done, int64_t next)
{
    struct fp_err err;
    struct ledger_held held = {.batch_id = c->batch_id, .epoch = c->epoch};
    struct ledger_outcome out = {.batch_id = c->batch_id,
                                 .user_id = done,
                                 .state = DELIVERY_SENT,
                                 .attempted = true};
    struct ledger_intent in = {.batch_id = c->batch_id, .user_id = next};
    struct ledger_record r = {.owner = m->id,
                              .held = &held,
                              .n_held = 1,
                              .outcomes = &out,
                              .n_outcomes = done != 0,
                              .intents = &in,
                              .n_intents = next != 0};
    if (ledger_record(m->l, &r, &err) != 0) {
        oops(m, "record", &err);
        return false;
    }
    return held.held && (next == 0 || held.job_state == JOB_IN_PROGRESS);
}

/* False when the mailer died on the way. */
static bool send_batch(struct mailer *m, const struct ledger_claim *c)
{
    struct fp_err err;
    bool done;
    int64_t sent = 0;
    for (size_t i = 0; i < c->n_due; i++) {
        if (!step(m, c, sent, c->due[i]))
            return true; /* not ours any more */
        if (dies(m, 25))
            return false;
        atomic_fetch_add(&sendings[c->due[i]], 1);
        sent = c->due[i];
        if (dies(m, 25))
            return false;
    }
    if (sent != 0 && !step(m, c, sent, 0))
        return true;
    if (dies(m, 10))
        return false;
    if (ledger_finish(m->l, m->id, c->batch_id, c->epoch, &done, &err) != 0)
        oops(m, "finish", &err);
    return true;
}

static bool all_done(struct mailer *m)
{
    struct fp_err err;
    int64_t n;
    if (ledger_in_flight(m->l, job, &n, &err) != 0) {
        oops(m, "in flight", &err);
        return true;
    }
    return n == 0;
}

static void *mailer_life(void *arg)
{
    struct mailer *m = arg;
    struct fp_err err;
    struct ledger_claim c;
    char token[37];
    new_life(m);
    while (m->why[0] == '\0' && !all_done(m)) {
        text_new_uuid(token);
        if (ledger_claim(m->l, m->id, batches[rand_r(&m->seed) % BATCHES], token, &c, &err) != 0) {
            oops(m, "claim", &err);
            break;
        }
        bool alive = !c.won || send_batch(m, &c);
        mem_free(c.due);
        mem_free(c.attempts);
        bool held;
        if (alive && ledger_instance_renew(m->l, m->id, 1, "", &held, &err) != 0)
            oops(m, "renew", &err);
        if (!alive || !held)
            new_life(m);
    }
    return NULL;
}

/* Ends leases at random, sweeps, and claims nothing. */
static void lead(void)
{
    struct ledger_expired e;
    int64_t n = 1, until_us = clock_mono_us() + CHAOS_US;
    while (n > 0) {
        atomic_store(&calm, clock_mono_us() > until_us);
        t_sql(
            "UPDATE foliopost.instances SET lease_until = clock_timestamp() - interval '1 ms' WHERE state = 'live'"
            " AND random() < %s",
            atomic_load(&calm) ? "0.02" : "0.2"); /* dead ones end in the calm too */
        assert_ok(ledger_expire(t_ledger, t_leader, &e, &t_err));
        assert_ok(ledger_in_flight(t_ledger, job, &n, &t_err));
        clock_sleep_us(10000);
    }
}

static void live(bool resend)
{
    struct mailer mailers[MAILERS] = {0};
    job = t_started(resend);
    for (int i = 0; i < BATCHES; i++)
        batches[i] = t_paged(job, 1 + i * PER_BATCH, PER_BATCH, i == BATCHES - 1);
    for (int i = 0; i <= USERS; i++)
        atomic_store(&sendings[i], 0);
    atomic_store(&calm, false);
    for (int i = 0; i < MAILERS; i++) {
        mailers[i].seed = (unsigned)(clock_wall_us() + i);
        mailers[i].l = t_open();
        assert_int_equal(pthread_create(&mailers[i].thread, NULL, mailer_life, &mailers[i]), 0);
    }
    lead();
    for (int i = 0; i < MAILERS; i++) {
        pthread_join(mailers[i].thread, NULL);
        ledger_close(mailers[i].l);
        assert_string_equal(mailers[i].why, "");
    }
}

static struct ledger_proof completed(void)
{
    struct ledger_proof p;
    bool done;
    assert_ok(ledger_job_complete(t_ledger, t_leader, job, &done, &p, &t_err));
    assert_true(done);
    assert_int_equal(p.users, USERS);
    return p;
}

static int read_all(struct ledger_delivery *d)
{
    int n = ledger_deliveries(t_ledger, job, DELIVERY_UNKNOWN, 0, d, USERS, &t_err);
    assert_int_equal(n, USERS);
    return n;
}

static void with_hold_nobody_is_missed_and_nobody_mailed_twice(void **state)
{
    static struct ledger_delivery d[USERS];
    struct ledger_counts c;
    (void)state;
    live(false);
    struct ledger_proof p = completed();
    assert_int_equal(p.maybe_doubles, 0);
    for (int i = 0; i < read_all(d); i++) {
        int n = atomic_load(&sendings[d[i].user_id]);
        assert_in_range(n, 0, 1);
        assert_true(d[i].state == DELIVERY_SENT ? n == 1 : d[i].state == DELIVERY_AMBIGUOUS);
    }
    assert_ok(ledger_job_counts(t_ledger, job, &c, &t_err));
    assert_int_equal(c.sent, p.sent);
    assert_int_equal(c.ambiguous, p.ambiguous);
    print_message("hold: %d sent, %d ambiguous, %d claims\n", (int)p.sent, (int)p.ambiguous,
                  (int)t_sql("SELECT sum(epoch) FROM foliopost.batches"));
    assert_true(p.ambiguous > 0); /* else nobody died at the wrong moment */
}

static void with_resend_each_double_is_on_record(void **state)
{
    static struct ledger_delivery d[USERS];
    (void)state;
    live(true);
    struct ledger_proof p = completed();
    assert_int_equal(p.sent + p.ambiguous, USERS);
    for (int i = 0; i < read_all(d); i++) {
        int n = atomic_load(&sendings[d[i].user_id]);
        bool sent = d[i].state == DELIVERY_SENT;
        assert_in_range(n, sent ? 1 : 0, 1 + d[i].maybe_doubles);
        assert_true(sent || d[i].attempts == t_spec().max_attempts); /* nobody could ever know */
    }
    print_message("resend: %d sent, %d ambiguous, %d maybe doubles\n", (int)p.sent, (int)p.ambiguous,
                  (int)p.maybe_doubles);
    assert_true(p.maybe_doubles > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(with_hold_nobody_is_missed_and_nobody_mailed_twice, t_clean),
        cmocka_unit_test_setup(with_resend_each_double_is_on_record, t_clean),
    };
    return cmocka_run_group_tests(tests, t_ledger_up, t_database_down);
}
