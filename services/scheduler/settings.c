/*
 * The table of the scheduler's settings.
 *
 * A default, its bounds and its help stand here and nowhere else; --help and
 * the docs are printed from this table. The bounds of what a job can also set
 * for itself are in limits.h, since a client's number and an operator's must
 * be judged alike.
 */
#include "services/scheduler/settings.h"

#include "lib/base/clock.h"
#include "lib/bus/bus.h"
#include "lib/service/rows.h"
#include "lib/source/source.h"
#include "services/scheduler/limits.h"

#define AT(field) offsetof(struct scheduler_settings, field)

const struct config_setting settings_rows[] = {
    {"batch-size", CONFIG_INT, "users", "100", 1, LIMIT_BATCH_SIZE, NULL,
     "users in one batch, unless the job says otherwise", AT(batch_size)},
    {"window", CONFIG_INT, "batches", "0", 0, LIMIT_WINDOW_BATCHES, NULL,
     "batches of one job in flight; 0: five seconds' worth, and three for each claim slot of the mailers",
     AT(window_batches)},
    {"max-attempts", CONFIG_INT, NULL, "12", 1, LIMIT_ATTEMPTS, NULL,
     "attempts at a mail that is refused for the moment, with the mailer's waits some eight hours; a job's deadline "
     "ends them sooner",
     AT(max_attempts)},
    {"interval-delay", CONFIG_DURATION_MS, "ms", "0", 0, LIMIT_INTERVAL_DELAY_MS, NULL,
     "pause between the starts of two intervals of a job", AT(interval_delay_ms)},
    {"range-start", CONFIG_STRING, NULL, "", 0, 10, NULL,
     "first registration day of a job without one, YYYY-MM-DD; empty: the first user's", AT(range_start)},
    SERVICE_ROW_AUDIENCE_MARGIN(AT(audience_margin_ms)),
    {"data-ready-share", CONFIG_DOUBLE, "%", "90", 0, 100, NULL,
     "share of the instruments with a close of late that must have one at the period's end before a job starts; "
     "until then it waits with the reason \"data not ready\", up to its deadline; 0: it does not wait",
     AT(data_ready_share)},
    {"data-ready-days", CONFIG_INT, "days", "5", 1, 90, NULL,
     "a close of the last so many days up to the period's end counts; holidays and weekends included",
     AT(data_ready_days)},
    {"approval-required", CONFIG_BOOL, NULL, "false", 0, 0, NULL,
     "every job waits until somebody else than its submitter approves it, resends too",
     AT(approval_required)},
    {"approval-above", CONFIG_INT, "users", "0", 0, 1e12, NULL,
     "a job for more users than this does; 0: none because of its size", AT(approval_above)},
    {"guard-bounced", CONFIG_DOUBLE, "%", "5", 0, 100, NULL,
     "a job of whose mails more than this bounced pauses itself; 0: never", AT(guard_bounced)},
    {"guard-complained", CONFIG_DOUBLE, "%", "0.3", 0, 100, NULL,
     "the same for complaints; mailbox providers ask for less than 0.1 and take nothing above 0.3",
     AT(guard_complained)},
    {"guard-failed", CONFIG_DOUBLE, "%", "50", 0, 100, NULL, "the same for mails that failed, for any reason",
     AT(guard_failed)},
    {"guard-after", CONFIG_INT, "mails", "1000", 1, 1e9, NULL,
     "no guard judges fewer mails; while a canary is sent half of it is enough, once it is sent 20",
     AT(guard_after)},
    {"test-domains", CONFIG_STRING, NULL, "", 0, 1024, NULL,
     "domains that SendTest may mail a user's figures to, by commas: example.com; empty: any",
     AT(test_domains)},
    {"max-jobs", CONFIG_INT, NULL, "3", 1, LIMIT_JOBS_AT_ONCE, NULL,
     "jobs in progress at once; others wait as PENDING", AT(max_jobs)},
    {"grant-pages", CONFIG_INT, "batches", "10", 1, 1000, NULL,
     "batches that a userstream may page with one grant", AT(grant_pages)},
    {"grant-due", CONFIG_DURATION_MS, "s", "15s", 1000, 600000, NULL,
     "a grant not paged by then is given to another userstream", AT(grant_due_ms)},
    SERVICE_ROW_REDO_AFTER(AT(redo_after_ms)),
    {"tick", CONFIG_DURATION_MS, "ms", "100ms", 10, 5000, NULL,
     "the leader looks at the jobs in progress this often", AT(tick_ms)},
    {"rpc-listen", CONFIG_STRING, NULL, "tcp://0.0.0.0:7700", 1, 255, NULL,
     "where JobService answers over NNG REQ/REP", AT(rpc_listen)},
    {"rpc-token-file", CONFIG_SECRET_FILE, NULL, "", 0, 0, NULL,
     "file with a bearer token that may do everything; empty: none, and without identities an open door",
     AT(rpc_token_file)},
    {"rpc-threads", CONFIG_INT, NULL, "8", 1, 64, NULL,
     "calls answered at once; each has its own connections", AT(rpc_threads)},
    {"rpc-deadline", CONFIG_DURATION_MS, "s", "30s", 100, 600000, NULL, "longest time for one call",
     AT(rpc_deadline_ms)},
    {"grpc-listen", CONFIG_STRING, NULL, "tcp://127.0.0.1:7710", 0, 1024, NULL,
     "where JobService answers over gRPC: tcp:// in plain text, tls+tcp:// with TLS; up to four, with commas; "
     "empty: nowhere",
     AT(grpc_listen)},
    {"grpc-cert-file", CONFIG_STRING, NULL, "", 0, 4096, NULL,
     "certificate chain of the gRPC door, PEM; read again when it changes", AT(grpc_cert_file)},
    {"grpc-key-file", CONFIG_STRING, NULL, "", 0, 4096, NULL, "the certificate's key, PEM",
     AT(grpc_key_file)},
    {"grpc-client-ca-file", CONFIG_STRING, NULL, "", 0, 4096, NULL,
     "CA of the gRPC clients' certificates, PEM; empty: none are asked for", AT(grpc_client_ca_file)},
    {"grpc-client-cert-optional", CONFIG_BOOL, NULL, "false", 0, 0, NULL,
     "gRPC clients without a certificate are let in too", AT(grpc_client_cert_optional)},
    {"grpc-threads", CONFIG_INT, NULL, "4", 1, 64, NULL,
     "gRPC calls worked on at once; each has its own connections", AT(grpc_threads)},
    {"grpc-connections", CONFIG_INT, NULL, "500", 1, 20000, NULL,
     "gRPC connections at once; at the limit the longest idle one makes room", AT(grpc_connections)},
    {"grpc-streams", CONFIG_INT, NULL, "128", 1, 10000, NULL, "gRPC calls at once on one connection",
     AT(grpc_streams)},
    {"grpc-idle", CONFIG_DURATION_MS, "s", "5m", 1000, 86400e3, NULL,
     "a gRPC connection without calls is closed after this", AT(grpc_idle_ms)},
    {"grpc-keepalive", CONFIG_DURATION_MS, "s", "60s", 1000, 3600e3, NULL,
     "a silent gRPC connection is asked by a PING whether it lives", AT(grpc_keepalive_ms)},
    {"grpc-max-age", CONFIG_DURATION_MS, "s", "1h", 1000, 604800e3, NULL,
     "a gRPC connection is told to go after this, so that clients spread over replicas", AT(grpc_max_age_ms)},
    {"work-listen", CONFIG_STRING, NULL, "tcp://0.0.0.0:7701", 1, 255, NULL,
     "where userstreams dial in for work", AT(work_listen)},
    SERVICE_ROW_SOURCE_DSN(AT(source_dsn)),
    SERVICE_ROWS_BUS_TLS(AT(bus_ca_file), AT(bus_cert_file), AT(bus_key_file)),
};
const size_t settings_n_rows = sizeof settings_rows / sizeof settings_rows[0];

void settings_grpc(const struct scheduler_settings *s, struct grpc_options *out)
{
    *out = (struct grpc_options){
        .listen = s->grpc_listen,
        .service = "foliopost.v1.JobService",
        .token_file = s->rpc_token_file,
        .cert_file = s->grpc_cert_file,
        .key_file = s->grpc_key_file,
        .client_ca_file = s->grpc_client_ca_file,
        .client_cert_optional = s->grpc_client_cert_optional,
        .threads = (int)s->grpc_threads,
        .first_worker = (int)s->rpc_threads,
        .max_deadline_ms = (int)s->rpc_deadline_ms,
        .max_connections = (int)s->grpc_connections,
        .max_streams = (int)s->grpc_streams,
        .idle_ms = (int)s->grpc_idle_ms,
        .keepalive_ms = (int)s->grpc_keepalive_ms,
        .max_age_ms = (int)s->grpc_max_age_ms,
    };
}

int settings_check(const struct scheduler_settings *s, struct fp_err *err)
{
    int32_t day;

    if (s->range_start[0] && (!day_parse(s->range_start, &day) || day < 0))
        return err_set(err, FP_INVALID_ARGUMENT, "range-start: %s is not a date since 1970 (YYYY-MM-DD)",
                       s->range_start);
    if (bus_check_urls(s->rpc_listen, true, err))
        return err_prefix(err, "rpc-listen");
    if (bus_check_urls(s->work_listen, true, err))
        return err_prefix(err, "work-listen");
    struct grpc_options grpc;
    settings_grpc(s, &grpc);
    if (s->grpc_listen[0] && grpc_check(&grpc, err))
        return err_prefix(err, "grpc-listen");
    const struct bus_tls tls = {s->bus_ca_file, s->bus_cert_file, s->bus_key_file};
    return bus_check_tls(&tls, err) ? -1 : source_check_dsn(s->source_dsn, err);
}

int64_t settings_range_start_us(const struct scheduler_settings *s)
{
    int32_t day;

    return day_parse(s->range_start, &day) ? day * FP_US_PER_DAY : 0;
}
