/* Spans: the context that is carried, what leaves, and that nobody waits for the collector. */
#define _GNU_SOURCE /* memmem */
#include <arpa/inet.h>
#include <setjmp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"
#include "lib/trace/internal.h"

#define PARENT    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
#define UNSAMPLED "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
#define TRACE_ID  "0af7651916cd43dd8448eb211c80319c"

/* --- a collector: takes one request after the other ---------------------------------- */

static struct collector {
    int listener, port;
    const char *answer; /* NULL: takes connections and says nothing */
    pthread_t thread;
    char seen[1 << 20];
    size_t n;
    int requests;
} the;

static bool is_whole(const char *request, size_t n)
{
    const char *head = memmem(request, n, "\r\n\r\n", 4);
    const char *length = memmem(request, n, "Content-Length: ", 16);

    return head && length && n >= (size_t)(head + 4 - request) + (size_t)atol(length + 16);
}

static void *collect(void *arg)
{
    int fd;

    (void)arg;
    while ((fd = accept(the.listener, NULL, NULL)) >= 0) {
        size_t from = the.n;
        ssize_t got;
        while (!is_whole(the.seen + from, the.n - from) &&
               (got = read(fd, the.seen + the.n, sizeof the.seen - the.n - 1)) > 0)
            the.n += (size_t)got;
        if (the.answer)
            (void)!write(fd, the.answer, strlen(the.answer));
        the.requests++;
        close(fd);
    }
    return NULL;
}

static void collector_start(const char *answer)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof a;

    memset(&the, 0, sizeof the);
    the.answer = answer;
    the.listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(the.listener, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(the.listener, 5), 0);
    assert_int_equal(getsockname(the.listener, (struct sockaddr *)&a, &bytes), 0);
    the.port = ntohs(a.sin_port);
    if (answer)
        assert_int_equal(pthread_create(&the.thread, NULL, collect, NULL), 0);
}

static void collector_stop(void)
{
    shutdown(the.listener, SHUT_RDWR);
    if (the.answer)
        pthread_join(the.thread, NULL);
    close(the.listener);
}

static void export_to(int port)
{
    static char endpoint[64];
    struct trace_options o = {"foliopost-test", "1.0", "pod-\"1\"", endpoint};
    struct fp_err err;

    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d/", port);
    metrics_reset();
    assert_int_equal(trace_start(&o, &err), 0);
}

static double spans(const char *labels)
{
    return metrics_value("foliopost_trace_spans_total", labels);
}

#define OK200 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
#define NO503 "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

/* --- the context ------------------------------------------------------------------------ */

static void only_well_formed_contexts_are_taken(void **state)
{
    static const struct {
        const char *text;
        bool valid;
    } rows[] = {
        {PARENT, true},
        {UNSAMPLED, true},
        {NULL, false},
        {"", false},
        {"00-", false},
        {PARENT "x", false},
        {"01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false},
        {"00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false},
        {"00-00000000000000000000000000000000-b7ad6b7169203331-01", false},
        {"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false},
        {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g", false},
        {"00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01", false},
        {"00-0af7651916cd43dd8448eb211c8031-9c-b7ad6b7169203331-01", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(trace_is_valid(rows[i].text), rows[i].valid);
}

static void without_an_exporter_the_context_goes_on_as_it_came(void **state)
{
    struct trace_span s;

    (void)state;
    trace_begin(&s, PARENT, "x", TRACE_SERVER);
    assert_string_equal(s.context, PARENT);
    assert_false(s.recorded);
    trace_end(&s, NULL);
    trace_begin(&s, "rubbish", "x", TRACE_SERVER);
    assert_string_equal(s.context, "");
}

/* --- what leaves -------------------------------------------------------------------------- */

static void a_span_hangs_below_its_parent_and_leaves(void **state)
{
    struct trace_span a, b, root;
    char child[64];

    (void)state;
    collector_start(OK200);
    export_to(the.port);
    trace_begin(&a, PARENT, "SubmitJob", TRACE_SERVER);
    assert_memory_equal(a.context, PARENT, 36);
    assert_string_not_equal(a.context, PARENT);
    assert_true(trace_is_valid(a.context));
    trace_begin(&b, a.context, "stats batch", TRACE_CONSUMER);
    trace_number(&b, "foliopost.batch_id", INT64_C(9007199254740993));
    trace_end(&b, "not_sent");
    trace_end(&a, NULL);
    trace_end(&a, NULL); /* the second is nothing */
    trace_begin(&root, "", "job", TRACE_INTERNAL);
    assert_true(trace_is_valid(root.context));
    trace_end(&root, NULL);
    trace_stop();
    collector_stop();
    assert_int_equal(spans("outcome=\"sent\""), 3);
    assert_non_null(strstr(the.seen, "POST /v1/traces HTTP/1.1\r\n"));
    assert_non_null(
        strstr(the.seen, "{\"key\":\"service.instance.id\",\"value\":{\"stringValue\":\"pod-\\\"1\\\"\"}}"));
    snprintf(child, sizeof child, "\"parentSpanId\":\"%.16s\",\"name\":\"stats batch\"", a.context + 36);
    assert_non_null(strstr(the.seen, child));
    assert_non_null(strstr(the.seen, "\"traceId\":\"" TRACE_ID "\""));
    assert_non_null(
        strstr(the.seen, "\"parentSpanId\":\"b7ad6b7169203331\",\"name\":\"SubmitJob\",\"kind\":2"));
    assert_non_null(strstr(the.seen, "\"value\":{\"intValue\":\"9007199254740993\"}}"));
    assert_non_null(strstr(the.seen, "\"stringValue\":\"not_sent\"}}],\"status\":{\"code\":2}}"));
}

static void what_is_not_sampled_is_carried_and_not_sent(void **state)
{
    struct trace_span s, under;

    (void)state;
    collector_start(OK200);
    export_to(the.port);
    trace_begin(&s, UNSAMPLED, "x", TRACE_SERVER);
    assert_string_equal(s.context, UNSAMPLED);
    trace_end(&s, NULL);
    trace_begin(&s, PARENT, "x", TRACE_SERVER);
    trace_unsample(&s);
    trace_begin(&under, s.context, "x", TRACE_SERVER);
    assert_memory_equal(under.context, PARENT, 36);
    assert_false(under.recorded);
    trace_end(&under, NULL);
    trace_end(&s, NULL);
    trace_stop();
    collector_stop();
    assert_int_equal(the.requests, 0);
}

/* --- a collector that is no good ------------------------------------------------------------- */

static void end_many(int n)
{
    struct trace_span s;

    for (int i = 0; i < n; i++) {
        trace_begin(&s, PARENT, "x", TRACE_SERVER);
        trace_end(&s, NULL);
    }
}

static void nobody_waits_for_a_silent_collector(void **state)
{
    (void)state;
    collector_start(NULL);
    export_to(the.port);
    end_many(3 * TRACE_QUEUE);
    assert_true(spans("outcome=\"dropped\"") >= TRACE_QUEUE); /* the queue and one request are all it holds */
    trace_stop();
    collector_stop();
    assert_int_equal(spans("outcome=\"dropped\"") + spans("outcome=\"failed\""), 3 * TRACE_QUEUE);
}

static void a_refused_request_is_tried_again_and_given_up(void **state)
{
    (void)state;
    collector_start(NO503);
    export_to(the.port);
    end_many(5);
    while (spans("outcome=\"failed\"") < 5)
        clock_sleep_us(10000);
    trace_stop();
    collector_stop();
    assert_int_equal(the.requests, 3);
    assert_int_equal(spans("outcome=\"sent\""), 0);
}

static void a_wrong_endpoint_is_said(void **state)
{
    static const char *const wrong[] = {"collector:4318", "ftp://x", "http://", "http:///v1/traces"};
    struct trace_options o = {"foliopost-test", "1.0", "pod", ""};
    struct fp_err err;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        o.endpoint = wrong[i];
        assert_int_equal(trace_start(&o, &err), -1);
        assert_int_equal(err.code, FP_INVALID_ARGUMENT);
    }
    trace_stop();
}

/* --- OpenTelemetry's variables ----------------------------------------------------------------- */

static const char *const variables[] = {"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                                        "OTEL_EXPORTER_OTLP_HEADERS",  "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
                                        "OTEL_SERVICE_NAME",           "OTEL_RESOURCE_ATTRIBUTES",
                                        "OTEL_TRACES_SAMPLER",         "OTEL_TRACES_SAMPLER_ARG",
                                        "OTEL_SDK_DISABLED",           "OTEL_TRACES_EXPORTER",
                                        "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"};

static int no_variables(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
        unsetenv(variables[i]);
    return 0;
}

static void set_to_collector(const char *name, const char *path)
{
    char url[128];
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", the.port, path);
    setenv(name, url, 1);
}

static void start_by_variables(void)
{
    struct trace_options o = {"foliopost-test", "1.0", "pod-1", ""};
    struct fp_err err;
    metrics_reset();
    assert_int_equal(trace_start(&o, &err), 0);
}

static void the_standard_variables_say_where_and_as_whom(void **state)
{
    static const struct {
        const char *name, *path, *request;
    } rows[] = {
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "", "POST /v1/traces HTTP/1.1\r\n"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "/otlp/", "POST /otlp/v1/traces HTTP/1.1\r\n"},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "/mine", "POST /mine HTTP/1.1\r\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        no_variables(NULL);
        collector_start(OK200);
        setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1", 1); /* the one for traces wins */
        set_to_collector(rows[i].name, rows[i].path);
        setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=wrong", 1);
        setenv("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-key=a%20b%2Cc , authorization=Basic%20eDp5", 1);
        setenv("OTEL_SERVICE_NAME", "reports", 1);
        setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,deployment.environment=prod,a=%22b%22", 1);
        start_by_variables();
        end_many(1);
        trace_stop();
        collector_stop();
        assert_int_equal(spans("outcome=\"sent\""), 1);
        assert_non_null(strstr(the.seen, rows[i].request));
        assert_non_null(strstr(the.seen, "\r\nx-key: a b,c\r\nauthorization: Basic eDp5\r\n"));
        assert_non_null(
            strstr(the.seen, "{\"key\":\"service.name\",\"value\":{\"stringValue\":\"reports\"}}"));
        assert_non_null(
            strstr(the.seen, "{\"key\":\"deployment.environment\",\"value\":{\"stringValue\":\"prod\"}}"));
        assert_non_null(strstr(the.seen, "{\"key\":\"a\",\"value\":{\"stringValue\":\"\\\"b\\\"\"}}"));
        assert_null(strstr(the.seen, "other"));
    }
}

static void our_setting_wins_over_the_variables(void **state)
{
    (void)state;
    collector_start(OK200);
    setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:1/x", 1);
    export_to(the.port);
    end_many(1);
    trace_stop();
    collector_stop();
    assert_int_equal(spans("outcome=\"sent\""), 1);
}

static void no_variable_stops_the_start(void **state)
{
    static const struct {
        const char *name, *value;
        bool exports;
    } rows[] = {
        {"OTEL_SDK_DISABLED", "TRUE", false},
        {"OTEL_TRACES_EXPORTER", "none", false},
        {"OTEL_TRACES_SAMPLER", "always_off", false},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "collector:4317", false},
        {"OTEL_TRACES_SAMPLER", "jaeger_remote", true},
        {"OTEL_RESOURCE_ATTRIBUTES", "no equals sign", true},
        {"OTEL_RESOURCE_ATTRIBUTES", "a=%0a", true},
        {"OTEL_EXPORTER_OTLP_HEADERS", "x=a%0d%0aHost:%20b", true},
        {"OTEL_EXPORTER_OTLP_HEADERS", "=x", true},
        {"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        no_variables(NULL);
        collector_start(OK200);
        set_to_collector("OTEL_EXPORTER_OTLP_ENDPOINT", "");
        setenv(rows[i].name, rows[i].value, 1);
        start_by_variables();
        end_many(1);
        trace_stop();
        collector_stop();
        if (spans("outcome=\"sent\"") != rows[i].exports || strstr(the.seen, "Host: b"))
            fail_msg("%s=%s", rows[i].name, rows[i].value);
    }
    no_variables(NULL);
    start_by_variables();
    assert_false(trace_exporting());
}

static int begun(const char *sampler, const char *arg, const char *parent)
{
    struct trace_span s;
    int n = 0;
    setenv("OTEL_TRACES_SAMPLER", sampler, 1);
    setenv("OTEL_TRACES_SAMPLER_ARG", arg, 1);
    setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1", 1);
    start_by_variables();
    for (int i = 0; i < 1000; i++) {
        trace_begin(&s, parent, "x", TRACE_SERVER);
        assert_true(trace_is_valid(s.context));
        assert_int_equal(s.context[54] == '1', s.recorded); /* who works under it sees the same */
        n += s.recorded;
        trace_unsample(&s); /* nothing is sent */
    }
    trace_stop();
    return n;
}

static void the_sampler_decides_where_traces_begin(void **state)
{
    (void)state;
    assert_int_equal(begun("parentbased_always_on", "", ""), 1000);
    assert_int_equal(begun("parentbased_always_off", "", ""), 0);
    assert_int_equal(begun("parentbased_always_off", "", PARENT), 1000);
    assert_in_range(begun("parentbased_traceidratio", "0.25", ""), 150, 350);
    assert_int_equal(begun("traceidratio", "0.25", PARENT), 1000);
    assert_int_equal(begun("traceidratio", "0", ""), 0);
    assert_int_equal(begun("traceidratio", "many", ""), 1000); /* passed over */
    assert_true(otel_begins("00000000000000000080000000000000", 0.5));
    assert_false(otel_begins("ffffffffffffffffff7fffffffffffff", 0.5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_well_formed_contexts_are_taken),
        cmocka_unit_test(without_an_exporter_the_context_goes_on_as_it_came),
        cmocka_unit_test(a_span_hangs_below_its_parent_and_leaves),
        cmocka_unit_test(what_is_not_sampled_is_carried_and_not_sent),
        cmocka_unit_test(nobody_waits_for_a_silent_collector),
        cmocka_unit_test(a_refused_request_is_tried_again_and_given_up),
        cmocka_unit_test(a_wrong_endpoint_is_said),
        cmocka_unit_test_teardown(the_standard_variables_say_where_and_as_whom, no_variables),
        cmocka_unit_test_teardown(our_setting_wins_over_the_variables, no_variables),
        cmocka_unit_test_teardown(no_variable_stops_the_start, no_variables),
        cmocka_unit_test_teardown(the_sampler_decides_where_traces_begin, no_variables),
    };
    log_init("test", false, LOG_ERROR_LEVEL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
