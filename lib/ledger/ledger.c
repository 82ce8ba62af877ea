/*
 * What all tables share: opening, running a step, small conversions.
 *
 * A reply can be lost after the commit, so a step that failed with its
 * connection is run again and then finds what it did itself. That happens
 * once and only when there was a connection before: while PostgreSQL is away
 * each call costs one connection attempt, and the caller decides how long to
 * go on.
 */
#include "lib/ledger/ledger_internal.h"

#include <string.h>

#include "lib/base/crash.h"
#include "lib/base/text.h"

struct fp_ledger *ledger_open(const struct pg_options *o, struct fp_err *err)
{
    struct fp_pg *pg = pg_new(o, err);
    if (pg == NULL) {
        err_prefix(err, "ledger");
        return NULL;
    }
    struct fp_ledger *l = mem_alloc(sizeof *l);
    l->pg = pg;
    return l;
}

void ledger_close(struct fp_ledger *l)
{
    if (l != NULL) {
        pg_free(l->pg);
        mem_free(l);
    }
}

struct fp_pg *ledger_pg(struct fp_ledger *l)
{
    return l->pg;
}

/* One try. In test builds a crash point before and after it (lib/base/crash.h). */
static int run(struct fp_ledger *l, const char *name, const char *sql, struct pg_args *a,
               struct fp_rows **rows, struct fp_err *err)
{
    crash_point("before", name);
    int rc = pg_run(l->pg, name, ledger_sabotaged(name, sql), a, rows, err);
    crash_point("after", name);
    if (rc == 0 && ledger_loses_reply(l, name)) {
        pg_rows_free(*rows);
        rc = err_set(err, FP_UNAVAILABLE, "%s: the connection was lost after the commit", name);
    }
    return rc;
}

static int nothing(struct fp_ledger *l, struct fp_err *err)
{
    (void)l;
    (void)err;
    return 0;
}

/* between: before it is run again after an answer that was lost; NULL: it is not. */
static int step(struct fp_ledger *l, const char *name, const char *sql, struct pg_args *a,
                int (*between)(struct fp_ledger *, struct fp_err *), struct fp_rows **rows,
                struct fp_err *err)
{
    struct fp_err why;
    bool connected = pg_is_connected(l->pg);
    int rc = run(l, name, sql, a, rows, &why);
    l->in_doubt = rc != 0 && why.code != FP_ABORTED;
    bool lost = rc != 0 && why.code == FP_UNAVAILABLE && connected && between != NULL;
    if (rc != 0 && (why.code == FP_ABORTED || (lost && between(l, &why) == 0))) {
        rc = run(l, name, sql, a, rows, &why);
        l->in_doubt |= rc != 0 && why.code != FP_ABORTED;
    }
    if (a != NULL)
        pg_args_fini(a);
    return rc == 0 ? 0 : err_set(err, why.code, "%s", why.msg);
}

int ledger_step(struct fp_ledger *l, const char *name, const char *sql, struct pg_args *a,
                struct fp_rows **rows, struct fp_err *err)
{
    return step(l, name, sql, a, nothing, rows, err);
}

int ledger_step_after(struct fp_ledger *l, int (*between)(struct fp_ledger *, struct fp_err *),
                      const char *name, const char *sql, struct pg_args *a, struct fp_rows **rows,
                      struct fp_err *err)
{
    return step(l, name, sql, a, between, rows, err);
}

/* The rows that it changed. */
static int count(struct fp_rows *rows)
{
    int64_t n = pg_rows_affected(rows);
    pg_rows_free(rows);
    return n < INT32_MAX ? (int)n : INT32_MAX;
}

int ledger_count(struct fp_ledger *l, const char *name, const char *sql, struct pg_args *a,
                 struct fp_err *err)
{
    struct fp_rows *rows;
    return step(l, name, sql, a, nothing, &rows, err) == 0 ? count(rows) : -1;
}

int ledger_count_once(struct fp_ledger *l, const char *name, const char *sql, struct pg_args *a,
                      struct fp_err *err)
{
    struct fp_rows *rows;
    return step(l, name, sql, a, NULL, &rows, err) == 0 ? count(rows) : -1;
}

void ledger_text(char *out, size_t cap, const struct fp_rows *r, int row, int col)
{
    text_clean(out, cap, pg_text(r, row, col));
}

int64_t ledger_time(const struct fp_rows *r, int row, int col)
{
    return pg_is_null(r, row, col) ? 0 : pg_time_us(r, row, col);
}

void ledger_arg_id(struct pg_args *a, int64_t v)
{
    if (v != 0)
        pg_arg_i64(a, v);
    else
        pg_arg_null(a);
}

void ledger_arg_time(struct pg_args *a, int64_t us)
{
    if (us != 0)
        pg_arg_time_us(a, us);
    else
        pg_arg_null(a);
}

void ledger_arg_name(struct pg_args *a, const char *s)
{
    pg_arg_text(a, s != NULL && s[0] != '\0' ? s : NULL);
}
