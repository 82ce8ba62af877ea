/*
 * The judge is judged: a test build (FP_TEST_HOOKS) can be told to run with
 * one of the ledger's protections taken out, and tests/chaos or tests/model
 * must see it. FOLIOPOST_SABOTAGE names it; the statements are rewritten on
 * their way to PostgreSQL, so that nothing of this stands in the statements
 * themselves. A text that is not found ends the process: then a statement has
 * changed, and its row here must follow. Numbers are those of tests/model.
 */
#include "lib/ledger/ledger_internal.h"

#ifdef FP_TEST_HOOKS

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/ledger/batches.h"

#define ANYBODY    "i.id = $1::uuid" /* instead of LIVES */
#define KEEPS_NONE "unrecorded"

static const struct {
    const char *what, *step, *find, *put;
} cuts[] = {
    /* 1: a statement of a claim that is over changes the batch all the same */
    {"fence", "record", "b.epoch = h.epoch AND b.owner = $1::uuid AND b.state = 'sending'", "true"},
    {"fence", "record", LIVES, ANYBODY},
    {"fence", "release", "b.epoch = $3 AND b.owner = $1::uuid AND b.state = 'sending'", "$3::integer > 0"},
    {"fence", "release", LIVES, ANYBODY},
    {"fence", "finish", "b.epoch = $3 AND b.owner = $1::uuid AND b.state = 'sending'", "$3::integer > 0"},
    {"fence", "finish", LIVES, ANYBODY},
    /* 2: mails that were open when their owner died are not marked */
    {"open_intents", "expire", "unnest(h.open_intents)", "unnest('{}'::bigint[])"},
    {"open_intents", "forget", "unnest(m.open_intents)", "unnest('{}'::bigint[])"},
    /* 3: new intents take the place of those still open */
    {"intents_replace", "record", "FROM unnest(b.open_intents) AS x   WHERE",
     "FROM unnest(b.open_intents) AS x   WHERE false AND"},
    /* 4: due is who is requeued, to whatever batch */
    {"retry_guard", "claim_due", "(d.state = 'requeued' AND d.batch_id = b.id)", "d.state = 'requeued'"},
    {"retry_guard", "record", "d.state = 'requeued' AND d.batch_id = excluded.batch_id",
     "d.state = 'requeued'"},
    {"retry_guard", "finish", "(d.state = 'requeued' AND d.batch_id = $2)", "d.state = 'requeued'"},
    /* 5: a process acts on when its lease is over */
    {"lease", "claim", LIVES, ANYBODY},
    {"lease", "record", LIVES, ANYBODY},
    {"lease", "release", LIVES, ANYBODY},
    {"lease", "finish", LIVES, ANYBODY},
    /* 6: a batch in my hands can be claimed by me once more */
    {"claim_token", "claim", " AND b.claim_token = $3::uuid", ""},
    /* no protection, but what all of them cost: for script/bench (ledger_keeps_none) */
    {KEEPS_NONE, "finish", "c.missing = 0", "true"},
};
#define N_CUTS (sizeof cuts / sizeof cuts[0])

static char *replaced(char *sql, const char *find, const char *put)
{
    char *at = strstr(sql, find);
    if (at == NULL)
        fp_panic("sabotage: the statement has no \"%s\" any more: %s", find, sql);
    size_t bytes = strlen(sql) + strlen(put) + 1;
    char *out = mem_alloc(bytes);
    (void)snprintf(out, bytes, "%.*s%s%s", (int)(at - sql), sql, put, at + strlen(find));
    mem_free(sql);
    return out;
}

static char *sabotaged(const char *what, const char *name, const char *sql)
{
    char *out = mem_strdup(sql);
    bool known = false;
    for (size_t i = 0; i < N_CUTS; i++) {
        if (strcmp(cuts[i].what, what) != 0)
            continue;
        known = true;
        /* record_suppress is record with more behind it */
        if (strcmp(cuts[i].step, name) == 0 ||
            (strcmp(name, "record_suppress") == 0 && strcmp(cuts[i].step, "record") == 0))
            out = replaced(out, cuts[i].find, cuts[i].put);
    }
    if (!known)
        fp_panic("FOLIOPOST_SABOTAGE=%s: there is no such protection", what);
    return out;
}

const char *ledger_sabotaged(const char *name, const char *sql)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static struct {
        const char *sql;
        char *changed;
    } known[256]; /* kept to the end: reachable, so no leak */
    const char *what = getenv("FOLIOPOST_SABOTAGE");
    if (what == NULL || name == NULL)
        return sql;
    pthread_mutex_lock(&lock);
    size_t i = 0;
    while (i < 255 && known[i].sql != NULL && known[i].sql != sql)
        i++;
    if (known[i].sql == NULL) {
        known[i].sql = sql;
        known[i].changed = sabotaged(what, name, sql);
    }
    const char *changed = known[i].changed;
    pthread_mutex_unlock(&lock);
    return changed;
}

const char *ledger_lose_step;
int ledger_lose_times;

/* The backend ends itself: that statement fails, and the connection is gone. */
bool ledger_loses_reply(struct fp_ledger *l, const char *name)
{
    struct fp_err err;
    if (ledger_lose_times == 0 || name == NULL || strcmp(name, ledger_lose_step) != 0)
        return false;
    ledger_lose_times--;
    return pg_run(l->pg, NULL, "SELECT pg_terminate_backend(pg_backend_pid())", NULL, NULL, &err) != 0;
}

bool ledger_keeps_none(struct ledger_record *r)
{
    const char *what = getenv("FOLIOPOST_SABOTAGE");
    if (what == NULL || strcmp(what, KEEPS_NONE) != 0)
        return false;
    for (size_t i = 0; i < r->n_held; i++) {
        r->held[i].held = true;
        r->held[i].job_state = JOB_IN_PROGRESS;
    }
    return true;
}

#endif
