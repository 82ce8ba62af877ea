/* What the desk's files share. All of it belongs to the desk's thread, other
 * than the atomics. */
#ifndef FP_MAILER_DESK_INTERNAL_H
#define FP_MAILER_DESK_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "lib/ledger/ledger.h"
#include "services/mailer/desk.h"
#include "services/mailer/hold.h"
#include "services/mailer/inbox.h"
#include "services/mailer/mail.h"
#include "services/mailer/pacer.h"

#define DESK_BEAT   0 /* the loops of the process, for /livez */
#define PACER_BEAT  1
#define INTAKE_BEAT 2

#define RECORD_MAX_OUTCOMES 1000 /* in one statement: some 100 kB of parameters */
#define OPEN_MAX            1000 /* open intents, whatever the rate */

/* The statement being made: parallel arrays of mails and what is told of them. */
struct record_set {
    struct ledger_held *held;
    size_t n_held;
    struct mail *known[RECORD_MAX_OUTCOMES], *unsent[OPEN_MAX], *asked[OPEN_MAX];
    int8_t via[OPEN_MAX]; /* the provider of each asked */
    size_t n_known, n_unsent, n_asked;
    bool in_doubt;    /* ledger_record() says when */
    int64_t asked_us; /* when the turns of the asked were taken */
    struct ledger_outcome outcomes[RECORD_MAX_OUTCOMES];
    struct ledger_intent withdrawn[OPEN_MAX], intents[OPEN_MAX];
};

/* Claims that the ledger holds for us and that are in no hands. */
#define STRAYS_MAX 64
struct strays {
    struct ledger_held seen[STRAYS_MAX];
    int n;
    int64_t looked_us;
};

/* One way to the mailboxes: its senders, its rate, its faults. */
struct provider {
    const struct provider_options *o;
    int16_t no;  /* in the ledger: what deliveries name it by */
    int channel; /* of the pacer: its place among the providers */
    struct senders *senders;
    struct hold hold;
    bool fault_told;  /* the ledger may say that it stands */
    size_t out;       /* mails with its senders */
    double credit;    /* mails that it is owed by its weight */
    int64_t named_us; /* when a mail that names it last came; 0: never */
    /* of the plan being made */
    size_t allowed, can, taken;
    size_t named;    /* ready mails that name it */
    bool named_only; /* it stands by: what it can take is for those */
    double planned_credit;
};

/* A recipients' domain with a rate of its own. */
struct domain {
    const struct domain_options *o;
    int channel;
    int64_t came_us;          /* when a mail of it that names no provider last came; 0: never */
    size_t ready, can, taken; /* of the plan being made */
    bool behind;              /* more is ready than its rate takes within two slices */
};

struct desk {
    struct desk_options o;
    struct provider providers[PROVIDERS_MAX];
    struct domain domains[DOMAINS_MAX];
    unsigned well;    /* providers that share the mails, a bit each */
    bool any_named;   /* a mail has named a provider */
    bool any_limited; /* a mail was of a domain with a rate of its own */
    size_t
        ready_bound; /* of the ready ones: name a provider, or are more than their domain's rate takes soon */
    bool named_shared;  /* ready ones name a provider that others share in */
    int64_t free_us;    /* when a mail that waits for neither last came; 0: never */
    int64_t crowded_us; /* since when all that is here waits for one of these; 0: it does not */
    struct fp_ledger *ledger;
    struct inbox *inbox;
    struct renderers *renderers;
    struct pacer *pacer;
    pthread_t thread;
    bool thread_runs;
    atomic_bool draining, stopping;
    atomic_int open_now; /* for the gauge */

    struct batch *batches; /* in the order of their claims */
    size_t n_batches, rendering;
    struct mail_lists lists;
    atomic_bool stands_back; /* of others that may work: one batch to probe with, no new claim */
    char noted[256];         /* what the process says of itself */
    char owner[LEDGER_UUID];
    size_t out; /* mails with the senders */
    int64_t last_record_us;
    int64_t rested_us;      /* when a resting mail may go again; INT64_MAX: there is none */
    int64_t known_since_us; /* the oldest outcome not recorded; 0: none */
    double per_second;      /* outcomes, smoothed */
    int64_t measured_us;
    size_t measured;       /* outcomes since then */
    int64_t retry_wait_us; /* while the ledger is away */
    long long logged_us;
    atomic_llong claiming; /* the intake's: a claim under way, or on its way to the inbox; 0: none */
    struct strays strays;
    unsigned short dice[3];
    struct record_set record;
};

/* route.c: which of the ready mails may be opened now, and through which
 * provider; the record being made names them. */
struct plan {
    size_t can;      /* intents to open now */
    int64_t next_us; /* when a rate gives more */
    bool worth;      /* what can be opened is worth a statement */
};
void desk_route(struct desk *d, struct plan *plan);
/* Intents a provider may have open. */
size_t desk_open_cap(const struct desk *d, const struct provider *p);
/* All providers stand, or have to wait. */
bool desk_all_stand(const struct desk *d);

/* turn.c: the rates' turn that the plan has for a mail becomes its own. */
void desk_use_turn(struct desk *d, struct mail *m);
/* The statement that opened its intent took so long, of which half a slice does not count. */
void desk_keep_turn(struct mail *m, int64_t statement_us);
/* Of a sender that is about to begin: see struct senders_options. ctx is the desk. */
bool desk_turn(void *ctx, struct mail *m, int64_t wait_us);

/* record.c: one statement with all outcomes so far, what is withdrawn, and new
 * intents for the mails of the plan, or none; then what follows from its answer. */
void desk_record(struct desk *d, bool with_new);

/* settle.c: finishes, releases and forgets batches that are at rest. */
void desk_settle(struct desk *d);
bool desk_holds_lease(const struct desk *d);

/* strays.c: what the ledger says of a batch after a step of ours changed nothing. */
enum claim_is { CLAIM_MINE, CLAIM_GONE, CLAIM_UNKNOWN };
enum claim_is desk_look_at_claim(struct desk *d, const struct batch *b);
/* Every few seconds: claims of ours that nobody here knows go back. */
void desk_check_strays(struct desk *d);
/* suppressed.c: looks again at batches that have waited here for seconds. */
void desk_check_suppressed(struct desk *d);
/* park.c: puts off what waits for the one provider that it names and that stands or is slow, when it takes
 * all slots. */
void desk_park(struct desk *d);
/* A new owner: what was claimed before is lost. False while no lease is held. */
bool desk_check_owner(struct desk *d);
/* A fault that lasts: pauses the jobs at hand. */
void desk_check_fault(struct desk *d);
/* A step of the ledger failed: waits a while, longer each time. False: stop. */
bool desk_again(struct desk *d, const char *step, const struct fp_err *err);
void desk_ledger_well(struct desk *d);

/* replies.c */
void desk_take_replied(struct desk *d, struct mail *first);
void desk_fault_metric(const struct provider *p, double value);

#endif
