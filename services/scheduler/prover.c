/* A thread that waits for a job to prove, and for the ledger; the leader looks each second what became of it.
 */
#include "services/scheduler/prover.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/mem.h"

enum state { IDLE, BUSY, ANSWERED };

struct prover {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    struct fp_ledger *ledger; /* the thread's */
    enum state state;
    bool stopping;
    struct ledger_job job; /* without user ids */
    char leader[LEDGER_UUID];
    prover_tell_fn *tell;
    struct prover_answer answer;
};

/* The lock is held when it comes and when it goes. */
static void prove(struct prover *p)
{
    struct prover_answer a = {0};
    struct ledger_proof proof;

    pthread_mutex_unlock(&p->lock); /* while BUSY nobody else writes the job or the leader */
    a.failed = ledger_job_complete(p->ledger, p->leader, p->job.id, &a.done, &proof, &a.err);
    if (a.done)
        p->tell(&p->job, &proof);
    pthread_mutex_lock(&p->lock);
    p->answer = a;
    p->state = ANSWERED;
}

static void *run(void *arg)
{
    struct prover *p = arg;

    pthread_mutex_lock(&p->lock);
    while (!p->stopping)
        if (p->state == BUSY)
            prove(p);
        else
            pthread_cond_wait(&p->changed, &p->lock);
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

struct prover *prover_new(struct fp_ledger *ledger, prover_tell_fn *tell, struct fp_err *err)
{
    struct prover *p = mem_alloc(sizeof *p);

    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    p->ledger = ledger;
    p->tell = tell;
    int rc = pthread_create(&p->thread, NULL, run, p);
    if (rc == 0)
        return p;
    ledger_close(ledger);
    mem_free(p);
    err_set(err, FP_INTERNAL, "no thread for proofs: error %d", rc);
    return NULL;
}

bool prover_begin(struct prover *p, const char *leader, const struct ledger_job *j)
{
    pthread_mutex_lock(&p->lock);
    bool begins = p->state != BUSY;
    if (begins) {
        p->state = BUSY;
        p->job = *j;
        p->job.user_ids = NULL;
        p->job.n_user_ids = 0;
        snprintf(p->leader, sizeof p->leader, "%s", leader);
        pthread_cond_signal(&p->changed);
    }
    pthread_mutex_unlock(&p->lock);
    return begins;
}

bool prover_is_at(struct prover *p, int64_t job_id)
{
    pthread_mutex_lock(&p->lock);
    bool is_at = p->state == BUSY && p->job.id == job_id;
    pthread_mutex_unlock(&p->lock);
    return is_at;
}

bool prover_take(struct prover *p, int64_t job_id, struct prover_answer *out)
{
    pthread_mutex_lock(&p->lock);
    bool answered = p->state == ANSWERED && p->job.id == job_id;
    if (answered) {
        *out = p->answer;
        p->state = IDLE;
    }
    pthread_mutex_unlock(&p->lock);
    return answered;
}

bool prover_stop(struct prover *p)
{
    if (!p)
        return true;
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    bool busy = p->state == BUSY;
    pthread_cond_signal(&p->changed);
    pthread_mutex_unlock(&p->lock);
    if (busy)
        return false;
    pthread_join(p->thread, NULL);
    ledger_close(p->ledger);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->changed);
    mem_free(p);
    return true;
}
