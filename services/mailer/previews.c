/*
 * A thread that looks for summaries of previews, writes each as letter.c writes
 * a trial, and answers with the mail, or with what a provider said of it. It has
 * nothing to do with the desk: a preview works while jobs stand, and no outcome,
 * no suppression and no slice of the rate comes of it.
 *
 * The job's id of such a summary is 1, as messages demand one; the mail is written
 * with 0, so that its Message-ID is never that of a job's mail. Nothing of the
 * mail or its address is logged.
 */
#define _GNU_SOURCE /* pthread_setname_np */
#include "services/mailer/previews.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/ledger/previews.h"
#include "lib/log/log.h"
#include "services/mailer/letter.h"
#include "services/mailer/once.h"
#include "services/mailer/providers.h"
#include "services/mailer/settings.h"

#define POLL_MS      250  /* a look at a table that is nearly always empty */
#define TROUBLE_MS   5000 /* the ledger is away, or we may not read the table */
#define LOG_EVERY_MS 600000
#define HEX_BYTES    (2 * RENDER_CONTENT_BYTES + 1)

struct preview_desk {
    struct preview_options o;
    struct desk_options providers; /* these alone are filled in */
    struct fp_ledger *ledger;
    struct fp_arena *arena;
    pthread_t thread;
    long long logged_us;
    atomic_bool draining, ended;
};

/* All that one answer is made of. */
struct mail_shown {
    const Foliopost__V1__SummaryBatch *batch;
    const Foliopost__V1__SummaryItem *item;
    struct fp_str subject, text, html, source;
    struct rendered rendered;
    char version[2 * RENDER_VERSION_BYTES + 1], content[HEX_BYTES];
};

static void trouble(struct preview_desk *p, const struct fp_err *err)
{
    if (log_limited(&p->logged_us, LOG_EVERY_MS))
        log_warn("", "no previews", "reason=%s", err->msg);
}

static void shown_init(struct mail_shown *s)
{
    *s = (struct mail_shown){.batch = NULL};
    str_init(&s->subject, 0);
    str_init(&s->text, 0);
    str_init(&s->html, 0);
    str_init(&s->source, 0);
}

static void shown_fini(struct mail_shown *s)
{
    str_fini(&s->subject);
    str_fini(&s->text);
    str_fini(&s->html);
    str_fini(&s->source);
}

/* --- the mail --------------------------------------------------------------------------- */

static int read_summary(struct preview_desk *p, const struct ledger_preview *one, struct mail_shown *s,
                        struct fp_err *err)
{
    s->batch = one->data == NULL ? NULL
                                 : wire_unpack(&foliopost__v1__summary_batch__descriptor, one->data,
                                               one->bytes, p->arena, err);
    if (s->batch == NULL || s->batch->n_items != 1 ||
        s->batch->items[0]->outcome_case != FOLIOPOST__V1__SUMMARY_ITEM__OUTCOME_SUMMARY)
        return err_set(err, FP_INTERNAL, "what stats gave the mailer is not one summary");
    s->item = s->batch->items[0];
    s->batch->job->job_id = 0;
    return 0;
}

static void print_hex(const unsigned char *bytes, size_t n, char *out)
{
    for (size_t i = 0; i < n; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static int write_source(const struct preview_desk *p, const struct ledger_preview *one, struct mail_shown *s,
                        struct fp_err *err)
{
    const struct letter_trial as = {.to = one->send_to, .test = one->send_to[0] != '\0'};
    if (!templates_has(p->o.set->loaded, s->batch->job->template_name))
        return err_set(err, FP_INVALID_ARGUMENT, "template_name: the mailers have none of the name \"%.64s\"",
                       s->batch->job->template_name);
    if (letter_mail(p->o.set, s->batch->job, s->item, &as, &s->source, &s->rendered, err) != 0)
        return err_prefix(err, "the mail cannot be written");
    print_hex(s->rendered.content.template_version, RENDER_VERSION_BYTES, s->version);
    print_hex(s->rendered.content.content, RENDER_CONTENT_BYTES, s->content);
    return 0;
}

static int write_parts(const struct preview_desk *p, struct mail_shown *s, struct fp_err *err)
{
    static const struct letter_trial as = {.to = "", .test = false};
    const struct mailer_settings *set = p->o.set;
    const Foliopost__V1__JobContext *job = s->batch->job;
    if (letter_part(set, job, s->item, &as, RENDER_SUBJECT, &s->subject, err) != 0 ||
        letter_part(set, job, s->item, &as, RENDER_TEXT, &s->text, err) != 0 ||
        letter_part(set, job, s->item, &as, RENDER_HTML, &s->html, err) != 0)
        return -1;
    while (s->subject.len > 0 &&
           s->subject.data[s->subject.len - 1] == '\n') /* the template's last line ends */
        s->subject.data[--s->subject.len] = '\0';
    return 0;
}

/* --- the answer ---------------------------------------------------------------------------- */

static ProtobufCBinaryData bytes_of(const struct fp_str *s)
{
    return (ProtobufCBinaryData){.len = s->len, .data = (uint8_t *)s->data};
}

static int show(struct preview_desk *p, struct mail_shown *s, struct fp_str *out, struct fp_err *err)
{
    Foliopost__V1__PreviewEmailResponse r = FOLIOPOST__V1__PREVIEW_EMAIL_RESPONSE__INIT;
    if (write_parts(p, s, err) != 0)
        return -1;
    r.subject = s->subject.data != NULL ? s->subject.data : (char *)"";
    r.text = bytes_of(&s->text);
    r.html = bytes_of(&s->html);
    r.source = bytes_of(&s->source);
    r.size_bytes = (int64_t)s->source.len;
    r.template_version = s->version;
    r.content_hash = s->content;
    return wire_pack(&r.base, WIRE_MAX_RPC_BYTES, out, err);
}

static int send_test(struct preview_desk *p, const struct ledger_preview *one, struct mail_shown *s,
                     struct fp_str *out, struct fp_err *err)
{
    Foliopost__V1__SendTestResponse r = FOLIOPOST__V1__SEND_TEST_RESPONSE__INIT;
    const struct transport_mail m = {.sender = s->rendered.sender,
                                     .recipient = one->send_to,
                                     .data = s->source.data,
                                     .bytes = s->source.len,
                                     .user_id = s->item->user->id};
    struct transport_reply reply;
    const struct provider_options *through =
        once_choose(&p->providers, one->provider, s->rendered.provider, err);
    if (through == NULL)
        return err_prefix(err, "provider");
    if (once_send(through, &m, &reply, err) != 0)
        return -1;
    r.provider = (char *)through->name;
    r.transport = (char *)through->transport->name;
    r.provider_id = reply.provider_id;
    r.size_bytes = (int64_t)s->source.len;
    r.template_version = s->version;
    r.content_hash = s->content;
    return wire_pack(&r.base, WIRE_MAX_RPC_BYTES, out, err);
}

static int make(struct preview_desk *p, const struct ledger_preview *one, struct fp_str *out,
                struct fp_err *err)
{
    struct mail_shown s;
    shown_init(&s);
    int rc = read_summary(p, one, &s, err);
    if (rc == 0)
        rc = write_source(p, one, &s, err);
    if (rc == 0)
        rc = one->send_to[0] != '\0' ? send_test(p, one, &s, out, err) : show(p, &s, out, err);
    shown_fini(&s);
    return rc;
}

static void work_on(struct preview_desk *p, const struct ledger_preview *one, const char *owner)
{
    Foliopost__V1__RpcReply reply = FOLIOPOST__V1__RPC_REPLY__INIT;
    struct fp_str payload, packed;
    struct fp_err err;
    reply.schema_version = WIRE_SCHEMA_VERSION;
    str_init(&payload, WIRE_MAX_RPC_BYTES + 1);
    str_init(&packed, LEDGER_ANSWER_BYTES + 1);
    if (make(p, one, &payload, &err) == 0) {
        reply.payload = bytes_of(&payload);
    } else {
        reply.code = (int32_t)err.code;
        reply.message = err.msg;
    }
    struct fp_err failed;
    if (wire_pack(&reply.base, LEDGER_ANSWER_BYTES, &packed, &failed) != 0 ||
        ledger_preview_answer(p->ledger, one->id, owner, packed.data, packed.len, &failed) != 0)
        trouble(p, &failed);
    str_fini(&payload);
    str_fini(&packed);
    arena_reset(p->arena);
}

/* --- the thread --------------------------------------------------------------------------- */

/* How long to wait before the next look. */
static int turn(struct preview_desk *p)
{
    struct ledger_preview one;
    struct fp_err err;
    char owner[LEDGER_UUID];
    p->o.owner(p->o.ctx, owner);
    int taken = ledger_preview_take(p->ledger, PREVIEW_WRITE, owner, &one, &err);
    if (taken < 0) {
        trouble(p, &err);
        return TROUBLE_MS;
    }
    if (taken == 0)
        return POLL_MS;
    work_on(p, &one, owner);
    ledger_preview_fini(&one);
    return 0;
}

static void *preview_main(void *arg)
{
    struct preview_desk *p = arg;
    pthread_setname_np(pthread_self(), "previews");
    while (!atomic_load(&p->draining)) {
        int wait_ms = turn(p);
        for (; wait_ms > 0 && !atomic_load(&p->draining); wait_ms -= POLL_MS)
            clock_sleep_us(POLL_MS * 1000);
    }
    atomic_store(&p->ended, true);
    return NULL;
}

struct preview_desk *preview_desk_start(const struct preview_options *o, struct fp_err *err)
{
    struct preview_desk *p = mem_alloc(sizeof(*p));
    p->o = *o;
    providers_to_desk(o->set->providers, &p->providers);
    p->ledger = ledger_open(&o->ledger, err);
    if (p->ledger == NULL) {
        mem_free(p);
        return NULL;
    }
    p->arena = arena_new(WIRE_MAX_ARENA_BYTES);
    if (pthread_create(&p->thread, NULL, preview_main, p) != 0)
        fp_panic("cannot start the thread of previews");
    return p;
}

void preview_desk_drain(struct preview_desk *p)
{
    atomic_store(&p->draining, true);
}

bool preview_desk_drained(struct preview_desk *p)
{
    return atomic_load(&p->ended);
}

void preview_desk_stop(struct preview_desk *p)
{
    if (!preview_desk_drained(p)) /* a provider that does not answer: it ends with the process */
        return;
    pthread_join(p->thread, NULL);
    ledger_close(p->ledger);
    arena_free(p->arena);
    mem_free(p);
}
