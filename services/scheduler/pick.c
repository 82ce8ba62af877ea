/*
 * The ledger keeps no addresses, so a filter by domain is resolved here: the
 * job's users in that state, a page at a time, against what the source says of
 * them now. Who mended his address since is judged by the new one, to which his
 * mail would go.
 */
#include "services/scheduler/pick.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/base/mem.h"

#define PAGE      200
#define MAX_USERS 1000000 /* of one call by domain: 8 MB of ids */

static bool has_domain(const struct source_user *u, const char *domain)
{
    const char *at = strrchr(u->email, '@');

    return at && strcasecmp(at + 1, domain) == 0;
}

struct looked_up {
    struct ledger_delivery rows[PAGE];
    struct source_user users[PAGE];
    int64_t ids[PAGE];
};

/* The next users and what the source has of them: how many, -1 on error. */
static int look_up(struct fp_ledger *l, struct fp_source *s, int64_t job_id, enum delivery_state state,
                   int64_t after, struct looked_up *t, const struct pick *p, struct fp_err *err)
{
    int n = ledger_deliveries_where(l, job_id, state, &p->filter, after, t->rows, PAGE, err);

    for (int i = 0; i < n; i++)
        t->ids[i] = t->rows[i].user_id;
    if (n > 0 && source_users_by_id(s, "custom", t->ids, (size_t)n, t->users, err) < 0)
        return -1;
    return n;
}

static int by_domain(struct fp_ledger *l, struct fp_source *s, int64_t job_id, enum delivery_state state,
                     const char *domain, struct pick *p, struct fp_err *err)
{
    struct looked_up *t = mem_alloc(sizeof *t);
    int64_t after = 0;
    size_t found = 0;
    int n;

    p->ids = mem_array(MAX_USERS, sizeof *p->ids);
    while ((n = look_up(l, s, job_id, state, after, t, p, err)) > 0) {
        for (int i = 0; i < n && found < MAX_USERS; i++)
            if (has_domain(&t->users[i], domain))
                p->ids[found++] = t->users[i].id;
        after = t->ids[n - 1];
    }
    mem_free(t);
    if (n == 0 && found == MAX_USERS)
        n = err_set(err, FP_RESOURCE_EXHAUSTED, "filter.domain: more than %d users: name an interval too",
                    MAX_USERS);
    p->filter.listed = true;
    p->filter.user_ids = p->ids;
    p->filter.n_user_ids = found;
    return n;
}

static void __attribute__((format(printf, 2, 3))) say(struct pick *p, const char *fmt, ...)
{
    size_t n = strlen(p->said);
    va_list ap;

    n += (size_t)snprintf(p->said + n, sizeof p->said - n, "%s", n > 0 ? ", " : "");
    va_start(ap, fmt);
    if (n < sizeof p->said)
        vsnprintf(p->said + n, sizeof p->said - n, fmt, ap);
    va_end(ap);
}

/* As it was asked for: a domain, not the users that it was resolved to. */
static void say_filter(struct pick *p, const Foliopost__V1__DeliveryFilter *q)
{
    if (q->n_user_ids == 1)
        say(p, "user %" PRId64, q->user_ids[0]);
    else if (q->n_user_ids > 1)
        say(p, "%zu users by id", q->n_user_ids);
    if (q->interval_no > 0)
        say(p, "interval %" PRId32, q->interval_no);
    if (q->provider[0])
        say(p, "provider %.40s", q->provider);
    if (q->domain[0])
        say(p, "domain %.80s", q->domain);
    if (q->reason[0])
        say(p, "reason %.60s", q->reason);
    p->filter.said = p->said;
}

int pick_resolve(struct fp_ledger *l, struct fp_source *s, int64_t job_id, enum delivery_state state,
                 const Foliopost__V1__DeliveryFilter *q, struct pick *out, struct fp_err *err)
{
    *out = (struct pick){.ids = NULL};
    if (!q)
        return 0;
    out->filter = (struct ledger_delivery_filter){.reason = q->reason,
                                                  .interval_no = q->interval_no,
                                                  .listed = q->n_user_ids > 0,
                                                  .user_ids = q->user_ids,
                                                  .n_user_ids = q->n_user_ids};
    say_filter(out, q);
    if (q->provider[0] && ledger_provider_find(l, q->provider, &out->filter.provider_no, err))
        return err_prefix(err, "filter.provider");
    return q->domain[0] ? by_domain(l, s, job_id, state, q->domain, out, err) : 0;
}

void pick_fini(struct pick *p)
{
    mem_free(p->ids);
    p->ids = NULL;
}
