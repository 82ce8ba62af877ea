/* For the tests of lib/source: a database of the test program's own. */
#ifndef FP_SOURCE_TESTING_H
#define FP_SOURCE_TESTING_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/pg/pg.h"

static char testing_name[64];
static char testing_dsn[600];

static inline void testing_need(int failed, const struct fp_err *err)
{
    if (failed) {
        fprintf(stderr, "%s\n", err->msg);
        abort();
    }
}

/* Runs statements in the database of `dsn`. */
static inline void testing_script(const char *dsn, const char *sql)
{
    struct fp_err err = {0};
    struct pg_options o = {.dsn = dsn};
    struct fp_pg *pg = pg_new(&o, &err);
    testing_need(pg == NULL || pg_run_script(pg, sql, &err) != 0, &err);
    pg_free(pg);
}

/* The first cell of the first row, to be freed by mem_free(). */
static inline char *testing_text(const char *sql)
{
    struct fp_err err = {0};
    struct fp_rows *rows = NULL;
    struct pg_options o = {.dsn = testing_dsn};
    struct fp_pg *pg = pg_new(&o, &err);
    testing_need(pg == NULL || pg_run(pg, NULL, sql, NULL, &rows, &err) != 0, &err);
    char *text = mem_strdup(pg_text(rows, 0, 0));
    pg_rows_free(rows);
    pg_free(pg);
    return text;
}

static inline long long testing_number(const char *sql)
{
    char *text = testing_text(sql);
    long long n = atoll(text);
    mem_free(text);
    return n;
}

static inline int testing_create(void **state)
{
    (void)state;
    const char *server = getenv("FOLIOPOST_TEST_DSN");
    if (server == NULL) {
        fprintf(stderr, "FOLIOPOST_TEST_DSN is not set: run by script/with-postgres\n");
        return -1;
    }
    char sql[128];
    snprintf(testing_name, sizeof testing_name, "source_test_%d", (int)getpid());
    snprintf(testing_dsn, sizeof testing_dsn, "%s dbname=%s", server, testing_name);
    snprintf(sql, sizeof sql, "CREATE DATABASE %s", testing_name);
    testing_script(server, sql);
    return 0;
}

static inline int testing_drop(void **state)
{
    char sql[128];
    (void)state;
    snprintf(sql, sizeof sql, "DROP DATABASE %s WITH (FORCE)", testing_name);
    testing_script(getenv("FOLIOPOST_TEST_DSN"), sql);
    return 0;
}

#endif
