/*
 * What the admin port says, and the beats behind /livez.
 *
 * /livez never asks the database: a restart does not mend a database, and
 * restarting every pod at once makes it worse. It fails only when a loop of
 * ours stands still. /readyz tells a person why the service cannot work.
 *
 * The service's own ready() runs in the admin port's thread. ready_gate makes
 * sure that it is over before stop() begins; it guards nothing else, and
 * service.c takes it for a moment between the two.
 */
#include <stdio.h>

#include "lib/base/clock.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"
#include "lib/service/service_internal.h"

#define BEAT_SILENT_US (60 * FP_US_PER_S)

void service_beat(struct fp_service *s, int id, const char *name)
{
    if (id < 0 || id >= BEAT_SLOTS)
        fp_panic("service_beat: id %d of %s", id, name);
    atomic_store(&s->beats[id].last_us, clock_mono_us());
    atomic_store(&s->beats[id].name, name);
}

void service_beat_end(struct fp_service *s, int id)
{
    if (id < 0 || id >= BEAT_SLOTS)
        fp_panic("service_beat_end: id %d", id);
    atomic_store(&s->beats[id].name, NULL);
}

static bool is_live(void *ctx, struct fp_str *why_not)
{
    struct fp_service *s = ctx;
    int64_t now = clock_mono_us();

    for (int i = 0; i < BEAT_SLOTS; i++) {
        const char *name = atomic_load(&s->beats[i].name);
        int64_t silent_us = now - atomic_load(&s->beats[i].last_us);
        if (!name || silent_us <= BEAT_SILENT_US)
            continue;
        str_printf(why_not, "loop %s is silent for %lld s", name, (long long)(silent_us / FP_US_PER_S));
        return false;
    }
    return true;
}

static bool ask_service(struct fp_service *s, struct fp_str *why_not)
{
    bool ok = true;

    pthread_mutex_lock(&s->ready_gate);
    if (service_phase(s) != SERVICE_RUNNING) {
        str_puts(why_not, "draining");
        ok = false;
    } else if (s->def->ready) {
        ok = s->def->ready(s, s->def->values, why_not);
    }
    pthread_mutex_unlock(&s->ready_gate);
    return ok;
}

static bool is_ready(void *ctx, struct fp_str *why_not)
{
    struct fp_service *s = ctx;
    char why[sizeof s->why];

    if (atomic_load(&s->ending)) {
        str_puts(why_not, "draining");
        return false;
    }
    pthread_mutex_lock(&s->lock);
    bool waiting = s->phase == SERVICE_WAITING;
    snprintf(why, sizeof why, "%s", s->why);
    pthread_mutex_unlock(&s->lock);
    if (waiting) {
        str_puts(why_not, *why ? why : "starting");
        return false;
    }
    if (!service_lease_held(s)) {
        lease_problem(s->lease, why, sizeof why);
        str_printf(why_not, "lease not held: %s", why);
        return false;
    }
    return ask_service(s, why_not);
}

static void render_metrics(void *ctx, struct fp_str *out)
{
    struct fp_service *s = ctx;
    struct fp_str why;
    char labels[128];

    str_init(&why, 4096);
    metrics_set("foliopost_ready", "", is_ready(s, &why));
    str_fini(&why);
    metrics_set("foliopost_lease_held", "", service_lease_held(s));
    snprintf(labels, sizeof labels, "service=\"%s\",version=\"%s\"", s->def->name, config_version());
    metrics_set("foliopost_build_info", labels, 1);
    metrics_render(out);
}

struct fp_http *health_start(struct fp_service *s, struct fp_err *err)
{
    const struct http_admin admin = {
        .listen = s->set.admin_listen,
        .ctx = s,
        .live = is_live,
        .ready = is_ready,
        .metrics = render_metrics,
    };

    struct fp_http *h = http_start(&admin, err);
    if (h)
        log_info("", "admin port", "port=%d", http_port(h));
    return h;
}
