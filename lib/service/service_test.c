/*
 * The skeleton with a tiny service in a child process, against a real
 * PostgreSQL: its start, its waiting, its lease, its drain, its exit codes.
 * The child's log is the record of what its callbacks did.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/ledger/ledger.h"
#include "lib/log/log.h"
#include "lib/service/service.h"
#include "lib/service/service_internal.h"

#define WAIT_S 30 /* for anything awaited: sanitizers and a busy machine are slow */

/* --- the tiny service ----------------------------------------------------------- */

struct tiny {
    char *mode;
    int64_t work_ms;
};
static struct tiny tiny;
static int64_t drain_began_us;

static const struct config_setting rows[] = {
    {.name = "mode",
     .type = CONFIG_STRING,
     .def = "",
     .help = "what to do wrong",
     .offset = offsetof(struct tiny, mode)},
    {.name = "work",
     .type = CONFIG_DURATION_MS,
     .def = "100ms",
     .help = "how long the drain takes",
     .offset = offsetof(struct tiny, work_ms)},
};

static bool mode_is(const char *mode)
{
    return strcmp(tiny.mode, mode) == 0;
}

static int tiny_validate(void *values, struct fp_err *err)
{
    (void)values;
    return mode_is("invalid") ? err_set(err, FP_INVALID_ARGUMENT, "mode: is invalid") : 0;
}

static int tiny_start(struct fp_service *s, void *values, struct fp_err *err)
{
    char owner[37];

    (void)values;
    if (mode_is("no-start"))
        return err_set(err, FP_UNAVAILABLE, "will not start");
    service_owner(s, owner);
    log_info("", "tiny started", "owner=%s owns=%d", owner, service_owns(s, owner));
    service_set_slots(s, 7);
    service_set_note(s, "all is well");
    return 0;
}

static void tiny_tick(struct fp_service *s, void *values)
{
    static char owner[37];
    char now[37];

    (void)values;
    service_owner(s, now);
    if (service_owns(s, now)) { /* a new owner is seen for a moment before it is held */
        if (*owner && strcmp(owner, now) != 0)
            log_info("", "tiny sees", "old=%d new=%d", service_owns(s, owner), service_owns(s, now));
        memcpy(owner, now, sizeof owner);
    }
    if (mode_is("fail")) {
        struct fp_err err;
        err_set(&err, FP_INTERNAL, "cannot be mended");
        service_fail(s, &err);
    }
    if (mode_is("hang"))
        for (;;)
            pause();
}

static void tiny_drain(struct fp_service *s, void *values)
{
    (void)values;
    drain_began_us = clock_mono_us();
    log_info("", "tiny drain", "draining=%d", service_is_draining(s));
}

static bool tiny_drained(struct fp_service *s, void *values)
{
    (void)s;
    (void)values;
    return clock_mono_us() - drain_began_us >= tiny.work_ms * 1000;
}

static void tiny_stop(struct fp_service *s, void *values)
{
    char owner[37];

    (void)values;
    service_owner(s, owner);
    log_info("", "tiny stop", "owns=%d", service_owns(s, owner));
}

static bool tiny_ready(struct fp_service *s, void *values, struct fp_str *why_not)
{
    (void)s;
    (void)values;
    if (mode_is("unready"))
        str_puts(why_not, "no mail server");
    return !mode_is("unready");
}

static const struct service_def def = {
    .name = "tiny",
    .summary = "a service of the tests",
    .settings = rows,
    .n_settings = sizeof rows / sizeof rows[0],
    .values = &tiny,
    .validate = tiny_validate,
    .start = tiny_start,
    .tick = tiny_tick,
    .tick_ms = 50,
    .drain = tiny_drain,
    .drained = tiny_drained,
    .stop = tiny_stop,
    .ready = tiny_ready,
    .slots = 2,
};

/* --- the child ------------------------------------------------------------------- */

static char dsn[1024], database[64], log_path[64];
static pid_t child;
static int child_port;

/* The child's log so far. */
static const char *log_text(void)
{
    static char text[1 << 17];
    int fd = open(log_path, O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);

    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void await_log(const char *words)
{
    int64_t until_us = clock_mono_us() + WAIT_S * FP_US_PER_S;

    while (!strstr(log_text(), words)) {
        if (clock_mono_us() > until_us)
            fail_msg("never logged: %s\n%s", words, log_text());
        clock_sleep_us(10000);
    }
}

static void launch(const char *first, ...)
{
    char dsn_flag[1100];
    char *argv[16] = {(char *)(uintptr_t) "tiny", dsn_flag, (char *)(uintptr_t) "--admin-listen=127.0.0.1:0"};
    int argc = 3;
    va_list ap;

    snprintf(dsn_flag, sizeof dsn_flag, "--ledger-dsn=%s", dsn);
    va_start(ap, first);
    for (const char *a = first; a; a = va_arg(ap, const char *))
        argv[argc++] = (char *)(uintptr_t)a;
    va_end(ap);
    unlink(log_path);
    fflush(NULL);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND, 0600);
        dup2(fd, STDERR_FILENO);
        close(fd);
        _exit(service_run(&def, argc, argv));
    }
}

static void await_port(void)
{
    await_log("admin port port=");
    child_port = atoi(strstr(log_text(), "admin port port=") + strlen("admin port port="));
}

/* The child's exit code; 1000 + signal when one ended it. */
static int await_exit(void)
{
    int64_t until_us = clock_mono_us() + WAIT_S * FP_US_PER_S;
    int status;
    pid_t got;

    while ((got = waitpid(child, &status, WNOHANG)) == 0) {
        if (clock_mono_us() > until_us)
            fail_msg("does not end:\n%s", log_text());
        clock_sleep_us(5000);
    }
    assert_int_equal(got, child);
    child = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int end_by(int signal_number)
{
    kill(child, signal_number);
    return await_exit();
}

/* The status and the body of a page of the child's admin port. */
static const char *get(const char *page)
{
    static char text[1 << 17];
    char request[128];
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)child_port)};
    struct timeval limit = {.tv_sec = WAIT_S};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    size_t n = 0;
    ssize_t got;

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", page);
    assert_true(write(fd, request, strlen(request)) > 0);
    while ((got = read(fd, text + n, sizeof text - 1 - n)) > 0)
        n += (size_t)got;
    close(fd);
    text[n] = '\0';
    return text;
}

static void await_page(const char *page, const char *words)
{
    int64_t until_us = clock_mono_us() + WAIT_S * FP_US_PER_S;

    while (!strstr(get(page), words)) {
        if (clock_mono_us() > until_us)
            fail_msg("%s never says \"%s\" but\n%s\n%s", page, words, get(page), log_text());
        clock_sleep_us(20000);
    }
}

/* --- the database ----------------------------------------------------------------- */

static const char *test_dsn(void)
{
    const char *d = getenv("FOLIOPOST_TEST_DSN");

    if (!d) {
        fprintf(stderr, "FOLIOPOST_TEST_DSN is not set: run this by script/with-postgres\n");
        exit(1);
    }
    return d;
}

/* One statement on the database of a DSN; the first cell's number, or -1. */
static int64_t __attribute__((format(printf, 2, 3))) sql(const char *on, const char *fmt, ...)
{
    struct pg_options o = {.dsn = on};
    struct fp_rows *found = NULL;
    struct fp_err err;
    char text[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    struct fp_pg *pg = pg_new(&o, &err);
    assert_non_null(pg);
    if (pg_run(pg, NULL, text, NULL, &found, &err) < 0)
        fail_msg("%s: %s", text, err.msg);
    int64_t v = pg_rows_count(found) > 0 ? pg_i64(found, 0, 0) : -1;
    pg_rows_free(found);
    pg_free(pg);
    return v;
}

static void migrate(void)
{
    struct pg_options o = {.dsn = dsn};
    struct fp_err err;
    int applied;
    struct fp_ledger *l = ledger_open(&o, &err);

    assert_non_null(l);
    if (ledger_migrate(l, &applied, &err) < 0)
        fail_msg("%s", err.msg);
    ledger_close(l);
}

static int64_t await_count(int64_t want, const char *where)
{
    int64_t until_us = clock_mono_us() + WAIT_S * FP_US_PER_S, n;

    while ((n = sql(dsn, "SELECT count(*) FROM foliopost.instances WHERE %s", where)) != want &&
           clock_mono_us() < until_us)
        clock_sleep_us(20000);
    return n;
}

/* An empty database; the schema only where a test wants it. */
static int setup_bare(void **state)
{
    static int number;

    (void)state;
    snprintf(database, sizeof database, "service_test_%d_%d", (int)getpid(), ++number);
    snprintf(dsn, sizeof dsn, "%s dbname=%s", test_dsn(), database);
    snprintf(log_path, sizeof log_path, "/tmp/service_test.%d.log", (int)getpid());
    sql(test_dsn(), "CREATE DATABASE %s", database);
    return 0;
}

static int setup(void **state)
{
    setup_bare(state);
    migrate();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (child > 0) {
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        child = 0;
    }
    sql(test_dsn(), "DROP DATABASE IF EXISTS %s WITH (FORCE)", database);
    unlink(log_path);
    return 0;
}

/* --- tests --------------------------------------------------------------------------- */

static void a_life_from_start_to_drain(void **state)
{
    (void)state;
    launch("--instance-address=here", "--work=300ms", NULL);
    await_port();
    await_page("/readyz", "200 OK");
    assert_non_null(strstr(get("/livez"), "200 OK"));
    const char *m = get("/metrics");
    assert_non_null(strstr(m, "\nfoliopost_ready 1\n"));
    assert_non_null(strstr(m, "\nfoliopost_lease_held 1\n"));
    assert_non_null(strstr(m, "foliopost_build_info{service=\"tiny\",version=\""));
    assert_int_equal(await_count(1, "state = 'live' AND service = 'tiny' AND address = 'here' AND slots = 7"),
                     1);
    kill(child, SIGTERM);
    await_log("tiny drain draining=1");
    await_page("/readyz", "draining");
    assert_int_equal(await_exit(), 0);
    const char *text = log_text();
    assert_non_null(strstr(text, "tiny started owner="));
    assert_non_null(strstr(text, "owns=1"));
    assert_non_null(strstr(text, "tiny stop owns=1")); /* the lease lasts until after stop() */
    assert_int_equal(await_count(1, "state = 'ended'"), 1);
    assert_null(strstr(text, "warn"));
    assert_null(strstr(text, "LeakSanitizer"));
}

static void sigint_drains_too_and_the_note_is_published(void **state)
{
    (void)state;
    launch(NULL, NULL);
    assert_int_equal(await_count(1, "note = 'all is well'"), 1);
    assert_int_equal(end_by(SIGINT), 0);
}

static void the_grace_period_is_kept(void **state)
{
    (void)state;
    launch("--work=1h", "--drain-timeout=300ms", NULL);
    await_log("tiny started");
    int64_t t = clock_mono_us();
    assert_int_equal(end_by(SIGTERM), 0);
    assert_true(clock_mono_us() - t >= 300000);
    assert_non_null(strstr(log_text(), "not drained"));
    assert_non_null(strstr(log_text(), "tiny stop"));
}

/* Whoever still sends clients has until then to hear that it is unready. */
static void before_the_drain_it_works_on_unready(void **state)
{
    (void)state;
    launch("--drain-delay=700ms", NULL);
    await_port();
    await_page("/readyz", "200 OK");
    int64_t t = clock_mono_us();
    kill(child, SIGTERM);
    await_page("/readyz", "draining");
    assert_non_null(strstr(get("/livez"), "200 OK"));
    assert_null(strstr(log_text(), "tiny drain"));
    assert_int_equal(await_exit(), 0);
    assert_true(clock_mono_us() - t >= 700000);
    assert_non_null(strstr(log_text(), "tiny drain draining=1"));
}

static void a_second_signal_does_not_wait_for_the_drain(void **state)
{
    (void)state;
    launch("--drain-delay=5m", NULL);
    await_port();
    await_page("/readyz", "200 OK");
    kill(child, SIGTERM);
    await_log("leaving");
    assert_int_equal(end_by(SIGTERM), 130);
}

static void what_does_not_run_yet_does_not_wait_for_the_drain(void **state)
{
    (void)state;
    snprintf(dsn, sizeof dsn, "host=127.0.0.1 port=1 user=x dbname=y");
    launch("--drain-delay=5m", NULL);
    await_log("waiting");
    int64_t t = clock_mono_us();
    assert_int_equal(end_by(SIGTERM), 0);
    assert_true(clock_mono_us() - t < 60 * FP_US_PER_S);
}

static void a_second_signal_ends_at_once(void **state)
{
    (void)state;
    launch("--work=1h", NULL);
    await_log("tiny started");
    kill(child, SIGTERM);
    await_log("tiny drain");
    assert_int_equal(end_by(SIGTERM), 130);
}

static void a_second_signal_works_when_a_callback_hangs(void **state)
{
    (void)state;
    launch("--mode=hang", NULL);
    await_log("tiny started");
    kill(child, SIGTERM);
    await_log("told to end");
    assert_int_equal(end_by(SIGINT), 130);
}

static void it_waits_for_the_schema(void **state)
{
    (void)state;
    launch(NULL, NULL);
    await_port();
    await_page("/readyz", "foliopost migrate");
    assert_memory_equal(get("/readyz"), "HTTP/1.1 503", 12);
    assert_non_null(strstr(get("/livez"), "200 OK"));
    assert_non_null(strstr(log_text(), "foliopost migrate"));
    assert_non_null(strstr(get("/metrics"), "\nfoliopost_ready 0\n"));
    migrate();
    await_page("/readyz", "200 OK");
    assert_int_equal(end_by(SIGTERM), 0);
}

static void it_waits_for_the_database(void **state)
{
    (void)state;
    sql(test_dsn(), "DROP DATABASE %s", database);
    launch(NULL, NULL);
    await_port();
    await_page("/readyz", "does not exist");
    assert_non_null(strstr(get("/readyz"), "foliopost migrate"));
    sql(test_dsn(), "CREATE DATABASE %s", database);
    migrate();
    await_page("/readyz", "200 OK");
    assert_int_equal(end_by(SIGTERM), 0);
}

static void it_can_be_told_to_end_while_it_waits(void **state)
{
    (void)state;
    snprintf(dsn, sizeof dsn, "host=127.0.0.1 port=1 user=x dbname=y password=hunter2");
    launch(NULL, NULL);
    await_log("waiting");
    int64_t t = clock_mono_us();
    assert_int_equal(end_by(SIGTERM), 0);
    assert_true(clock_mono_us() - t < 10 * FP_US_PER_S);
    assert_null(strstr(log_text(), "hunter2"));
    assert_null(strstr(log_text(), "tiny"
                                   " stop")); /* what did not start is not stopped */
}

static void a_newer_schema_ends_it(void **state)
{
    (void)state;
    sql(dsn, "INSERT INTO foliopost.schema_version (version, name) VALUES (9999, 'newer')");
    launch(NULL, NULL);
    assert_int_equal(await_exit(), 1);
    assert_non_null(strstr(log_text(), "newer"));
}

static void wrong_settings_end_it_with_2(void **state)
{
    (void)state;
    launch("--work=abc", NULL);
    assert_int_equal(await_exit(), 2);
    assert_non_null(strstr(log_text(), "--work: \"abc\""));
    launch("--mode=invalid", NULL);
    assert_int_equal(await_exit(), 2);
    assert_non_null(strstr(log_text(), "mode: is invalid"));
    launch("--admin-listen=nonsense", NULL);
    assert_int_equal(await_exit(), 2);
    snprintf(dsn, sizeof dsn, "this is no dsn password=hunter2");
    launch(NULL, NULL);
    assert_int_equal(await_exit(), 2);
    assert_null(strstr(log_text(), "hunter2"));
}

static void a_start_that_fails_ends_it_with_1(void **state)
{
    (void)state;
    launch("--mode=no-start", NULL);
    assert_int_equal(await_exit(), 1);
    assert_non_null(strstr(log_text(), "will not start"));
    assert_null(strstr(log_text(), "tiny stop"));
    assert_int_equal(await_count(1, "state = 'ended'"), 1);
}

static void a_fault_from_inside_drains_and_ends_with_1(void **state)
{
    (void)state;
    launch("--mode=fail", NULL);
    assert_int_equal(await_exit(), 1);
    assert_non_null(strstr(log_text(), "cannot be mended"));
    assert_non_null(strstr(log_text(), "tiny stop"));
}

static void the_service_can_say_that_it_is_not_ready(void **state)
{
    (void)state;
    launch("--mode=unready", NULL);
    await_port();
    await_page("/readyz", "no mail server");
    assert_int_equal(end_by(SIGTERM), 0);
}

static void a_swept_lease_is_followed_by_a_new_owner(void **state)
{
    (void)state;
    launch(NULL, NULL);
    await_log("tiny started");
    sql(dsn, "UPDATE foliopost.instances SET state = 'expired'");
    await_log("lease swept");
    await_log("tiny sees old=0 new=1");
    assert_int_equal(await_count(1, "state = 'live'"), 1);
    assert_int_equal(await_count(1, "state = 'expired'"), 1);
    assert_int_equal(end_by(SIGTERM), 0);
    assert_int_equal(await_count(1, "state = 'ended'"), 1);
    assert_int_equal(await_count(1, "state = 'expired'"), 1); /* the old one stays what it was */
}

/* A lock on the row holds every renewal up: the local deadline must come
 * before the database's own, though the database answers all else. */
static void a_lease_that_is_not_renewed_is_over_before_the_ledgers(void **state)
{
    struct pg_options o = {.dsn = dsn};
    struct fp_err err;

    (void)state;
    launch(NULL, NULL);
    await_port();
    await_page("/readyz", "200 OK");
    struct fp_pg *pg = pg_new(&o, &err);
    assert_int_equal(pg_run(pg, NULL, "BEGIN", NULL, NULL, &err), 0);
    assert_int_equal(pg_run(pg, NULL, "SELECT 1 FROM foliopost.instances FOR UPDATE", NULL, NULL, &err), 0);
    await_page("/metrics", "\nfoliopost_lease_held 0\n");
    assert_non_null(strstr(get("/readyz"), "lease not held"));
    assert_int_equal(sql(dsn,
                         "SELECT count(*) FROM foliopost.instances WHERE lease_until > clock_timestamp()"),
                     1);
    assert_int_equal(pg_run(pg, NULL, "ROLLBACK", NULL, NULL, &err), 0);
    await_page("/readyz", "200 OK"); /* not swept: the same owner goes on */
    pg_free(pg);
    await_log("lease over");
    assert_int_equal(await_count(1, "true"), 1);
    assert_int_equal(end_by(SIGTERM), 0);
}

static void a_renewal_that_bought_little_is_followed_at_once(void **state)
{
    const int third_ms = LEDGER_LEASE_MS / 3;

    (void)state;
    assert_int_equal(lease_pause_ms(8000 * 1000), third_ms);
    assert_int_equal(lease_pause_ms(5000 * 1000), 5000 - third_ms);
    assert_int_equal(lease_pause_ms(3000 * 1000), 0);
    assert_int_equal(lease_pause_ms(-1), 0); /* over before it was known to be renewed */
    assert_int_equal(lease_pause_ms(-INT64_C(86400) * FP_US_PER_S * 365), 0);
}

static void logs_can_be_json(void **state)
{
    (void)state;
    launch("--log-format=json", "--log-level=debug", NULL);
    await_log("\"event\":\"tiny started\"");
    assert_int_equal(end_by(SIGTERM), 0);
    assert_int_equal(log_text()[0], '{');
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define BARE(f) cmocka_unit_test_setup_teardown(f, setup_bare, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_life_from_start_to_drain),
        TEST(sigint_drains_too_and_the_note_is_published),
        TEST(the_grace_period_is_kept),
        TEST(before_the_drain_it_works_on_unready),
        TEST(a_second_signal_does_not_wait_for_the_drain),
        TEST(what_does_not_run_yet_does_not_wait_for_the_drain),
        TEST(a_second_signal_ends_at_once),
        TEST(a_second_signal_works_when_a_callback_hangs),
        BARE(it_waits_for_the_schema),
        BARE(it_waits_for_the_database),
        BARE(it_can_be_told_to_end_while_it_waits),
        TEST(a_newer_schema_ends_it),
        TEST(wrong_settings_end_it_with_2),
        TEST(a_start_that_fails_ends_it_with_1),
        TEST(a_fault_from_inside_drains_and_ends_with_1),
        TEST(the_service_can_say_that_it_is_not_ready),
        TEST(a_swept_lease_is_followed_by_a_new_owner),
        TEST(a_lease_that_is_not_renewed_is_over_before_the_ledgers),
        cmocka_unit_test(a_renewal_that_bought_little_is_followed_at_once),
        TEST(logs_can_be_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
