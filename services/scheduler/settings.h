/* The scheduler's settings: one row each in settings.c, with unit, default and bounds. */
#ifndef FP_SCHEDULER_SETTINGS_H
#define FP_SCHEDULER_SETTINGS_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/config/config.h"
#include "lib/grpc/grpc.h"

struct scheduler_settings {
    /* What a job gets when its specification leaves it out. */
    int64_t batch_size;
    int64_t window_batches; /* 0: by rate and mailers */
    int64_t max_attempts;
    int64_t interval_delay_ms;
    char *range_start; /* "": the first user */
    /* When a job pauses itself: percent of its mails; 0: never. */
    double guard_bounced, guard_complained, guard_failed;
    int64_t guard_after;
    int64_t audience_margin_ms;
    /* Which jobs wait for a second person, whatever they say. */
    bool approval_required;
    int64_t approval_above; /* users; 0: by size none */
    /* A job waits for the prices of its period: percent of the instruments; 0: it does not. */
    double data_ready_share;
    int64_t data_ready_days;
    char *test_domains; /* that SendTest may mail to; "": any */
    /* How the leader works. */
    int64_t max_jobs;
    int64_t grant_pages;
    int64_t grant_due_ms;
    int64_t redo_after_ms;
    int64_t tick_ms;
    /* Doors and databases. */
    char *rpc_listen;
    char *rpc_token_file;
    int64_t rpc_threads;
    int64_t rpc_deadline_ms;
    char *grpc_listen; /* "": no gRPC */
    char *grpc_cert_file, *grpc_key_file, *grpc_client_ca_file;
    bool grpc_client_cert_optional;
    int64_t grpc_threads, grpc_connections, grpc_streams;
    int64_t grpc_idle_ms, grpc_keepalive_ms, grpc_max_age_ms;
    char *work_listen;
    char *source_dsn; /* "": the ledger's database */
    char *bus_ca_file, *bus_cert_file, *bus_key_file;
};

extern const struct config_setting settings_rows[];
extern const size_t settings_n_rows;

/* The gRPC door's options, but for the methods. */
void settings_grpc(const struct scheduler_settings *s, struct grpc_options *out);

/* What one row alone cannot say: URLs, the range's start, the TLS files. */
int settings_check(const struct scheduler_settings *s, struct fp_err *err) FP_MUST_CHECK;

/* range_start as a moment; 0 when it is not set. Checked by settings_check(). */
int64_t settings_range_start_us(const struct scheduler_settings *s);

#endif
