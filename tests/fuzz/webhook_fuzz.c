/*
 * Requests at foliopost-inbound: unsubscribe links, SES's notes and SendGrid's
 * events. Most are signed with keys of the target's own, so that what stands
 * behind the signature is reached too. Always one answer; of what would be
 * stored, ids above zero and no address.
 */
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/text.h"
#include "services/mailer/inbound/report.h"
#include "services/mailer/inbound/ses.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/keys.h"

#define TOPIC       "arn:aws:sns:eu-west-1:123456789012:events"
#define CERTIFICATE "https://sns.eu-west-1.amazonaws.com/own.pem"
#define TEXT_BYTES  1024 /* of a signature in base64 */

static char folder[] = "/tmp/foliopost-fuzz-keys.XXXXXX", key_file[64];
static EVP_PKEY *rsa, *ec;
static struct inbound_settings settings = {.unsubscribe_scope = "kind",
                                           .ses_topics = TOPIC,
                                           .sns_certificate_folder = folder,
                                           .sendgrid_key_file = key_file,
                                           .sendgrid_max_age_ms = 3600000};

/* --- in place of the ledger ---------------------------------------------------------- */

static bool clean(const char *text, size_t cap)
{
    return memchr(text, '\0', cap) != NULL && strchr(text, '@') == NULL;
}

int inbound_store(struct inbound *in, const struct ledger_event *e, size_t n, struct fp_err *err)
{
    (void)in;
    for (size_t i = 0; i < n; i++)
        if (e[i].job_id <= 0 || e[i].user_id <= 0 || !memchr(e[i].key, '\0', sizeof e[i].key) ||
            !clean(e[i].detail, sizeof e[i].detail) || !clean(e[i].scope, sizeof e[i].scope) ||
            delivery_event_name(e[i].event)[0] == '\0' || e[i].occurred_us <= 0 ||
            e[i].occurred_us > clock_wall_us())
            BROKEN();
    return n % 7 == 6 ? err_set(err, FP_UNAVAILABLE, "the ledger is away") : 0;
}

/* --- keys ---------------------------------------------------------------------------------- */

static void write_certificate(void)
{
    char path[64];
    X509 *x = X509_new();

    snprintf(path, sizeof path, "%s/own.pem", folder);
    FILE *f = fopen(path, "w");
    X509_gmtime_adj(X509_getm_notBefore(x), 0);
    X509_gmtime_adj(X509_getm_notAfter(x), 86400);
    if (!f || X509_set_pubkey(x, rsa) != 1 || X509_sign(x, rsa, EVP_sha256()) == 0 ||
        PEM_write_X509(f, x) != 1)
        abort();
    fclose(f);
    X509_free(x);
}

static void write_public_key(void)
{
    unsigned char *der = NULL, text[TEXT_BYTES];
    int n = i2d_PUBKEY(ec, &der);
    FILE *f = fopen(key_file, "w");

    if (n <= 0 || !f)
        abort();
    EVP_EncodeBlock(text, der, n);
    fprintf(f, "%s\n", (char *)text);
    fclose(f);
    OPENSSL_free(der);
}

static void clean_up(void)
{
    char path[64];

    snprintf(path, sizeof path, "%s/own.pem", folder);
    unlink(path);
    unlink(key_file);
    rmdir(folder);
}

static void start(void)
{
    rsa = EVP_RSA_gen(1024); /* small, for its speed */
    ec = EVP_EC_gen("P-256");
    if (!rsa || !ec || !mkdtemp(folder))
        abort();
    snprintf(key_file, sizeof key_file, "%s/sendgrid", folder);
    write_certificate();
    write_public_key();
    atexit(clean_up);
    ses_start(&settings);
}

static void sign(EVP_PKEY *key, const void *data, size_t n, char text[TEXT_BYTES])
{
    unsigned char raw[TEXT_BYTES / 2];
    size_t bytes = sizeof raw;
    EVP_MD_CTX *c = EVP_MD_CTX_new();

    if (EVP_DigestSignInit(c, NULL, EVP_sha256(), NULL, key) != 1 ||
        EVP_DigestSign(c, raw, &bytes, data, n) != 1)
        abort();
    EVP_EncodeBlock((unsigned char *)text, raw, (int)bytes);
    EVP_MD_CTX_free(c);
}

/* --- requests --------------------------------------------------------------------------------- */

struct headers {
    char signature[TEXT_BYTES], timestamp[32];
};

static const char *header_of(void *ctx, const char *name)
{
    const struct headers *h = ctx;

    if (strstr(name, "Signature"))
        return h->signature[0] ? h->signature : NULL;
    return strstr(name, "Timestamp") && h->timestamp[0] ? h->timestamp : NULL;
}

static void ask(void (*answer)(const struct request *, struct answer *), struct request *q)
{
    struct answer a = {0};

    q->set = &settings;
    q->keys = fuzz_keys();
    q->header = header_of;
    char *body = mem_alloc(q->bytes + 1); /* ended by a NUL, as the door does it, and by nothing else */
    memcpy(body, q->body, q->bytes);
    q->body = body;
    str_init(&a.body, 65536);
    answer(q, &a);
    mem_free(body);
    if (a.status < 200 || a.status > 503 || !a.type)
        BROKEN();
    str_fini(&a.body);
}

static void sendgrid(struct bytes *b)
{
    struct headers h = {0};
    struct fp_str signed_text;

    snprintf(h.timestamp, sizeof h.timestamp, "%lld", (long long)(clock_wall_us() / FP_US_PER_S));
    str_init(&signed_text, 0);
    str_puts(&signed_text, h.timestamp);
    str_add(&signed_text, b->at, (size_t)(b->end - b->at));
    sign(ec, signed_text.data, signed_text.len, h.signature);
    ask(sendgrid_answer, &(struct request){.is_post = true,
                                           .path = "",
                                           .body = signed_text.data + strlen(h.timestamp),
                                           .bytes = (size_t)(b->end - b->at),
                                           .ctx = &h});
    str_fini(&signed_text);
}

/* A note signed as SNS signs, whose Message is the input. */
static void note(struct bytes *b)
{
    char signature[TEXT_BYTES];
    struct fp_str text;
    json_t *message = json_stringn((const char *)b->at, (size_t)(b->end - b->at));

    if (!message || memchr(b->at, '\0', (size_t)(b->end - b->at))) {
        json_decref(message);
        return; /* no text: JSON has none such */
    }
    str_init(&text, 0);
    str_printf(&text,
               "Message\n%s\nMessageId\nid-1\nTimestamp\n2026-11-01T00:00:00.000Z\nTopicArn\n" TOPIC
               "\nType\nNotification\n",
               json_string_value(message));
    sign(rsa, text.data, text.len, signature);
    json_t *m = json_pack("{s:s,s:s,s:o,s:s,s:s,s:s,s:s,s:s}", "Type", "Notification", "MessageId", "id-1",
                          "Message", message, "TopicArn", TOPIC, "Timestamp", "2026-11-01T00:00:00.000Z",
                          "SignatureVersion", "2", "Signature", signature, "SigningCertURL", CERTIFICATE);
    char *body = json_dumps(m, JSON_COMPACT);
    ask(ses_answer, &(struct request){.is_post = true, .path = "", .body = body, .bytes = strlen(body)});
    free(body);
    json_decref(m);
    str_fini(&text);
}

static void link_of(struct bytes *b)
{
    struct token_ids ids = {TOKEN_UNSUBSCRIBE, TOKEN_KIND_WEEKLY, 1 + byte_of(b), 1 + byte_of(b)};
    struct fp_err err;
    char path[256] = "";
    bool post = pick(b, 2);
    size_t n = (size_t)pick(b, 200);

    if (pick(b, 2) && token_make(fuzz_keys(), &ids, path, &err) < 0)
        BROKEN();
    for (size_t i = strlen(path); i < n; i++)
        path[i] = (char)byte_of(b);
    ask(unsubscribe_answer, &(struct request){.is_post = post,
                                              .path = path,
                                              .body = (const char *)b->at,
                                              .bytes = (size_t)(b->end - b->at)});
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes b = {data, data + size};

    if (!rsa)
        start();
    switch (pick(&b, 4)) {
    case 0:
        sendgrid(&b);
        break;
    case 1:
        note(&b);
        break;
    case 2: /* the envelope too, unsigned */
        ask(ses_answer, &(struct request){.is_post = true,
                                          .path = "",
                                          .body = (const char *)b.at,
                                          .bytes = (size_t)(b.end - b.at)});
        break;
    default:
        link_of(&b);
        break;
    }
    return 0;
}
