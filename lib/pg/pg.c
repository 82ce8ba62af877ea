/*
 * One connection to PostgreSQL: connecting, running a statement, errors.
 *
 * A statement is sent and awaited without blocking in libpq, so that the time
 * limit is ours and holds also when the network swallows everything. After a
 * time-out the statement is cancelled and the connection thrown away: what
 * became of the statement is not known, and the next one starts clean.
 *
 * What this does not do: transactions over several calls, pipelining, COPY,
 * sharing between threads. Session state cannot be relied on behind a pooler,
 * so there is none but the prepared statements, which are forgotten with the
 * connection that had them.
 */
#include "lib/pg/pg_internal.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/text.h"
#include "lib/metrics/metrics.h"

#define DEFAULT_CONNECT_MS 5000
#define DEFAULT_QUERY_MS   30000
/* More than all statements of one program; past it they go unprepared. */
#define MAX_PREPARED 256
/* Requests to cancel that are on their way at once, in the process. */
#define MAX_CANCELS 8

struct fp_pg {
    char *dsn;
    char *application;
    int connect_timeout_ms;
    int query_timeout_ms;
    bool prepare;
    PGconn *conn;
    int64_t connected_us;
    char sqlstate[6];
    char *prepared[MAX_PREPARED];
    int n_prepared;
};

/* --- life cycle ------------------------------------------------------------- */

/* libpq quotes pieces of a wrong DSN in its message, and a piece can be the
 * password: what stands in quotes is taken out. The name of an unknown option
 * stays: without it nobody finds a misspelt one. */
static void take_out_quoted(char *s)
{
    char *to = s;
    if (strncmp(s, "invalid connection option", 25) == 0) {
        s[strcspn(s, "\n")] = '\0';
        return;
    }
    bool inside = false;
    for (; *s != '\0'; s++) {
        if (*s == '"') {
            inside = !inside;
            *to++ = *s;
        } else if (!inside && *s != '\n') {
            *to++ = *s;
        }
    }
    *to = '\0';
}

struct fp_pg *pg_new(const struct pg_options *o, struct fp_err *err)
{
    char *why = NULL;
    PQconninfoOption *parsed = PQconninfoParse(o->dsn != NULL ? o->dsn : "", &why);
    if (parsed == NULL) {
        if (why != NULL)
            take_out_quoted(why);
        err_set(err, FP_INVALID_ARGUMENT, "the PostgreSQL connection string is wrong: %s",
                why != NULL ? why : "out of memory");
        PQfreemem(why);
        return NULL;
    }
    PQconninfoFree(parsed);
    struct fp_pg *pg = mem_alloc(sizeof *pg);
    pg->dsn = mem_strdup(o->dsn != NULL ? o->dsn : "");
    pg->application = mem_strdup(o->application != NULL ? o->application : "foliopost");
    pg->connect_timeout_ms = o->connect_timeout_ms > 0 ? o->connect_timeout_ms : DEFAULT_CONNECT_MS;
    pg->query_timeout_ms = o->query_timeout_ms > 0 ? o->query_timeout_ms : DEFAULT_QUERY_MS;
    pg->prepare = o->prepare;
    return pg;
}

static void disconnect(struct fp_pg *pg)
{
    PQfinish(pg->conn); /* null is fine */
    pg->conn = NULL;
    for (int i = 0; i < pg->n_prepared; i++)
        mem_free(pg->prepared[i]);
    pg->n_prepared = 0;
}

void pg_free(struct fp_pg *pg)
{
    if (pg != NULL) {
        disconnect(pg);
        mem_free(pg->dsn);
        mem_free(pg->application);
        mem_free(pg);
    }
}

bool pg_is_connected(const struct fp_pg *pg)
{
    return pg->conn != NULL && PQstatus(pg->conn) == CONNECTION_OK;
}

int64_t pg_connected_ms(const struct fp_pg *pg)
{
    return pg_is_connected(pg) ? (clock_mono_us() - pg->connected_us) / 1000 : -1;
}

const char *pg_sqlstate(const struct fp_pg *pg)
{
    return pg->sqlstate;
}

/* --- connecting --------------------------------------------------------------- */

/* One line without control characters, for err.msg. */
static void one_line(char *out, size_t cap, const char *text)
{
    text_clean(out, cap, text != NULL ? text : "");
    size_t n = strlen(out);
    while (n > 0 && out[n - 1] == ' ')
        out[--n] = '\0';
}

static const char *or_none(const char *s)
{
    return s != NULL && s[0] != '\0' ? s : "?";
}

/* libpq gives no SQLSTATE for a connection that was refused, so its English
 * text is all there is; in another language all of it is UNAVAILABLE. */
static enum fp_code connect_code(const char *text)
{
    static const struct {
        const char *part;
        enum fp_code code;
    } known[] = {
        {"authentication failed", FP_PERMISSION_DENIED},
        {"no password supplied", FP_PERMISSION_DENIED},
        {"no pg_hba.conf entry", FP_PERMISSION_DENIED},
        {"permission denied for database", FP_PERMISSION_DENIED},
        {"role \"", FP_PERMISSION_DENIED},
        {"database \"", FP_FAILED_PRECONDITION},
    };
    bool absent = strstr(text, "does not exist") != NULL;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        bool names = strchr(known[i].part, '"') != NULL;
        if (strstr(text, known[i].part) != NULL && (!names || absent))
            return known[i].code;
    }
    return FP_UNAVAILABLE;
}

static int connect_failed(struct fp_pg *pg, struct fp_err *err)
{
    char text[300];
    const PGconn *c = pg->conn;
    one_line(text, sizeof text, PQerrorMessage(c));
    err_set(err, connect_code(text),
            "cannot connect to PostgreSQL (host %s, port %s, database %s, user %s): %s", or_none(PQhost(c)),
            or_none(PQport(c)), or_none(PQdb(c)), or_none(PQuser(c)), text);
    pg->sqlstate[0] = '\0';
    disconnect(pg);
    return -1;
}

static void ignore_notice(void *arg, const char *message)
{
    (void)arg;
    (void)message;
}

/* Rows are read by their ISO form, and SET is not ours to use. */
static int check_session(struct fp_pg *pg, struct fp_err *err)
{
    const char *style = PQparameterStatus(pg->conn, "DateStyle");
    if (style != NULL && strncmp(style, "ISO", 3) == 0)
        return 0;
    err_set(err, FP_FAILED_PRECONDITION,
            "PostgreSQL's DateStyle is '%s': run ALTER ROLE %s SET datestyle = 'ISO'", or_none(style),
            or_none(PQuser(pg->conn)));
    disconnect(pg);
    return -1;
}

/* Settings before dbname can be overridden by the DSN, those behind it cannot. */
int pg_connect(struct fp_pg *pg, struct fp_err *err)
{
    if (pg_is_connected(pg))
        return 0;
    disconnect(pg);
    char user_timeout[16], connect_s[16];
    snprintf(user_timeout, sizeof user_timeout, "%d", pg->query_timeout_ms);
    snprintf(connect_s, sizeof connect_s, "%d",
             (pg->connect_timeout_ms + 999) / 1000); /* libpq: at least 2 */
    const char *names[] = {"application_name", "keepalives",
                           "keepalives_idle",  "keepalives_interval",
                           "keepalives_count", "tcp_user_timeout",
                           "dbname",           "connect_timeout",
                           "client_encoding",  NULL};
    const char *values[] = {pg->application, "1",     "10",      "5",    "3",
                            user_timeout,    pg->dsn, connect_s, "UTF8", NULL};
    pg->conn = PQconnectdbParams(names, values, 1);
    if (pg->conn == NULL)
        return err_set(err, FP_UNAVAILABLE, "cannot connect to PostgreSQL: out of memory");
    if (PQstatus(pg->conn) != CONNECTION_OK || PQsetnonblocking(pg->conn, 1) != 0)
        return connect_failed(pg, err);
    PQsetNoticeProcessor(pg->conn, ignore_notice, NULL);
    pg->connected_us = clock_mono_us();
    return check_session(pg, err);
}

/* --- errors --------------------------------------------------------------------- */

/* By SQLSTATE, the longest prefix that is listed (PostgreSQL manual, appendix A). */
static enum fp_code state_code(const char *sqlstate)
{
    static const struct {
        const char *prefix;
        enum fp_code code;
    } table[] = {
        {"23505", FP_ALREADY_EXISTS},
        {"25006", FP_UNAVAILABLE},         /* read only: we are on a standby after a failover */
        {"26000", FP_FAILED_PRECONDITION}, /* prepared statement is gone: a pooler */
        {"40001", FP_ABORTED},
        {"40P01", FP_ABORTED},
        {"42501", FP_PERMISSION_DENIED},
        {"55P03", FP_DEADLINE_EXCEEDED},
        {"57014", FP_DEADLINE_EXCEEDED},
        {"57P04", FP_FAILED_PRECONDITION},
        {"57P", FP_UNAVAILABLE},
        {"08", FP_UNAVAILABLE},
        {"22", FP_INVALID_ARGUMENT},
        {"23", FP_INVALID_ARGUMENT},
        {"25P", FP_UNAVAILABLE}, /* a session's time limit ended it */
        {"28", FP_PERMISSION_DENIED},
        {"3D", FP_FAILED_PRECONDITION},
        {"3F", FP_FAILED_PRECONDITION},
        {"42", FP_FAILED_PRECONDITION},
        {"53", FP_UNAVAILABLE},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (strncmp(sqlstate, table[i].prefix, strlen(table[i].prefix)) == 0)
            return table[i].code;
    return FP_INTERNAL;
}

/* States after which another session may do better than this one. */
static bool session_is_bad(const char *sqlstate)
{
    return strcmp(sqlstate, "25006") == 0 || strcmp(sqlstate, "26000") == 0 ||
           strcmp(sqlstate, "42P05") == 0 ||
           strcmp(sqlstate, "0A000") == 0; /* a cached plan's result type changed under a migration */
}

/* A pooler gave us another session than the one that prepared. */
static const char *hint(const char *sqlstate)
{
    bool unprepared = strcmp(sqlstate, "26000") == 0 || strcmp(sqlstate, "42P05") == 0;
    return unprepared ? "; turn prepared statements off behind a pooler in transaction mode" : "";
}

/* Data errors (class 22), constraints (23) and what views raise (P0) quote the
 * value that was wrong, and that can be somebody's address. */
static bool can_quote_data(const char *sqlstate)
{
    return strncmp(sqlstate, "22", 2) == 0 || strncmp(sqlstate, "23", 2) == 0 ||
           strncmp(sqlstate, "P0", 2) == 0;
}

/* From the first quotation mark to the last: a value can hold some itself. The
 * marks of a server that speaks another language are not ASCII, so all that is
 * not counts as one. */
static void blank_quoted(char *out, size_t cap, const char *text)
{
    const char *first = NULL, *last = NULL;
    for (const char *s = text; *s != '\0'; s++) {
        if (*s == '"' || (unsigned char)*s >= 0x80) {
            first = first != NULL ? first : s;
            last = s;
        }
    }
    if (first == NULL)
        snprintf(out, cap, "%s", text);
    else
        snprintf(out, cap, "%.*s\"...\"%s", (int)(first - text), text, last > first ? last + 1 : "");
}

/* The primary message only: DETAIL and CONTEXT show whole rows. */
static void statement_text(char *out, size_t cap, const PGconn *conn, const PGresult *res,
                           const char *sqlstate)
{
    char text[300];
    const char *primary = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    const char *constraint = PQresultErrorField(res, PG_DIAG_CONSTRAINT_NAME);
    if (can_quote_data(sqlstate))
        blank_quoted(text, sizeof text, primary != NULL ? primary : "");
    else
        snprintf(text, sizeof text, "%s", primary != NULL ? primary : PQerrorMessage(conn));
    one_line(out, cap, text);
    size_t n = strlen(out);
    if (constraint != NULL)
        snprintf(out + n, cap - n, " (%s)", constraint);
}

static int statement_failed(struct fp_pg *pg, const char *name, const PGresult *res, struct fp_err *err)
{
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    bool lost = PQstatus(pg->conn) != CONNECTION_OK;
    char line[300];
    statement_text(line, sizeof line, pg->conn, res, state != NULL ? state : "");
    snprintf(pg->sqlstate, sizeof pg->sqlstate, "%s", state != NULL ? state : "");
    enum fp_code code = state != NULL ? state_code(state) : lost ? FP_UNAVAILABLE : FP_INTERNAL;
    err_set(err, code, "PostgreSQL (host %s, port %s, database %s, user %s)%s%s: %s%s%s%s",
            or_none(PQhost(pg->conn)), or_none(PQport(pg->conn)), or_none(PQdb(pg->conn)),
            or_none(PQuser(pg->conn)), name != NULL ? ", " : "", name != NULL ? name : "", line,
            state != NULL ? ", SQLSTATE " : "", state != NULL ? state : "", hint(pg->sqlstate));
    if (lost || session_is_bad(pg->sqlstate))
        disconnect(pg);
    return -1;
}

static atomic_int cancels;

static void *cancel_main(void *arg)
{
    char why[256];
    (void)PQcancel(arg, why, sizeof why);
    PQfreeCancel(arg);
    atomic_fetch_sub(&cancels, 1);
    return NULL;
}

/* The server is told, for its own sake, and aside: PQcancel waits without a limit for
 * the postmaster, and one that is frozen is just why a time limit is over. */
static void cancel_aside(PGconn *conn)
{
    pthread_t thread;
    sigset_t all, before;
    PGcancel *cancel = atomic_fetch_add(&cancels, 1) < MAX_CANCELS ? PQgetCancel(conn) : NULL;
    int rc = -1;
    if (cancel != NULL) {
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        rc = pthread_create(&thread, NULL, cancel_main, cancel);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    if (rc == 0) {
        pthread_detach(thread);
        return;
    }
    if (cancel != NULL)
        PQfreeCancel(cancel);
    atomic_fetch_sub(&cancels, 1);
}

static int timed_out(struct fp_pg *pg, const char *name, struct fp_err *err)
{
    cancel_aside(pg->conn);
    err_set(err, FP_DEADLINE_EXCEEDED,
            "PostgreSQL (host %s, port %s, database %s): no reply to %s within %d ms",
            or_none(PQhost(pg->conn)), or_none(PQport(pg->conn)), or_none(PQdb(pg->conn)),
            name != NULL ? name : "a statement", pg->query_timeout_ms);
    pg->sqlstate[0] = '\0';
    disconnect(pg);
    return -1;
}

/* --- statements ------------------------------------------------------------------- */

/* False at the deadline. An error of the socket shows in the next libpq call. */
static bool wait_socket(PGconn *c, short events, int64_t deadline_us)
{
    struct pollfd fd = {.fd = PQsocket(c), .events = events};
    for (;;) {
        int64_t left_ms = (deadline_us - clock_mono_us() + 999) / 1000;
        if (left_ms <= 0)
            return false;
        int n = poll(&fd, 1, (int)left_ms);
        if (n > 0 || (n < 0 && errno != EINTR))
            return true;
    }
}

/* Until the next result is there, or the connection is broken. */
static bool wait_result(PGconn *c, int64_t deadline_us)
{
    int flushed;
    while ((flushed = PQflush(c)) == 1) {
        if (!wait_socket(c, POLLIN | POLLOUT, deadline_us))
            return false;
        if (PQconsumeInput(c) == 0) /* else both sides can wait for the other to read */
            return true;
    }
    while (flushed == 0 && PQisBusy(c)) {
        if (!wait_socket(c, POLLIN, deadline_us))
            return false;
        if (PQconsumeInput(c) == 0)
            return true;
    }
    return true;
}

static bool is_good(const PGresult *res)
{
    ExecStatusType s = PQresultStatus(res);
    return s == PGRES_COMMAND_OK || s == PGRES_TUPLES_OK || s == PGRES_EMPTY_QUERY;
}

/* Reads all results of what was sent, keeps the last one or the first that
 * failed. NULL with *err filled on failure. */
static PGresult *collect(struct fp_pg *pg, const char *name, int sent, struct fp_err *err)
{
    int64_t deadline_us = clock_mono_us() + (int64_t)pg->query_timeout_ms * 1000;
    PGresult *kept = NULL, *res;
    if (!sent) {
        statement_failed(pg, name, NULL, err);
        return NULL;
    }
    for (;;) {
        if (!wait_result(pg->conn, deadline_us)) {
            PQclear(kept);
            timed_out(pg, name, err);
            return NULL;
        }
        if ((res = PQgetResult(pg->conn)) == NULL)
            break;
        ExecStatusType s = PQresultStatus(res);
        if (s == PGRES_COPY_IN || s == PGRES_COPY_OUT || s == PGRES_COPY_BOTH)
            fp_panic("%s is a COPY: not for pg_run", name != NULL ? name : "a statement");
        if (kept == NULL || is_good(kept)) {
            PQclear(kept);
            kept = res;
        } else {
            PQclear(res);
        }
    }
    if (kept == NULL || !is_good(kept)) {
        statement_failed(pg, name, kept, err);
        PQclear(kept);
        return NULL;
    }
    return kept;
}

static bool is_prepared(const struct fp_pg *pg, const char *name)
{
    for (int i = 0; i < pg->n_prepared; i++)
        if (strcmp(pg->prepared[i], name) == 0)
            return true;
    return false;
}

static int prepare(struct fp_pg *pg, const char *name, const char *sql, const struct pg_args *a,
                   struct fp_err *err)
{
    PGresult *res = collect(pg, name, PQsendPrepare(pg->conn, name, sql, a->n, a->types), err);
    if (res == NULL)
        return -1;
    PQclear(res);
    pg->prepared[pg->n_prepared++] = mem_strdup(name);
    return 0;
}

static int give(PGresult *res, struct fp_rows **rows)
{
    if (res == NULL)
        return -1;
    if (rows != NULL)
        *rows = pg_rows_new(res);
    else
        PQclear(res);
    return 0;
}

static int run(struct fp_pg *pg, const char *name, const char *sql, const struct pg_args *a,
               struct fp_rows **rows, struct fp_err *err)
{
    static const struct pg_args none;
    a = a != NULL ? a : &none;
    if (rows != NULL)
        *rows = NULL;
    pg->sqlstate[0] = '\0';
    if (a->overflow) {
        return err_set(err, FP_INVALID_ARGUMENT, "parameters of %s are over 64 MiB",
                       name != NULL ? name : "a statement");
    }
    if (pg_connect(pg, err) != 0)
        return -1;
    bool named = pg->prepare && name != NULL;
    if (named && !is_prepared(pg, name)) {
        named = pg->n_prepared < MAX_PREPARED;
        if (named && prepare(pg, name, sql, a, err) != 0)
            return -1;
    }
    int sent = named ? PQsendQueryPrepared(pg->conn, name, a->n, a->values, a->lengths, a->formats, 0)
                     : PQsendQueryParams(pg->conn, sql, a->n, a->types, a->values, a->lengths, a->formats, 0);
    return give(collect(pg, name, sent, err), rows);
}

int pg_run(struct fp_pg *pg, const char *name, const char *sql, const struct pg_args *a,
           struct fp_rows **rows, struct fp_err *err)
{
    char label[96];
    int64_t since_us = clock_mono_us();
    int rc = run(pg, name, sql, a, rows, err);
    snprintf(label, sizeof label, "statement=\"%s\"", name != NULL ? name : "other");
    metrics_observe_s("foliopost_pg_seconds", label, (double)(clock_mono_us() - since_us) / 1e6);
    return rc;
}

/* The simple protocol runs several statements as one implicit transaction. */
int pg_run_script(struct fp_pg *pg, const char *sql, struct fp_err *err)
{
    pg->sqlstate[0] = '\0';
    if (pg_connect(pg, err) != 0)
        return -1;
    return give(collect(pg, "a script", PQsendQuery(pg->conn, sql), err), NULL);
}
