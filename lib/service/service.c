/*
 * The life of a service, from its settings to its last line.
 *
 * run() below is the order of the header's comment. What is missing at the
 * start and may come by itself (the database, its schema, the lease) is waited
 * for: the process lives, is unready and says why. What is wrong and stays
 * wrong (a setting, a schema from the future) ends it with a message.
 *
 * The process ends by _exit(): NNG 1.5 can hang when it is taken down at exit,
 * with nothing left to be done. Everything of ours is freed before, and a leak
 * checker is asked by hand.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/log/log.h"
#include "lib/service/fatal.h"
#include "lib/service/service_internal.h"
#include "lib/trace/trace.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FP_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define FP_ASAN 1
#endif
#ifdef FP_ASAN
#include <sanitizer/lsan_interface.h>
#endif

#define EXIT_ENVIRONMENT 1
#define EXIT_SETTINGS    2

#define WAIT_FIRST_MS     250  /* between tries for the database: doubles, */
#define WAIT_MAX_MS       5000 /* up to this */
#define WAIT_LOG_EVERY_MS 30000
#define DRAIN_POLL_MS     50
#define LEASE_POLL_MS     5 /* a first lease is one round trip */
#define TICK_DEFAULT_MS   1000
/* The skeleton's statements are tiny; one that hangs longer is better given up
 * and sent again: two tries fit between a renewal and the lease's end. */
#define SHORT_TIMEOUT_MS (LEDGER_LEASE_MS / 5)

/* --- phase, waiting, waking ---------------------------------------------------- */

void service_set_phase(struct fp_service *s, enum service_phase phase)
{
    pthread_mutex_lock(&s->lock);
    s->phase = phase;
    pthread_mutex_unlock(&s->lock);
}

enum service_phase service_phase(struct fp_service *s)
{
    pthread_mutex_lock(&s->lock);
    enum service_phase phase = s->phase;
    pthread_mutex_unlock(&s->lock);
    return phase;
}

void service_ask_end(struct fp_service *s)
{
    pthread_mutex_lock(&s->lock);
    atomic_store(&s->ending, true);
    pthread_cond_broadcast(&s->wake);
    pthread_mutex_unlock(&s->lock);
}

void service_ask_leave(struct fp_service *s)
{
    pthread_mutex_lock(&s->lock);
    bool leaves = s->phase == SERVICE_RUNNING && s->set.drain_delay_ms > 0;
    if (leaves) {
        s->phase = SERVICE_LEAVING;
        s->drain_at_us = clock_mono_us() + s->set.drain_delay_ms * 1000;
    }
    pthread_mutex_unlock(&s->lock);
    if (leaves)
        log_info("", "leaving", "unready from now on, drains in_ms=%lld", (long long)s->set.drain_delay_ms);
    else
        service_ask_end(s);
}

bool service_sleep_ms(struct fp_service *s, int64_t ms)
{
    int64_t until_us = clock_mono_us() + ms * 1000;
    struct timespec until = {.tv_sec = until_us / FP_US_PER_S, .tv_nsec = until_us % FP_US_PER_S * 1000};
    int rc = 0;

    pthread_mutex_lock(&s->lock);
    while (!atomic_load(&s->ending) && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&s->wake, &s->lock, &until);
    pthread_mutex_unlock(&s->lock);
    return atomic_load(&s->ending);
}

void service_set_waiting(struct fp_service *s, const char *why)
{
    pthread_mutex_lock(&s->lock);
    bool changed = strncmp(s->why, why, sizeof s->why - 1) != 0;
    snprintf(s->why, sizeof s->why, "%s", why);
    pthread_mutex_unlock(&s->lock);
    if (changed)
        s->why_logged_us = 0;
    if (*why && log_limited(&s->why_logged_us, WAIT_LOG_EVERY_MS))
        log_warn("", "waiting", "%s", why);
}

/* --- for the callbacks and their threads ----------------------------------------- */

void service_ledger_options(const struct fp_service *s, struct pg_options *out)
{
    *out = (struct pg_options){
        .dsn = s->set.ledger_dsn,
        .application = s->program,
        .connect_timeout_ms = (int)s->set.db_connect_timeout_ms,
        .query_timeout_ms = (int)s->set.db_query_timeout_ms,
        .prepare = s->set.db_prepare,
    };
}

void service_short_options(const struct fp_service *s, struct pg_options *out)
{
    service_ledger_options(s, out);
    if (out->connect_timeout_ms > SHORT_TIMEOUT_MS)
        out->connect_timeout_ms = SHORT_TIMEOUT_MS;
    if (out->query_timeout_ms > SHORT_TIMEOUT_MS)
        out->query_timeout_ms = SHORT_TIMEOUT_MS;
}

void service_owner(struct fp_service *s, char out[37])
{
    lease_owner(s->lease, out);
}

bool service_lease_held(struct fp_service *s)
{
    return lease_held(s->lease);
}

bool service_owns(struct fp_service *s, const char *owner)
{
    return lease_owns(s->lease, owner);
}

bool service_is_draining(const struct fp_service *s)
{
    return atomic_load(&s->ending);
}

void service_set_slots(struct fp_service *s, int slots)
{
    pthread_mutex_lock(&s->lock);
    bool changed = s->slots != slots;
    s->slots = slots;
    pthread_mutex_unlock(&s->lock);
    if (changed)
        lease_hurry(s->lease);
}

void service_set_note(struct fp_service *s, const char *note)
{
    pthread_mutex_lock(&s->lock);
    snprintf(s->note, sizeof s->note, "%s", note);
    pthread_mutex_unlock(&s->lock);
}

void service_fail(struct fp_service *s, const struct fp_err *why)
{
    log_error("", "failed", "code=%s reason=%s", err_code_name(why->code), why->msg);
    pthread_mutex_lock(&s->lock);
    s->exit_code = EXIT_ENVIRONMENT;
    pthread_mutex_unlock(&s->lock);
    service_ask_end(s);
}

/* --- the start -------------------------------------------------------------------- */

static enum log_level level_of(const char *name)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};

    for (int i = 0; i < 4; i++)
        if (strcmp(name, names[i]) == 0)
            return (enum log_level)i;
    return LOG_INFO_LEVEL;
}

/* Memory holds users' names and addresses: in a release it stays out of core files. */
static void forbid_core_dumps(void)
{
#ifdef NDEBUG
    const struct rlimit none = {0, 0};

    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0);
#endif
}

static void set_address(struct fp_service *s)
{
    snprintf(s->address, sizeof s->address, "%s", s->set.instance_address);
    if (!*s->address && gethostname(s->address, sizeof s->address - 1) < 0)
        snprintf(s->address, sizeof s->address, "unknown");
}

/* What a person can do about it, where the error itself does not say. */
static const char *hint(const struct fp_err *err)
{
    if (err->code == FP_PERMISSION_DENIED)
        return "; check the user, the password and the grants of --ledger-dsn";
    if (err->code == FP_FAILED_PRECONDITION && !strstr(err->msg, "foliopost migrate"))
        return "; make the database if need be, then run `foliopost migrate`";
    return "";
}

/* A schema from the future: waiting would not mend it. The ledger has one code
 * for all schema faults, so its word is looked for; a test holds them together. */
static bool is_newer(const struct fp_err *err)
{
    return err->code == FP_FAILED_PRECONDITION && strstr(err->msg, "newer than this program");
}

/* Until the ledger's schema is the one we need. -1: it never will be. */
static int wait_for_schema(struct fp_service *s, struct fp_ledger *l, struct fp_err *err)
{
    char why[sizeof s->why];
    int64_t wait_ms = WAIT_FIRST_MS;

    while (ledger_check_schema(l, err) < 0) {
        if (is_newer(err))
            return -1;
        snprintf(why, sizeof why, "%s%s", err->msg, hint(err));
        service_set_waiting(s, why);
        service_beat(s, BEAT_MAIN, "main");
        if (service_sleep_ms(s, wait_ms + clock_mono_us() % 100)) /* replicas must not knock in step */
            return 0;
        wait_ms = wait_ms * 2 < WAIT_MAX_MS ? wait_ms * 2 : WAIT_MAX_MS;
    }
    service_set_waiting(s, "");
    return 0;
}

static int wait_for_ledger(struct fp_service *s, struct fp_err *err)
{
    struct pg_options o;

    service_short_options(s, &o);
    struct fp_ledger *l = ledger_open(&o, err);
    if (!l)
        return err_prefix(err, "ledger-dsn");
    int rc = wait_for_schema(s, l, err);
    ledger_close(l);
    return rc;
}

static void wait_for_lease(struct fp_service *s)
{
    char problem[256], why[sizeof s->why];

    while (!service_lease_held(s)) {
        lease_problem(s->lease, problem, sizeof problem);
        snprintf(why, sizeof why, "lease not held: %s", problem);
        pthread_mutex_lock(&s->lock); /* for /readyz; the lease's thread logs */
        snprintf(s->why, sizeof s->why, "%s", why);
        pthread_mutex_unlock(&s->lock);
        service_beat(s, BEAT_MAIN, "main");
        if (service_sleep_ms(s, LEASE_POLL_MS))
            return;
    }
    service_set_waiting(s, "");
}

/* --- the middle and the end ---------------------------------------------------------- */

/* Until the drain, at most `ms`; 0: it is time. */
static int64_t before_drain_ms(struct fp_service *s, int64_t ms)
{
    pthread_mutex_lock(&s->lock);
    bool leaving = s->phase == SERVICE_LEAVING;
    int64_t left_us = s->drain_at_us - clock_mono_us();
    pthread_mutex_unlock(&s->lock);
    if (!leaving || left_us > ms * 1000)
        return ms;
    return left_us > 0 ? (left_us + 999) / 1000 : 0;
}

static void turn(struct fp_service *s)
{
    int64_t tick_ms = s->def->tick_ms > 0 ? s->def->tick_ms : TICK_DEFAULT_MS, ms;

    do {
        service_beat(s, BEAT_MAIN, "main");
        if (s->def->tick)
            s->def->tick(s, s->def->values);
        ms = before_drain_ms(s, tick_ms);
    } while (ms > 0 && !service_sleep_ms(s, ms));
    service_ask_end(s);
}

static void drain(struct fp_service *s)
{
    int64_t begin_us = clock_mono_us(), until_us = begin_us + s->set.drain_timeout_ms * 1000;
    bool done;

    service_set_phase(s, SERVICE_DRAINING);
    log_info("", "draining", "timeout_ms=%lld", (long long)s->set.drain_timeout_ms);
    if (s->def->drain)
        s->def->drain(s, s->def->values);
    for (;;) {
        service_beat(s, BEAT_MAIN, "main");
        done = !s->def->drained || s->def->drained(s, s->def->values);
        if (done || clock_mono_us() >= until_us)
            break;
        clock_sleep_us(DRAIN_POLL_MS * 1000);
    }
    if (done)
        log_info("", "drained", "took_ms=%lld", (long long)(clock_mono_us() - begin_us) / 1000);
    else
        log_warn("", "not drained", "the grace period is over; what is left comes again by redo");
}

/* ready() may still run in the admin port's thread; after this it does not. */
static void close_ready_gate(struct fp_service *s)
{
    pthread_mutex_lock(&s->ready_gate);
    service_set_phase(s, SERVICE_STOPPED);
    pthread_mutex_unlock(&s->ready_gate);
}

/* From the ledger on. 0, or an exit code with *err. */
static int work(struct fp_service *s, struct fp_err *err)
{
    if (wait_for_ledger(s, err) < 0)
        return err->code == FP_INVALID_ARGUMENT ? EXIT_SETTINGS : EXIT_ENVIRONMENT;
    if (service_is_draining(s))
        return 0;
    struct fp_lease *lease = lease_start(s, err);
    if (!lease)
        return EXIT_ENVIRONMENT;
    s->lease = lease;
    wait_for_lease(s);
    if (service_is_draining(s))
        return 0;
    if (s->def->start(s, s->def->values, err) < 0)
        return EXIT_ENVIRONMENT;
    service_set_phase(s, SERVICE_RUNNING);
    log_info("", "ready", "version=%s", config_version());
    turn(s);
    drain(s);
    close_ready_gate(s);
    if (s->def->stop)
        s->def->stop(s, s->def->values);
    return 0;
}

static int start_trace(struct fp_service *s, struct fp_err *err)
{
    const struct trace_options o = {s->program, config_version(), s->address, s->set.trace_endpoint};

    return trace_start(&o, err);
}

/* Everything after the settings; returns the exit code. */
static int live(struct fp_service *s)
{
    struct fp_err err = {.code = FP_OK};

    signals_start(s);
    if (s->def->validate && s->def->validate(s->def->values, &err) < 0) {
        log_error("", "wrong settings", "%s; see %s --help", err.msg, s->program);
        return EXIT_SETTINGS;
    }
    if (start_trace(s, &err) < 0) {
        log_error("", "wrong settings", "%s", err.msg);
        return EXIT_SETTINGS;
    }
    s->http = health_start(s, &err);
    if (!s->http) {
        log_error("", "cannot start", "%s", err.msg);
        return err.code == FP_INVALID_ARGUMENT ? EXIT_SETTINGS : EXIT_ENVIRONMENT;
    }
    int code = work(s, &err);
    if (code)
        log_error("", "cannot go on", "code=%s reason=%s", err_code_name(err.code), err.msg);
    /* In reverse; the port goes first here only because it reads the lease. */
    http_stop(s->http);
    lease_stop(s->lease);
    trace_stop();
    log_info("", "ended", "exit=%d", code ? code : s->exit_code);
    return code ? code : s->exit_code;
}

static void init(struct fp_service *s, const struct service_def *def)
{
    pthread_condattr_t attr;

    memset(s, 0, sizeof *s);
    s->def = def;
    s->slots = def->slots;
    snprintf(s->program, sizeof s->program, "foliopost-%s", def->name);
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->ready_gate, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->wake, &attr);
    pthread_condattr_destroy(&attr);
}

static void leave(int code) __attribute__((noreturn));
static void leave(int code)
{
    fflush(NULL);
#ifdef FP_ASAN
    __lsan_do_leak_check();
#endif
    _exit(code);
}

void service_abandon(struct fp_service *s)
{
    lease_abandon(s->lease);
    log_info("", "ended", "exit=%d", s->exit_code);
    fflush(NULL);
    _exit(s->exit_code);
}

int service_run(const struct service_def *def, int argc, char **argv)
{
    static struct fp_service s; /* the thread for signals reads it until the process is gone */
    struct fp_err err;

    init(&s, def);
    const struct config_table table = {
        .program = s.program,
        .summary = def->summary,
        .rows = def->settings,
        .n_rows = def->n_settings,
        .more = service_rows,
        .n_more = service_n_rows,
        .more_values = &s.set,
    };
    int rc = config_parse(&table, def->values, argc, argv, &err);
    if (rc < 0)
        fprintf(stderr, "%s: %s\n", s.program, err.msg);
    if (rc != 0) {
        if (rc > 0)
            config_fini(&table, def->values);
        return rc < 0 ? EXIT_SETTINGS : 0;
    }
    forbid_core_dumps();
    fatal_report_signals();
    log_init(def->name, strcmp(s.set.log_format, "json") == 0, level_of(s.set.log_level));
    set_address(&s);
    signals_block();
    int code = live(&s);
    config_fini(&table, def->values);
    leave(code);
}
