/*
 * The skeleton of every service. A service's main() is its settings, its
 * callbacks and service_run().
 *
 * The start, in this order: settings, log, signals, validate, admin port,
 * ledger and its schema version (a service whose schema is not there yet waits
 * unready and says so), instance and lease, start(), ready. The end, in
 * reverse: SIGTERM or SIGINT makes it unready, drain() (after drain-delay, in
 * which it works on for who has not heard yet) takes no new work,
 * drained() is asked until it is true or the grace period is over, stop(),
 * the instance ends, exit 0. Works as PID 1. SIGPIPE is ignored.
 *
 * The lease: instances.lease_until is renewed every third of its length by one
 * statement on a connection and thread of its own. The local deadline counts
 * from when the renewal was sent, on CLOCK_BOOTTIME, less a margin: past it
 * service_lease_held() is false and nobody may act for this owner any more. A
 * lease that was swept is followed by a new owner UUID.
 */
#ifndef FP_SERVICE_SERVICE_H
#define FP_SERVICE_SERVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/config/config.h"
#include "lib/pg/pg.h"

struct fp_service;

struct service_def {
    const char *name;    /* "mailer": in logs, metrics, instances */
    const char *summary; /* one line for --help */
    const struct config_setting *settings;
    size_t n_settings;
    void *values; /* the struct that settings fill; handed to each callback */
    /* Checks that need more than one setting, templates and the like; opens nothing. May be NULL. */
    int (*validate)(void *values, struct fp_err *err);
    /* The ledger is there and the lease is held. */
    int (*start)(struct fp_service *s, void *values, struct fp_err *err);
    /* All periodic work of the process, every tick_ms, in the main thread. May be NULL. */
    void (*tick)(struct fp_service *s, void *values);
    int tick_ms;
    void (*drain)(struct fp_service *s, void *values);
    bool (*drained)(struct fp_service *s, void *values);
    void (*stop)(struct fp_service *s, void *values);
    /* False with the reason when the service cannot work now. Called by the
     * admin port's thread, between start() and stop(). May be NULL. */
    bool (*ready)(struct fp_service *s, void *values, struct fp_str *why_not);
    int slots; /* claim slots to publish; may be set in start() by service_set_slots() */
};

/* Runs the whole life; the value is main()'s: 0 after a drain or --help, 2 on
 * wrong settings, 1 when the environment does not let it run. Once the settings
 * were read it does not come back but ends the process by _exit() with that
 * value. A second SIGTERM or SIGINT ends it at once with 130. tick() is not
 * called any more once drain() was. stop() is called only when start() did well. */
int service_run(const struct service_def *def, int argc, char **argv);

/* For the callbacks and the threads they start. */
void service_ledger_options(const struct fp_service *s,
                            struct pg_options *out);    /* strings live as long as s */
void service_owner(struct fp_service *s, char out[37]); /* the present owner UUID; never "" from start() on */
bool service_lease_held(struct fp_service *s);
/* True while `owner` is still the present owner and its lease is held. */
bool service_owns(struct fp_service *s, const char *owner);
bool service_is_draining(const struct fp_service *s);
void service_set_slots(struct fp_service *s, int slots);
void service_set_note(struct fp_service *s, const char *note); /* why it stands; "" when well */
/* A loop of the service says that it turns: /livez fails when one that has
 * said so is silent for a minute. id 0..15; name is a literal. */
void service_beat(struct fp_service *s, int id, const char *name);
/* The loop ended on purpose. */
void service_beat_end(struct fp_service *s, int id);
/* From stop(), when threads hang in what cannot be hurried and use what would be freed.
 * The lease is not held any more, and is not ended in the ledger: what is open under it
 * is judged when it runs out. Nothing is freed; the process ends as after a stop. */
void service_abandon(struct fp_service *s) __attribute__((noreturn));
/* Something that cannot be mended from inside: log, drain, exit 1. Thread-safe. */
void service_fail(struct fp_service *s, const struct fp_err *why);

#endif
