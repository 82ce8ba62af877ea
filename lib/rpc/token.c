/*
 * Checks bearer tokens. Kubernetes replaces a mounted secret by moving a link,
 * so the file is looked at (one stat) at each call, and read when it is another
 * one or was changed. When the new file cannot be read the old token stays in
 * force, and the log says so: a half-written secret locks nobody out.
 */
#include "lib/rpc/token.h"

#include <pthread.h>
#include <sys/stat.h>

#include "lib/base/mem.h"
#include "lib/base/text.h"
#include "lib/config/config.h"
#include "lib/log/log.h"

struct rpc_token {
    pthread_mutex_t lock;
    char *path;
    char *value; /* NULL: no token is asked for */
    struct stat seen;
    long long said_us;
};

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static int read_token(struct rpc_token *t, struct fp_err *err)
{
    char *value = NULL;
    if (config_secret(t->path, &value, err) != 0)
        return -1;
    if (value == NULL || value[0] == '\0') {
        mem_free(value);
        return err_set(err, FP_FAILED_PRECONDITION, "token file %s: its first line is empty", t->path);
    }
    mem_free(t->value);
    t->value = value;
    return 0;
}

struct rpc_token *rpc_token_new(const char *path, struct fp_err *err)
{
    struct rpc_token *t = mem_alloc(sizeof *t);
    pthread_mutex_init(&t->lock, NULL);
    t->path = mem_strdup(path);
    if (path[0] == '\0')
        return t;
    (void)!stat(path, &t->seen);
    if (read_token(t, err) == 0)
        return t;
    rpc_token_free(t);
    return NULL;
}

void rpc_token_free(struct rpc_token *t)
{
    if (t == NULL)
        return;
    pthread_mutex_destroy(&t->lock);
    mem_free(t->path);
    mem_free(t->value);
    mem_free(t);
}

/* Under the lock. */
static void look_again(struct rpc_token *t)
{
    struct stat now;
    struct fp_err err;
    if (stat(t->path, &now) != 0 || same_file(&now, &t->seen))
        return;
    if (read_token(t, &err) == 0) {
        t->seen = now;
        log_info("rpc", "token read again", "file=%s", t->path);
    } else if (log_limited(&t->said_us, 60000)) {
        log_warn("rpc", "token kept", "reason=%s", err.msg);
    }
}

bool rpc_token_asked(const struct rpc_token *t)
{
    return t->path[0] != '\0';
}

bool rpc_token_matches(struct rpc_token *t, const char *given)
{
    if (!rpc_token_asked(t))
        return false;
    pthread_mutex_lock(&t->lock);
    look_again(t);
    bool equal = text_equal_secret(given, t->value);
    pthread_mutex_unlock(&t->lock);
    return equal;
}
