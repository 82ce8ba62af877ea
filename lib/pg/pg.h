/*
 * One connection to PostgreSQL, for one thread, by libpq.
 *
 * Statements are single and autocommitted, with parameters only, so that they
 * work through PgBouncer in transaction mode: no session state, no SET, no
 * LISTEN. A named prepared statement is used when the connection allows it
 * (pg_options.prepare) and the statement has a name.
 *
 * A connection that broke is opened again by the next pg_run(), which waits at
 * most connect_timeout_ms. A statement is never sent twice by this module: an
 * error UNAVAILABLE can mean that it was committed all the same. Steps that
 * are safe to repeat are repeated by their callers.
 */
#ifndef FP_PG_PG_H
#define FP_PG_PG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/mem.h"

struct fp_pg;
struct fp_rows;

struct pg_options {
    const char *dsn;         /* libpq connection string or URI */
    const char *application; /* application_name; "foliopost-mailer" */
    int connect_timeout_ms;  /* 0: 5000 */
    int query_timeout_ms;    /* 0: 30000; also tcp_user_timeout */
    bool prepare;            /* named prepared statements (not through PgBouncer before 1.21) */
};

/* Checks the DSN's form, connects nothing. */
struct fp_pg *pg_new(const struct pg_options *o, struct fp_err *err) FP_MUST_CHECK;
void pg_free(struct fp_pg *pg);
/* Connects if not connected. The message of a failure names host, port,
 * database and user, never the password. */
int pg_connect(struct fp_pg *pg, struct fp_err *err) FP_MUST_CHECK;
bool pg_is_connected(const struct fp_pg *pg);
/* Milliseconds since the present connection was made; -1 when there is none. */
int64_t pg_connected_ms(const struct fp_pg *pg);
/* SQLSTATE of the last failure, "" when it came from the client side. */
const char *pg_sqlstate(const struct fp_pg *pg);

/* Parameters of one statement, in the order of $1, $2, ... The widest has a job's and a schedule's, some
 * forty. */
#define PG_MAX_ARGS 64
struct pg_args {
    int n;
    const char *values[PG_MAX_ARGS];
    int lengths[PG_MAX_ARGS];
    int formats[PG_MAX_ARGS];
    unsigned types[PG_MAX_ARGS];
    struct fp_arena *arena;
    bool overflow; /* over 64 MiB: pg_run() answers INVALID_ARGUMENT */
};

void pg_args_init(struct pg_args *a);
void pg_args_fini(struct pg_args *a);
void pg_arg_i64(struct pg_args *a, int64_t v);
void pg_arg_f64(struct pg_args *a, double v);
void pg_arg_bool(struct pg_args *a, bool v);
/* NULL gives null. Untyped, so cast in the SQL: $1::uuid. */
void pg_arg_text(struct pg_args *a, const char *s);
void pg_arg_null(struct pg_args *a);
void pg_arg_time_us(struct pg_args *a, int64_t us);                   /* timestamptz, exact */
void pg_arg_day(struct pg_args *a, int32_t day);                      /* date */
void pg_arg_i64s(struct pg_args *a, const int64_t *v, size_t n);      /* bigint[] */
void pg_arg_i32s(struct pg_args *a, const int32_t *v, size_t n);      /* integer[] */
void pg_arg_times_us(struct pg_args *a, const int64_t *us, size_t n); /* timestamptz[] */
void pg_arg_texts(struct pg_args *a, const char *const *v, size_t n); /* text[] */
void pg_arg_bytes(struct pg_args *a, const void *p, size_t bytes);    /* bytea */
struct pg_bytes {
    const void *data;
    size_t n;
};
void pg_arg_bytes_list(struct pg_args *a, const struct pg_bytes *v, size_t n); /* bytea[] */

/* Runs one statement. name: for pg_options.prepare, unique for each SQL text;
 * NULL: never prepared. a may be NULL. *rows (may be NULL) is freed by
 * pg_rows_free(). Errors: UNAVAILABLE (connection lost, server starting or
 * ending, too many connections), DEADLINE_EXCEEDED (query_timeout_ms,
 * statement_timeout, lock_timeout), ABORTED (deadlock, serialization),
 * FAILED_PRECONDITION (missing table, column, schema, database),
 * ALREADY_EXISTS (unique violation), PERMISSION_DENIED (also a wrong
 * password), INVALID_ARGUMENT (other constraint and data errors), INTERNAL. */
int pg_run(struct fp_pg *pg, const char *name, const char *sql, const struct pg_args *a,
           struct fp_rows **rows, struct fp_err *err) FP_MUST_CHECK;
/* Several statements without parameters, as one transaction: migrations only. */
int pg_run_script(struct fp_pg *pg, const char *sql, struct fp_err *err) FP_MUST_CHECK;

int pg_rows_count(const struct fp_rows *r);
int64_t pg_rows_affected(const struct fp_rows *r);
void pg_rows_free(struct fp_rows *r);
/* Cells are text inside; row and column out of range and wrong forms are our
 * bug and panic, except where a function says it returns false. A null gives
 * 0, "", false. */
bool pg_is_null(const struct fp_rows *r, int row, int col);
const char *pg_text(const struct fp_rows *r, int row, int col); /* lives as long as r */
int64_t pg_i64(const struct fp_rows *r, int row, int col);
double pg_f64(const struct fp_rows *r, int row, int col);
bool pg_bool(const struct fp_rows *r, int row, int col);
/* A timestamptz of any time zone, a date; infinity is the type's greatest or least. */
int64_t pg_time_us(const struct fp_rows *r, int row, int col);
int32_t pg_day(const struct fp_rows *r, int row, int col);
/* A bigint[] cell; false when it is not one or holds a null. Freed by mem_free(). */
bool pg_i64s(const struct fp_rows *r, int row, int col, int64_t **out, size_t *n);
/* The bytes of a bytea cell, at most max; false when it is none, or larger. */
bool pg_bytes(const struct fp_rows *r, int row, int col, void *out, size_t max, size_t *n);

#endif
