/*
 * A table of slots, each with the last reply whose request hashes to it: what
 * polls is a few jobs and many clients, so that a slot seldom changes hands and
 * nothing has to be evicted. Small requests and replies only: 256 slots of 8 kB
 * are 2 MiB at most.
 */
#include "lib/rpc/shared.h"

#include <pthread.h>
#include <string.h>

#include "lib/base/clock.h"

#define MAX_REQUEST_BYTES 64 /* a page of a list, a job's id */
#define MAX_REPLY_BYTES   8192

struct slot {
    const struct rpc_method *method; /* NULL: empty */
    unsigned char request[MAX_REQUEST_BYTES];
    size_t request_bytes;
    struct rpc_moment since;
    struct fp_str reply;
};

struct rpc_shared {
    atomic_uint_least64_t version; /* changes with each thing that is changed */
    pthread_mutex_t lock;
    struct slot slots[RPC_SHARED_SLOTS];
};

struct rpc_shared *rpc_shared_new(void)
{
    struct rpc_shared *s = mem_alloc(sizeof *s);
    pthread_mutex_init(&s->lock, NULL);
    for (size_t i = 0; i < RPC_SHARED_SLOTS; i++)
        str_init(&s->slots[i].reply, MAX_REPLY_BYTES + 1);
    return s;
}

void rpc_shared_free(struct rpc_shared *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < RPC_SHARED_SLOTS; i++)
        str_fini(&s->slots[i].reply);
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}

bool rpc_shared_can(const struct rpc_shared *s, const struct rpc_method *m, size_t request_bytes)
{
    return s != NULL && m->share_ms > 0 && request_bytes <= MAX_REQUEST_BYTES;
}

/* FNV-1a: requests are a few bytes. */
unsigned rpc_shared_slot(const struct rpc_method *m, const void *request, size_t bytes)
{
    const unsigned char *at = request;
    uint32_t h = UINT32_C(2166136261) ^ (uint32_t)(unsigned char)m->name[strlen(m->name) - 1];
    for (size_t i = 0; i < bytes; i++)
        h = (h ^ at[i]) * UINT32_C(16777619);
    return (h ^ h >> 16) % RPC_SHARED_SLOTS;
}

struct rpc_moment rpc_shared_now(const struct rpc_shared *s)
{
    return (struct rpc_moment){s != NULL ? atomic_load(&s->version) : 0, clock_mono_us()};
}

static bool is_same(const struct slot *x, const struct rpc_method *m, const void *request, size_t bytes)
{
    return x->method == m && x->request_bytes == bytes &&
           (bytes == 0 || memcmp(x->request, request, bytes) == 0);
}

bool rpc_shared_get(struct rpc_shared *s, const struct rpc_method *m, const void *request, size_t bytes,
                    struct fp_str *out)
{
    if (!rpc_shared_can(s, m, bytes))
        return false;
    struct slot *x = &s->slots[rpc_shared_slot(m, request, bytes)];
    pthread_mutex_lock(&s->lock);
    bool found = is_same(x, m, request, bytes) && x->since.version == atomic_load(&s->version) &&
                 clock_mono_us() - x->since.at_us < m->share_ms * INT64_C(1000);
    if (found)
        str_add(out, x->reply.data, x->reply.len);
    pthread_mutex_unlock(&s->lock);
    return found;
}

void rpc_shared_put(struct rpc_shared *s, const struct rpc_method *m, const void *request, size_t bytes,
                    struct rpc_moment since, const void *reply, size_t reply_bytes)
{
    if (!rpc_shared_can(s, m, bytes) || reply_bytes > MAX_REPLY_BYTES)
        return;
    struct slot *x = &s->slots[rpc_shared_slot(m, request, bytes)];
    pthread_mutex_lock(&s->lock);
    bool older = is_same(x, m, request, bytes) && x->since.at_us > since.at_us;
    if (!older && since.version == atomic_load(&s->version)) {
        x->method = m;
        x->request_bytes = bytes;
        if (bytes > 0)
            memcpy(x->request, request, bytes);
        x->since = since;
        str_clear(&x->reply);
        str_add(&x->reply, reply, reply_bytes);
    }
    pthread_mutex_unlock(&s->lock);
}

void rpc_shared_void(struct rpc_shared *s)
{
    if (s != NULL)
        atomic_fetch_add(&s->version, 1);
}
