/*
 * Signatures of SNS.
 *
 * The message names the URL of the certificate that checks it, so everything
 * hangs on that URL: HTTPS, a host of SNS in the topic's own region, at its root a
 * name of plain characters that ends in .pem; no folder, user, port, query, escape or
 * redirect. The topic must be one of ours first: anybody can have a topic of
 * his own that SNS signs for. Certificates are kept for a day, eight of them,
 * and at most one is fetched in a second, so that forged names make no traffic.
 */
#include "services/mailer/inbound/sns.h"

#include <curl/curl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"

#define KEPT          8
#define KEEP_US       FP_US_PER_DAY
#define FETCH_US      FP_US_PER_S
#define PEM_BYTES     16384
#define FETCH_MS      5000L
#define SIGNATURE_MAX 1024 /* bytes of an RSA key of 8,192 bits */

struct kept {
    char url[256];
    EVP_PKEY *key;
    int64_t until_us;
};

struct sns {
    char *topics, *folder;
    sns_get *get;
    void *ctx;
    pthread_mutex_t lock; /* of what follows; nothing is waited for under it */
    struct kept kept[KEPT];
    int next;
    int64_t fetched_us;
    bool fetching;
};

/* --- URLs ----------------------------------------------------------------------------- */

static bool plain(const char *s, const char *more)
{
    for (; *s != '\0'; s++)
        if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9')) &&
            strchr(more, *s) == NULL)
            return false;
    return true;
}

bool sns_is_own_url(const char *url, const char *region)
{
    char start[2][96];
    if (region[0] == '\0' || strlen(region) > 32 || !plain(region, "-"))
        return false;
    snprintf(start[0], sizeof start[0], "https://sns.%s.amazonaws.com/", region);
    snprintf(start[1], sizeof start[1], "https://sns.%s.amazonaws.com.cn/", region);
    for (int i = 0; i < 2; i++) {
        size_t n = strlen(start[i]);
        if (strncmp(url, start[i], n) == 0 && strlen(url) < 1024)
            return plain(url + n, "-._~/?&=:%");
    }
    return false;
}

static bool is_certificate_url(const char *url, const char *region)
{
    size_t n = strlen(url);
    if (!sns_is_own_url(url, region) || n >= sizeof((struct kept *)0)->url)
        return false;
    const char *name = strchr(url + sizeof "https://" - 1, '/') + 1;
    return plain(name, "-.") && name[0] != '.' && strcmp(url + n - 4, ".pem") == 0;
}

/* --- fetching ---------------------------------------------------------------------------- */

static size_t take(char *data, size_t size, size_t n, void *ctx)
{
    struct fp_str *out = ctx;
    str_add(out, data, size * n);
    return out->overflow ? 0 : size * n;
}

static int get_by_curl(void *ctx, const char *url, struct fp_str *out, struct fp_err *err)
{
    long status = 0;
    (void)ctx;
    CURL *c = curl_easy_init();
    if (!c)
        return err_set(err, FP_INTERNAL, "libcurl does not start");
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, FETCH_MS);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, out);
    CURLcode rc = curl_easy_perform(c);
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(c);
    if (rc != CURLE_OK || status != 200)
        return err_set(err, FP_UNAVAILABLE, "SNS: %s, status %ld", curl_easy_strerror(rc), status);
    return 0;
}

static int read_file(const struct sns *s, const char *url, struct fp_str *out, struct fp_err *err)
{
    char path[4096], buf[PEM_BYTES];
    snprintf(path, sizeof path, "%s/%s", s->folder, strrchr(url, '/') + 1);
    FILE *f = fopen(path, "r");
    if (!f)
        return err_set(err, FP_PERMISSION_DENIED, "SNS: no such certificate in sns-certificate-folder");
    str_add(out, buf, fread(buf, 1, sizeof buf, f));
    fclose(f);
    return 0;
}

/* The public key of a certificate that is valid now; NULL with *err. */
static EVP_PKEY *key_of(const struct fp_str *pem, struct fp_err *err)
{
    BIO *bio = BIO_new_mem_buf(pem->data, (int)pem->len);
    X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    bool now = cert && X509_cmp_current_time(X509_get0_notBefore(cert)) < 0 &&
               X509_cmp_current_time(X509_get0_notAfter(cert)) > 0;
    EVP_PKEY *key = now ? X509_get_pubkey(cert) : NULL;
    X509_free(cert);
    BIO_free(bio);
    if (!key)
        (void)err_set(err, FP_PERMISSION_DENIED, "SNS: not a certificate that is valid now");
    return key;
}

static EVP_PKEY *fetch(const struct sns *s, const char *url, struct fp_err *err)
{
    struct fp_str pem;
    EVP_PKEY *key = NULL;
    str_init(&pem, PEM_BYTES);
    int rc = s->folder[0] != '\0' ? read_file(s, url, &pem, err) : s->get(s->ctx, url, &pem, err);
    if (rc == 0)
        key = key_of(&pem, err);
    str_fini(&pem);
    return key;
}

/* Under the lock. */
static EVP_PKEY *find(const struct sns *s, const char *url)
{
    for (int i = 0; i < KEPT; i++)
        if (s->kept[i].key && strcmp(s->kept[i].url, url) == 0 && clock_mono_us() < s->kept[i].until_us)
            return s->kept[i].key;
    return NULL;
}

/* Under the lock: this thread may fetch, and nobody else until it has. */
static bool may_fetch(struct sns *s)
{
    int64_t now_us = clock_mono_us();
    if (s->folder[0] != '\0') /* nothing leaves this machine */
        return true;
    if (s->fetching || (s->fetched_us != 0 && now_us < s->fetched_us + FETCH_US))
        return false;
    s->fetched_us = now_us;
    return s->fetching = true;
}

/* Under the lock. */
static void keep(struct sns *s, const char *url, EVP_PKEY *key)
{
    struct kept *k = &s->kept[s->next++ % KEPT];
    EVP_PKEY_free(k->key);
    snprintf(k->url, sizeof k->url, "%s", url);
    k->key = key;
    k->until_us = clock_mono_us() + KEEP_US;
}

/* A reference of its own; NULL with *err. Who knows a topic's name can name any certificate:
 * while one is fetched, messages with others wait for nothing, and SNS sends them again. */
static EVP_PKEY *key_for(struct sns *s, const char *url, struct fp_err *err)
{
    pthread_mutex_lock(&s->lock);
    EVP_PKEY *key = find(s, url);
    bool go = !key && may_fetch(s);
    if (key)
        EVP_PKEY_up_ref(key);
    pthread_mutex_unlock(&s->lock);
    if (!key && !go)
        (void)err_set(err, FP_UNAVAILABLE, "SNS: a certificate is being fetched, or was a moment ago");
    if (!go)
        return key;
    key = fetch(s, url, err);
    pthread_mutex_lock(&s->lock);
    s->fetching = false;
    if (key) {
        EVP_PKEY_up_ref(key);
        keep(s, url, key);
    }
    pthread_mutex_unlock(&s->lock);
    return key;
}

/* --- signatures ----------------------------------------------------------------------------- */

static const char *text_of(const json_t *m, const char *name)
{
    const char *text = json_string_value(json_object_get(m, name));
    return text ? text : "";
}

/* What is signed: names and values, each on a line, in this order. */
static void compose(const json_t *m, struct fp_str *out)
{
    static const char *const note[] = {"Message",  "MessageId", "Subject", "Timestamp",
                                       "TopicArn", "Type",      NULL},
                             *const confirm[] = {"Message", "MessageId", "SubscribeURL", "Timestamp",
                                                 "Token",   "TopicArn",  "Type",         NULL};
    bool is_note = strcmp(text_of(m, "Type"), "Notification") == 0;
    for (const char *const *n = is_note ? note : confirm; *n; n++)
        if (json_is_string(json_object_get(m, *n)))
            str_printf(out, "%s\n%s\n", *n, text_of(m, *n));
}

/* Bytes of the decoded signature; 0: not base64. */
static size_t decode(const char *text, unsigned char out[SIGNATURE_MAX])
{
    size_t n = strlen(text), pad = 0;
    if (n == 0 || n % 4 != 0 || n / 4 * 3 > SIGNATURE_MAX)
        return 0;
    while (pad < 2 && text[n - 1 - pad] == '=')
        pad++;
    int got = EVP_DecodeBlock(out, (const unsigned char *)text, (int)n);
    return got > 0 ? (size_t)got - pad : 0;
}

static bool verify(EVP_PKEY *key, const EVP_MD *md, const struct fp_str *text, const char *signature)
{
    unsigned char raw[SIGNATURE_MAX];
    size_t n = decode(signature, raw);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool good = n > 0 && c && EVP_PKEY_is_a(key, "RSA") &&
                EVP_DigestVerifyInit(c, NULL, md, NULL, key) == 1 &&
                EVP_DigestVerify(c, raw, n, (const unsigned char *)text->data, text->len) == 1;
    EVP_MD_CTX_free(c);
    return good;
}

/* "arn:aws:sns:eu-west-1:123456789012:name": one of ours, and its region. */
static bool is_our_topic(const struct sns *s, const char *arn, char region[33])
{
    size_t n = strlen(arn);
    bool ours = false;
    for (const char *p = s->topics; *p != '\0' && !ours; p += strcspn(p, ","), p += *p == ',')
        ours = n > 0 && strcspn(p, ",") == n && strncmp(p, arn, n) == 0;
    return ours && sscanf(arn, "arn:%*[^:]:sns:%32[^:]:", region) == 1;
}

int sns_check(struct sns *s, const json_t *m, struct fp_err *err)
{
    char region[33];
    struct fp_str text;
    const char *url = text_of(m, "SigningCertURL"), *version = text_of(m, "SignatureVersion");
    if (!json_is_object(m) || text_of(m, "Type")[0] == '\0' || text_of(m, "MessageId")[0] == '\0')
        return err_set(err, FP_INVALID_ARGUMENT, "not an SNS message");
    if (!is_our_topic(s, text_of(m, "TopicArn"), region))
        return err_set(err, FP_PERMISSION_DENIED, "SNS: not one of ses-topics");
    if (!is_certificate_url(url, region) || (strcmp(version, "1") != 0 && strcmp(version, "2") != 0))
        return err_set(err, FP_PERMISSION_DENIED, "SNS: not a certificate of SNS, or an unknown version");
    EVP_PKEY *key = key_for(s, url, err);
    if (!key)
        return -1;
    str_init(&text, 0);
    compose(m, &text);
    bool good = !text.overflow &&
                verify(key, version[0] == '1' ? EVP_sha1() : EVP_sha256(), &text, text_of(m, "Signature"));
    str_fini(&text);
    EVP_PKEY_free(key);
    return good ? 0 : err_set(err, FP_PERMISSION_DENIED, "SNS: the signature is wrong");
}

int sns_confirm(struct sns *s, const json_t *m, struct fp_err *err)
{
    char region[33];
    struct fp_str reply;
    const char *url = text_of(m, "SubscribeURL");
    if (!is_our_topic(s, text_of(m, "TopicArn"), region) || !sns_is_own_url(url, region))
        return err_set(err, FP_PERMISSION_DENIED, "SNS: not a URL of SNS");
    if (s->folder[0] != '\0')
        return err_set(
            err, FP_FAILED_PRECONDITION,
            "SNS: with sns-certificate-folder nothing is fetched; confirm the subscription by hand");
    str_init(&reply, 65536);
    int rc = s->get(s->ctx, url, &reply, err);
    str_fini(&reply);
    return rc;
}

/* --- life -------------------------------------------------------------------------------------- */

struct sns *sns_new(const char *topics, const char *folder, sns_get *get, void *ctx)
{
    struct sns *s = mem_alloc(sizeof *s);
    s->topics = mem_strdup(topics);
    s->folder = mem_strdup(folder);
    s->get = get ? get : get_by_curl;
    s->ctx = ctx;
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

void sns_free(struct sns *s)
{
    if (!s)
        return;
    for (int i = 0; i < KEPT; i++)
        EVP_PKEY_free(s->kept[i].key);
    pthread_mutex_destroy(&s->lock);
    mem_free(s->topics);
    mem_free(s->folder);
    mem_free(s);
}
