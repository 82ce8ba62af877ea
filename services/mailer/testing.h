/*
 * What the tests of the desk share: a scripted provider, a lease that can be
 * taken away, messages for batches of the ledger, and a desk over a real
 * PostgreSQL. A test program includes it once.
 */
#ifndef FP_MAILER_TESTING_H
#define FP_MAILER_TESTING_H

#include <pthread.h>
#include <stdatomic.h>

#include "lib/ledger/testing.h"
#include "lib/metrics/metrics.h"
#include "services/mailer/desk.h"
#include "services/mailer/intake.h"

#define F_USERS 20000 /* ids below this are counted */

/* --- the provider ------------------------------------------------------------------------ */

/* What the next mails meet; verdict_of may look at the user. */
static enum verdict (*f_verdict)(int64_t user_id);
static int f_code;
static bool f_vague;               /* refusals do not name the mailbox */
static bool f_account;             /* PROVIDER_FAULT is of the account */
static int64_t f_retry_after_ms;   /* what replies ask for */
static bool f_suppress;            /* FAILED is a mailbox that is not there */
static atomic_int f_sent[F_USERS]; /* accepted, or perhaps accepted */
static atomic_int f_tries, f_in_hand;
static atomic_bool f_blocked; /* senders wait inside send() */
static int f_connect_ms;      /* how long a connection takes to make */
static int64_t f_times_us[F_USERS];
static atomic_int f_n_times;

static enum verdict f_all_sent(int64_t user_id)
{
    (void)user_id;
    return VERDICT_SENT;
}

static int f_check(const struct transport_settings *s, struct fp_err *err)
{
    (void)s;
    (void)err;
    return 0;
}

struct transport {
    bool connected;
};

static struct transport *f_open(const struct transport_settings *s, struct fp_err *err)
{
    (void)s;
    (void)err;
    return mem_alloc(sizeof(struct transport));
}

/* As the real ones do: the turn is looked at once a connection stands, at each mail. */
static bool f_connect(struct transport *t, const struct transport_mail *m)
{
    if (!t->connected)
        clock_sleep_us(f_connect_ms * INT64_C(1000));
    t->connected = true;
    return m->turn(m->ctx);
}

static void f_send(struct transport *t, const struct transport_mail *m, struct transport_reply *reply)
{
    static const char *const reasons[] = {"",         "450 4.2.0 later",    "550 5.1.1 no mailbox",
                                          "no reply", "421 4.7.0 too fast", "connection refused"};
    if (!f_connect(t, m)) {
        reply->untried = true;
        return;
    }
    atomic_fetch_add(&f_tries, 1);
    atomic_fetch_add(&f_in_hand, 1);
    enum verdict v = f_verdict(m->user_id);
    while (atomic_load(&f_blocked))
        clock_sleep_us(1000);
    reply->verdict = v;
    reply->code = f_code;
    reply->account = f_account && v == VERDICT_PROVIDER_FAULT;
    reply->retry_after_ms = f_retry_after_ms;
    reply->at_recipient = f_code != 0;
    reply->vague = f_vague && (v == VERDICT_DEFERRED || v == VERDICT_FAILED);
    reply->suppress = f_suppress && v == VERDICT_FAILED;
    (void)snprintf(reply->reason, sizeof(reply->reason), "%s", reasons[v]);
    (void)snprintf(reply->provider_id, sizeof(reply->provider_id), "id-%lld", (long long)m->user_id);
    if (v == VERDICT_SENT || v == VERDICT_AMBIGUOUS) {
        atomic_fetch_add(&f_sent[m->user_id % F_USERS], 1);
        f_times_us[atomic_fetch_add(&f_n_times, 1) % F_USERS] = clock_mono_us();
    }
    atomic_fetch_sub(&f_in_hand, 1);
}

static void f_close(struct transport *t)
{
    mem_free(t);
}

static const struct transport_ops f_transport = {
    .name = "fake", .check = f_check, .open = f_open, .send = f_send, .close = f_close};

static T_UNUSED int f_total(void)
{
    int n = 0;
    for (int i = 0; i < F_USERS; i++)
        n += atomic_load(&f_sent[i]);
    return n;
}

static T_UNUSED int f_most(void)
{
    int n = 0;
    for (int i = 0; i < F_USERS; i++)
        n = atomic_load(&f_sent[i]) > n ? atomic_load(&f_sent[i]) : n;
    return n;
}

/* --- lease and renderer ------------------------------------------------------------------- */

static pthread_mutex_t f_lock = PTHREAD_MUTEX_INITIALIZER;
static char f_owner[37];
static bool f_held;

static void f_set_lease(const char *owner, bool held)
{
    pthread_mutex_lock(&f_lock);
    (void)snprintf(f_owner, sizeof(f_owner), "%s", owner);
    f_held = held;
    pthread_mutex_unlock(&f_lock);
}

static void f_lease_owner(void *ctx, char out[37])
{
    (void)ctx;
    pthread_mutex_lock(&f_lock);
    memcpy(out, f_owner, sizeof(f_owner));
    pthread_mutex_unlock(&f_lock);
}

static bool f_lease_owns(void *ctx, const char *owner)
{
    (void)ctx;
    pthread_mutex_lock(&f_lock);
    bool owns = f_held && strcmp(owner, f_owner) == 0;
    pthread_mutex_unlock(&f_lock);
    return owns;
}

static const struct lease f_lease = {.owner = f_lease_owner, .owns = f_lease_owns};

static int8_t (*f_names)(int64_t user_id); /* the provider that his mail names; NULL: none does */

static int f_render(void *ctx, const Foliopost__V1__JobContext *job, const Foliopost__V1__SummaryItem *item,
                    struct fp_str *out, struct rendered *rendered, struct fp_err *err)
{
    (void)ctx;
    memset(&rendered->content, 0xab, sizeof(rendered->content));
    (void)snprintf(rendered->sender, sizeof(rendered->sender), "bounce@example.com");
    rendered->token[0] = '\0';
    rendered->provider = f_names ? f_names(item->user->id) : -1;
    if (strcmp(item->user->first_name, "Unprintable") == 0)
        return err_set(err, FP_INVALID_ARGUMENT, "a name that cannot be printed");
    str_printf(out, "Message-ID: <%lld.%lld.x@example.com>\r\nSubject: x\r\n\r\nhello\r\n",
               (long long)job->job_id, (long long)item->user->id);
    return 0;
}

static void f_note(void *ctx, const char *why)
{
    (void)ctx;
    (void)why;
}

static void f_beat(void *ctx, int id, const char *name)
{
    (void)ctx;
    (void)id;
    (void)name;
}

/* --- the desk and its intake ----------------------------------------------------------------- */

static struct desk *f_desk;
static struct intake *f_intake;

static struct desk_options f_options(void)
{
    return (struct desk_options){
        .ledger = {.dsn = t_dsn, .application = "desk_test", .prepare = true},
        .lease = f_lease,
        .render = {.mail = f_render},
        .providers = {{.name = "default", .transport = &f_transport, .weight = 1, .connections = 8}},
        .n_providers = 1,
        .render_threads = 2,
        .slots = 4,
        .retry_base_ms = 60000,
        .retry_cap_ms = 3600000,
        .fault_pause_ms = 900000,
        .note = f_note,
        .beat = f_beat,
    };
}

static T_UNUSED void f_start(const struct desk_options *o)
{
    const struct intake_options in = {.ledger = o->ledger, .lease = f_lease, .beat = f_beat};
    f_set_lease(t_mailer, true);
    f_desk = desk_start(o, &t_err);
    if (!f_desk)
        fail_msg("desk: %s", t_err.msg);
    struct intake_options with_desk = in;
    with_desk.desk = f_desk;
    f_intake = intake_start(&with_desk, &t_err);
    assert_non_null(f_intake);
}

static T_UNUSED void f_stop(void)
{
    intake_stop(f_intake);
    (void)desk_stop(f_desk);
    f_desk = NULL;
    f_intake = NULL;
}

static T_UNUSED int f_clean(void **state)
{
    f_verdict = f_all_sent;
    f_code = 0;
    f_vague = f_account = false;
    f_retry_after_ms = 0;
    f_suppress = false;
    f_names = NULL;
    f_connect_ms = 0;
    atomic_store(&f_blocked, false);
    atomic_store(&f_tries, 0);
    atomic_store(&f_n_times, 0);
    for (int i = 0; i < F_USERS; i++)
        atomic_store(&f_sent[i], 0);
    metrics_reset();
    return t_clean(state);
}

/* --- messages ------------------------------------------------------------------------------------ */

struct f_batch {
    Foliopost__V1__SummaryBatch message;
    Foliopost__V1__JobContext job;
    Foliopost__V1__SummaryItem items[200], *item_of[200];
    Foliopost__V1__User users[200];
    Foliopost__V1__PortfolioSummary summaries[200];
    Foliopost__V1__SummaryFailure failure;
    char emails[200][64];
};

static T_UNUSED void f_fill(struct f_batch *b, int64_t job, int64_t batch, int64_t first, int n)
{
    foliopost__v1__summary_batch__init(&b->message);
    foliopost__v1__job_context__init(&b->job);
    foliopost__v1__summary_failure__init(&b->failure);
    b->failure.reason = (char *)"missing_price";
    b->job.job_id = job;
    b->job.kind = (char *)"monthly";
    b->job.period_start_day = 20000;
    b->job.period_end_day = 20030;
    b->job.as_of_us = b->job.mail_date_us = 20040 * T_DAY;
    b->job.template_name = (char *)"statement";
    b->job.brand = (char *)"default";
    b->message.schema_version = WIRE_SCHEMA_VERSION;
    b->message.job = &b->job;
    b->message.batch_id = batch;
    b->message.items = b->item_of;
    b->message.n_items = (size_t)n;
    for (int i = 0; i < n; i++) {
        foliopost__v1__summary_item__init(&b->items[i]);
        foliopost__v1__user__init(&b->users[i]);
        foliopost__v1__portfolio_summary__init(&b->summaries[i]);
        b->item_of[i] = &b->items[i];
        (void)snprintf(b->emails[i], sizeof(b->emails[i]), "user%lld@example.com", (long long)(first + i));
        b->users[i].id = first + i;
        b->users[i].email = b->emails[i];
        b->users[i].base_currency = (char *)"EUR";
        b->summaries[i].currency = (char *)"EUR";
        b->summaries[i].exponent = 2;
        b->summaries[i].since_day = 20000;
        b->summaries[i].prices_as_of_day = 20030;
        b->items[i].user = &b->users[i];
        b->items[i].summary = &b->summaries[i];
        b->items[i].outcome_case = FOLIOPOST__V1__SUMMARY_ITEM__OUTCOME_SUMMARY;
    }
}

/* Waits for a slot; whether it was claimed. */
static T_UNUSED bool f_give(const struct f_batch *b)
{
    struct fp_str packed;
    str_init(&packed, 0);
    assert_ok(wire_pack(&b->message.base, WIRE_MAX_MESSAGE_BYTES, &packed, &t_err));
    while (!desk_take_slot(f_desk, 100))
        ;
    bool claimed = intake_message(f_intake, packed.data, packed.len);
    str_fini(&packed);
    return claimed;
}

/* Pages users first..first+n-1 as a batch, and gives its message to the mailer. */
static T_UNUSED int64_t f_batch(int64_t job, int64_t first, int n)
{
    static struct f_batch b;
    int64_t batch = t_paged(job, first, n, false);
    f_fill(&b, job, batch, first, n);
    assert_true(f_give(&b));
    return batch;
}

#define f_await(condition, seconds)                                                                          \
    do {                                                                                                     \
        int64_t f_end_us = clock_mono_us() + (seconds)*FP_US_PER_S;                                          \
        while (!(condition)) {                                                                               \
            if (clock_mono_us() > f_end_us)                                                                  \
                fail_msg("not within %d s: %s", (int)(seconds), #condition);                                 \
            clock_sleep_us(2000);                                                                            \
        }                                                                                                    \
    } while (0)

#define f_idle() (desk_slots_used(f_desk) == 0)

#endif
