/*
 * userstream whole, over a real bus and a real PostgreSQL: the test gives out
 * work as the scheduler does and takes batches as stats does. Only the service
 * skeleton is replaced.
 */
#include "lib/ledger/testing.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>

#include "lib/base/embedded.h"
#include "lib/ledger/deliveries.h"
#include "lib/metrics/metrics.h"
#include "services/userstream/stream.h"

#define WAIT_MS 10000

extern const struct fp_embedded embedded_portfolio[];

/* --- the skeleton, as far as it is asked ------------------------------------------- */

void service_ledger_options(const struct fp_service *s, struct pg_options *out)
{
    (void)s;
    *out = (struct pg_options){.dsn = t_dsn, .application = "userstream_test", .prepare = true};
}

void service_owner(struct fp_service *s, char out[37])
{
    (void)s;
    snprintf(out, 37, "%s", t_mailer);
}

void service_set_note(struct fp_service *s, const char *note)
{
    (void)s;
    (void)note;
}

void service_beat(struct fp_service *s, int id, const char *name)
{
    (void)s;
    (void)name;
    assert_in_range(id, 0, 15);
}

void service_beat_end(struct fp_service *s, int id)
{
    (void)s;
    (void)id;
}

/* --- around userstream ---------------------------------------------------------------- */

static struct fp_bus_push *scheduler; /* what the scheduler has */
static struct fp_bus_pull *stats;     /* what stats has; NULL: nobody is there */
static struct fp_arena *arena;
static char work_from[64], users_listen[64], users_from[64];
static const struct bus_tls plain = {"", "", ""};
static struct userstream_settings settings = {.work_from = work_from,
                                              .users_listen = users_listen,
                                              .source_dsn = (char *)"",
                                              .workers = 2,
                                              .audience_margin_ms = 60000,
                                              .redo_after_ms = 30000,
                                              .send_wait_ms = 500,
                                              .trace_every = 1,
                                              .bus_resolve_ms = 500,
                                              .bus_ca_file = (char *)"",
                                              .bus_cert_file = (char *)"",
                                              .bus_key_file = (char *)""};

static int free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    close(fd);
    return ntohs(a.sin_port);
}

static int up(void **state)
{
    if (t_ledger_up(state) != 0)
        return -1;
    for (const struct fp_embedded *e = embedded_portfolio; e->name != NULL; e++)
        if (strcmp(e->name, "portfolio.sql") == 0)
            assert_ok(pg_run_script(t_ledger->pg, e->text, &t_err));
    scheduler = bus_push_open("work", "tcp://127.0.0.1:0", &plain, &t_err);
    assert_non_null(scheduler);
    snprintf(work_from, sizeof work_from, "tcp://127.0.0.1:%d", bus_push_port(scheduler));
    arena = arena_new(WIRE_MAX_ARENA_BYTES);
    return 0;
}

static int down(void **state)
{
    bus_push_shut(scheduler, 100);
    arena_free(arena);
    return t_database_down(state);
}

static void stats_comes(void)
{
    stats = bus_pull_open("users", users_from, &plain, 500, &t_err);
    assert_non_null(stats);
    for (int i = 0; bus_pull_peers(stats) == 0; i++) {
        assert_true(i < WAIT_MS / 10);
        clock_sleep_us(10000);
    }
}

static void userstream_starts(void)
{
    int port = free_port();
    snprintf(users_listen, sizeof users_listen, "tcp://127.0.0.1:%d", port);
    snprintf(users_from, sizeof users_from, "tcp://127.0.0.1:%d", port);
    assert_ok(stream_start(NULL, &settings, &t_err));
    for (int i = 0; bus_push_peers(scheduler) == 0; i++) {
        assert_true(i < WAIT_MS / 10);
        clock_sleep_us(10000);
    }
}

static int each_up(void **state)
{
    metrics_reset();
    t_sql("TRUNCATE portfolio.users, portfolio.preferences, foliopost.suppressions");
    if (t_clean(state) != 0)
        return -1;
    userstream_starts();
    stats_comes();
    return 0;
}

static int each_down(void **state)
{
    (void)state;
    stream_drain(NULL, &settings);
    for (int i = 0; !stream_drained(NULL, &settings); i++) {
        assert_true(i < WAIT_MS / 10);
        clock_sleep_us(10000);
    }
    stream_stop(NULL, &settings);
    if (stats != NULL) {
        bus_pull_shut(stats);
        stats = NULL;
    }
    for (int i = 0; bus_push_peers(scheduler) > 0; i++) {
        assert_true(i < WAIT_MS / 10);
        clock_sleep_us(10000);
    }
    return 0;
}

/* --- work and batches --------------------------------------------------------------------- */

static void send_work(Foliopost__V1__Work *w)
{
    struct fp_str packed;
    w->schema_version = WIRE_SCHEMA_VERSION;
    w->traceparent = (char *)"";
    str_init(&packed, 0);
    assert_ok(wire_pack(&w->base, WIRE_MAX_MESSAGE_BYTES, &packed, &t_err));
    assert_ok(bus_push_send(scheduler, packed.data, packed.len, WAIT_MS, &t_err));
    str_fini(&packed);
}

static void send_grant(int64_t job, int32_t grant_no, int32_t pages)
{
    Foliopost__V1__Work w = FOLIOPOST__V1__WORK__INIT;
    Foliopost__V1__Grant g = FOLIOPOST__V1__GRANT__INIT;
    g.interval_no = 1;
    g.grant_no = grant_no;
    g.pages = pages;
    w.job_id = job;
    w.work_case = FOLIOPOST__V1__WORK__WORK_GRANT;
    w.grant = &g;
    send_work(&w);
}

static void send_batch(int64_t job, int64_t batch)
{
    Foliopost__V1__Work w = FOLIOPOST__V1__WORK__INIT;
    Foliopost__V1__BatchRef b = FOLIOPOST__V1__BATCH_REF__INIT;
    b.batch_id = batch;
    w.job_id = job;
    w.work_case = FOLIOPOST__V1__WORK__WORK_BATCH;
    w.batch = &b;
    send_work(&w);
}

/* Grants and tells userstream; the grant's number. */
static int32_t grant(int64_t job, int32_t pages, int due_ms)
{
    bool granted;
    int32_t no;
    assert_ok(ledger_grant(t_ledger, t_leader, job, 1, pages, due_ms, &granted, &no, &t_err));
    assert_true(granted);
    send_grant(job, no, pages);
    return no;
}

/* The next batch that stats gets; NULL when none came. Lives until the next call. */
static const Foliopost__V1__UserBatch *take(int timeout_ms)
{
    struct fp_bus_msg *msg;
    size_t bytes;
    int rc = bus_pull_recv(stats, timeout_ms, &msg, &t_err);
    assert_true(rc >= 0);
    if (rc == 1)
        return NULL;
    arena_reset(arena);
    const void *data = bus_msg_data(msg, &bytes);
    const Foliopost__V1__UserBatch *b =
        wire_unpack(&foliopost__v1__user_batch__descriptor, data, bytes, arena, &t_err);
    if (b == NULL)
        fail_msg("%s", t_err.msg);
    bus_msg_free(msg);
    return b;
}

static void await_metric(const char *name, const char *labels, double value)
{
    for (int i = 0; metrics_value(name, labels) < value; i++) {
        if (i >= WAIT_MS / 10)
            fail_msg("%s{%s} is %g, not %g", name, labels, metrics_value(name, labels), value);
        clock_sleep_us(10000);
    }
}

static void dropped(const char *labels, double value)
{
    await_metric("foliopost_work_not_done_total", labels, value);
}

static int64_t started(const int64_t *ids, size_t n_ids, int batch_size)
{
    struct ledger_job spec = t_spec(), j;
    int64_t lower = T_DAY;
    bool done;
    spec.batch_size = batch_size;
    spec.user_ids = (int64_t *)ids;
    spec.n_user_ids = n_ids;
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

static void add_users(int n)
{
    t_sql(
        "INSERT INTO portfolio.users (id, email, first_name, created_at, base_currency)"
        " SELECT i, 'u' || i || '@example.com', 'Zoë', timestamptz '2024-01-01+00' + i / 9 * interval '1 microsecond', 'EUR'"
        " FROM generate_series(1, %d) i",
        n);
}

/* --- the tests -------------------------------------------------------------------------------- */

static void a_grant_sends_each_user_of_the_interval_once_as_the_ledger_has_it(void **state)
{
    (void)state;
    bool met[251] = {false};
    int users = 0;
    add_users(250);
    int64_t job = started(NULL, 0, 40);
    grant(job, 10, 60000);
    while (users < 250) {
        const Foliopost__V1__UserBatch *b = take(WAIT_MS);
        assert_non_null(b);
        assert_int_equal(b->job->job_id, job);
        assert_string_equal(b->job->kind, "monthly");
        assert_int_equal(t_batch(b->batch_id, "cardinality(user_ids)"), b->n_users);
        for (size_t i = 0; i < b->n_users; i++) {
            assert_in_range(b->users[i]->id, 1, 250);
            assert_false(met[b->users[i]->id]);
            met[b->users[i]->id] = true;
            assert_string_equal(b->users[i]->first_name, "Zoë");
            assert_int_equal(b->users[i]->skip, 0);
        }
        users += (int)b->n_users;
    }
    assert_null(take(200));
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.intervals WHERE state = 'paged'"), 1);
    assert_int_equal(t_sql("SELECT count(DISTINCT u) FROM foliopost.batches, unnest(user_ids) u"), 250);
    assert_int_equal(t_sql("SELECT sum(cardinality(user_ids)) FROM foliopost.batches"), 250);
}

static void a_grant_ends_with_its_pages_and_the_next_goes_on(void **state)
{
    (void)state;
    add_users(100);
    int64_t job = started(NULL, 0, 20);
    grant(job, 2, 60000);
    assert_int_equal(take(WAIT_MS)->users[0]->id, 1);
    assert_int_equal(take(WAIT_MS)->users[0]->id, 21);
    assert_null(take(200));
    grant(job, 100, 60000);
    for (int i = 0; i < 3; i++) /* and then an empty page, which is no batch */
        assert_int_equal(take(WAIT_MS)->users[0]->id, 41 + i * 20);
    assert_null(take(200));
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.batches"), 5);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.intervals WHERE state = 'paged'"), 1);
}

static void an_audience_of_nobody_is_paged_without_a_batch(void **state)
{
    (void)state;
    int64_t job = started(NULL, 0, 20);
    grant(job, 3, 60000);
    await_metric("foliopost_pages_total", "", 1);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.intervals WHERE state = 'paged'"), 1);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.batches"), 0);
}

static void a_list_is_paged_by_itself_and_the_gone_are_in_it(void **state)
{
    const int64_t ids[] = {2, 3, 5, 7, 999, 1000};
    (void)state;
    add_users(10);
    int64_t job = started(ids, 6, 4);
    grant(job, 5, 60000);
    const Foliopost__V1__UserBatch *b = take(WAIT_MS);
    assert_int_equal(b->n_users, 4);
    assert_int_equal(b->users[3]->id, 7);
    b = take(WAIT_MS);
    assert_int_equal(b->n_users, 2);
    assert_int_equal(b->users[0]->id, 999);
    assert_int_equal(b->users[0]->skip, FOLIOPOST__V1__SKIP_REASON__SKIP_REASON_GONE);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.intervals WHERE state = 'paged'"), 1);
}

static void who_gets_no_mail_goes_along_with_the_reason(void **state)
{
    (void)state;
    add_users(5);
    t_sql(
        "INSERT INTO portfolio.preferences (user_id, kind, enabled) VALUES (1, 'monthly', false), (3, 'weekly', false)");
    t_sql("INSERT INTO foliopost.suppressions (user_id, reason) VALUES (2, 'complaint')");
    t_sql("UPDATE portfolio.users SET email = E'x@example.com>\\r\\nRCPT TO:<y@example.com' WHERE id = 4");
    int64_t job = started(NULL, 0, 100);
    grant(job, 1, 60000);
    const Foliopost__V1__UserBatch *b = take(WAIT_MS);
    assert_int_equal(b->n_users, 5);
    assert_int_equal(b->users[0]->skip, FOLIOPOST__V1__SKIP_REASON__SKIP_REASON_OPTED_OUT);
    assert_int_equal(b->users[1]->skip, FOLIOPOST__V1__SKIP_REASON__SKIP_REASON_SUPPRESSED);
    assert_int_equal(b->users[2]->skip, 0);
    assert_int_equal(b->users[3]->skip, FOLIOPOST__V1__SKIP_REASON__SKIP_REASON_BAD_ADDRESS);
    assert_string_equal(b->users[3]->email, "");
    assert_int_equal(b->users[4]->skip, 0);
}

static void a_batch_is_sent_again_while_it_is_queued_and_not_after(void **state)
{
    (void)state;
    add_users(30);
    int64_t job = started(NULL, 0, 20);
    grant(job, 1, 60000);
    int64_t batch = take(WAIT_MS)->batch_id;
    t_sql("DELETE FROM portfolio.users WHERE id = 3");
    send_batch(job, batch);
    const Foliopost__V1__UserBatch *b = take(WAIT_MS);
    assert_int_equal(b->batch_id, batch);
    assert_int_equal(b->n_users, 20);
    assert_int_equal(b->users[2]->id, 3);
    assert_int_equal(b->users[2]->skip, FOLIOPOST__V1__SKIP_REASON__SKIP_REASON_GONE);
    t_claimed(batch);
    send_batch(job, batch);
    dropped("reason=\"stale_batch\"", 1);
    send_batch(job, batch + 1000);
    dropped("reason=\"unknown_batch\"", 1);
    assert_null(take(200));
}

static void an_old_or_double_grant_changes_nothing(void **state)
{
    (void)state;
    add_users(100);
    int64_t job = started(NULL, 0, 20);
    int32_t old = grant(job, 1, 60000);
    assert_non_null(take(WAIT_MS));
    send_grant(job, old, 1); /* used up */
    dropped("reason=\"stale_grant\"", 1);
    bool granted;
    int32_t no;
    assert_ok(ledger_grant(t_ledger, t_leader, job, 1, 1, 60000, &granted, &no, &t_err));
    send_grant(job, old, 1);
    dropped("reason=\"stale_grant\"", 2);
    send_grant(job, no, 1);
    send_grant(job, no, 1);
    /* Two workers at the same page can both be told that it is written: the batch comes twice then, and is
     * one. */
    int64_t batch = take(WAIT_MS)->batch_id;
    for (const Foliopost__V1__UserBatch *b; (b = take(300)) != NULL;)
        assert_int_equal(b->batch_id, batch);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.batches"), 2);
}

static void a_paused_job_and_an_unknown_one_get_nothing(void **state)
{
    (void)state;
    add_users(100);
    int64_t job = started(NULL, 0, 20);
    assert_ok(ledger_job_pause(t_ledger, job, "test", "tester", &t_err));
    send_grant(job, 1, 1);
    dropped("reason=\"job_not_running\"", 1);
    send_grant(job + 1000, 1, 1);
    dropped("reason=\"unknown_job\"", 1);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.batches"), 0);
}

/* The leader grants, and sends what is queued, in the tick after the resume. What was dropped
 * then would wait for its next due time. */
static void a_job_that_is_resumed_at_once_goes_on_at_once(void **state)
{
    bool granted;
    int32_t no;
    (void)state;
    add_users(100);
    int64_t job = started(NULL, 0, 20);
    grant(job, 1, 60000);
    const Foliopost__V1__UserBatch *b = take(WAIT_MS);
    assert_non_null(b);
    int64_t batch = b->batch_id;
    assert_ok(ledger_grant(t_ledger, t_leader, job, 1, 1, 60000, &granted, &no, &t_err));
    assert_true(granted);
    assert_ok(ledger_job_pause(t_ledger, job, "test", "tester", &t_err));
    for (int i = 0; metrics_value("foliopost_work_not_done_total", "reason=\"job_not_running\"") < 4; i++) {
        assert_true(i < WAIT_MS / 10); /* each worker has read that it is paused, in all likelihood */
        send_grant(job, no, 1);
        clock_sleep_us(10000);
    }
    assert_ok(ledger_job_resume(t_ledger, job, "tester", &t_err));
    for (int i = 0; i < 2; i++) {
        send_batch(job, batch);
        assert_non_null(b = take(WAIT_MS));
        assert_int_equal(b->batch_id, batch);
    }
    send_grant(job, no, 1);
    assert_non_null(b = take(WAIT_MS));
    assert_int_equal(b->users[0]->id, 21);
}

static void garbage_is_counted_and_the_next_message_is_done(void **state)
{
    char bytes[512];
    (void)state;
    add_users(5);
    int64_t job = started(NULL, 0, 20);
    for (int i = 0; i < 40; i++) {
        for (size_t k = 0; k < sizeof bytes; k++)
            bytes[k] = (char)(i * 131 + k * k * 7);
        assert_ok(bus_push_send(scheduler, bytes, (size_t)i * 12, WAIT_MS, &t_err));
    }
    dropped("reason=\"bad_message\"", 40);
    grant(job, 1, 60000);
    assert_int_equal(take(WAIT_MS)->n_users, 5);
}

static void without_a_stats_the_batch_waits_in_the_ledger(void **state)
{
    (void)state;
    add_users(30);
    bus_pull_shut(stats);
    stats = NULL;
    for (int i = 0; metrics_value("foliopost_bus_peers", "pipe=\"users\"") > 0 && i < WAIT_MS / 10; i++)
        clock_sleep_us(10000);
    int64_t job = started(NULL, 0, 20);
    grant(job, 1, 60000);
    dropped("reason=\"no_peer\"", 1);
    int64_t batch = t_sql("SELECT id FROM foliopost.batches WHERE state = 'queued'");
    stats_comes();
    send_batch(job, batch);
    assert_int_equal(take(WAIT_MS)->batch_id, batch);
}

static bool is_ready(const char *part)
{
    struct fp_str why;
    str_init(&why, 0);
    bool ready = stream_ready(NULL, &settings, &why);
    if (!ready && part != NULL && strstr(why.data, part) == NULL)
        fail_msg("%s is not in: %s", part, why.data);
    str_fini(&why);
    return ready;
}

static void await_ready(bool ready)
{
    for (int i = 0; is_ready(NULL) != ready; i++) {
        assert_true(i < WAIT_MS / 10);
        clock_sleep_us(10000);
    }
}

static void a_source_that_is_away_makes_it_unready_and_the_page_is_done_when_it_is_back(void **state)
{
    (void)state;
    add_users(30);
    await_ready(true);
    t_sql("ALTER TABLE portfolio.users RENAME TO away");
    int64_t job = started(NULL, 0, 20);
    grant(job, 1, 60000);
    await_ready(false);
    assert_false(is_ready("portfolio.users"));
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.batches"), 0);
    for (int i = 0; t_sql("SELECT count(*) FROM foliopost.error_log WHERE code = 'source_failed'") == 0;
         i++) {
        assert_true(i < WAIT_MS / 10);
        clock_sleep_us(10000);
    }
    t_sql("ALTER TABLE portfolio.away RENAME TO users");
    assert_int_equal(take(WAIT_MS)->n_users, 20);
    await_ready(true);
}

static void await_complaint(const char *part)
{
    struct fp_str why;
    for (int i = 0;; i++) {
        str_init(&why, 0);
        bool found = !stream_ready(NULL, &settings, &why) && strstr(why.data, part) != NULL;
        str_fini(&why);
        if (found)
            return;
        assert_true(i < WAIT_MS / 10);
        clock_sleep_us(10000);
    }
}

/* Connections of userstream to a database that says it is a replica, and has
 * replayed what was committed up to `moment`. */
static void the_source_is_a_replica_at(const char *moment)
{
    t_sql("DROP SCHEMA IF EXISTS replica CASCADE");
    t_sql("CREATE SCHEMA replica");
    t_sql("CREATE FUNCTION replica.pg_is_in_recovery() RETURNS boolean LANGUAGE sql AS 'SELECT true'");
    t_sql("CREATE TABLE replica.replayed AS SELECT %s AS moment", moment);
    t_sql("CREATE FUNCTION replica.pg_last_xact_replay_timestamp() RETURNS timestamptz LANGUAGE sql"
          " AS 'SELECT moment FROM replica.replayed'");
    t_sql("DO $$ BEGIN EXECUTE format('ALTER DATABASE %%I SET search_path = replica, pg_catalog',"
          " current_database()); END $$");
    t_sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
          " WHERE application_name = 'userstream_test' AND datname = current_database()");
}

static void the_source_is_no_replica(void)
{
    t_sql("DO $$ BEGIN EXECUTE format('ALTER DATABASE %%I RESET search_path', current_database()); END $$");
    t_sql("DROP SCHEMA replica CASCADE");
}

/* Who registered just before the audience's end may be committed up to the
 * margin later: a replica in between does not have him yet. */
static void a_replica_is_read_when_it_has_replayed_the_margin_behind_the_end(void **state)
{
    (void)state;
    add_users(5);
    int64_t job = started(NULL, 0, 20); /* its audience ended 60 s before its submission */
    t_sql("UPDATE foliopost.jobs SET submitted_at = audience_end + interval '60 s'");
    the_source_is_a_replica_at("(SELECT audience_end + interval '59 s' FROM foliopost.jobs)");
    grant(job, 1, 60000);
    await_complaint("replica is behind");
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.batches"), 0);
    t_sql("UPDATE replica.replayed SET moment = moment + interval '1 s'");
    assert_int_equal(take(WAIT_MS)->n_users, 5);
    the_source_is_no_replica();
}

/* A scheduler with a smaller margin than ours: its submission is late enough. */
static void a_replica_is_not_asked_for_more_than_the_submission(void **state)
{
    (void)state;
    add_users(5);
    int64_t job = started(NULL, 0, 20);
    t_sql("UPDATE foliopost.jobs SET submitted_at = audience_end + interval '1 s'");
    the_source_is_a_replica_at("(SELECT submitted_at FROM foliopost.jobs)");
    grant(job, 1, 60000);
    assert_int_equal(take(WAIT_MS)->n_users, 5);
    the_source_is_no_replica();
}

/* That one had come far enough says nothing of the one that answers after a failure, whatever failed. */
static void each_replica_is_asked_anew_after_a_failure(void **state)
{
    (void)state;
    add_users(5);
    int64_t job = started(NULL, 0, 3);
    the_source_is_a_replica_at("(SELECT submitted_at FROM foliopost.jobs)");
    grant(job, 1, 60000);
    const Foliopost__V1__UserBatch *b = take(WAIT_MS);
    int64_t batch = b->batch_id;
    assert_int_equal(b->n_users, 3);
    t_sql("UPDATE replica.replayed SET moment = '2000-01-01'"); /* another one, that is far behind */
    t_sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
          " WHERE query LIKE '%%portfolio.users%%' AND application_name = 'userstream_test'"
          " AND datname = current_database()");
    for (int i = 0; i < 2; i++) { /* a batch again needs its users, however old */
        send_batch(job, batch);
        assert_int_equal(take(WAIT_MS)->n_users, 3);
    }
    grant(job, 1, 60000);
    await_complaint("replica is behind");
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.batches"), 1);
    t_sql("UPDATE replica.replayed SET moment = now()");
    assert_int_equal(take(WAIT_MS)->n_users, 2);
    the_source_is_no_replica();
}

/* Two workers at grants and batches again, and connections cut all the while. */
static void cut_connections_miss_nobody_and_double_nobody(void **state)
{
    (void)state;
    add_users(400);
    int64_t job = started(NULL, 0, 10);
    for (int i = 0; t_sql("SELECT count(*) FROM foliopost.intervals WHERE state = 'paged'") == 0; i++) {
        assert_true(i < 200);
        bool granted;
        int32_t no;
        t_sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
              " WHERE application_name = 'userstream_test' AND datname = current_database()");
        assert_ok(ledger_grant(t_ledger, t_leader, job, 1, 4, 50, &granted, &no, &t_err));
        if (granted) {
            send_grant(job, no, 4);
            send_grant(job, no, 4);
        }
        while (take(60 + 5 * i) != NULL) { /* a loaded machine needs longer to come anywhere */
        }
    }
    assert_int_equal(t_sql("SELECT count(DISTINCT u) FROM foliopost.batches, unnest(user_ids) u"), 400);
    assert_int_equal(t_sql("SELECT sum(cardinality(user_ids)) FROM foliopost.batches"), 400);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, each_up, each_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_grant_sends_each_user_of_the_interval_once_as_the_ledger_has_it),
        TEST(a_grant_ends_with_its_pages_and_the_next_goes_on),
        TEST(an_audience_of_nobody_is_paged_without_a_batch),
        TEST(a_list_is_paged_by_itself_and_the_gone_are_in_it),
        TEST(who_gets_no_mail_goes_along_with_the_reason),
        TEST(a_batch_is_sent_again_while_it_is_queued_and_not_after),
        TEST(an_old_or_double_grant_changes_nothing),
        TEST(a_paused_job_and_an_unknown_one_get_nothing),
        TEST(a_job_that_is_resumed_at_once_goes_on_at_once),
        TEST(garbage_is_counted_and_the_next_message_is_done),
        TEST(without_a_stats_the_batch_waits_in_the_ledger),
        TEST(a_source_that_is_away_makes_it_unready_and_the_page_is_done_when_it_is_back),
        TEST(a_replica_is_read_when_it_has_replayed_the_margin_behind_the_end),
        TEST(a_replica_is_not_asked_for_more_than_the_submission),
        TEST(each_replica_is_asked_anew_after_a_failure),
        TEST(cut_connections_miss_nobody_and_double_nobody),
    };
    int failed = cmocka_run_group_tests(tests, up, down);
    fflush(NULL);
    _exit(failed); /* NNG 1.5 can hang in its own end; lib/bus says more */
}
