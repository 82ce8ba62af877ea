/* Tokens: round trips, a vector made elsewhere, forgeries, rotation of keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/token/token.h"

#define KEY_1 "1:0123456789abcdef0123456789abcdef\n"
#define KEY_2 "2:fedcba9876543210fedcba9876543210\n"

static char path[] = "/tmp/token_test.XXXXXX";
static struct token_keys *keys;
static struct fp_err err;

static void write_keys(const char *text)
{
    char other[sizeof path + 4];
    snprintf(other, sizeof other, "%s.new", path);
    FILE *f = fopen(other, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(rename(other, path), 0); /* as a mounted secret is replaced */
}

static int setup(void **state)
{
    (void)state;
    write_keys("# signing first\n" KEY_1 "\n" KEY_2);
    keys = token_keys_open(path, &err);
    return keys ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    token_keys_free(keys);
    keys = NULL;
    return 0;
}

static struct token_ids ids_of(int64_t job, int64_t user)
{
    return (struct token_ids){.purpose = TOKEN_UNSUBSCRIBE,
                              .kind = TOKEN_KIND_MONTHLY,
                              .job_id = job,
                              .user_id = user};
}

static int check(const char *text, struct token_ids *out)
{
    return token_check(keys, TOKEN_UNSUBSCRIBE, text, strlen(text), out, &err);
}

static void ids_come_back(void **state)
{
    static const int64_t some[] = {1, 255, 256, 4711, 65535, INT32_MAX, 1LL << 40, INT64_MAX - 1, INT64_MAX};
    const size_t n = sizeof some / sizeof some[0];

    (void)state;
    for (size_t i = 0; i < n * n; i++) {
        struct token_ids in = ids_of(some[i / n], some[i % n]), out;
        char text[TOKEN_TEXT_BYTES];
        assert_int_equal(token_make(keys, &in, text, &err), 0);
        assert_in_range(strlen(text), 34, 56);
        assert_int_equal(strspn(text, "abcdefghijklmnopqrstuvwxyz234567"), strlen(text));
        assert_int_equal(check(text, &out), 0);
        assert_int_equal(out.job_id, in.job_id);
        assert_int_equal(out.user_id, in.user_id);
        assert_int_equal(out.kind, TOKEN_KIND_MONTHLY);
        assert_int_equal(out.purpose, TOKEN_UNSUBSCRIBE);
    }
}

/* Made by Python: base64.b32encode(head + hmac.digest(key, head, "sha256")[:16]). */
static void a_vector_from_elsewhere_agrees(void **state)
{
    struct token_ids in = ids_of(12, 4711);
    char text[TOKEN_TEXT_BYTES];

    (void)state;
    assert_int_equal(token_make(keys, &in, text, &err), 0);
    assert_string_equal(text, "ciaredasm5enktwkvige43bdyzgbm4cy34vq");
}

static void case_does_not_matter_all_else_does(void **state)
{
    struct token_ids in = ids_of(12, 4711), out = {0};
    char text[TOKEN_TEXT_BYTES], other[TOKEN_TEXT_BYTES + 8];

    (void)state;
    assert_int_equal(token_make(keys, &in, text, &err), 0);
    for (size_t i = 0; text[i] != '\0'; i++) {
        memcpy(other, text, sizeof text);
        other[i] = (char)(text[i] >= 'a' ? text[i] - 'a' + 'A' : text[i]);
        assert_int_equal(check(other, &out), 0);
        for (const char *c = "abcdefghijklmnopqrstuvwxyz234567.=+/_-\x80 "; *c; c++) {
            if (*c == text[i])
                continue;
            other[i] = *c;
            assert_int_equal(check(other, &out), -1);
        }
    }
    snprintf(other, sizeof other, "%sa", text);
    assert_int_equal(check(other, &out), -1);
    for (size_t n = 0; n < strlen(text); n++)
        assert_int_equal(token_check(keys, TOKEN_UNSUBSCRIBE, text, n, &out, &err), -1);
    assert_int_equal(check("", &out), -1);
    assert_int_equal(err.code, FP_INVALID_ARGUMENT);
}

static void a_purpose_is_not_another(void **state)
{
    struct token_ids in = ids_of(3, 4), out;
    char text[TOKEN_TEXT_BYTES];

    (void)state;
    in.purpose = TOKEN_BOUNCE;
    assert_int_equal(token_make(keys, &in, text, &err), 0);
    assert_int_equal(check(text, &out), -1);
    assert_int_equal(err.code, FP_INVALID_ARGUMENT);
    assert_int_equal(token_check(keys, TOKEN_BOUNCE, text, strlen(text), &out, &err), 0);
}

static void wrong_ids_make_no_token(void **state)
{
    struct token_ids wrong[] = {ids_of(0, 1), ids_of(1, 0), ids_of(-1, 1), ids_of(1, 1), ids_of(1, 1)};
    char text[TOKEN_TEXT_BYTES];

    (void)state;
    wrong[3].kind = (enum token_kind)4;
    wrong[4].purpose = (enum token_purpose)0;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(token_make(keys, &wrong[i], text, &err), -1);
        assert_int_equal(err.code, FP_INVALID_ARGUMENT);
    }
}

static void garbage_is_no_token(void **state)
{
    struct token_ids out;

    (void)state;
    srandom(11);
    for (int round = 0; round < 20000; round++) {
        char text[80];
        size_t n = (size_t)random() % sizeof text;
        for (size_t i = 0; i < n; i++)
            text[i] = round % 2 ? (char)random() : "abcdefghijklmnopqrstuvwxyz234567"[random() % 32];
        assert_int_equal(token_check(keys, TOKEN_UNSUBSCRIBE, text, n, &out, &err), -1);
    }
}

static void another_secret_with_the_same_id_checks_nothing(void **state)
{
    struct token_ids in = ids_of(12, 4711), out;
    char text[TOKEN_TEXT_BYTES];

    (void)state;
    assert_int_equal(token_make(keys, &in, text, &err), 0);
    token_keys_free(keys);
    write_keys("1:another-secret-of-at-least-32-characters\n");
    keys = token_keys_open(path, &err);
    assert_non_null(keys);
    assert_int_equal(check(text, &out), -1);
    assert_int_equal(err.code, FP_PERMISSION_DENIED);
}

static void keys_rotate_without_a_restart(void **state)
{
    struct token_ids in = ids_of(12, 4711), out;
    char old[TOKEN_TEXT_BYTES], new[TOKEN_TEXT_BYTES];

    (void)state;
    assert_int_equal(token_make(keys, &in, old, &err), 0);
    write_keys(KEY_2 KEY_1);
    clock_sleep_us(1100000); /* the file is looked at once a second */
    assert_int_equal(token_make(keys, &in, new, &err), 0);
    assert_string_not_equal(old, new);
    assert_int_equal(check(old, &out), 0);
    assert_int_equal(check(new, &out), 0);
    write_keys("broken\n"); /* changes nothing */
    clock_sleep_us(1100000);
    assert_int_equal(check(old, &out), 0);
    write_keys(KEY_2); /* the old key has expired */
    clock_sleep_us(1100000);
    assert_int_equal(check(new, &out), 0);
    assert_int_equal(check(old, &out), -1);
    assert_int_equal(err.code, FP_NOT_FOUND);
    unlink(path);
    clock_sleep_us(1100000);
    assert_int_equal(check(new, &out), 0);
}

static void a_wrong_key_file_is_named_with_its_line(void **state)
{
    static const struct {
        const char *text, *says;
    } wrong[] = {
        {"", "holds no key"},
        {"# nothing\n\n", "holds no key"},
        {"0123456789abcdef0123456789abcdef\n", "line 1 is not ID:SECRET"},
        {KEY_1 "256:0123456789abcdef0123456789abcdef", "line 2 is not"},
        {KEY_1 "-1:0123456789abcdef0123456789abcdef", "line 2 is not"},
        {KEY_1 "0:0123456789abcdef0123456789abcdef", "line 2 is not"},
        {"1:short\n", "32 to 255"},
        {"1:0123456789abcdef 0123456789abcdef\n", "printable"},
        {KEY_1 KEY_1, "line 2 has the ID"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        write_keys(wrong[i].text);
        assert_null(token_keys_open(path, &err));
        assert_int_equal(err.code, FP_FAILED_PRECONDITION);
        if (!strstr(err.msg, wrong[i].says) || !strstr(err.msg, path) || strstr(err.msg, "89abcdef"))
            fail_msg("%zu: %s", i, err.msg);
    }
    assert_null(token_keys_open("/nonexistent/keys", &err));
    assert_null(token_keys_open("", &err));
}

static void kinds_have_names(void **state)
{
    (void)state;
    assert_int_equal(token_kind_from_name("weekly"), TOKEN_KIND_WEEKLY);
    assert_int_equal(token_kind_from_name("yearly"), TOKEN_KIND_NONE);
    assert_int_equal(token_kind_from_name(""), TOKEN_KIND_NONE);
    assert_string_equal(token_kind_name(TOKEN_KIND_CUSTOM), "custom");
    assert_string_equal(token_kind_name((enum token_kind)77), "");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(ids_come_back),
        TEST(a_vector_from_elsewhere_agrees),
        TEST(case_does_not_matter_all_else_does),
        TEST(a_purpose_is_not_another),
        TEST(wrong_ids_make_no_token),
        TEST(garbage_is_no_token),
        TEST(another_secret_with_the_same_id_checks_nothing),
        TEST(keys_rotate_without_a_restart),
        TEST(a_wrong_key_file_is_named_with_its_line),
        TEST(kinds_have_names),
    };
    if (mkstemp(path) < 0)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
