/*
 * The ledger: every SQL statement on schema foliopost, and every change of a
 * state, in one pair of files for each table. This header has what they share.
 *
 * A struct fp_ledger is one connection for one thread. Each step is one
 * autocommit statement whose first part updates the fenced row, so a client
 * that stops holds no lock. Each is safe to repeat: the reply can be lost
 * after the commit, and the functions repeat a step themselves once when the
 * connection broke, then read back whether it was done. They return -1 with
 * UNAVAILABLE when PostgreSQL cannot be reached; a condition that does not
 * hold (a stale epoch, a lease that is over) is not an error but an answer.
 *
 * Two reads in one statement must not straddle a lock: under READ COMMITTED an
 * UPDATE that waited goes on with the new row but the old snapshot of all
 * other tables. Where that matters (claim) the read is a statement of its own.
 */
#ifndef FP_LEDGER_LEDGER_H
#define FP_LEDGER_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/pg/pg.h"

#define LEDGER_SCHEMA_VERSION 24
#define LEDGER_LEASE_MS       10000 /* of instances and of the leader */
#define LEDGER_UUID           37    /* bytes of a UUID's text with its NUL */

struct fp_ledger;

/* Connects nothing yet. */
struct fp_ledger *ledger_open(const struct pg_options *o, struct fp_err *err) FP_MUST_CHECK;
void ledger_close(struct fp_ledger *l);
struct fp_pg *ledger_pg(struct fp_ledger *l);

/* In what follows an actor is for the audit: who did it, or "WHO\nWHERE". */

/* --- migrate.c: schema_version ------------------------------------------------ */

/* 0 when the schema is the one this program needs; FAILED_PRECONDITION, saying
 * what to run, when it is missing, older or newer. */
int ledger_check_schema(struct fp_ledger *l, struct fp_err *err) FP_MUST_CHECK;
/* Applies what is missing, each file in a transaction under a lock, so that
 * two at once are safe. *applied: how many. A file that would have to wait for
 * others' transactions lets everybody go on and is tried again, for some ten minutes. */
int ledger_migrate(struct fp_ledger *l, int *applied, struct fp_err *err) FP_MUST_CHECK;
/* The same; say (may be NULL) is told of each such try: the file, and why it waits. */
int ledger_migrate_saying(struct fp_ledger *l, void (*say)(const char *name, const char *why), int *applied,
                          struct fp_err *err) FP_MUST_CHECK;

/* --- instances.c ---------------------------------------------------------------- */

struct ledger_instance {
    char id[LEDGER_UUID];
    char service[32];
    char address[128];
    char version[32];
    int schema_version; /* read only: of its program; 0: from before that was told */
    int slots;
    char state[16];
    char note[256];
    int64_t lease_until_us;
    int64_t started_us;
};

/* Inserts the instance, live, with a lease of LEDGER_LEASE_MS. Repeatable. */
int ledger_instance_start(struct fp_ledger *l, const struct ledger_instance *i,
                          struct fp_err *err) FP_MUST_CHECK;
/* *held false: it was swept; the process must take a new id. */
int ledger_instance_renew(struct fp_ledger *l, const char *id, int slots, const char *note, bool *held,
                          struct fp_err *err) FP_MUST_CHECK;
int ledger_instance_end(struct fp_ledger *l, const char *id, struct fp_err *err) FP_MUST_CHECK;
/* Live ones, at most max; returns how many, -1 on error. */
int ledger_instances_live(struct fp_ledger *l, struct ledger_instance *out, int max,
                          struct fp_err *err) FP_MUST_CHECK;

struct ledger_member {
    struct ledger_instance instance;
    int64_t batches; /* claimed and not finished */
    bool leads;
};
/* Live ones with what they have in hand: for people, not for every second. */
int ledger_fleet(struct fp_ledger *l, struct ledger_member *out, int max, struct fp_err *err) FP_MUST_CHECK;

/* --- leader.c ---------------------------------------------------------------------- */

/* Takes the lead when nobody's lease holds, or renews it. *leading says which. */
int ledger_lead(struct fp_ledger *l, const char *owner, bool *leading, int64_t *term,
                struct fp_err *err) FP_MUST_CHECK;
int ledger_lead_end(struct fp_ledger *l, const char *owner, struct fp_err *err) FP_MUST_CHECK;

/* --- error_log.c ------------------------------------------------------------------------ */

/* Ids 0 and "" are stored as null. */
int ledger_error(struct fp_ledger *l, const char *service, const char *instance, int64_t job_id,
                 int64_t batch_id, const char *code, const char *message, struct fp_err *err) FP_MUST_CHECK;

#endif
