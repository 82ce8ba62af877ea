/* Slices of the rate, with the time in the test's hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "services/mailer/rate.h"

#define MS INT64_C(1000)

static void a_slice_is_spread_over_its_length(void **state)
{
    struct rate r;
    (void)state;
    rate_init(&r, 100);
    rate_add(&r, 1000 * MS, 10, 100, 1000 * MS);
    assert_int_equal(rate_available(&r, 999 * MS), 0);
    assert_int_equal(rate_available(&r, 1000 * MS), 1);
    assert_int_equal(rate_available(&r, 1009 * MS), 1);
    assert_int_equal(rate_available(&r, 1010 * MS), 2);
    assert_int_equal(rate_available(&r, 1090 * MS), 10);
}

static void what_is_used_is_gone(void **state)
{
    struct rate r;
    (void)state;
    rate_init(&r, 100);
    rate_add(&r, 0, 10, 100, 0);
    rate_use(&r, 5, 50 * MS);
    assert_int_equal(rate_available(&r, 50 * MS), 1);
    rate_use(&r, 5, 99 * MS);
    assert_int_equal(rate_available(&r, 199 * MS), 0);
    assert_int_equal(r.used, 10);
}

static void a_mail_is_good_for_a_slices_length_from_when_it_is_due(void **state)
{
    struct rate r;
    (void)state;
    rate_init(&r, 100);
    rate_add(&r, 0, 10, 100, 0);
    rate_add(&r, 100 * MS, 10, 100, 0);
    assert_int_equal(rate_available(&r, 99 * MS), 10);
    assert_int_equal(rate_available(&r, 100 * MS), 10); /* the first is void, the eleventh due */
    assert_int_equal(r.voided, 1);
    assert_int_equal(rate_available(&r, 150 * MS), 10);
    assert_int_equal(r.voided, 6);
    assert_int_equal(rate_available(&r, 200 * MS), 9);
    assert_int_equal(rate_available(&r, 289 * MS), 1);
    assert_int_equal(rate_available(&r, 290 * MS), 0);
    assert_int_equal(r.voided, 20);
    assert_int_equal(r.used, 0);
}

/* At 50 a second, nothing used until just before the second slice ends. */
static void after_a_stall_one_slice_may_go_and_not_another_behind_it(void **state)
{
    struct rate r;
    (void)state;
    rate_init(&r, 50);
    rate_add(&r, 0, 5, 50, 0);
    rate_add(&r, 100 * MS, 5, 50, 100 * MS);
    size_t n = rate_available(&r, 200 * MS - 1);
    assert_int_equal(n, 5);
    rate_use(&r, n, 200 * MS - 1);
    assert_int_equal(rate_available(&r, 200 * MS - 1), 0);
    assert_int_equal(r.voided, 5);
}

static void slices_that_overlap_are_good_for_one(void **state)
{
    struct rate r;
    (void)state;
    rate_init(&r, 100);
    rate_add(&r, 80 * MS, 10, 100, 80 * MS); /* the answer came late by 80 ms */
    rate_add(&r, 100 * MS, 10, 100, 100 * MS);
    assert_int_equal(rate_available(&r, 179 * MS), 10);
    assert_int_equal(r.voided, 8);
}

static void a_slice_that_comes_later_than_its_length_is_void(void **state)
{
    struct rate r;
    (void)state;
    rate_init(&r, 100);
    rate_add(&r, 0, 10, 100, 200 * MS);
    assert_int_equal(rate_available(&r, 200 * MS), 0);
    assert_int_equal(r.voided, 10);
}

static void a_rate_below_ten_gives_one_mail_at_a_time(void **state)
{
    struct rate r;
    (void)state;
    rate_init(&r, 0.5);
    assert_int_equal(rate_ask(&r, 100, 0), 1);
    rate_add(&r, 0, 1, 0.5, 0);
    assert_int_equal(rate_offer(&r, 100, 0), 1);
    rate_use(&r, 1, 0);
    rate_add(&r, 2000 * MS, 1, 0.5, 0);
    assert_int_equal(rate_offer(&r, 100, 1999 * MS), 0);
    assert_int_equal(rate_next_us(&r, 100, 0), 2000 * MS);
    assert_int_equal(rate_offer(&r, 100, 2000 * MS), 1);
}

static void an_offer_is_worth_a_statement(void **state)
{
    struct rate r;
    (void)state;
    rate_init(&r, 100);
    rate_add(&r, 0, 10, 100, 0);
    assert_int_equal(rate_offer(&r, 50, 30 * MS), 0); /* 4 of a quantum of 5 */
    assert_int_equal(rate_next_us(&r, 50, 30 * MS), 40 * MS);
    assert_int_equal(rate_offer(&r, 50, 40 * MS), 5);
    assert_int_equal(rate_offer(&r, 2, 10 * MS), 2); /* all that is wanted */
    rate_use(&r, 8, 99 * MS);
    assert_int_equal(rate_offer(&r, 50, 120 * MS), 0);
    assert_int_equal(rate_offer(&r, 50, 130 * MS), 2); /* waited half a slice */
    assert_int_equal(rate_next_us(&r, 0, 0), INT64_MAX);
}

static void asks_for_the_next_slice_when_the_present_one_began(void **state)
{
    struct rate r;
    (void)state;
    rate_init(&r, 400);
    assert_int_equal(rate_ask(&r, 0, 0), 0);
    assert_int_equal(rate_ask(&r, 1000, 0), 40);
    assert_int_equal(rate_ask(&r, 7, 0), 7); /* no more than is waiting */
    rate_add(&r, 10 * MS, 40, 400, 0);
    assert_int_equal(rate_ask(&r, 1000, 5 * MS), 0);
    assert_int_equal(rate_ask(&r, 1000, 10 * MS), 40);
    assert_int_equal(rate_ask(&r, 30, 10 * MS), 0);
    rate_add(&r, 110 * MS, 40, 400, 10 * MS);
    assert_int_equal(rate_ask(&r, 1000, 50 * MS), 0);
}

static void without_a_limit_all_may_go_until_it_is_time_to_ask_again(void **state)
{
    struct rate r;
    (void)state;
    rate_init(&r, 0);
    assert_int_equal(rate_ask(&r, 1000, 0), 1);
    rate_add(&r, 0, 0, 0, 0);
    assert_int_equal(rate_offer(&r, 5, 999 * MS), SIZE_MAX);
    assert_int_equal(rate_ask(&r, 1000, 999 * MS), 0);
    assert_int_equal(rate_offer(&r, 5, 1000 * MS), 0);
    assert_int_equal(rate_ask(&r, 1000, 1000 * MS), 1);
    rate_add(&r, 1000 * MS, 10, 100, 1000 * MS); /* a limit was set meanwhile */
    assert_int_equal(rate_available(&r, 1000 * MS), 1);
}

/* A desk that comes by every 3 ms and stalls now and then: nearly all is used,
 * and no second has more than the rate and a slice. */
static void nearly_all_is_used_and_no_second_passes_the_rate_by_more_than_a_slice(void **state)
{
    static int64_t times[20000];
    struct rate r;
    size_t n = 0, most = 0;
    int64_t next_free = 0;
    (void)state;
    rate_init(&r, 500);
    for (int64_t now = 0; now < 20000 * MS; now += now % (1500 * MS) == 0 ? 60 * MS : 3 * MS) {
        size_t ask = rate_ask(&r, 1000, now);
        if (ask > 0) {
            next_free = next_free > now ? next_free : now;
            rate_add(&r, next_free, ask, 500, now);
            next_free += (int64_t)ask * 1000000 / 500;
        }
        size_t go = rate_offer(&r, 1000, now);
        rate_use(&r, go, now);
        for (size_t i = 0; i < go; i++)
            times[n++] = now;
    }
    for (size_t i = 0, j = 0; j < n; j++) {
        while (times[j] - times[i] >= 1000 * MS)
            i++;
        most = j - i + 1 > most ? j - i + 1 : most;
    }
    assert_true(n >= 9800 && n <= 10050);
    assert_true(most <= 550);
}

/* Mailers that share a rate and stall for `stall_us` now and then, each at its own times:
 * the most mails of all in any second. */
static size_t most_in_a_second(int n_mailers, double per_second, int64_t stall_us, size_t *sent)
{
    static int64_t times[40000];
    struct rate r[4];
    int64_t awake[4] = {0}, next_free = 0;
    size_t n = 0, most = 0;
    unsigned chance = 1;
    for (int m = 0; m < n_mailers; m++)
        rate_init(&r[m], per_second);
    for (int64_t now = MS; now < 20000 * MS; now += MS)
        for (int m = 0; m < n_mailers; m++) {
            size_t ask = rate_ask(&r[m], 1000, now);
            if (ask > 0 && next_free <= now + 1000 * MS) { /* the pacer's thread does not stall */
                int64_t start = next_free > now ? next_free : now;
                next_free = start + (int64_t)((double)ask / per_second * 1e6);
                rate_add(&r[m], start, ask, per_second, now);
            }
            if (now < awake[m])
                continue;
            chance = chance * 1664525 + 1013904223;
            if (chance >> 24 == 0)
                awake[m] = now + stall_us;
            size_t go = rate_offer(&r[m], 1000, now);
            rate_use(&r[m], go, now);
            for (size_t i = 0; i < go; i++)
                times[n++] = now;
        }
    for (size_t i = 0, j = 0; j < n; j++) {
        while (times[j] - times[i] >= 1000 * MS)
            i++;
        most = j - i + 1 > most ? j - i + 1 : most;
    }
    *sent = n;
    return most;
}

static void stalls_of_many_mailers_make_no_burst(void **state)
{
    (void)state;
    for (int mailers = 1; mailers <= 4; mailers++)
        for (int64_t stall = 90 * MS; stall <= 230 * MS; stall += 20 * MS)
            for (double rate = 50; rate <= 500; rate *= 10) {
                size_t sent, most = most_in_a_second(mailers, rate, stall, &sent);
                assert_true((double)most <= rate * 1.1);
                assert_true((double)sent >= rate * 20 / 2);
            }
}

static void hostile_answers_do_no_harm(void **state)
{
    struct rate r;
    (void)state;
    rate_init(&r, 100);
    for (int i = 0; i < 100; i++)
        rate_add(&r, i * 100 * MS, 10, 100, 0);
    assert_int_equal(r.n_slices, RATE_MAX_SLICES);
    rate_use(&r, 1000, 50 * MS);
    rate_add(&r, 0, 10, 1e12, 0);
    assert_true(rate_available(&r, 50 * MS) <= 10);
}

/* Two mailers share 100 a second; one can send 20, the other whatever it gets. */
static void who_cannot_use_a_slice_leaves_it_to_others(void **state)
{
    struct rate r[2];
    double credit = 0;
    long sent[2] = {0, 0};
    int64_t next_free = 0;
    (void)state;
    rate_init(&r[0], 100);
    rate_init(&r[1], 100);
    for (int64_t now = 1; now < 30000 * MS; now += MS) {
        credit = credit + 0.02 < 2 ? credit + 0.02 : 2;
        for (int m = 0; m < 2; m++) {
            size_t n = rate_ask(&r[m], 400, now);
            if (n > 0 && next_free <= now + 2000 * MS) {
                int64_t start = next_free > now ? next_free : now;
                next_free = start + (int64_t)n * 10 * MS;
                rate_add(&r[m], start, n, 100, now);
            }
            size_t room = m == 0 ? (size_t)credit : 32, offered = rate_offer(&r[m], room, now);
            offered = offered < room ? offered : room;
            rate_use(&r[m], offered, now);
            sent[m] += (long)offered;
            credit -= m == 0 ? (double)offered : 0;
        }
    }
    print_message("together %ld of 3000, the slow one %ld\n", sent[0] + sent[1], sent[0]);
    assert_true(sent[0] >= 550);
    assert_true(sent[0] + sent[1] >= 2850);
}

static void one_hiccup_halves_what_is_asked_for_and_it_comes_back(void **state)
{
    struct rate r;
    int64_t now = 0;
    (void)state;
    rate_init(&r, 1000);
    rate_add(&r, 0, 100, 1000, 0);
    now = 300 * MS; /* void */
    assert_int_equal(rate_ask(&r, 1000, now), 50);
    for (int i = 0; i < 40 && rate_ask(&r, 1000, now) < 100; i++) {
        rate_add(&r, now, rate_ask(&r, 1000, now), 1000, now);
        now += 100 * MS;
        rate_use(&r, 100, now);
    }
    assert_int_equal(rate_ask(&r, 1000, now), 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slice_is_spread_over_its_length),
        cmocka_unit_test(what_is_used_is_gone),
        cmocka_unit_test(a_mail_is_good_for_a_slices_length_from_when_it_is_due),
        cmocka_unit_test(after_a_stall_one_slice_may_go_and_not_another_behind_it),
        cmocka_unit_test(slices_that_overlap_are_good_for_one),
        cmocka_unit_test(stalls_of_many_mailers_make_no_burst),
        cmocka_unit_test(a_slice_that_comes_later_than_its_length_is_void),
        cmocka_unit_test(a_rate_below_ten_gives_one_mail_at_a_time),
        cmocka_unit_test(an_offer_is_worth_a_statement),
        cmocka_unit_test(asks_for_the_next_slice_when_the_present_one_began),
        cmocka_unit_test(without_a_limit_all_may_go_until_it_is_time_to_ask_again),
        cmocka_unit_test(nearly_all_is_used_and_no_second_passes_the_rate_by_more_than_a_slice),
        cmocka_unit_test(hostile_answers_do_no_harm),
        cmocka_unit_test(who_cannot_use_a_slice_leaves_it_to_others),
        cmocka_unit_test(one_hiccup_halves_what_is_asked_for_and_it_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
