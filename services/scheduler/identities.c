/*
 * A token is looked up by its hash, a certificate by its subject. An expired
 * identity is told so: whoever has its token may know.
 *
 * While PostgreSQL is away the last copy holds. A scheduler that was never
 * able to read the table lets nobody in but the token file: an open door must
 * be known to be open.
 */
#include "services/scheduler/identities.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/ledger/identities.h"
#include "lib/log/log.h"

#define READ_EVERY_S 2 /* a revocation holds everywhere within */

_Static_assert((int)LEDGER_VIEWER == (int)RPC_VIEWER && (int)LEDGER_OPERATOR == (int)RPC_OPERATOR &&
                   (int)LEDGER_APPROVER == (int)RPC_APPROVER && (int)LEDGER_ADMIN == (int)RPC_ADMIN,
               "roles");

struct identities {
    struct rpc_identities door;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    struct ledger_identity *rows;
    int n;
    bool known, any, stopping;
    pthread_t thread; /* its own */
    bool thread_runs;
    struct fp_ledger *ledger;
    long long said_us;
};

/* --- looking up ----------------------------------------------------------------------- */

static const struct ledger_identity *by_token(const struct identities *x, const char *token)
{
    unsigned char hash[LEDGER_TOKEN_HASH];
    const struct ledger_identity *found = NULL;

    ledger_token_hash(token, hash);
    for (int i = 0; i < x->n; i++) /* all of them: the time tells nothing of where it was, or how alike */
        if (x->rows[i].has_token && CRYPTO_memcmp(x->rows[i].token_hash, hash, sizeof hash) == 0)
            found = &x->rows[i];
    return found;
}

static const struct ledger_identity *by_subject(const struct identities *x, const char *subject)
{
    for (int i = 0; subject[0] && i < x->n; i++)
        if (strcmp(x->rows[i].subject, subject) == 0)
            return &x->rows[i];
    return NULL;
}

/* Under the lock. */
static int look(const struct identities *x, const char *token, const char *subject, struct rpc_identity *out,
                struct fp_err *err)
{
    if (!x->known)
        return err_set(err, FP_UNAVAILABLE, "the identities were not read from the ledger yet: call again");
    if (!x->any)
        return RPC_NONE_EXISTS;
    const struct ledger_identity *i = token[0] ? by_token(x, token) : by_subject(x, subject);
    if (!i)
        return RPC_STRANGER;
    if (i->expires_us && i->expires_us <= clock_wall_us())
        return err_set(err, FP_UNAUTHENTICATED, "the identity %s has expired: an admin adds a new one",
                       i->name);
    memcpy(out->name, i->name, sizeof out->name);
    out->roles = i->roles;
    return RPC_FOUND;
}

static int find(void *ctx, const char *token, const char *subject, struct rpc_identity *out,
                struct fp_err *err)
{
    struct identities *x = ctx;

    pthread_mutex_lock(&x->lock);
    int rc = look(x, token, subject, out, err);
    pthread_mutex_unlock(&x->lock);
    return rc;
}

/* --- reading ---------------------------------------------------------------------------- */

int identities_read(struct identities *x, struct fp_ledger *l, struct fp_err *err)
{
    struct ledger_identity *rows = mem_array(LEDGER_MAX_IDENTITIES, sizeof *rows);
    bool any = true;
    int n = ledger_identities(l, false, rows, LEDGER_MAX_IDENTITIES, err);

    if (n < 0 || (n == 0 && ledger_identities_any(l, &any, err))) {
        mem_free(rows);
        return -1;
    }
    pthread_mutex_lock(&x->lock);
    struct ledger_identity *old = x->rows;
    x->rows = rows;
    x->n = n;
    x->any = any;
    x->known = true;
    pthread_mutex_unlock(&x->lock);
    mem_free(old);
    return 0;
}

static void read_again(struct identities *x)
{
    struct fp_err err;

    if (identities_read(x, x->ledger, &err) && log_limited(&x->said_us, 60000))
        log_warn("rpc", "identities not read", "reason=%s", err.msg);
}

static void *run(void *arg)
{
    struct identities *x = arg;
    struct timespec until;

    pthread_mutex_lock(&x->lock);
    while (!x->stopping) {
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += READ_EVERY_S;
        while (!x->stopping && pthread_cond_timedwait(&x->changed, &x->lock, &until) == 0)
            ;
        if (x->stopping)
            break;
        pthread_mutex_unlock(&x->lock);
        read_again(x);
        pthread_mutex_lock(&x->lock);
    }
    pthread_mutex_unlock(&x->lock);
    return NULL;
}

/* --- life ----------------------------------------------------------------------------------- */

struct identities *identities_new(void)
{
    struct identities *x = mem_alloc(sizeof *x);
    pthread_condattr_t attr;

    x->door = (struct rpc_identities){.ctx = x, .find = find};
    pthread_mutex_init(&x->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&x->changed, &attr);
    pthread_condattr_destroy(&attr);
    return x;
}

int identities_start(struct identities *x, const struct pg_options *ledger, struct fp_err *err)
{
    x->ledger = ledger_open(ledger, err);
    if (!x->ledger)
        return -1;
    read_again(x);
    int rc = pthread_create(&x->thread, NULL, run, x);
    if (rc)
        return err_set(err, FP_INTERNAL, "cannot start the thread of the identities: error %d", rc);
    x->thread_runs = true;
    return 0;
}

void identities_free(struct identities *x)
{
    if (!x)
        return;
    pthread_mutex_lock(&x->lock);
    x->stopping = true;
    pthread_cond_broadcast(&x->changed);
    pthread_mutex_unlock(&x->lock);
    if (x->thread_runs)
        pthread_join(x->thread, NULL);
    if (x->ledger)
        ledger_close(x->ledger);
    pthread_cond_destroy(&x->changed);
    pthread_mutex_destroy(&x->lock);
    mem_free(x->rows);
    mem_free(x);
}

const struct rpc_identities *identities_door(struct identities *x)
{
    return &x->door;
}
