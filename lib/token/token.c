/*
 * A token's bytes, before base32:
 *
 *   purpose << 4 | kind       1 byte; its highest bit is 0: a later form has 1
 *   key id                    1 byte
 *   lengths                   1 byte: bytes of the job id << 4 | of the user id
 *   job id, user id           big endian, without leading zeros: 1 to 8 each
 *   signature                 16 bytes: HMAC-SHA256 of all before it, cut in half
 *
 * 128 bits of signature are what RFC 2104 asks for at least, and keep the text
 * of the largest ids at 56 characters. Each ids have exactly one text: leading
 * zeros, spare bits and other lengths are refused.
 */
#include "lib/token/token.h"

#include <inttypes.h>
#include <string.h>
#include <openssl/crypto.h>

#include "lib/base/hmac.h"
#include "lib/token/keys.h"

#define HEAD_BYTES      3
#define SIGNATURE_BYTES 16
#define LEAST_BYTES     (HEAD_BYTES + 2 + SIGNATURE_BYTES)
#define MOST_BYTES      (HEAD_BYTES + 16 + SIGNATURE_BYTES)

static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567"; /* RFC 4648, in lower case */

/* --- base32 without padding --------------------------------------------------------- */

static void encode(const unsigned char *in, size_t n, char *out)
{
    unsigned bits = 0, have = 0;

    for (size_t i = 0; i < n; i++) {
        bits = bits << 8 | in[i];
        for (have += 8; have >= 5; have -= 5)
            *out++ = alphabet[bits >> (have - 5) & 31];
        bits &= (1u << have) - 1;
    }
    if (have > 0)
        *out++ = alphabet[bits << (5 - have) & 31];
    *out = '\0';
}

static int value_of(char c)
{
    if (c >= 'a' && c <= 'z')
        return c - 'a';
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    return c >= '2' && c <= '7' ? c - '2' + 26 : -1;
}

/* How many bytes; 0 when it is not base32 of at most cap bytes. */
static size_t decode(const char *text, size_t bytes, unsigned char *out, size_t cap)
{
    unsigned bits = 0, have = 0;
    size_t n = 0;

    for (size_t i = 0; i < bytes; i++) {
        int v = value_of(text[i]);
        if (v < 0)
            return 0;
        bits = bits << 5 | (unsigned)v;
        have += 5;
        if (have < 8)
            continue;
        if (n == cap)
            return 0;
        have -= 8;
        out[n++] = (unsigned char)(bits >> have);
        bits &= (1u << have) - 1;
    }
    return have < 5 && bits == 0 ? n : 0;
}

/* --- ids ------------------------------------------------------------------------------ */

static size_t put_id(unsigned char *out, int64_t id)
{
    size_t n = 1;

    while (n < 8 && id >> (8 * n) != 0)
        n++;
    for (size_t i = 0; i < n; i++)
        out[i] = (unsigned char)(id >> (8 * (n - 1 - i)));
    return n;
}

/* False on leading zeros and on what is no id. */
static bool get_id(const unsigned char *in, size_t n, int64_t *id)
{
    uint64_t v = 0;

    for (size_t i = 0; i < n; i++)
        v = v << 8 | in[i];
    *id = (int64_t)v;
    return n > 0 && in[0] != 0 && v <= INT64_MAX;
}

static bool sign(const struct token_key *key, const unsigned char *data, size_t n,
                 unsigned char out[SIGNATURE_BYTES])
{
    unsigned char whole[HMAC_BYTES];

    if (!hmac_sha256(key->secret, strlen(key->secret), data, n, whole))
        return false;
    memcpy(out, whole, SIGNATURE_BYTES);
    return true;
}

/* --- the two calls ---------------------------------------------------------------------- */

static bool is_purpose(enum token_purpose p)
{
    return p == TOKEN_UNSUBSCRIBE || p == TOKEN_BOUNCE;
}

static bool is_kind(int kind)
{
    return kind >= TOKEN_KIND_NONE && kind <= TOKEN_KIND_CUSTOM;
}

int token_make(struct token_keys *k, const struct token_ids *ids, char out[TOKEN_TEXT_BYTES],
               struct fp_err *err)
{
    unsigned char b[MOST_BYTES];
    struct token_key key;

    if (!is_purpose(ids->purpose) || !is_kind((int)ids->kind) || ids->job_id <= 0 || ids->user_id <= 0)
        return err_set(err, FP_INVALID_ARGUMENT, "token: purpose %d, kind %d, job %" PRId64 ", user %" PRId64,
                       (int)ids->purpose, (int)ids->kind, ids->job_id, ids->user_id);
    token_key_signing(k, &key);
    b[0] = (unsigned char)((unsigned)ids->purpose << 4 | (unsigned)ids->kind);
    b[1] = (unsigned char)key.id;
    size_t job = put_id(b + HEAD_BYTES, ids->job_id);
    size_t user = put_id(b + HEAD_BYTES + job, ids->user_id);
    size_t n = HEAD_BYTES + job + user;
    b[2] = (unsigned char)(job << 4 | user);
    bool signed_well = sign(&key, b, n, b + n);
    OPENSSL_cleanse(&key, sizeof key);
    if (!signed_well)
        return err_set(err, FP_INTERNAL, "token: HMAC-SHA256 failed");
    encode(b, n + SIGNATURE_BYTES, out);
    return 0;
}

/* The ids, and how many bytes are signed; 0 when it is not a token's form. */
static size_t parse(const unsigned char *b, size_t n, struct token_ids *ids)
{
    size_t job = b[2] >> 4, user = b[2] & 15;

    if (n < LEAST_BYTES || job > 8 || user > 8 || n != HEAD_BYTES + job + user + SIGNATURE_BYTES)
        return 0;
    ids->purpose = (enum token_purpose)(b[0] >> 4);
    ids->kind = (enum token_kind)(b[0] & 15);
    if (!is_kind((int)ids->kind) || !get_id(b + HEAD_BYTES, job, &ids->job_id) ||
        !get_id(b + HEAD_BYTES + job, user, &ids->user_id))
        return 0;
    return n - SIGNATURE_BYTES;
}

static int check_signature(struct token_keys *k, const unsigned char *b, size_t n, struct fp_err *err)
{
    unsigned char right[SIGNATURE_BYTES];
    struct token_key key;

    if (!token_key_find(k, b[1], &key))
        return err_set(err, FP_NOT_FOUND, "token: its key %d is not in the key file", b[1]);
    bool good = sign(&key, b, n, right) && CRYPTO_memcmp(right, b + n, SIGNATURE_BYTES) == 0;
    OPENSSL_cleanse(&key, sizeof key);
    return good ? 0 : err_set(err, FP_PERMISSION_DENIED, "token: its signature is wrong");
}

int token_check(struct token_keys *k, enum token_purpose purpose, const char *text, size_t bytes,
                struct token_ids *out, struct fp_err *err)
{
    unsigned char b[MOST_BYTES] = {0};
    struct token_ids ids = {0};

    size_t n = bytes < TOKEN_TEXT_BYTES ? decode(text, bytes, b, sizeof b) : 0;
    size_t signed_bytes = parse(b, n, &ids);
    if (signed_bytes == 0)
        return err_set(err, FP_INVALID_ARGUMENT, "not a token");
    if (check_signature(k, b, signed_bytes, err) < 0)
        return -1;
    if (ids.purpose != purpose)
        return err_set(err, FP_INVALID_ARGUMENT, "a token for another purpose");
    *out = ids;
    return 0;
}

/* --- kinds -------------------------------------------------------------------------------- */

static const char *const kinds[] = {"", "weekly", "monthly", "custom"};

enum token_kind token_kind_from_name(const char *kind)
{
    for (int i = TOKEN_KIND_WEEKLY; i <= TOKEN_KIND_CUSTOM; i++)
        if (strcmp(kinds[i], kind) == 0)
            return (enum token_kind)i;
    return TOKEN_KIND_NONE;
}

const char *token_kind_name(enum token_kind kind)
{
    return is_kind((int)kind) ? kinds[kind] : "";
}
