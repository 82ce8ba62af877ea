/* Several providers, domains, quotas and the window, over a real PostgreSQL. */
#include "services/mailer/testing.h"

/* --- a second provider ----------------------------------------------------------------- */

static enum verdict (*s_verdict)(int64_t user_id);
static atomic_int s_sent;

static void s_send(struct transport *t, const struct transport_mail *m, struct transport_reply *reply)
{
    enum verdict (*first)(int64_t) = s_verdict;
    (void)t;
    reply->verdict = first(m->user_id);
    reply->code = reply->verdict == VERDICT_PROVIDER_FAULT ? 0 : 250;
    (void)snprintf(reply->reason, sizeof(reply->reason), "the second says %d", reply->verdict);
    (void)snprintf(reply->provider_id, sizeof(reply->provider_id), "second");
    if (reply->verdict == VERDICT_SENT || reply->verdict == VERDICT_AMBIGUOUS) {
        atomic_fetch_add(&s_sent, 1);
        atomic_fetch_add(&f_sent[m->user_id % F_USERS], 1);
    }
}

static const struct transport_ops s_transport = {
    .name = "second", .check = f_check, .open = f_open, .send = s_send, .close = f_close};

static struct desk_options two(int first_weight, int second_weight)
{
    struct desk_options o = f_options();
    o.providers[0].weight = first_weight;
    o.providers[1] = (struct provider_options){.name = "second",
                                               .transport = &s_transport,
                                               .weight = second_weight,
                                               .connections = 8};
    o.n_providers = 2;
    return o;
}

static int clean(void **state)
{
    s_verdict = f_all_sent;
    atomic_store(&s_sent, 0);
    return f_clean(state);
}

static enum verdict all_down(int64_t user_id)
{
    (void)user_id;
    return VERDICT_PROVIDER_FAULT;
}

static enum verdict some_unclear(int64_t user_id)
{
    return user_id % 50 == 7 ? VERDICT_AMBIGUOUS : VERDICT_SENT;
}

static enum verdict all_refused(int64_t user_id)
{
    (void)user_id;
    return VERDICT_FAILED;
}

#define CAME_FROM(name) "provider = (SELECT no FROM foliopost.providers WHERE name = '" name "')"

static int64_t give(const struct desk_options *o, int n)
{
    int64_t job = t_started(false);
    struct desk_options mine = *o;
    f_start(&mine);
    for (int first = 1; first < n; first += 100)
        (void)f_batch(job, first, 100);
    return job;
}

static int64_t run(const struct desk_options *o, int n)
{
    int64_t job = give(o, n);
    f_await(f_idle(), 30);
    f_stop();
    assert_int_equal(t_count(job, "true"), n);
    assert_true(f_most() == 1);
    return job;
}

/* --- weights and failover ------------------------------------------------------------------ */

static void providers_share_the_mails_by_weight(void **state)
{
    (void)state;
    const struct desk_options o = two(80, 20);
    int64_t job = run(&o, 1000);
    assert_int_equal(t_count(job, "state = 'sent'"), 1000);
    assert_in_range(atomic_load(&s_sent), 150, 250);
    assert_int_equal(t_count(job, "provider_id = 'second'"), atomic_load(&s_sent));
    assert_int_equal(t_count(job, CAME_FROM("second")), atomic_load(&s_sent));
    assert_int_equal(t_count(job, CAME_FROM("default")), 1000 - atomic_load(&s_sent));
}

/* What one refuses names that one, also when it had been with another before. */
static void an_outcome_names_the_provider_that_said_so(void **state)
{
    (void)state;
    const struct desk_options o = two(50, 50);
    f_verdict = all_down;
    s_verdict = all_refused;
    int64_t job = give(&o, 100);
    f_await(f_idle(), 30);
    f_stop();
    assert_int_equal(t_count(job, "state = 'failed' AND " CAME_FROM("second")), 100);
}

static void a_weight_holds_under_rates_too(void **state)
{
    (void)state;
    struct desk_options o = two(50, 50);
    o.providers[0].limits.per_second = o.providers[1].limits.per_second = 200;
    int64_t start_us = clock_mono_us();
    (void)run(&o, 1000);
    double seconds = (double)(clock_mono_us() - start_us) / 1e6;
    assert_in_range(atomic_load(&s_sent), 430, 570);
    if (seconds > 4)
        fail_msg("1000 mails took %.1f s at twice 200 a second", seconds);
}

static void when_one_is_down_the_other_sends_all(void **state)
{
    (void)state;
    const struct desk_options o = two(50, 50);
    s_verdict = all_down;
    int64_t job = run(&o, 600);
    assert_int_equal(t_count(job, "state = 'sent'"), 600);
    assert_int_equal(t_count(job, "attempts > 1"), 0); /* charged to nobody */
    assert_int_equal(
        t_sql("SELECT count(*) FROM foliopost.provider_rates WHERE fault <> '' AND provider = 'second'"), 1);
    assert_int_equal(
        t_sql("SELECT count(*) FROM foliopost.provider_rates WHERE fault <> '' AND provider = 'default'"), 0);
}

static void weight_0_stands_by(void **state)
{
    (void)state;
    const struct desk_options o = two(100, 0);
    (void)run(&o, 300);
    assert_int_equal(atomic_load(&s_sent), 0);
}

static void who_stands_by_sends_when_the_other_is_down(void **state)
{
    (void)state;
    const struct desk_options o = two(100, 0);
    f_verdict = all_down;
    int64_t job = run(&o, 300);
    assert_int_equal(t_count(job, "provider_id = 'second'"), 300);
}

/* What one may have taken never goes through the other. */
static void what_is_unclear_fails_over_to_nobody(void **state)
{
    (void)state;
    const struct desk_options o = two(50, 50);
    f_verdict = some_unclear;
    s_verdict = some_unclear;
    int64_t job = run(&o, 600);
    assert_int_equal(t_count(job, "state = 'ambiguous'"), 12);
    assert_int_equal(t_count(job, "state = 'sent'"), 588);
}

static void a_provider_that_is_well_again_gets_its_share(void **state)
{
    (void)state;
    const struct desk_options o = two(50, 50);
    s_verdict = all_down;
    int64_t job = give(&o, 400);
    f_await(f_idle(), 20);
    s_verdict = f_all_sent;
    for (int i = 0; i < 20 && atomic_load(&s_sent) == 0; i++) {
        (void)f_batch(job, 1001 + 100 * i, 100);
        f_await(f_idle(), 20);
        clock_sleep_us(300000);
    }
    assert_true(atomic_load(&s_sent) > 0);
    int before = atomic_load(&s_sent);
    (void)f_batch(job, 5001, 100);
    (void)f_batch(job, 5101, 100);
    f_await(f_idle(), 20);
    f_stop();
    assert_in_range(atomic_load(&s_sent) - before, 60, 140);
}

/* The test takes longer than the lease of its mailer. */
static bool renewed(void)
{
    t_sql("UPDATE foliopost.instances SET lease_until = clock_timestamp() + interval '10 s' WHERE id = '%s'",
          t_mailer);
    t_sql("UPDATE foliopost.leader SET lease_until = clock_timestamp() + interval '10 s'");
    clock_sleep_us(50000);
    return true;
}

/* --- domains, quotas, the window --------------------------------------------------------------- */

static void a_domain_has_a_rate_of_its_own(void **state)
{
    (void)state;
    static struct f_batch b;
    struct desk_options o = f_options();
    o.domains[0] =
        (struct domain_options){.channel = "domain:slow.example", .name = "slow.example", .mail_rate = 20};
    o.n_domains = 1;
    int64_t job = t_started(false), batch = t_paged(job, 1, 100, false);
    f_fill(&b, job, batch, 1, 100);
    for (int i = 0; i < 40; i++)
        (void)snprintf(b.emails[i], sizeof(b.emails[i]), "u%d@Slow.example", i);
    f_start(&o);
    int64_t start_us = clock_mono_us();
    assert_true(f_give(&b));
    f_await(f_total() >= 60, 1);
    f_await(f_idle(), 10);
    double seconds = (double)(clock_mono_us() - start_us) / 1e6;
    f_stop();
    assert_int_equal(t_count(job, "state = 'sent'"), 100);
    if (seconds < 1.7 || seconds > 4)
        fail_msg("40 mails at 20 a second took %.1f s", seconds);
}

/* Batches of a hundred whose first mails, so many, are to a domain that takes little. */
static void give_to_slow_domain(int64_t job, int64_t first, int slow)
{
    static struct f_batch b;
    int64_t batch = t_paged(job, first, 100, false);
    f_fill(&b, job, batch, first, 100);
    for (int i = 0; i < slow; i++)
        (void)snprintf(b.emails[i], sizeof(b.emails[i]), "u%lld@slow.example", (long long)first + i);
    assert_true(f_give(&b));
}

static struct desk_options with_slow_domain(double rate)
{
    struct desk_options o = f_options();
    o.domains[0] =
        (struct domain_options){.channel = "domain:slow.example", .name = "slow.example", .mail_rate = rate};
    o.n_domains = 1;
    return o;
}

/* More of them than are rendered ahead. */
static void a_domain_that_takes_little_keeps_nobody_from_being_rendered(void **state)
{
    (void)state;
    const struct desk_options o = with_slow_domain(2);
    int64_t job = t_started(false);
    f_start(&o);
    give_to_slow_domain(job, 1, 80);
    f_await(t_count(job, "state = 'sent' AND user_id % 100 NOT BETWEEN 1 AND 80") == 20, 3);
    f_stop();
}

/* Twelve batches, four slots: without putting off, these 480 take all slots for most of 96 s. */
static void a_domain_that_takes_little_holds_up_nobody_else(void **state)
{
    (void)state;
    const struct desk_options o = with_slow_domain(5);
    int64_t job = t_started(false), start_us = clock_mono_us();
    f_start(&o);
    for (int first = 1; first < 1200 && renewed(); first += 100)
        give_to_slow_domain(job, first, 40);
    f_await(renewed() && t_count(job, "state = 'sent' AND user_id % 100 NOT BETWEEN 1 AND 40") == 720, 30);
    double free_s = (double)(clock_mono_us() - start_us) / 1e6;
    f_await(renewed() && f_idle(), 60);
    double all_s = (double)(clock_mono_us() - start_us) / 1e6;
    f_stop();
    int64_t through = t_count(job, "state = 'sent' AND user_id % 100 BETWEEN 1 AND 40");
    assert_int_equal(t_count(job, "state = 'deferred' AND attempts = 0 AND provider IS NULL"
                                  " AND reason = 'its domain''s own rate is used up: slow.example'"
                                  " AND due_at > clock_timestamp()"),
                     480 - through);
    assert_in_range(through, (int64_t)(all_s * 5 * 0.8) - 5, 479);
    if (free_s > 15)
        fail_msg("those of other domains took %.1f s", free_s);
    assert_true(f_most() == 1);
}

/* With nobody else there nothing is put off, however full the slots are. */
static void a_domains_own_users_alone_are_not_put_off(void **state)
{
    (void)state;
    const struct desk_options o = with_slow_domain(100);
    int64_t job = t_started(false);
    f_start(&o);
    for (int first = 1; first < 700 && renewed(); first += 100)
        give_to_slow_domain(job, first, 100);
    f_await(renewed() && f_idle(), 30);
    f_stop();
    assert_int_equal(t_count(job, "state = 'sent'"), 700);
}

static void a_daily_quota_is_never_passed_and_survives_a_restart(void **state)
{
    (void)state;
    struct desk_options o = f_options();
    o.providers[0].limits.per_second = 1000;
    o.providers[0].limits.per_day = 150;
    int64_t job = give(&o, 300);
    f_await(f_total() == 150, 10);
    clock_sleep_us(500000);
    f_stop();
    f_start(&o);
    clock_sleep_us(1500000);
    assert_int_equal(f_total(), 150);
    f_stop();
    assert_int_equal(t_count(job, "state = 'sent'"), 150);
    assert_int_equal(t_sql("SELECT quota_used::bigint FROM foliopost.provider_rates"), 150);
}

static void a_spent_quota_leaves_the_mails_to_the_other_provider(void **state)
{
    (void)state;
    struct desk_options o = two(50, 50);
    o.providers[0].limits.per_second =
        200; /* time enough to use up what the other has left, after a stall too */
    o.providers[1].limits.per_second = 1000;
    o.providers[1].limits.per_day = 100;
    int64_t job = run(&o, 600);
    assert_int_equal(t_count(job, "state = 'sent'"), 600);
    assert_in_range(atomic_load(&s_sent), 90, 100);
}

static char noted[300];

static void keep_note(void *ctx, const char *why)
{
    (void)ctx;
    pthread_mutex_lock(&f_lock);
    (void)snprintf(noted, sizeof(noted), "%s", why);
    pthread_mutex_unlock(&f_lock);
}

static bool note_holds(const char *text)
{
    pthread_mutex_lock(&f_lock);
    bool holds = strstr(noted, text) != NULL;
    pthread_mutex_unlock(&f_lock);
    return holds;
}

/* A window of an hour, so many minutes away from now. */
static struct ledger_window window_at(int minutes)
{
    int now = (int)t_sql("SELECT (extract(hour FROM t) * 60 + extract(minute FROM t))::bigint"
                         " FROM (SELECT clock_timestamp() AT TIME ZONE 'Asia/Kolkata' AS t) x");
    return (struct ledger_window){.zone = "Asia/Kolkata",
                                  .from_minute = (now + minutes + 1440) % 1440,
                                  .to_minute = (now + minutes + 60 + 1440) % 1440};
}

static void outside_the_window_nothing_is_sent_and_it_says_so(void **state)
{
    (void)state;
    struct desk_options o = f_options();
    o.note = keep_note;
    o.window = window_at(120);
    (void)give(&o, 100);
    f_await(note_holds("outside the sending window") && note_holds("Asia/Kolkata"), 5);
    assert_int_equal(f_total(), 0);
    f_stop();
    noted[0] = '\0';
    o.window = window_at(-30);
    int64_t job = t_started(false);
    f_start(&o);
    (void)f_batch(job, 201, 100);
    f_await(f_total() == 100, 10);
    f_stop();
    assert_false(note_holds("outside"));
}

/* With an intent whose mail had yet to go: it is withdrawn. In the next hours all goes on. */
static void a_job_whose_hours_end_is_given_back_within_seconds(void **state)
{
    (void)state;
    static struct f_batch b;
    struct desk_options o = f_options();
    int64_t job = t_started(false), batch = t_paged(job, 1, 100, false);
    o.providers[0].limits.per_second = 10;
    f_fill(&b, job, batch, 1, 100);
    f_start(&o);
    assert_true(f_give(&b));
    f_await(f_total() >= 3, 5);
    t_hours(job, 2, 3);
    f_await(f_idle(), 3);
    assert_true(f_total() < 50);
    assert_int_equal(t_count(job, "state = 'sent'"), f_total());
    assert_int_equal(t_batch(batch,
                             "(state = 'queued' AND open_intents = '{}' AND due_at = '-infinity')::integer"),
                     1);
    t_sql("UPDATE foliopost.batches SET due_at = clock_timestamp() + interval '1 h'"); /* emitted just before
                                                                                          the end */
    assert_false(f_give(&b));
    assert_int_equal(t_batch(batch, "(state = 'queued' AND due_at = '-infinity')::integer"), 1);
    t_hours(job, -1, 1);
    t_sql("UPDATE foliopost.provider_rates SET operator_limit = 1000, rate_limit = 1000, rate = 1000");
    assert_true(f_give(&b));
    f_await(f_idle(), 20);
    f_stop();
    assert_int_equal(t_count(job, "state = 'sent' AND attempts = 1"), 100);
    assert_true(f_most() == 1);
}

static void an_unknown_zone_stops_the_start(void **state)
{
    (void)state;
    struct desk_options o = f_options();
    o.window = (struct ledger_window){.zone = "Mars/Olympus", .from_minute = 1, .to_minute = 2};
    f_set_lease(t_mailer, true);
    assert_null(desk_start(&o, &t_err));
    assert_non_null(strstr(t_err.msg, "send-window"));
}

/* --- providers that are a brand's own ---------------------------------------------------------- */

static int8_t every_fifth(int64_t user_id)
{
    return user_id % 5 == 0 ? 1 : -1;
}

static int8_t everybody(int64_t user_id)
{
    (void)user_id;
    return 1;
}

static void a_dedicated_provider_takes_the_mails_that_name_it_and_no_others(void **state)
{
    (void)state;
    struct desk_options o = two(100, 100);
    o.providers[1].dedicated = true;
    f_names = every_fifth;
    int64_t job = run(&o, 1000);
    assert_int_equal(t_count(job, "provider_id = 'second'"), 200);
    assert_int_equal(t_count(job, "provider_id = 'second' AND user_id % 5 <> 0"), 0);
}

/* Nor does it take a probe of the others, nor they one of its own. */
static void nobody_stands_in_for_a_dedicated_provider(void **state)
{
    (void)state;
    struct desk_options o = two(100, 100);
    o.providers[1].dedicated = true;
    o.fault_pause_ms = 2500;
    f_names = every_fifth;
    s_verdict = all_down;
    int64_t job = give(&o, 300);
    f_await(
        t_sql("SELECT count(*) FROM foliopost.jobs WHERE state = 'PAUSED' AND response LIKE '%%second%%'") ==
            1,
        30);
    f_await(f_idle(), 10);
    f_stop();
    assert_int_equal(t_count(job, "state = 'sent'"), 240);
    assert_int_equal(t_count(job, "user_id % 5 = 0"), 0);
}

/* Twenty batches, four slots: without putting off, those that wait would hold all four. */
static void a_dedicated_provider_that_stands_holds_up_nobody_else(void **state)
{
    (void)state;
    struct desk_options o = two(100, 100);
    o.providers[1].dedicated = true;
    f_names = every_fifth;
    s_verdict = all_down;
    int64_t job = t_started(false);
    f_start(&o);
    for (int first = 1; first < 2000 && renewed(); first += 100)
        (void)f_batch(job, first, 100);
    f_await(renewed() && t_count(job, "state = 'sent'") == 1600, 60);
    assert_int_equal(t_count(job, "state = 'sent' AND user_id % 5 = 0"), 0);
    assert_int_equal(
        t_count(job, "state <> 'sent' AND (state <> 'deferred' OR attempts <> 0 OR user_id % 5 <> 0)"), 0);
    assert_in_range(t_count(job, "state = 'deferred' AND due_at > clock_timestamp()"), 320, 380);
    assert_int_equal(t_count(job, "state = 'deferred' AND NOT coalesce(" CAME_FROM("second") ", false)"), 0);
    s_verdict = f_all_sent; /* those that were kept, to probe with, go out */
    f_await(renewed() && f_idle(), 90);
    f_stop();
    assert_in_range(t_count(job, "state = 'sent' AND provider_id = 'second'"), 20, 80);
    assert_int_equal(t_count(job, "true"), 2000);
    assert_true(f_most() == 1);
}

/* At 10 a second it has work for 40 s: those who do not name it are not to wait for that, nor is it to lose
 * of its rate. */
static void a_dedicated_provider_that_is_slow_holds_up_nobody_else(void **state)
{
    (void)state;
    struct desk_options o = two(100, 100);
    o.providers[1].dedicated = true;
    o.providers[1].limits.per_second = 10;
    f_names = every_fifth;
    int64_t job = t_started(false), start_us = clock_mono_us();
    f_start(&o);
    for (int first = 1; first < 2000 && renewed(); first += 100)
        (void)f_batch(job, first, 100);
    f_await(renewed() && t_count(job, "state = 'sent' AND user_id % 5 <> 0") == 1600, 60);
    double free_s = (double)(clock_mono_us() - start_us) / 1e6;
    f_await(renewed() && f_idle(), 60);
    double all_s = (double)(clock_mono_us() - start_us) / 1e6;
    f_stop();
    int64_t through = t_count(job, "state = 'sent' AND user_id % 5 = 0");
    assert_int_equal(t_count(job, "provider_id = 'second'"), through);
    assert_int_equal(t_count(job, "state = 'deferred' AND attempts = 0 AND user_id % 5 = 0 AND " CAME_FROM(
                                      "second")),
                     400 - through);
    assert_in_range(through, (int64_t)(all_s * 10 * 0.8) - 10, 399);
    if (free_s > 25) /* 40 without putting off */
        fail_msg("those who name none took %.1f s", free_s);
    assert_true(f_most() == 1);
}

/* With nobody else there nothing is put off, however full the slots are. */
static void a_slow_providers_own_users_alone_are_not_put_off(void **state)
{
    (void)state;
    struct desk_options o = two(100, 100);
    o.providers[1].dedicated = true;
    o.providers[1].limits.per_second = 100;
    f_names = everybody;
    int64_t job = give(&o, 700);
    f_await(renewed() && f_idle(), 30);
    f_stop();
    assert_int_equal(t_count(job, "state = 'sent'"), 700);
}

static void others_do_not_probe_with_a_dedicated_provider(void **state)
{
    (void)state;
    struct desk_options o = two(100, 100);
    o.providers[1].dedicated = true;
    f_names = every_fifth;
    f_verdict = all_down;
    int64_t job = give(&o, 100);
    f_await(t_count(job, "provider_id = 'second'") >= 10, 20);
    f_stop();
    assert_int_equal(t_count(job, "state = 'sent' AND user_id % 5 <> 0"), 0);
}

/* --- a job's provider, which others share in ------------------------------------------------- */

static int8_t even(int64_t user_id)
{
    return user_id % 2 ? -1 : 1;
}

static void a_shared_provider_takes_all_that_name_it_and_no_more_than_its_share_of_the_others(void **state)
{
    (void)state;
    const struct desk_options o = two(50, 50);
    f_names = even;
    int64_t job = run(&o, 1000);
    assert_int_equal(t_count(job, "user_id % 2 = 0 AND provider_id IS DISTINCT FROM 'second'"), 0);
    assert_in_range(t_count(job, "user_id % 2 = 1 AND provider_id = 'second'"), 0,
                    300); /* no more than its share */
}

static void who_stands_by_takes_what_names_it_and_nothing_else(void **state)
{
    (void)state;
    const struct desk_options o = two(100, 0);
    f_names = even;
    int64_t job = run(&o, 600);
    assert_int_equal(t_count(job, "provider_id = 'second'"), 300);
    assert_int_equal(t_count(job, "user_id % 2 = 1 AND provider_id = 'second'"), 0);
}

/* Half of the mails are for one that takes 50 a second; the others do not wait for it to take its share.
 * In three of the four slots: with all of them full some would be put off. */
static void a_named_provider_that_is_slow_holds_its_share_of_the_others_up_no_longer(void **state)
{
    (void)state;
    struct desk_options o = two(50, 50);
    o.providers[1].limits.per_second = 50;
    f_names = even;
    int64_t start_us = clock_mono_us();
    int64_t job = give(&o, 300);
    f_await(t_count(job, "state = 'sent' AND user_id % 2 = 1") == 150, 20);
    double free_s = (double)(clock_mono_us() - start_us) / 1e6;
    f_await(f_idle(), 30);
    f_stop();
    assert_int_equal(t_count(job, "user_id % 2 = 0 AND provider_id IS DISTINCT FROM 'second'"), 0);
    if (free_s > 4)
        fail_msg("those who name none took %.1f s", free_s);
}

static void a_job_whose_provider_stands_is_paused_and_no_other_takes_its_mails(void **state)
{
    (void)state;
    struct desk_options o = two(50, 50);
    o.fault_pause_ms = 2500;
    f_names = even;
    s_verdict = all_down;
    int64_t job = give(&o, 300);
    f_await(
        t_sql("SELECT count(*) FROM foliopost.jobs WHERE state = 'PAUSED' AND response LIKE '%%second%%'") ==
            1,
        30);
    f_await(f_idle(), 10);
    f_stop();
    assert_int_equal(t_count(job, "state = 'sent'"), 150);
    assert_int_equal(t_count(job, "user_id % 2 = 0"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(providers_share_the_mails_by_weight, clean),
        cmocka_unit_test_setup(an_outcome_names_the_provider_that_said_so, clean),
        cmocka_unit_test_setup(a_weight_holds_under_rates_too, clean),
        cmocka_unit_test_setup(when_one_is_down_the_other_sends_all, clean),
        cmocka_unit_test_setup(weight_0_stands_by, clean),
        cmocka_unit_test_setup(who_stands_by_sends_when_the_other_is_down, clean),
        cmocka_unit_test_setup(what_is_unclear_fails_over_to_nobody, clean),
        cmocka_unit_test_setup(a_provider_that_is_well_again_gets_its_share, clean),
        cmocka_unit_test_setup(a_domain_has_a_rate_of_its_own, clean),
        cmocka_unit_test_setup(a_domain_that_takes_little_keeps_nobody_from_being_rendered, clean),
        cmocka_unit_test_setup(a_domain_that_takes_little_holds_up_nobody_else, clean),
        cmocka_unit_test_setup(a_domains_own_users_alone_are_not_put_off, clean),
        cmocka_unit_test_setup(a_daily_quota_is_never_passed_and_survives_a_restart, clean),
        cmocka_unit_test_setup(a_spent_quota_leaves_the_mails_to_the_other_provider, clean),
        cmocka_unit_test_setup(outside_the_window_nothing_is_sent_and_it_says_so, clean),
        cmocka_unit_test_setup(a_job_whose_hours_end_is_given_back_within_seconds, clean),
        cmocka_unit_test_setup(an_unknown_zone_stops_the_start, clean),
        cmocka_unit_test_setup(a_dedicated_provider_takes_the_mails_that_name_it_and_no_others, clean),
        cmocka_unit_test_setup(nobody_stands_in_for_a_dedicated_provider, clean),
        cmocka_unit_test_setup(a_dedicated_provider_that_stands_holds_up_nobody_else, clean),
        cmocka_unit_test_setup(a_dedicated_provider_that_is_slow_holds_up_nobody_else, clean),
        cmocka_unit_test_setup(a_slow_providers_own_users_alone_are_not_put_off, clean),
        cmocka_unit_test_setup(others_do_not_probe_with_a_dedicated_provider, clean),
        cmocka_unit_test_setup(
            a_shared_provider_takes_all_that_name_it_and_no_more_than_its_share_of_the_others, clean),
        cmocka_unit_test_setup(who_stands_by_takes_what_names_it_and_nothing_else, clean),
        cmocka_unit_test_setup(a_named_provider_that_is_slow_holds_its_share_of_the_others_up_no_longer,
                               clean),
        cmocka_unit_test_setup(a_job_whose_provider_stands_is_paused_and_no_other_takes_its_mails, clean),
    };
    return cmocka_run_group_tests(tests, t_ledger_up, t_database_down);
}
