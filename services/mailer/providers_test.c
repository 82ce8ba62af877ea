/* Several providers from a file, domains and the window from their settings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "services/mailer/providers.h"
#include "services/mailer/settings.h"

static struct mailer_settings settings;
static const struct config_table table = {.program = "test", .rows = mailer_settings_rows};
static struct fp_err err;
static char path[] = "/tmp/providers_test.conf.XXXXXX";

static struct providers *load(const char *file, const char *domains, const char *window)
{
    char *argv[] = {(char *)"test",
                    (char *)"--providers-file",
                    (char *)(file ? path : ""),
                    (char *)"--domain-rates",
                    (char *)domains,
                    (char *)"--send-window",
                    (char *)window,
                    (char *)"--transport",
                    (char *)"null",
                    (char *)"--mail-rate",
                    (char *)"70"};
    struct config_table t = table;
    t.n_rows = mailer_settings_n_rows;
    config_fini(&t, &settings);
    memset(&settings, 0, sizeof settings);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(file ? file : "", f);
    fclose(f);
    assert_int_equal(config_parse(&t, &settings, sizeof argv / sizeof argv[0], argv, &err), 0);
    return providers_load(&settings, &err);
}

static void refused(const char *file, const char *domains, const char *window, const char *words)
{
    struct providers *p = load(file, domains, window);
    assert_null(p);
    if (!strstr(err.msg, words))
        fail_msg("\"%s\" does not hold \"%s\"", err.msg, words);
}

static void without_a_file_the_flags_are_the_provider(void **state)
{
    (void)state;
    struct desk_options o = {0};
    struct providers *p = load(NULL, "", "");
    assert_non_null(p);
    providers_to_desk(p, &o);
    assert_int_equal(o.n_providers, 1);
    assert_string_equal(o.providers[0].name, "default");
    assert_string_equal(o.providers[0].transport->name, "null");
    assert_true(o.providers[0].limits.per_second == 70);
    assert_int_equal(o.n_domains, 0);
    assert_int_equal(o.window.from_minute, o.window.to_minute);
    providers_free(p);
}

static void a_section_says_what_differs_from_the_flags(void **state)
{
    (void)state;
    struct desk_options o = {0};
    struct providers *p =
        load("# two\n[ses-eu]\nweight = 80\nmail-rate=500\ndaily-quota = 1000000\n\n"
             "[relay]\n transport = smtp \nsmtp-url = smtp://relay.example:587\nweight = 20\n",
             "", "");
    if (!p)
        fail_msg("%s", err.msg);
    providers_to_desk(p, &o);
    assert_int_equal(o.n_providers, 2);
    assert_string_equal(o.providers[0].name, "ses-eu");
    assert_string_equal(o.providers[0].transport->name, "null");
    assert_true(o.providers[0].limits.per_second == 500 && o.providers[0].limits.per_day == 1e6);
    assert_int_equal(o.providers[0].weight, 80);
    assert_string_equal(o.providers[1].transport->name, "smtp");
    assert_string_equal(o.providers[1].transport_settings.smtp_url, "smtp://relay.example:587");
    assert_true(o.providers[1].limits.per_second == 70);
    providers_free(p);
}

static void a_wrong_line_is_named(void **state)
{
    (void)state;
    refused("", "", "", "names none");
    refused("weight = 3\n", "", "", "line 1");
    refused("[a]\nweight\n", "", "", "line 2");
    refused("[a]\nslots = 3\n", "", "", "has no setting \"slots\"");
    refused("[a]\nweight = many\n", "", "", "line 2");
    refused("[a b]\n", "", "", "is no name");
    refused("[a]\n[a]\n", "", "", "twice");
    refused("[a]\ntransport = smtp\nsmtp-url = nonsense\n", "", "", "provider a: smtp-url");
    refused("[a]\nmail-rate = 0\ndaily-quota = 5\n", "", "", "daily-quota");
    refused("[a]\n[b]\n[c]\n[d]\n[e]\n[f]\n[g]\n[h]\n[i]\n", "", "", "more than 8");
}

static void domains_and_windows_are_read(void **state)
{
    (void)state;
    struct desk_options o = {0};
    struct providers *p = load(NULL, "Gmail.com:50, yahoo.com:0.5", "22:30-06:00");
    assert_non_null(p);
    providers_to_desk(p, &o);
    assert_int_equal(o.n_domains, 2);
    assert_string_equal(o.domains[0].name, "gmail.com");
    assert_string_equal(o.domains[0].channel, "domain:gmail.com");
    assert_true(o.domains[1].mail_rate == 0.5);
    assert_int_equal(o.window.from_minute, 22 * 60 + 30);
    assert_int_equal(o.window.to_minute, 6 * 60);
    assert_string_equal(o.window.zone, "UTC");
    providers_free(p);
    refused(NULL, "gmail.com", "", "domain-rates");
    refused(NULL, "gmail.com:0", "", "domain-rates");
    refused(NULL, ":5", "", "domain-rates");
    refused(NULL, "", "8-20", "send-window");
    refused(NULL, "", "08:00-08:00", "send-window");
    refused(NULL, "", "08:00-24:30", "send-window");
    refused(NULL, "", "25:00-08:00", "send-window");
}

static int start(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int end(void **state)
{
    struct config_table t = table;
    (void)state;
    t.n_rows = mailer_settings_n_rows;
    config_fini(&t, &settings);
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_file_the_flags_are_the_provider),
        cmocka_unit_test(a_section_says_what_differs_from_the_flags),
        cmocka_unit_test(a_wrong_line_is_named),
        cmocka_unit_test(domains_and_windows_are_read),
    };
    return cmocka_run_group_tests(tests, start, end);
}
