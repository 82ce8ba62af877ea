/* Addresses: what is taken, what is refused, and with which words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "lib/bus/bus.h"
#include "lib/bus/url.h"

static void lists_are_taken_apart(void **state)
{
    (void)state;
    struct bus_url u[BUS_MAX_URLS];
    struct fp_err err;
    char text[320];
    assert_int_equal(bus_urls_parse("tcp://a.b-c_d:7701,tls+tcp://[::1]:2,tcp://10.0.0.1:65535", false, u,
                                    &err),
                     3);
    assert_string_equal(u[0].host, "a.b-c_d");
    assert_string_equal(u[0].port, "7701");
    assert_false(u[0].tls);
    assert_string_equal(u[1].host, "::1");
    assert_true(u[1].tls);
    assert_true(bus_url_is_loopback(&u[1]));
    assert_false(bus_url_is_loopback(&u[2]));
    bus_url_format(&u[1], u[1].host, text, sizeof text);
    assert_string_equal(text, "tls+tcp://[::1]:2");
    assert_int_equal(bus_urls_parse("tcp://*:0", true, u, &err), 1);
    assert_string_equal(u[0].host, "");
}

static void assert_refused(const char *urls, bool listen, const char *part)
{
    struct fp_err err = {0};
    assert_int_equal(bus_check_urls(urls, listen, &err), -1);
    assert_int_equal(err.code, FP_INVALID_ARGUMENT);
    if (strstr(err.msg, part) == NULL)
        fail_msg("\"%s\": \"%s\" does not say \"%s\"", urls, err.msg, part);
}

static void wrong_addresses_are_named(void **state)
{
    (void)state;
    assert_refused("ipc:///tmp/x", false, "ipc:// is not supported");
    assert_refused("inproc://x", false, "must begin with tcp://");
    assert_refused("ws://x:1", false, "must begin with tcp://");
    assert_refused("localhost:7700", false, "must begin with tcp://");
    assert_refused("", false, "no address");
    assert_refused("tcp://a:1,", false, "one of them is empty");
    assert_refused("tcp://a:1,,tcp://b:1", false, "one of them is empty");
    assert_refused("tcp://a", false, "must be tcp://HOST:PORT");
    assert_refused("tcp://a:", false, "port \"\"");
    assert_refused("tcp://a:0", false, "port \"0\" is not in 1..65535");
    assert_refused("tcp://a:65536", true, "port \"65536\" is not in 0..65535");
    assert_refused("tcp://a:-1", true, "port \"-1\"");
    assert_refused("tcp://a:12/x", false, "port \"12/x\"");
    assert_refused("tcp://::1:12", false, "IPv6 goes in brackets");
    assert_refused("tcp://[::1:12", false, "must be tcp://HOST:PORT");
    assert_refused("tcp://[::1]12", false, "must be tcp://HOST:PORT");
    assert_refused("tcp://*:12", false, "host \"*\"");
    assert_refused("tcp://:12", false, "host \"\"");
    assert_refused("tcp://a b:12", false, "host \"a b\"");
    assert_refused("tcp://a:1,tcp://b:1", true, "more than 1");
    assert_refused("tcp://a:1,ipc://b", false, "\"ipc://b\"");
}

static void endless_lists_and_names_are_refused(void **state)
{
    (void)state;
    char many[BUS_MAX_URLS * 10 + 10] = "tcp://a:1", huge[2000];
    for (int i = 1; i <= BUS_MAX_URLS; i++)
        strcat(many, ",tcp://a:1");
    assert_refused(many, false, "more than 16");
    memset(huge, 'a', sizeof huge - 1);
    huge[sizeof huge - 1] = '\0';
    memcpy(huge, "tcp://", 6);
    assert_refused(huge, false, "longer than");
    huge[300] = '\0';
    memcpy(huge + 296, ":123", 4);
    assert_refused(huge, false, "must be tcp://HOST:PORT");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_are_taken_apart),
        cmocka_unit_test(wrong_addresses_are_named),
        cmocka_unit_test(endless_lists_and_names_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
