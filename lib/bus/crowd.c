/*
 * A table of places, searched from end to end: there are some hundreds.
 *
 * A pipe that has to go keeps its place until NNG says that it is gone, for its
 * memory is there until then; when more than a few are going, nobody is let in.
 */
#include "lib/bus/crowd.h"

#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/bus/endpoint.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"

#define MAX_GOING 8

struct guest {
    int id; /* of the pipe */
    struct endpoint_host host;
    int64_t heard_us;
    int asked; /* requests being worked on: he is not sent away */
    bool going;
};

struct fp_crowd {
    pthread_mutex_t lock;
    struct crowd_limits limits;
    const char *label, *metric;
    long long said_us; /* log_limited */
    int n, going;
    struct guest guests[]; /* limits.total, and MAX_GOING more */
};

struct fp_crowd *crowd_new(const struct crowd_limits *limits, const char *label, const char *metric)
{
    size_t places = (size_t)limits->total + MAX_GOING;
    struct fp_crowd *c = mem_alloc(sizeof *c + places * sizeof c->guests[0]);
    pthread_mutex_init(&c->lock, NULL);
    c->limits = *limits;
    c->label = label;
    c->metric = metric;
    metrics_add("foliopost_bus_refused_total", metric, 0);
    endpoint_keep(c);
    return c;
}

/* --- under the lock ------------------------------------------------------------------- */

static struct guest *find(struct fp_crowd *c, nng_pipe pipe)
{
    for (int i = 0; i < c->n; i++)
        if (c->guests[i].id == nng_pipe_id(pipe))
            return &c->guests[i];
    return NULL;
}

static int count(const struct fp_crowd *c, const struct endpoint_host *host)
{
    int n = 0;
    for (int i = 0; i < c->n; i++)
        n += !c->guests[i].going && memcmp(&c->guests[i].host, host, sizeof *host) == 0;
    return n;
}

static const struct endpoint_host *fullest(const struct fp_crowd *c)
{
    const struct endpoint_host *best = NULL;
    for (int i = 0, most = 0; i < c->n; i++) {
        int n = c->guests[i].going ? 0 : count(c, &c->guests[i].host);
        if (n > most) {
            most = n;
            best = &c->guests[i].host;
        }
    }
    return best;
}

/* Of that address, who was silent longest; where silence says nothing, who came last. */
static struct guest *weakest(struct fp_crowd *c, const struct endpoint_host *host)
{
    struct guest *g = NULL;
    for (int i = 0; i < c->n; i++) {
        struct guest *other = &c->guests[i];
        if (other->going || other->asked > 0 || memcmp(&other->host, host, sizeof *host) != 0)
            continue;
        bool longer = g == NULL || (other->heard_us < g->heard_us) == (c->limits.quiet_ms > 0);
        g = longer ? other : g;
    }
    return g;
}

static bool quiet(const struct fp_crowd *c, const struct guest *g)
{
    return c->limits.quiet_ms > 0 && clock_mono_us() - g->heard_us >= c->limits.quiet_ms * INT64_C(1000);
}

/* Lets him in or not; *out has to go for him. */
static bool admit(struct fp_crowd *c, const struct endpoint_host *host, struct guest **out)
{
    int mine = count(c, host);
    *out = NULL;
    if (mine < c->limits.per_address && c->n - c->going < c->limits.total)
        return c->going < MAX_GOING;
    if (c->going >= MAX_GOING)
        return false;
    const struct endpoint_host *of = mine >= c->limits.per_address ? host : fullest(c);
    struct guest *g = of != NULL ? weakest(c, of) : NULL;
    if (g == NULL || (count(c, of) < mine + 2 && !quiet(c, g)))
        return false;
    *out = g;
    return true;
}

static void enter(struct fp_crowd *c, nng_pipe pipe, const struct endpoint_host *host, nng_pipe *goes)
{
    struct guest *out;
    if (!admit(c, host, &out)) {
        *goes = pipe;
        return;
    }
    if (out != NULL) {
        out->going = true;
        c->going++;
        goes->id = (uint32_t)out->id;
    }
    c->guests[c->n++] = (struct guest){.id = nng_pipe_id(pipe), .host = *host, .heard_us = clock_mono_us()};
}

static void leave(struct fp_crowd *c, nng_pipe pipe)
{
    struct guest *g = find(c, pipe);
    if (g == NULL)
        return; /* he was not let in */
    c->going -= g->going;
    *g = c->guests[--c->n];
}

/* --- from outside --------------------------------------------------------------------- */

void crowd_event(struct fp_crowd *c, nng_pipe pipe, nng_pipe_ev event)
{
    struct endpoint_host host;
    nng_pipe goes = NNG_PIPE_INITIALIZER;
    if (event == NNG_PIPE_EV_ADD_PRE)
        endpoint_host_of(pipe, &host);
    pthread_mutex_lock(&c->lock);
    if (event == NNG_PIPE_EV_ADD_PRE)
        enter(c, pipe, &host, &goes);
    else if (event == NNG_PIPE_EV_REM_POST)
        leave(c, pipe);
    pthread_mutex_unlock(&c->lock);
    if (nng_pipe_id(goes) <= 0)
        return;
    nng_pipe_close(goes); /* without the lock: it can end in a callback */
    metrics_add("foliopost_bus_refused_total", c->metric, 1);
    if (log_limited(&c->said_us, 10000))
        log_warn(c->label, "too many peers", "reason=at most %d, and %d of one address: disconnecting",
                 c->limits.total, c->limits.per_address);
}

static void on_pipe(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    crowd_event(arg, pipe, event);
}

void crowd_watch(struct fp_crowd *c, nng_socket socket)
{
    endpoint_notify(socket, on_pipe, c);
}

static void step(struct fp_crowd *c, nng_pipe pipe, int by)
{
    pthread_mutex_lock(&c->lock);
    struct guest *g = find(c, pipe);
    if (g != NULL) {
        g->asked += by;
        g->heard_us = clock_mono_us();
    }
    pthread_mutex_unlock(&c->lock);
}

void crowd_asked(struct fp_crowd *c, nng_pipe pipe)
{
    step(c, pipe, 1);
}

void crowd_answered(struct fp_crowd *c, nng_pipe pipe)
{
    step(c, pipe, -1);
}
