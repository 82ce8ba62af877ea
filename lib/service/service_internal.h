/* What the files of lib/service share. */
#ifndef FP_SERVICE_INTERNAL_H
#define FP_SERVICE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "lib/http/http.h"
#include "lib/ledger/ledger.h"
#include "lib/service/service.h"

/*
 * The life of a service. service_set_phase() is the only writer.
 *
 *   WAITING  -> RUNNING   ledger there, lease held, start() came back
 *   WAITING  -> STOPPED   told to end before that, or start() failed
 *   RUNNING  -> LEAVING   SIGTERM, SIGINT, with a drain-delay: unready, and works on
 *   RUNNING, LEAVING -> DRAINING  the delay is over or none, or service_fail()
 *   DRAINING -> STOPPED   drained, or the grace period is over
 */
enum service_phase { SERVICE_WAITING, SERVICE_RUNNING, SERVICE_LEAVING, SERVICE_DRAINING, SERVICE_STOPPED };

/* settings.c: the rows that every service has. */
struct service_settings {
    char *ledger_dsn; /* may hold a password: never logged */
    int64_t db_connect_timeout_ms;
    int64_t db_query_timeout_ms;
    bool db_prepare;
    char *admin_listen;
    char *log_format;
    char *log_level;
    int64_t drain_timeout_ms, drain_delay_ms;
    char *instance_address;
    char *trace_endpoint; /* may hold a password: never logged */
};
extern const struct config_setting service_rows[];
extern const size_t service_n_rows;

#define SERVICE_LOOPS 16                  /* for service_beat(), ids of the service */
#define BEAT_MAIN     SERVICE_LOOPS       /* the skeleton's own loops */
#define BEAT_LEASE    (SERVICE_LOOPS + 1) /* lease.c */
#define BEAT_SLOTS    (SERVICE_LOOPS + 2)

struct service_beat_slot {
    _Atomic(const char *) name; /* NULL: no such loop */
    _Atomic int64_t last_us;    /* CLOCK_MONOTONIC: a suspended machine is no dead loop */
};

struct fp_service {
    const struct service_def *def;
    struct service_settings set;
    char program[64];  /* "foliopost-mailer" */
    char address[128]; /* published in instances */

    pthread_mutex_t lock; /* phase, why, note, slots, exit_code, and the wait for `wake` */
    pthread_cond_t wake;  /* the main thread: something changed */
    enum service_phase phase;
    char why[640]; /* why it waits; for /readyz */
    long long why_logged_us;
    char note[256];
    int slots;
    int exit_code;
    int64_t drain_at_us; /* LEAVING: when the drain begins */
    atomic_bool ending;  /* told to drain; never taken back */

    pthread_mutex_t ready_gate; /* health.c */
    struct service_beat_slot beats[BEAT_SLOTS];
    struct fp_http *http;
    _Atomic(struct fp_lease *) lease; /* NULL until the ledger is there */
};

/* service.c */
void service_set_phase(struct fp_service *s, enum service_phase phase);
enum service_phase service_phase(struct fp_service *s);
void service_ask_end(struct fp_service *s);   /* drain and leave; any thread */
void service_ask_leave(struct fp_service *s); /* the same after drain-delay, where it runs */
/* Sleeps; true when the service was told to end. */
bool service_sleep_ms(struct fp_service *s, int64_t ms);
/* Why it waits: in the log when it changed (and now and then), and for /readyz. */
void service_set_waiting(struct fp_service *s, const char *why);
/* Options for the skeleton's own connections, which must not hang for long. */
void service_short_options(const struct fp_service *s, struct pg_options *out);

/* signals.c: blocks SIGTERM and SIGINT for all threads made after it. */
void signals_block(void);
void signals_start(struct fp_service *s); /* a thread that never ends */

/* health.c */
struct fp_http *health_start(struct fp_service *s, struct fp_err *err) FP_MUST_CHECK;

/* lease.c */
struct fp_lease *lease_start(struct fp_service *s, struct fp_err *err) FP_MUST_CHECK;
void lease_stop(struct fp_lease *le); /* ends the instance, frees; NULL is fine */
/* Not held from here on, and the ledger is not told: it runs out there. */
void lease_abandon(struct fp_lease *le);
void lease_hurry(struct fp_lease *le); /* publish now rather than at the next renewal */
bool lease_held(struct fp_lease *le);
void lease_owner(struct fp_lease *le, char out[LEDGER_UUID]);
bool lease_owns(struct fp_lease *le, const char *owner);
void lease_problem(struct fp_lease *le, char *out, size_t cap); /* why it is not held */
int lease_pause_ms(int64_t left_us); /* before the next renewal, when so much is left of the lease */

#endif
