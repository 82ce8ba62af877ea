/*
 * The exporter: a ring that anybody fills, and one thread that empties it by
 * POST with libcurl.
 *
 * The pipeline never waits for it: a full ring drops. A request that fails is
 * tried three times, a second apart, and given up; meanwhile the ring takes
 * what it can hold. Redirects are not followed, and what the collector answers
 * is thrown away but for its status.
 */
#define _GNU_SOURCE /* pthread_setname_np */
#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"
#include "lib/trace/internal.h"

#define SEND_EVERY_MS 1000
#define SEND_SPANS    512 /* one request: about 250 kB */
#define SEND_BYTES    (1024 * 1024)
#define REQUEST_MS    2000L /* the end of the process may wait for two of them */
#define TRIES         3
#define SAY_EVERY_MS  60000
#define METRIC        "foliopost_trace_spans_total"

static struct {
    pthread_mutex_t lock; /* what stands below, up to the thread */
    pthread_cond_t wake;
    struct trace_done *ring;
    size_t first, n;
    bool stopping;
    pthread_t thread;
    atomic_bool on;
    struct trace_options o;
    struct otel_env env;
    char url[OTEL_URL_BYTES];
    CURL *curl;
    struct curl_slist *headers;
    long long said_us;
} the = {.lock = PTHREAD_MUTEX_INITIALIZER};

bool trace_exporting(void)
{
    return atomic_load_explicit(&the.on, memory_order_acquire);
}

const struct otel_env *trace_env(void)
{
    return &the.env;
}

void trace_give(const struct trace_done *d)
{
    pthread_mutex_lock(&the.lock);
    bool room = the.ring && !the.stopping && the.n < TRACE_QUEUE;
    if (room) {
        the.ring[(the.first + the.n++) % TRACE_QUEUE] = *d;
        if (the.n == SEND_SPANS)
            pthread_cond_signal(&the.wake);
    }
    pthread_mutex_unlock(&the.lock);
    if (!room)
        metrics_add(METRIC, "outcome=\"dropped\"", 1);
}

/* --- the thread ------------------------------------------------------------------- */

static void wait_us(int64_t until_us, size_t enough)
{
    const struct timespec until = {.tv_sec = until_us / FP_US_PER_S,
                                   .tv_nsec = until_us % FP_US_PER_S * 1000};
    int rc = 0;

    while (!the.stopping && the.n < enough && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&the.wake, &the.lock, &until);
}

/* A copy of the oldest, so that the ring is free while they are sent; true: no more will come. */
static bool take(struct trace_done *out, size_t *n)
{
    pthread_mutex_lock(&the.lock);
    wait_us(clock_mono_us() + SEND_EVERY_MS * 1000, SEND_SPANS);
    for (*n = 0; *n < SEND_SPANS && the.n > 0; the.n--) {
        out[(*n)++] = the.ring[the.first];
        the.first = (the.first + 1) % TRACE_QUEUE;
    }
    bool end = the.stopping && the.n == 0;
    pthread_mutex_unlock(&the.lock);
    return end;
}

static size_t swallow(char *data, size_t size, size_t n, void *arg)
{
    (void)data;
    (void)arg;
    return size * n;
}

static bool post(const struct fp_str *body)
{
    long status = 0;

    curl_easy_setopt(the.curl, CURLOPT_POSTFIELDS, body->data);
    curl_easy_setopt(the.curl, CURLOPT_POSTFIELDSIZE, (long)body->len);
    CURLcode rc = curl_easy_perform(the.curl);
    if (rc == CURLE_OK)
        curl_easy_getinfo(the.curl, CURLINFO_RESPONSE_CODE, &status);
    if (status >= 200 && status < 300)
        return true;
    if (log_limited(&the.said_us, SAY_EVERY_MS))
        log_warn("", "spans not taken", "status=%ld reason=%s", status, curl_easy_strerror(rc));
    return false;
}

/* A second of rest; true: the process ends. */
static bool rest(void)
{
    pthread_mutex_lock(&the.lock);
    wait_us(clock_mono_us() + SEND_EVERY_MS * 1000, TRACE_QUEUE + 1);
    bool stopping = the.stopping;
    pthread_mutex_unlock(&the.lock);
    return stopping;
}

static bool send_spans(const struct trace_done *spans, size_t n)
{
    struct fp_str body;
    bool sent = false;

    str_init(&body, SEND_BYTES);
    trace_otlp(&the.o, spans, n, &body);
    for (int i = 0; i < TRIES && !sent && !body.overflow; i++) {
        sent = post(&body);
        if (!sent && rest())
            break;
    }
    str_fini(&body);
    metrics_add(METRIC, sent ? "outcome=\"sent\"" : "outcome=\"failed\"", (double)n);
    return sent;
}

static void *export_main(void *arg)
{
    struct trace_done *spans = mem_array(SEND_SPANS, sizeof *spans);
    bool end, sent = true;
    size_t n;

    (void)arg;
    pthread_setname_np(pthread_self(), "trace");
    do {
        end = take(spans, &n);
        if (n > 0)
            sent = send_spans(spans, n);
        pthread_mutex_lock(&the.lock);
        end |= the.stopping && !sent; /* a collector that is away does not hold up the end */
        pthread_mutex_unlock(&the.lock);
    } while (!end);
    mem_free(spans);
    return NULL;
}

/* --- life ---------------------------------------------------------------------------- */

/* As OpenTelemetry has it: a base URL, to which the signal's path is added. */
static int make_url(const char *endpoint, struct fp_err *err)
{
    if (endpoint[0] == '\0') {
        snprintf(the.url, sizeof the.url, "%s", the.env.url);
        return 0;
    }
    const char *host = strncmp(endpoint, "http://", 7) == 0    ? endpoint + 7
                       : strncmp(endpoint, "https://", 8) == 0 ? endpoint + 8
                                                               : "";
    const char *path = strchr(host, '/');
    bool bare = !path || path[1] == '\0';

    if (*host == '\0' || *host == '/')
        return err_set(err, FP_INVALID_ARGUMENT, "trace-endpoint: not http://HOST:PORT or https://HOST:PORT");
    int n = snprintf(the.url, sizeof the.url, "%.*s%s",
                     bare && path ? (int)(path - endpoint) : (int)strlen(endpoint), endpoint,
                     bare ? "/v1/traces" : "");
    return n < OTEL_URL_BYTES ? 0
                              : err_set(err, FP_INVALID_ARGUMENT, "trace-endpoint: longer than %d bytes",
                                        OTEL_URL_BYTES - 1);
}

static void add_headers(void)
{
    char line[OTEL_TEXT_BYTES];

    the.headers = curl_slist_append(NULL, "Content-Type: application/json");
    the.headers = curl_slist_append(the.headers, "Expect:");
    for (size_t i = 0; i < the.env.n_headers; i++) {
        snprintf(line, sizeof line, "%s: %s", the.env.headers[i].key, the.env.headers[i].value);
        the.headers = curl_slist_append(the.headers, line);
    }
}

static int make_curl(struct fp_err *err)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(the.curl = curl_easy_init()))
        return err_set(err, FP_INTERNAL, "libcurl cannot be initialised");
    add_headers();
    curl_easy_setopt(the.curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(the.curl, CURLOPT_URL, the.url);
    curl_easy_setopt(the.curl, CURLOPT_HTTPHEADER, the.headers);
    curl_easy_setopt(the.curl, CURLOPT_TIMEOUT_MS, REQUEST_MS);
    curl_easy_setopt(the.curl, CURLOPT_WRITEFUNCTION, swallow);
    curl_easy_setopt(the.curl, CURLOPT_FOLLOWLOCATION, 0L);
    return 0;
}

static void make_wake(void)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&the.wake, &attr);
    pthread_condattr_destroy(&attr);
}

int trace_start(const struct trace_options *o, struct fp_err *err)
{
    if (trace_exporting())
        return err_set(err, FP_FAILED_PRECONDITION, "spans are exported already");
    otel_read(&the.env);
    if (make_url(o->endpoint, err))
        return -1;
    if (the.env.off || the.url[0] == '\0')
        return 0;
    if (make_curl(err))
        return -1;
    the.o = *o;
    the.first = the.n = 0;
    the.stopping = false;
    the.ring = mem_array(TRACE_QUEUE, sizeof *the.ring);
    make_wake();
    if (pthread_create(&the.thread, NULL, export_main, NULL) != 0)
        fp_panic("cannot start the thread of traces");
    atomic_store(&the.on, true);
    return 0;
}

void trace_stop(void)
{
    if (!trace_exporting())
        return;
    atomic_store(&the.on, false);
    pthread_mutex_lock(&the.lock);
    the.stopping = true;
    pthread_cond_signal(&the.wake);
    pthread_mutex_unlock(&the.lock);
    pthread_join(the.thread, NULL);
    pthread_mutex_lock(&the.lock); /* a thread that outlived the grace period may still end a span */
    size_t left = the.n;
    mem_free(the.ring);
    the.ring = NULL;
    pthread_mutex_unlock(&the.lock);
    if (left > 0)
        metrics_add(METRIC, "outcome=\"dropped\"", (double)left);
    pthread_cond_destroy(&the.wake);
    curl_easy_cleanup(the.curl);
    curl_slist_free_all(the.headers);
    curl_global_cleanup();
}
