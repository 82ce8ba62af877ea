/*
 * The key file. It is looked at (one stat) at most once a second, and read when
 * it is another one or was changed: Kubernetes replaces a mounted secret by
 * moving a link. A file that cannot be used leaves the old keys in force, and
 * the log says so, so that a half-written secret breaks no link.
 */
#include "lib/token/keys.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <openssl/crypto.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/config/config.h"
#include "lib/log/log.h"

#define MAX_KEYS          8
#define LEAST_SECRET      32 /* characters: 128 bits in hex, the strength of the signature */
#define LOOK_EVERY_US     FP_US_PER_S
#define COMPLAIN_EVERY_MS 60000

struct token_keys {
    pthread_mutex_t lock;
    char *path;
    struct token_key keys[MAX_KEYS]; /* in the file's order; the first one signs */
    int n;
    struct stat seen;
    int64_t looked_us;
    long long said_us;
};

/* --- reading ------------------------------------------------------------------------- */

static bool is_printable(const char *s)
{
    for (; *s != '\0'; s++)
        if (*s <= ' ' || *s > '~')
            return false;
    return true;
}

/* "12:secret". NULL, or what is wrong with the line. */
static const char *parse_line(const char *line, struct token_key *out)
{
    char *end;
    long id = strtol(line, &end, 10);

    if (line[0] < '0' || line[0] > '9' || *end != ':' || id < 1 || id > 255)
        return "is not ID:SECRET with an ID of 1 to 255";
    const char *secret = end + 1;
    size_t len = strlen(secret);
    if (len < LEAST_SECRET || len >= TOKEN_SECRET_BYTES || !is_printable(secret))
        return "needs a secret of 32 to 255 printable characters";
    out->id = (int)id;
    memcpy(out->secret, secret, len + 1);
    return NULL;
}

static const char *add_key(struct token_keys *k, const char *line)
{
    struct token_key key = {0};

    const char *wrong = parse_line(line, &key);
    for (int i = 0; i < k->n && !wrong; i++)
        if (k->keys[i].id == key.id)
            wrong = "has the ID of a line before";
    if (!wrong && k->n == MAX_KEYS)
        wrong = "is one key too many: 8 at most";
    if (!wrong)
        k->keys[k->n++] = key;
    OPENSSL_cleanse(&key, sizeof key);
    return wrong;
}

/* Fills k->keys from the text, which it cuts into lines. Blank lines and those
 * that begin with # say nothing. */
static int parse(struct token_keys *k, char *text, struct fp_err *err)
{
    int no = 0;

    for (char *line = text, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        line[strcspn(line, "\r")] = '\0';
        no++;
        const char *wrong = line[0] == '\0' || line[0] == '#' ? NULL : add_key(k, line);
        if (wrong)
            return err_set(err, FP_FAILED_PRECONDITION, "key file %s: line %d %s", k->path, no, wrong);
    }
    if (k->n == 0)
        return err_set(err, FP_FAILED_PRECONDITION,
                       "key file %s: holds no key; make one: echo \"1:$(openssl rand -hex 32)\"", k->path);
    return 0;
}

/* Puts the file's keys into *k, or leaves it as it was. */
static int read_keys(struct token_keys *k, struct fp_err *err)
{
    struct token_keys fresh = {.path = k->path};
    char *text;

    if (config_secret_text(k->path, &text, err) < 0)
        return -1;
    int rc = parse(&fresh, text, err);
    OPENSSL_cleanse(text, strlen(text));
    mem_free(text);
    if (rc == 0) {
        memcpy(k->keys, fresh.keys, sizeof k->keys);
        k->n = fresh.n;
    }
    OPENSSL_cleanse(&fresh, sizeof fresh);
    return rc;
}

/* --- life --------------------------------------------------------------------------------- */

struct token_keys *token_keys_open(const char *path, struct fp_err *err)
{
    if (path[0] == '\0') {
        (void)err_set(err, FP_FAILED_PRECONDITION, "no key file is named");
        return NULL;
    }
    struct token_keys *k = mem_alloc(sizeof *k);
    pthread_mutex_init(&k->lock, NULL);
    k->path = mem_strdup(path);
    k->looked_us = clock_mono_us();
    (void)!stat(path, &k->seen);
    if (read_keys(k, err) == 0)
        return k;
    token_keys_free(k);
    return NULL;
}

void token_keys_free(struct token_keys *k)
{
    if (!k)
        return;
    pthread_mutex_destroy(&k->lock);
    OPENSSL_cleanse(k->keys, sizeof k->keys);
    mem_free(k->path);
    mem_free(k);
}

/* --- looking again, and finding -------------------------------------------------------------- */

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Under the lock. */
static void look_again(struct token_keys *k)
{
    struct stat now;
    struct fp_err err;
    int64_t now_us = clock_mono_us();

    if (now_us - k->looked_us < LOOK_EVERY_US)
        return;
    k->looked_us = now_us;
    if (stat(k->path, &now) != 0 || same_file(&now, &k->seen))
        return;
    if (read_keys(k, &err) == 0) {
        k->seen = now;
        log_info("", "keys read again", "file=%s keys=%d signing=%d", k->path, k->n, k->keys[0].id);
    } else if (log_limited(&k->said_us, COMPLAIN_EVERY_MS)) {
        log_warn("", "keys kept", "reason=%s", err.msg);
    }
}

void token_key_signing(struct token_keys *k, struct token_key *out)
{
    pthread_mutex_lock(&k->lock);
    look_again(k);
    *out = k->keys[0];
    pthread_mutex_unlock(&k->lock);
}

bool token_key_find(struct token_keys *k, int id, struct token_key *out)
{
    bool found = false;

    pthread_mutex_lock(&k->lock);
    look_again(k);
    for (int i = 0; i < k->n && !found; i++) {
        found = k->keys[i].id == id;
        if (found)
            *out = k->keys[i];
    }
    pthread_mutex_unlock(&k->lock);
    return found;
}
