/*
 * SendGrid's signed event webhook: /sendgrid.
 *
 * The signature is ECDSA over the timestamp's text and the raw body. Each
 * element of the array is an event with its own id, and custom_args stand
 * beside its fields. An event that is not of our mails is left out: other mail
 * of the same account is reported here too.
 */
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/text.h"
#include "services/mailer/inbound/report.h"

#define MAX_EVENTS 5000 /* in one request */
#define KEY_BYTES  1024

static const struct kind {
    const char *event, *reason; /* reason: "" or what it must begin with */
    enum delivery_event kind;
    enum suppression_reason suppress;
} kinds[] = {
    {"delivered", "", EVENT_DELIVERED, SUPPRESSION_UNKNOWN},
    {"deferred", "", EVENT_DELAYED, SUPPRESSION_UNKNOWN},
    {"bounce", "", EVENT_BOUNCED, SUPPRESSION_HARD_BOUNCE}, /* type blocked: see read_event() */
    {"dropped", "Bounced Address", EVENT_BOUNCED, SUPPRESSION_HARD_BOUNCE},
    {"dropped", "Invalid", EVENT_BOUNCED, SUPPRESSION_HARD_BOUNCE},
    {"dropped", "Spam Reporting Address", EVENT_BOUNCED, SUPPRESSION_COMPLAINT},
    {"dropped", "Unsubscribed Address", EVENT_BOUNCED, SUPPRESSION_UNSUBSCRIBE},
    {"dropped", "", EVENT_BOUNCED, SUPPRESSION_UNKNOWN},
    {"spamreport", "", EVENT_COMPLAINED, SUPPRESSION_COMPLAINT},
    {"unsubscribe", "", EVENT_UNSUBSCRIBED, SUPPRESSION_UNSUBSCRIBE},
    {"group_unsubscribe", "", EVENT_UNSUBSCRIBED, SUPPRESSION_UNSUBSCRIBE},
};

/* --- the signature --------------------------------------------------------------------- */

static size_t decode(const char *text, unsigned char out[KEY_BYTES])
{
    size_t n = strlen(text), pad = 0;
    if (n == 0 || n % 4 != 0 || n / 4 * 3 > KEY_BYTES)
        return 0;
    while (pad < 2 && text[n - 1 - pad] == '=')
        pad++;
    int got = EVP_DecodeBlock(out, (const unsigned char *)text, (int)n);
    return got > 0 ? (size_t)got - pad : 0;
}

/* The file is read for each request: it can be replaced, and webhooks are few. */
static EVP_PKEY *read_key(const struct request *q, struct fp_err *err)
{
    unsigned char der[KEY_BYTES];
    char *text = NULL;
    if (config_secret(q->set->sendgrid_key_file, &text, err) < 0)
        return NULL;
    const unsigned char *p = der;
    size_t n = decode(text ? text : "", der);
    EVP_PKEY *key = n > 0 ? d2i_PUBKEY(NULL, &p, (long)n) : NULL;
    mem_free(text);
    if (!key)
        (void)err_set(err, FP_FAILED_PRECONDITION,
                      "sendgrid-key-file: its first line is not a public key in base64");
    return key;
}

static bool is_signed(const struct request *q, EVP_PKEY *key, const char *timestamp, const char *signature)
{
    unsigned char raw[KEY_BYTES];
    size_t n = decode(signature, raw);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool good = n > 0 && c && EVP_PKEY_is_a(key, "EC") &&
                EVP_DigestVerifyInit(c, NULL, EVP_sha256(), NULL, key) == 1 &&
                EVP_DigestVerifyUpdate(c, timestamp, strlen(timestamp)) == 1 &&
                EVP_DigestVerifyUpdate(c, q->body, q->bytes) == 1 && EVP_DigestVerifyFinal(c, raw, n) == 1;
    EVP_MD_CTX_free(c);
    return good;
}

static int check(const struct request *q, struct fp_err *err)
{
    const char *signature = q->header(q->ctx, "X-Twilio-Email-Event-Webhook-Signature"),
               *timestamp = q->header(q->ctx, "X-Twilio-Email-Event-Webhook-Timestamp");
    int64_t at_s, now_us = clock_wall_us();
    if (!signature || !timestamp || !text_parse_i64(timestamp, &at_s) || at_s < 0 ||
        at_s > INT64_MAX / FP_US_PER_S)
        return err_set(err, FP_PERMISSION_DENIED, "SendGrid: not signed");
    EVP_PKEY *key = read_key(q, err);
    if (!key)
        return -1;
    bool good = is_signed(q, key, timestamp, signature);
    EVP_PKEY_free(key);
    if (!good)
        return err_set(err, FP_PERMISSION_DENIED, "SendGrid: the signature is wrong");
    if (llabs(now_us - at_s * FP_US_PER_S) > q->set->sendgrid_max_age_ms * 1000)
        return err_set(err, FP_PERMISSION_DENIED, "SendGrid: the signature is too old");
    return 0;
}

/* --- events ------------------------------------------------------------------------------- */

static const struct kind *kind_of(const json_t *event)
{
    const char *name = report_text(event, "event"), *reason = report_text(event, "reason");
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].event, name) == 0 &&
            strncmp(reason, kinds[i].reason, strlen(kinds[i].reason)) == 0)
            return &kinds[i];
    return NULL;
}

/* When it says that it happened; now for what is no time, or none of the past. */
static int64_t time_of(const json_t *event)
{
    int64_t at_s = (int64_t)json_integer_value(json_object_get(event, "timestamp")), now_us = clock_wall_us();
    return at_s > 0 && at_s < now_us / FP_US_PER_S ? at_s * FP_US_PER_S : now_us;
}

/* 0 with the event; 1: nothing for us. */
static int read_event(const struct request *q, const json_t *event, struct ledger_event *e)
{
    struct fp_err err;
    const struct kind *k = kind_of(event);
    if (!k)
        return 1;
    *e = (struct ledger_event){.event = k->kind, .provider = "sendgrid", .suppress = k->suppress};
    if (strcmp(report_text(event, "type"), "blocked") == 0) /* by a policy: not the mailbox's fault */
        e->suppress = SUPPRESSION_UNKNOWN;
    snprintf(e->key, sizeof e->key, "%s", report_text(event, "sg_event_id"));
    report_add_detail(e, report_text(event, "event"));
    report_add_detail(e, report_text(event, "type"));
    report_add_detail(e, report_text(event, "status"));
    e->occurred_us = time_of(event);
    const struct report_names names = {"", report_text(event, "foliopost_token"),
                                       report_text(event, "foliopost_job"),
                                       report_text(event, "foliopost_user")};
    return e->key[0] == '\0' || !text_is_clean(e->key) || report_ids(q->keys, &names, e, &err) != 0;
}

static void keep(const struct request *q, const json_t *events, struct answer *a)
{
    struct fp_err err;
    size_t n = 0, all = json_array_size(events);
    struct ledger_event *e = mem_array(all + 1, sizeof *e);
    for (size_t i = 0; i < all; i++)
        if (read_event(q, json_array_get(events, i), &e[n]) == 0)
            n++;
    if (inbound_store(q->in, e, n, &err) < 0)
        answer_unstored(a, "sendgrid", &err);
    else
        answer_text(a, 200, n > 0 ? "sendgrid" : "ignored", "kept\n");
    mem_free(e);
}

void sendgrid_answer(const struct request *q, struct answer *a)
{
    struct fp_err err;
    json_error_t where;
    if (q->set->sendgrid_key_file[0] == '\0') {
        answer_text(a, 404, "unknown_path", "no SendGrid here: sendgrid-key-file is empty\n");
        return;
    }
    if (check(q, &err) < 0) {
        answer_error(a, "sendgrid", &err);
        return;
    }
    json_t *events = json_loadb(q->body, q->bytes, 0, &where);
    if (!json_is_array(events) || json_array_size(events) > MAX_EVENTS)
        answer_text(a, 400, "bad", "not an array of at most 5,000 events\n");
    else
        keep(q, events, a);
    json_decref(events);
}
