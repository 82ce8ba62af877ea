/* Which URLs are SNS's own, and when a certificate is fetched at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>

#include "lib/base/clock.h"

#include "services/mailer/inbound/sns.h"

#define TOPIC "arn:aws:sns:eu-west-1:123456789012:events"

static int gets;

static int get(void *ctx, const char *url, struct fp_str *out, struct fp_err *err)
{
    (void)ctx;
    (void)url;
    gets++;
    str_puts(out, "not a certificate");
    (void)err;
    return 0;
}

static void only_urls_of_sns_itself_are_taken(void **state)
{
    static const char *const good[] = {
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123abcd.pem",
        "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=2",
        "https://sns.eu-west-1.amazonaws.com.cn/x.pem"};
    static const char *const bad[] = {
        "http://sns.eu-west-1.amazonaws.com/x.pem",
        "https://sns.us-east-1.amazonaws.com/x.pem", /* not the topic's region */
        "https://sns.eu-west-1.amazonaws.com.evil.example/x.pem",
        "https://sns.eu-west-1.amazonaws.com:444/x.pem",
        "https://sns.eu-west-1.amazonaws.com@evil.example/x.pem",
        "https://evil.example/sns.eu-west-1.amazonaws.com/x.pem",
        "https://user@sns.eu-west-1.amazonaws.com/x.pem",
        "https://sns.eu-west-1.amazonaws.com\\@evil.example/x.pem",
        "https://sns.eu-west-1.amazonaws.com/x.pem\r\nHost: evil",
        "https://s3.eu-west-1.amazonaws.com/x.pem",
        "HTTPS://sns.eu-west-1.amazonaws.com/x.pem",
        " https://sns.eu-west-1.amazonaws.com/x.pem",
        "file:///etc/passwd",
        "",
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (!sns_is_own_url(good[i], "eu-west-1"))
            fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (sns_is_own_url(bad[i], "eu-west-1"))
            fail_msg("taken: %s", bad[i]);
    assert_false(sns_is_own_url("https://sns..amazonaws.com/x", ""));
    assert_false(sns_is_own_url("https://sns.a/b.amazonaws.com/x", "a/b"));
    assert_false(sns_is_own_url("https://sns.evil.example/?.amazonaws.com/x", "evil.example/?"));
}

static int checked(struct sns *s, const char *topic, const char *url)
{
    struct fp_err err;
    json_t *m = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "Type", "Notification", "MessageId", "1",
                          "Message", "{}", "TopicArn", topic, "Timestamp", "2026-11-01T00:00:00.000Z",
                          "SignatureVersion", "1", "Signature", "AAAA", "SigningCertURL", url);
    int rc = sns_check(s, m, &err);
    json_decref(m);
    return rc == 0 ? FP_OK : (int)err.code;
}

static void nothing_is_fetched_for_strangers_and_one_a_second_for_all(void **state)
{
    struct sns *s = sns_new("arn:aws:sns:eu-west-1:1:other," TOPIC, "", get, NULL);
    (void)state;
    assert_int_equal(checked(s, "arn:aws:sns:eu-west-1:666:events",
                             "https://sns.eu-west-1.amazonaws.com/x.pem"),
                     FP_PERMISSION_DENIED);
    assert_int_equal(checked(s, "arn:aws:sns:eu-west-1:123456789012:event",
                             "https://sns.eu-west-1.amazonaws.com/x.pem"),
                     FP_PERMISSION_DENIED);
    assert_int_equal(checked(s, TOPIC, "https://evil.example/x.pem"), FP_PERMISSION_DENIED);
    assert_int_equal(checked(s, TOPIC, "https://sns.eu-west-1.amazonaws.com/../x"), FP_PERMISSION_DENIED);
    static const char *const others[] = {"?Action=GetTopicAttributes&x=.pem",
                                         "?Action=x/y.pem",
                                         "x/y.pem",
                                         "%2e%2e/x.pem",
                                         "%2e%2e%2fx.pem",
                                         "x.pem?y.pem",
                                         "x.pem/",
                                         "x.pem%00.pem",
                                         ".pem",
                                         "..pem",
                                         "x~.pem",
                                         "x.pem&.pem",
                                         "",
                                         "/x.pem",
                                         "x:y.pem"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        char url[128];
        snprintf(url, sizeof url, "https://sns.eu-west-1.amazonaws.com/%s", others[i]);
        if (checked(s, TOPIC, url) != FP_PERMISSION_DENIED || gets != 0)
            fail_msg("taken: %s", url);
    }
    assert_int_equal(gets, 0);
    assert_int_equal(checked(s, TOPIC, "https://sns.eu-west-1.amazonaws.com/x.pem"), FP_PERMISSION_DENIED);
    assert_int_equal(gets, 1);
    assert_int_equal(checked(s, TOPIC, "https://sns.eu-west-1.amazonaws.com/y.pem"), FP_UNAVAILABLE);
    assert_int_equal(gets, 1);
    sns_free(s);
    sns_free(NULL);
}

static atomic_bool fetches, let_go;

static int get_slowly(void *ctx, const char *url, struct fp_str *out, struct fp_err *err)
{
    (void)ctx;
    (void)url;
    (void)out;
    atomic_store(&fetches, true);
    for (int i = 0; i < 200 && !atomic_load(&let_go); i++)
        clock_sleep_us(10000);
    return err_set(err, FP_UNAVAILABLE, "SNS does not answer");
}

static void *first_message(void *s)
{
    assert_int_equal(checked(s, TOPIC, "https://sns.eu-west-1.amazonaws.com/x.pem"), FP_UNAVAILABLE);
    return NULL;
}

static void a_slow_fetch_holds_up_nobody(void **state)
{
    pthread_t thread;
    struct sns *s = sns_new(TOPIC, "", get_slowly, NULL);
    (void)state;
    pthread_create(&thread, NULL, first_message, s);
    while (!atomic_load(&fetches))
        clock_sleep_us(1000);
    clock_sleep_us(1100000); /* another second, in which one more could be fetched */
    int64_t since_us = clock_mono_us();
    for (int i = 0; i < 10; i++)
        assert_int_equal(checked(s, TOPIC, "https://sns.eu-west-1.amazonaws.com/y.pem"), FP_UNAVAILABLE);
    assert_true(clock_mono_us() - since_us < FP_US_PER_S / 4);
    atomic_store(&let_go, true);
    pthread_join(thread, NULL);
    sns_free(s);
}

static void a_subscription_is_confirmed_at_sns_only(void **state)
{
    struct fp_err err;
    struct sns *s = sns_new(TOPIC, "", get, NULL);
    json_t *good = json_pack("{s:s,s:s}", "TopicArn", TOPIC, "SubscribeURL",
                             "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription");
    json_t *bad = json_pack("{s:s,s:s}", "TopicArn", TOPIC, "SubscribeURL", "https://evil.example/");
    (void)state;
    gets = 0;
    assert_int_equal(sns_confirm(s, good, &err), 0);
    assert_int_equal(sns_confirm(s, bad, &err), -1);
    assert_int_equal(gets, 1);
    json_decref(good);
    json_decref(bad);
    sns_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_urls_of_sns_itself_are_taken),
        cmocka_unit_test(nothing_is_fetched_for_strangers_and_one_a_second_for_all),
        cmocka_unit_test(a_slow_fetch_holds_up_nobody),
        cmocka_unit_test(a_subscription_is_confirmed_at_sns_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
