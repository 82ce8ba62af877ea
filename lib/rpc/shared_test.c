/* Shared replies: how long, for whom, and what ends them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/rpc/shared.h"

static const struct rpc_method minute = {.name = "GetJob", .share_ms = 60000},
                               other = {.name = "GetFleet", .share_ms = 60000}, never = {.name = "GetReport"};

static struct rpc_shared *s;

static int begin(void **state)
{
    (void)state;
    s = rpc_shared_new();
    return 0;
}

static int end(void **state)
{
    (void)state;
    rpc_shared_free(s);
    return 0;
}

static void put(const struct rpc_method *m, const char *request, struct rpc_moment since, const char *reply)
{
    rpc_shared_put(s, m, request, strlen(request), since, reply, strlen(reply));
}

/* What is shared for this request: "" when nothing is. */
static const char *get(const struct rpc_method *m, const char *request)
{
    static char text[64];
    struct fp_str out;
    str_init(&out, 0);
    bool found = rpc_shared_get(s, m, request, strlen(request), &out);
    snprintf(text, sizeof text, "%s", found ? out.data : "");
    str_fini(&out);
    return text;
}

static void a_reply_is_for_its_own_method_and_request(void **state)
{
    (void)state;
    put(&minute, "1", rpc_shared_now(s), "one");
    put(&never, "1", rpc_shared_now(s), "never");
    assert_string_equal(get(&minute, "1"), "one");
    assert_string_equal(get(&minute, "2"), "");
    assert_string_equal(get(&minute, ""), "");
    assert_string_equal(get(&other, "1"), "");
    assert_string_equal(get(&never, "1"), "");
    assert_false(rpc_shared_can(NULL, &minute, 1));
    for (int i = 0; i < 1000; i++) { /* requests of one slot take it from each other */
        char request[16], reply[16];
        snprintf(request, sizeof request, "r%d", i);
        snprintf(reply, sizeof reply, "%d", i);
        put(&minute, request, rpc_shared_now(s), reply);
        assert_string_equal(get(&minute, request), reply);
    }
}

static void a_reply_is_as_old_as_its_reading_began(void **state)
{
    (void)state;
    struct rpc_moment then = rpc_shared_now(s), before = then;
    then.at_us -= 59 * FP_US_PER_S;
    put(&minute, "1", then, "young");
    assert_string_equal(get(&minute, "1"), "young");
    before.at_us -= 61 * FP_US_PER_S;
    put(&minute, "1", before, "older"); /* a slow reader of before does not replace it */
    assert_string_equal(get(&minute, "1"), "young");
    put(&minute, "2", before, "old");
    assert_string_equal(get(&minute, "2"), "");
}

static void a_change_ends_what_was_read_before_it(void **state)
{
    (void)state;
    struct rpc_moment before = rpc_shared_now(s);
    put(&minute, "1", before, "one");
    rpc_shared_void(s);
    assert_string_equal(get(&minute, "1"), "");
    put(&minute, "1", before, "read before it, come after it");
    assert_string_equal(get(&minute, "1"), "");
    put(&minute, "1", rpc_shared_now(s), "new");
    assert_string_equal(get(&minute, "1"), "new");
}

static void what_is_large_is_not_kept(void **state)
{
    (void)state;
    static char large[8193];
    memset(large, 'x', sizeof large - 1);
    put(&minute, "1", rpc_shared_now(s), large);
    assert_true(strlen(get(&minute, "1")) == sizeof((char[64]){0}) - 1);
    rpc_shared_put(s, &minute, "2", 1, rpc_shared_now(s), large, sizeof large);
    assert_string_equal(get(&minute, "2"), "");
    large[65] = '\0';
    put(&minute, large, rpc_shared_now(s), "of a long request");
    assert_string_equal(get(&minute, large), "");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_reply_is_for_its_own_method_and_request),
        TEST(a_reply_is_as_old_as_its_reading_began),
        TEST(a_change_ends_what_was_read_before_it),
        TEST(what_is_large_is_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
