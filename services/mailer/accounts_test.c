/* Accounts that are read again, of a provider that answers by HTTP. */
#include "services/mailer/http_script.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/mailer/accounts.h"
#include "services/mailer/settings.h"

#define ACCOUNT(sent)                                                                                        \
    {                                                                                                        \
        .status = 200,                                                                                       \
        .body = "{\"SendQuota\":{\"Max24HourSend\":50000,\"MaxSendRate\":14,\"SentLast24Hours\":" #sent "}}" \
    }

static struct mailer_settings settings;
static struct server *server;
static char url[64], key_file[64];
static struct providers *providers;
static struct fp_err err;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct ledger_limits told;
static int times;

static void tell(void *ctx, int provider, const struct ledger_limits *limits)
{
    (void)ctx;
    assert_int_equal(provider, 0);
    pthread_mutex_lock(&lock);
    told = *limits;
    times++;
    pthread_mutex_unlock(&lock);
}

/* Until it was told once more, and how much was sent. */
static double told_again(void)
{
    pthread_mutex_lock(&lock);
    int before = times;
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < 1000; i++) {
        clock_sleep_us(5000);
        pthread_mutex_lock(&lock);
        bool more = times > before;
        double sent = told.sent;
        pthread_mutex_unlock(&lock);
        if (more)
            return sent;
    }
    fail_msg("it was not asked again");
    return 0;
}

static void up(const char *rate, const char *quota, struct script script)
{
    server = server_start(script);
    snprintf(url, sizeof url, "http://127.0.0.1:%d", server->port);
    snprintf(key_file, sizeof key_file, "/tmp/foliopost-account-%d", (int)getpid());
    FILE *f = fopen(key_file, "w");
    assert_non_null(f);
    fputs("aws_access_key_id = AKIAKEY\naws_secret_access_key = s/ecret\n", f);
    fclose(f);
    char *argv[] = {(char *)"test",
                    (char *)"--transport",
                    (char *)"ses",
                    (char *)"--api-url",
                    url,
                    (char *)"--api-key-file",
                    key_file,
                    (char *)"--ses-region",
                    (char *)"eu-west-1",
                    (char *)"--mail-rate",
                    (char *)rate,
                    (char *)"--daily-quota",
                    (char *)quota,
                    (char *)"--reply-timeout",
                    (char *)"1s"};
    const struct config_table table = {.program = "test",
                                       .rows = mailer_settings_rows,
                                       .n_rows = mailer_settings_n_rows};
    memset(&settings, 0, sizeof settings);
    assert_int_equal(config_parse(&table, &settings, sizeof argv / sizeof argv[0], argv, &err), 0);
    providers = providers_load(&settings, &err);
    if (!providers)
        fail_msg("%s", err.msg);
}

static void down(void)
{
    const struct config_table table = {.program = "test",
                                       .rows = mailer_settings_rows,
                                       .n_rows = mailer_settings_n_rows};
    providers_free(providers);
    config_fini(&table, &settings);
    server_stop(server);
    unlink(key_file);
}

static struct ledger_limits at_start(void)
{
    static struct desk_options o;
    providers_ask_accounts(providers);
    providers_to_desk(providers, &o);
    return o.providers[0].limits;
}

static void the_accounts_limits_bound_ours(void **state)
{
    (void)state;
    up("100", "0", (struct script)ACCOUNT(1200));
    struct ledger_limits l = at_start();
    assert_true(l.account == ACCOUNT_READ && l.rolls);
    assert_true(l.per_second == 14 && l.per_day == 50000 && l.sent == 1200);
    down();
    up("10", "1000", (struct script)ACCOUNT(1200)); /* ours are lower: of days, and of our own mails */
    l = at_start();
    assert_true(l.account == ACCOUNT_READ && !l.rolls);
    assert_true(l.per_second == 10 && l.per_day == 1000);
    down();
}

static void an_account_that_is_not_read_says_so(void **state)
{
    (void)state;
    up("100", "0", (struct script){.status = 403});
    struct ledger_limits l = at_start();
    assert_true(l.account == ACCOUNT_UNREAD && l.per_second == 100 && l.per_day == 0);
    down();
}

static void an_account_is_read_again_and_sooner_when_it_was_not(void **state)
{
    (void)state;
    up("100", "0", (struct script){.status = 503});
    struct accounts_options o = {.providers = providers, .every_ms = 10, .again_ms = 10, .tell = tell};
    (void)at_start();
    struct accounts *a = accounts_start(&o);
    clock_sleep_us(500000);
    assert_int_equal(times, 0); /* nothing to tell */
    server_change(server, (struct script)ACCOUNT(7));
    assert_true(told_again() == 7);
    server_change(server, (struct script)ACCOUNT(3));
    for (int i = 0; i < 5 && told_again() != 3; i++)
        ;
    assert_true(told_again() == 3);
    while (!accounts_stop(a)) /* asking just now */
        clock_sleep_us(1000);
    down();
}

static void nobody_else_needs_a_thread(void **state)
{
    (void)state;
    up("100", "0", (struct script)ACCOUNT(7));
    mem_free((char *)settings.transport);
    settings.transport = mem_strdup("null");
    providers_free(providers);
    providers = providers_load(&settings, &err);
    struct accounts_options o = {.providers = providers, .tell = tell};
    assert_null(accounts_start(&o));
    accounts_drain(NULL);
    assert_true(accounts_stop(NULL));
    down();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_accounts_limits_bound_ours),
        cmocka_unit_test(an_account_that_is_not_read_says_so),
        cmocka_unit_test(an_account_is_read_again_and_sooner_when_it_was_not),
        cmocka_unit_test(nobody_else_needs_a_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
