/* Against ICU itself, and what people expect to see. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <unicode/unumberformatter.h>
#include <unicode/ustring.h>

#include "lib/base/clock.h"
#include "lib/base/fixed.h"
#include "lib/intl/intl.h"

static const char *const tags[] = {"en",    "en-GB", "en-IN", "de",         "de-AT", "de-CH", "fr",
                                   "fr-CA", "es",    "es-MX", "pt",         "pt-PT", "ar",    "ar-EG",
                                   "ar-AE", "ja",    "hi",    "zh-Hant-TW", "fa",    "sv",    "pl"};
#define N_TAGS (sizeof tags / sizeof tags[0])

static struct intl *of(const char *tag)
{
    struct fp_err err;
    struct intl *l = intl_of_thread(tag, &err);
    if (!l)
        fail_msg("%s", err.msg);
    return l;
}

static UNumberFormatter *formatter(const char *tag, const char *skeleton)
{
    UErrorCode e = U_ZERO_ERROR;
    UChar wide[100];
    u_uastrcpy(wide, skeleton);
    UNumberFormatter *f = unumf_openForSkeletonAndLocale(wide, -1, tag, &e);
    assert_true(U_SUCCESS(e));
    return f;
}

static void by_icu(const UNumberFormatter *f, int64_t v, int decimals, char out[200])
{
    UErrorCode e = U_ZERO_ERROR;
    UChar wide[200];
    char number[40];
    UFormattedNumber *r = unumf_openResult(&e);
    unumf_formatDecimal(f, fixed_format(v, decimals, number), -1, r, &e);
    int32_t n = unumf_resultToString(r, wide, 200, &e), bytes;
    u_strToUTF8(out, 200, &bytes, wide, n, &e);
    unumf_closeResult(r);
    assert_true(U_SUCCESS(e));
}

static int64_t any_amount(void)
{
    int64_t v = ((int64_t)random() << 31 | random()) >> (random() % 62);
    return random() % 2 ? v : -v;
}

static void compare(const char *tag, const char *skeleton, const char *currency, int decimals)
{
    char ours[INTL_BYTES], theirs[200];
    UNumberFormatter *f = formatter(tag, skeleton);
    for (int i = 0; i < 200; i++) {
        int64_t v = i < 40 ? (int64_t)(i - 20) * 611 : any_amount();
        by_icu(f, v, decimals, theirs);
        intl_money(of(tag), v, decimals, currency, INTL_SIGNED, ours);
        if (strcmp(ours, theirs) != 0)
            fail_msg("%s, %s: %lld: \"%s\", ICU writes \"%s\"", tag, skeleton, (long long)v, ours, theirs);
    }
    unumf_close(f);
}

static void money_is_written_as_icu_writes_it(void **state)
{
    (void)state;
    srandom(1);
    for (size_t i = 0; i < N_TAGS; i++) {
        compare(tags[i], "currency/EUR .00 sign-except-zero", "EUR", 2);
        compare(tags[i], "currency/USD .00 sign-except-zero", "USD", 2);
        compare(tags[i], "currency/JPY precision-integer sign-except-zero", "JPY", 0);
        compare(tags[i], "currency/KWD .000 sign-except-zero", "KWD", 3);
        compare(tags[i], ".00 sign-except-zero", "", 2);
    }
}

static void percentages_are_written_as_icu_writes_them(void **state)
{
    (void)state;
    char ours[INTL_BYTES], theirs[200];
    for (size_t i = 0; i < N_TAGS; i++) {
        UNumberFormatter *f = formatter(tags[i], "percent .00 sign-except-zero");
        for (int64_t v = -30000; v < 30000; v += 997) {
            by_icu(f, v, 2, theirs);
            intl_percent(of(tags[i]), v * 10000, 2, INTL_SIGNED, ours);
            assert_string_equal(ours, theirs);
        }
        unumf_close(f);
    }
}

static void expect(const char *got, const char *wanted)
{
    assert_string_equal(got, wanted);
}

static void the_ends_of_the_range_are_in_bounds(void **state)
{
    (void)state;
    char out[INTL_BYTES];
    for (size_t i = 0; i < N_TAGS; i++) {
        for (int exponent = -3; exponent < 9; exponent++) {
            intl_money(of(tags[i]), INT64_MIN, exponent, "XQZ", INTL_SIGNED, out);
            assert_in_range(strlen(out), 19, INTL_BYTES - 1);
            intl_money(of(tags[i]), INT64_MAX, exponent, "", INTL_SIGNED, out);
            intl_percent(of(tags[i]), INT64_MIN, exponent, INTL_SIGNED, out);
        }
        intl_period(of(tags[i]), INT32_MIN, INT32_MAX, out);
        intl_date(of(tags[i]), INT32_MAX, out);
        assert_in_range(strlen(out), 1, INTL_BYTES - 1);
    }
}

static void signs_and_rounding(void **state)
{
    (void)state;
    char out[INTL_BYTES];
    struct intl *l = of("en");
    intl_money(l, 0, 2, "EUR", INTL_SIGNED, out);
    expect(out, "€0.00");
    intl_money(l, -5, 2, "EUR", INTL_UNSIGNED, out);
    expect(out, "€0.05");
    intl_percent(l, 2521234, 2, INTL_SIGNED, out);
    expect(out, "+2.52%");
    intl_percent(l, -3, 2, INTL_SIGNED, out);
    expect(out, "0.00%");
    intl_percent(l, 12345678, 0, INTL_MINUS, out);
    expect(out, "12%");
    intl_count(l, 1234567, out);
    expect(out, "1,234,567");
    intl_money(of("ja"), -123456, 0, "JPY", INTL_SIGNED, out);
    expect(out, "-￥123,456");
}

static void dates_and_periods(void **state)
{
    (void)state;
    char out[INTL_BYTES];
    for (int again = 0; again < 2; again++) { /* asked, then kept */
        intl_date(of("de-AT"), day_from_civil(2026, 10, 1), out);
        expect(out, "1. Oktober 2026");
        intl_date(of("ja"), day_from_civil(2026, 10, 1), out);
        expect(out, "2026年10月1日");
        intl_short_date(of("fr"), day_from_civil(2026, 10, 1), out);
        expect(out, "1 oct.");
        intl_period(of("es"), day_from_civil(2026, 10, 1), day_from_civil(2026, 10, 31), out);
        expect(out, "octubre de 2026");
        intl_period(of("en-GB"), day_from_civil(2026, 10, 7), day_from_civil(2026, 10, 7), out);
        expect(out, "7 October 2026");
        intl_period(of("de"), day_from_civil(2026, 2, 1), day_from_civil(2026, 2, 28), out);
        expect(out, "Februar 2026");
    }
}

static void check_tag(const char *locale, const char *wanted)
{
    char tag[INTL_TAG_BYTES];
    assert_int_equal(intl_tag(locale, tag), *wanted != 0);
    expect(tag, wanted);
}

static void names_of_locales(void **state)
{
    (void)state;
    check_tag("de", "de");
    check_tag("de_AT.UTF-8", "de-AT");
    check_tag("DE-at", "de-AT");
    check_tag("zh_hant-tw", "zh-Hant-TW");
    check_tag("es-419", "es-419");
    check_tag("ar-EG-u-nu-latn", "ar-EG");
    check_tag("en@calendar=islamic", "en");
    check_tag("", "");
    check_tag("x", "");
    check_tag("1234", "");
    check_tag("../../etc", "");
    char tag[INTL_TAG_BYTES] = "zh-Hant-TW";
    assert_true(intl_parent(tag));
    expect(tag, "zh-Hant");
    assert_true(intl_parent(tag));
    assert_false(intl_parent(tag));
    assert_true(intl_is_right_to_left("ar-EG"));
    assert_false(intl_is_right_to_left("ja"));
}

static void plurals_by_language(void **state)
{
    (void)state;
    assert_int_equal(intl_plural_of(of("en"), 1), INTL_ONE);
    assert_int_equal(intl_plural_of(of("en"), 0), INTL_OTHER);
    assert_int_equal(intl_plural_of(of("fr"), 0), INTL_ONE);
    assert_int_equal(intl_plural_of(of("ar"), 2), INTL_TWO);
    assert_int_equal(intl_plural_of(of("ar"), 5), INTL_FEW);
    assert_int_equal(intl_plural_of(of("pl"), 12), INTL_MANY);
    assert_int_equal(intl_plural_set("ja"), 1u << INTL_OTHER);
    assert_int_equal(intl_plural_set("en"), 1u << INTL_ONE | 1u << INTL_OTHER);
    assert_int_equal(intl_plural_set("ar"), 63);
}

static void more_locales_than_are_kept(void **state)
{
    (void)state;
    char tag[INTL_TAG_BYTES], out[INTL_BYTES];
    for (int i = 0; i < 2 * INTL_KEPT; i++) {
        snprintf(tag, sizeof tag, "en-%c%c", 'A' + i / 26, 'A' + i % 26);
        intl_count(of(tag), 7, out);
        expect(out, "7");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(money_is_written_as_icu_writes_it),
        cmocka_unit_test(percentages_are_written_as_icu_writes_them),
        cmocka_unit_test(the_ends_of_the_range_are_in_bounds),
        cmocka_unit_test(signs_and_rounding),
        cmocka_unit_test(dates_and_periods),
        cmocka_unit_test(names_of_locales),
        cmocka_unit_test(plurals_by_language),
        cmocka_unit_test(more_locales_than_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
