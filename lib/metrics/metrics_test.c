/* Metrics: sums, the text format, bounds, threads. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/metrics/metrics.h"

static struct fp_str out;

static int setup(void **state)
{
    (void)state;
    metrics_reset();
    str_init(&out, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    str_fini(&out);
    metrics_reset();
    return 0;
}

static const char *render(void)
{
    str_clear(&out);
    metrics_render(&out);
    return out.data;
}

static void counters_sum_and_gauges_replace(void **state)
{
    (void)state;
    metrics_add("c_total", "a=\"1\"", 2);
    metrics_add("c_total", "a=\"1\"", 3);
    metrics_add("c_total", "a=\"2\"", 1);
    metrics_set("g", NULL, 5);
    metrics_set("g", "", -1.5);
    assert_true(metrics_value("c_total", "a=\"1\"") == 5);
    assert_true(metrics_value("c_total", "a=\"2\"") == 1);
    assert_true(metrics_value("c_total", "") == 0);
    assert_true(metrics_value("g", NULL) == -1.5);
}

static void lines_of_one_name_stand_together(void **state)
{
    (void)state;
    metrics_help("b_total", "what b counts");
    metrics_add("b_total", "x=\"2\"", 1);
    metrics_set("a", "", 1234567);
    metrics_add("b_total", "x=\"1\"", 1e6);
    const char *want = "# TYPE a gauge\na 1234567\n"
                       "# HELP b_total what b counts\n# TYPE b_total counter\n"
                       "b_total{x=\"1\"} 1000000\nb_total{x=\"2\"} 1\n";
    assert_memory_equal(render(), want, strlen(want));
}

static void a_histogram_is_cumulative(void **state)
{
    (void)state;
    metrics_observe_s("h_seconds", "k=\"v\"", 0.001); /* on the bound: inside */
    metrics_observe_s("h_seconds", "k=\"v\"", 0.02);
    metrics_observe_s("h_seconds", "k=\"v\"", 100);
    const char *text = render();
    assert_non_null(strstr(text, "# TYPE h_seconds histogram\n"));
    assert_non_null(strstr(text, "h_seconds_bucket{k=\"v\",le=\"0.001\"} 1\n"));
    assert_non_null(strstr(text, "h_seconds_bucket{k=\"v\",le=\"0.01\"} 1\n"));
    assert_non_null(strstr(text, "h_seconds_bucket{k=\"v\",le=\"0.025\"} 2\n"));
    assert_non_null(strstr(text, "h_seconds_bucket{k=\"v\",le=\"60\"} 2\n"));
    assert_non_null(strstr(text, "h_seconds_bucket{k=\"v\",le=\"+Inf\"} 3\n"));
    assert_non_null(strstr(text, "h_seconds_sum{k=\"v\"} 100.021\n"));
    assert_non_null(strstr(text, "h_seconds_count{k=\"v\"} 3\n"));
    metrics_observe_s("plain_seconds", "", 1);
    assert_non_null(strstr(render(), "plain_seconds_bucket{le=\"1\"} 1\n"));
    assert_non_null(strstr(render(), "plain_seconds_sum 1\n"));
}

static void the_process_shows_itself(void **state)
{
    (void)state;
    const char *rss = strstr(render(), "\nprocess_resident_memory_bytes "), *fds, *start;
    assert_non_null(rss);
    assert_true(strtod(strchr(rss + 1, ' '), NULL) > 100000);
    fds = strstr(out.data, "\nprocess_open_fds ");
    assert_non_null(fds);
    assert_true(strtod(strchr(fds + 1, ' '), NULL) >= 3);
    start = strstr(out.data, "\nprocess_start_time_seconds ");
    assert_non_null(start);
    assert_true(strtod(strchr(start + 1, ' '), NULL) > 1.7e9);
}

static void past_the_maximum_series_are_dropped_and_counted(void **state)
{
    char labels[32];

    (void)state;
    for (int i = 0; i < METRICS_MAX_SERIES + 88; i++) {
        snprintf(labels, sizeof labels, "i=\"%d\"", i);
        metrics_add("many_total", labels, 1);
    }
    metrics_add("many_total", "i=\"5\"", 1); /* an old one still counts */
    assert_true(metrics_value("many_total", "i=\"5\"") == 2);
    assert_true(metrics_value("many_total", "i=\"2047\"") == 1);
    assert_true(metrics_value("many_total", "i=\"2048\"") == 0);
    assert_non_null(strstr(render(), "foliopost_metrics_dropped_total 88\n"));
}

static void a_name_of_another_kind_does_not_crash(void **state)
{
    (void)state;
    metrics_add("x", "", 1);
    metrics_observe_s("x", "", 1);
    metrics_set("x", "", 3);
    assert_true(metrics_value("x", "") == 3);
    assert_non_null(strstr(render(), "# TYPE x counter\n"));
    metrics_observe_s("y", "", 1);
    metrics_add("y", "", 1);
    render();
}

static void *add_many(void *arg)
{
    (void)arg;
    for (int i = 0; i < 5000; i++) {
        metrics_add("t_total", "", 1);
        metrics_observe_s("t_seconds", "", 0.1);
    }
    return NULL;
}

static void threads_lose_nothing(void **state)
{
    pthread_t t[4];

    (void)state;
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, add_many, NULL);
    for (int i = 0; i < 10; i++)
        render();
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    assert_true(metrics_value("t_total", "") == 20000);
    assert_non_null(strstr(render(), "t_seconds_count 20000\n"));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(counters_sum_and_gauges_replace),
        TEST(lines_of_one_name_stand_together),
        TEST(a_histogram_is_cumulative),
        TEST(the_process_shows_itself),
        TEST(past_the_maximum_series_are_dropped_and_counted),
        TEST(a_name_of_another_kind_does_not_crash),
        TEST(threads_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
