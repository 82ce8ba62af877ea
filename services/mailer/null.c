/*
 * The transport that accepts every mail and keeps none: for dry runs and for
 * measuring everything before the provider.
 */
#include <stdio.h>

#include "lib/base/mem.h"
#include "services/mailer/transports.h"

struct transport {
    uint64_t sent;
};

static int null_check(const struct transport_settings *s, struct fp_err *err)
{
    (void)s;
    (void)err;
    return 0;
}

static struct transport *null_open(const struct transport_settings *s, struct fp_err *err)
{
    (void)s;
    (void)err;
    return mem_alloc(sizeof(struct transport));
}

static void null_send(struct transport *t, const struct transport_mail *m, struct transport_reply *reply)
{
    *reply = (struct transport_reply){.verdict = VERDICT_SENT};
    t->sent++;
    snprintf(reply->provider_id, sizeof reply->provider_id, "null.%lld.%lld", (long long)m->job_id,
             (long long)m->user_id);
}

static void null_close(struct transport *t)
{
    mem_free(t);
}

const struct transport_ops transport_null = {
    .name = "null", .check = null_check, .open = null_open, .send = null_send, .close = null_close};
