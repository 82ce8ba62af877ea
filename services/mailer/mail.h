/*
 * One mail, and the batch it belongs to, inside the mailer.
 *
 * A mail is one user of a claimed batch. Its state has one writer, mail_move()
 * in batch.c, called by the desk's thread alone:
 *
 *   WAITING   -> RENDERING  handed to the render pool
 *   WAITING   -> KNOWN      needs no mail: skipped, or no summary could be made
 *   RENDERING -> READY      rendered; waits for a slice of the rate
 *   RENDERING -> KNOWN      cannot be rendered: failed; or a dry run's: would be sent
 *   READY     -> ASKED      its intent is in the record being made
 *   WAITING, READY, RESTING -> KNOWN   suppressed while it waited here: skipped
 *   READY     -> KNOWN      the provider that it names or its domain is slow, others want the slot: deferred
 *   ASKED     -> SENDING    the intent is durable; with the senders
 *   ASKED     -> READY      the intent was not opened
 *   SENDING   -> KNOWN      the provider's verdict
 *   SENDING   -> UNSENT     certainly not gone out: the intent is to be withdrawn
 *   READY     -> UNSENT     its batch ends, and an intent may be open (a record in doubt)
 *   UNSENT    -> READY      withdrawn
 *   UNSENT    -> RESTING    withdrawn; was refused, and is not to be tried at once
 *   RESTING   -> READY      its rest is over
 *   KNOWN     -> SETTLED    the outcome is in the ledger
 *   WAITING, RENDERING, READY, RESTING, UNSENT -> LEFT   its batch ends: somebody else's
 *
 * While RENDERING and SENDING a mail is in another thread's hands, and the
 * desk reads nothing of it but its state.
 */
#ifndef FP_MAILER_MAIL_H
#define FP_MAILER_MAIL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/ledger/batches.h"
#include "lib/ledger/suppressions.h"
#include "lib/trace/trace.h"
#include "lib/wire/wire.h"
#include "services/mailer/outcome.h"
#include "services/mailer/renderers.h"
#include "services/mailer/transport.h"

enum mail_state {
    MAIL_WAITING,
    MAIL_RENDERING,
    MAIL_READY,
    MAIL_ASKED,
    MAIL_SENDING,
    MAIL_KNOWN,
    MAIL_UNSENT,
    MAIL_RESTING,
    MAIL_SETTLED,
    MAIL_LEFT,
    MAIL_STATES
};
const char *mail_state_name(enum mail_state s);

struct mail {
    struct batch *batch;
    const Foliopost__V1__SummaryItem *item; /* lives in the batch's arena */
    int64_t user_id;
    int32_t attempts; /* before this one */
    enum mail_state state;
    struct mail *prev, *next;             /* in the desk's list of its state */
    struct mail *in_next;                 /* in the inbox */
    char address_hash[LEDGER_HASH_BYTES]; /* of where it goes; "": no mail can go there */
    bool suppressed;                      /* since it was paged */
    bool intent;                          /* the batch's row may name it as open */
    int8_t provider;                      /* it goes, or went, through; its place among them */
    int16_t provider_no;                  /* of that one, in the ledger; of one it waited for in vain, too */
    int8_t domain;                        /* with a rate of its own; -1: none */
    int64_t turn_until_us;                /* its turn of the rates: to begin until then; 0: lost */
    bool probe;                           /* sent to see whether a fault is over */
    int faults;                           /* provider's faults met by this mail */
    int account_faults;                   /* those of our account there, which are nobody's own */
    int throttles;                        /* throttling replies met by this mail */
    uint64_t passed;                      /* mails that had passed at the first of these */
    uint64_t others;                      /* throttling replies that had come by then */
    int64_t rest_until_us;                /* 0: it may be tried at once */
    char *data;                           /* rendered; NULL: not yet, or sent */
    size_t bytes;
    struct rendered rendered;     /* of it; stays when the data is dropped */
    bool tried;                   /* by the sender: reply holds what came of it */
    struct transport_reply reply; /* set by the sender */
    struct fp_err render_err;     /* set by the render pool when data stays NULL */
    struct outcome outcome;       /* set once KNOWN */
};

/* OPEN: at work. CLOSING: takes back what is not sent, then goes back to the
 * queue. LOST: the claim is another's; only late truth is told. */
enum batch_state { BATCH_OPEN, BATCH_CLOSING, BATCH_LOST };

struct batch {
    struct batch *next; /* of the desk's batches */
    char owner[LEDGER_UUID];
    int64_t id, job_id;
    int32_t epoch;
    bool resend, dry_run;
    int max_attempts;
    int64_t deadline_us;    /* of the job, on our clock; INT64_MAX: none */
    struct fp_arena *arena; /* holds the message */
    const Foliopost__V1__JobContext *job;
    struct mail *mails;
    size_t n_mails;
    size_t next_waiting; /* mails before it are not WAITING */
    int64_t judged_us;   /* when its users were last looked up in the suppressions */
    size_t count[MAIL_STATES];
    enum batch_state state;
    const char *why;        /* it closes; a literal */
    atomic_bool stopped;    /* senders hand back what they have not begun */
    int not_held;           /* records in a row that said so */
    int refused;            /* partings in a row that changed nothing although it is ours */
    size_t held_at;         /* its place in the record being made */
    struct trace_span span; /* from the claim to the parting */
};

struct mail_list {
    struct mail *first, *last;
    size_t n;
};

/* Lists of the desk: one for each state that the desk works through. */
struct mail_lists {
    struct mail_list ready, known, unsent, resting;
    size_t ready_bytes;
};

/* Takes the arena, the message in it and due's contents (users without an
 * outcome, with their attempts). A due user who is not in the message makes
 * the batch CLOSING: it goes back and is made again. */
struct batch *batch_new(const struct ledger_claim *claim, const char *owner, struct fp_arena *arena,
                        const Foliopost__V1__SummaryBatch *message);
void batch_free(struct batch *b); /* no mail may be RENDERING or SENDING */

/* The one writer of mail.state; keeps counts and lists. An illegal move panics. */
void mail_move(struct mail_lists *lists, struct mail *m, enum mail_state to) __attribute__((nonnull));

/* Its outcome for the ledger; points into m. */
void mail_to_ledger(const struct mail *m, struct ledger_outcome *out);

/* OPEN -> CLOSING, or any -> LOST. Takes back what it can at once. */
void batch_close(struct mail_lists *lists, struct batch *b, const char *why);
void batch_lose(struct mail_lists *lists, struct batch *b);
/* Mails in other threads' hands or in a record. */
size_t batch_out(const struct batch *b);
/* Nothing out, nothing to record. */
bool batch_at_rest(const struct batch *b);
/* At rest, and everybody has his outcome in the ledger. */
bool batch_complete(const struct batch *b);
/* "job=12 batch=340", for the line of the log that follows: it carries the batch's trace. */
const char *batch_label(const struct batch *b, char out[64]);

#endif
