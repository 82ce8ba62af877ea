/*
 * The leader: the one loop that starts jobs, grants pages, sweeps and
 * completes. Every scheduler runs it; the one that holds the lead acts.
 *
 * struct leader is shared by the files that make up the loop (leader.c,
 * start.c, grant.c, sweep.c, complete.c, work.c) and belongs to one thread.
 * All state that matters is in the ledger; what stands here can be lost.
 */
#ifndef FP_SCHEDULER_LEADER_H
#define FP_SCHEDULER_LEADER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/ledger/guard.h"
#include "lib/ledger/intervals.h"
#include "lib/ledger/sweep.h"
#include "lib/source/source.h"
#include "services/scheduler/lead.h"
#include "services/scheduler/limits.h"
#include "services/scheduler/prover.h"
#include "services/scheduler/settings.h"

/* Somewhat above LIMIT_OPEN_JOBS: two submissions at once may pass it. */
#define LEADER_MAX_JOBS (LIMIT_OPEN_JOBS + 56)

struct leader_options {
    const struct scheduler_settings *set;
    struct fp_ledger *ledger; /* the leader's own connections */
    struct fp_source *source;
    struct lead *lead; /* renewed by another thread */
    /* Jobs of prove_apart_users or more are proved there, the others by the loop itself; NULL: all of them.
     */
    struct prover *prover;
    int64_t prove_apart_users;
    void *ctx;
    /* The work pipe: hands one message to any userstream, or fails within timeout_ms. */
    int (*send)(void *ctx, const void *data, size_t bytes, int timeout_ms, struct fp_err *err);
    int (*peers)(void *ctx); /* userstreams connected */
};

/* What the leader remembers of an open job between ticks. */
struct leader_track {
    int64_t job_id;
    struct ledger_counts counts; /* as of the last sweep */
    bool counted;                /* counts were read at least once */
    int64_t counted_mono_us, next_count_mono_us;
    double users_per_s; /* finished, between the last two counts */
    int64_t in_flight, granted, window;
    int64_t reserved; /* of the window, for retries, until the next sweep */
    int64_t next_reserve_mono_us;
    int64_t next_interval_mono_us; /* the first grant of another interval waits until then */
    int64_t progress_mono_us;      /* when a user was last finished, or nothing was in flight */
    int64_t moved_mono_us;         /* when a user was last finished, or it was right to wait (standing.c) */
    int64_t next_try_mono_us;      /* to start or to complete it, after it did not work */
    int64_t next_guard_mono_us;    /* its events are read again */
    int64_t pace_mono_us;          /* by the job's rate the next user is due (pace.c) */
    int64_t let_in;                /* users that this was charged with by their pages */
    bool paced;                    /* let_in is known */
    int64_t next_hours_mono_us;    /* its sending window is looked at again */
    bool shut;                     /* it is outside of that */
    bool asked_proof, proved_once; /* the prover has it; it has answered once (prover.h) */
    bool delayed;                  /* an interval waits for the delay between intervals */
    char trouble[256];             /* why it cannot be started or completed */
};

/* The live process of a service whose program is the oldest. */
#define LEADER_OLDEST 2
struct leader_oldest {
    int schema_version; /* INT_MAX: none is alive; 0, before the first look, too old for everything */
    char address[41], version[32]; /* as far as a reason has room */
};

struct leader {
    struct leader_options o;
    char owner[LEDGER_UUID];
    bool leading;
    int64_t term;
    int64_t next_sweep_mono_us, next_backlog_mono_us;
    int64_t next_connect_mono_us;       /* of a standby */
    int64_t next_fire_mono_us;          /* schedules are looked at again */
    int64_t next_missed_mono_us;        /* what they missed is counted again */
    struct ledger_job *jobs;            /* open ones, oldest first; without user ids */
    struct leader_track *tracks;        /* tracks[i] belongs to jobs[i] */
    struct leader_track *tracks_before; /* those of the turn before */
    int n_jobs;
    unsigned turn;            /* which job is first in this tick */
    bool send_failed;         /* in this tick: nothing more is emitted or granted until the next one */
    struct fp_err source_err; /* why the source did not answer; asked again, for any job, from then on: */
    int64_t next_plan_mono_us;
    double limit_per_s, measured_per_s;
    int slots, mailers, least_slots; /* claim slots of all live mailers, of the one that has fewest */
    struct leader_oldest oldest[LEADER_OLDEST]; /* of the services that rollout.c asks for */
    int64_t latency_ms;
    int quiet_set_backs; /* sweeps since the database's clock was set back in which nothing was left to move
                          */
};

int leader_init(struct leader *l, const struct leader_options *o, struct fp_err *err) FP_MUST_CHECK;
void leader_fini(struct leader *l);

/* One turn of the loop: all periodic work. Returns how long to wait, in ms. */
int leader_tick(struct leader *l);
/* True while the lead is held. Takes over its owner and its term. */
bool leader_holds(struct leader *l);

/* The steps. Each returns -1 only when the ledger cannot be reached; what
 * goes wrong with one job is logged and stops no other. */
int leader_load_jobs(struct leader *l, struct fp_err *err) FP_MUST_CHECK;
int start_pending(struct leader *l, struct fp_err *err) FP_MUST_CHECK;   /* start.c */
int grant_jobs(struct leader *l, struct fp_err *err) FP_MUST_CHECK;      /* grant.c */
int sweep_instances(struct leader *l, struct fp_err *err) FP_MUST_CHECK; /* sweep.c */
int sweep_batches(struct leader *l, struct fp_err *err) FP_MUST_CHECK;
int sweep_jobs(struct leader *l, struct fp_err *err) FP_MUST_CHECK;
int sweep_standing(struct leader *l, struct fp_err *err) FP_MUST_CHECK;  /* standing.c */
int sweep_backlog(struct leader *l, struct fp_err *err) FP_MUST_CHECK;   /* backlog.c */
int sweep_schedules(struct leader *l, struct fp_err *err) FP_MUST_CHECK; /* schedules.c */
int complete_jobs(struct leader *l, struct fp_err *err) FP_MUST_CHECK;   /* complete.c */
/* In the log, the metrics and the trace; from any thread. */
void complete_tell(const struct ledger_job *j, const struct ledger_proof *p);

/* Room of a job in its window, read from the ledger now. */
int grant_room(struct leader *l, const struct ledger_job *j, struct leader_track *t, int64_t *room,
               struct fp_err *err) FP_MUST_CHECK;

/* rollout.c: live processes as they are now; and whether a job has to wait since one of them is too old for
 * it: out says why, or is "". */
void rollout_look(struct leader *l, const struct ledger_instance *live, int n);
bool rollout_holds(const struct leader *l, const struct ledger_job *j, char out[160]);

/* False when the error is about this job alone: logs it, and the loop goes on. */
bool leader_is_outage(const struct ledger_job *j, const char *step, const struct fp_err *err);

/* work.c: sends; a message that nobody takes comes again by its due time. */
void work_grant(struct leader *l, const struct ledger_job *j, int32_t interval_no, int32_t grant_no,
                int32_t pages);
void work_batch(struct leader *l, const struct ledger_emit *e);

#endif
