/* Brands from a file: what they say anew, and what stops the start. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/text.h"
#include "services/mailer/brands.h"
#include "services/mailer/letter.h"
#include "services/mailer/outcome.h"
#include "services/mailer/providers.h"
#include "services/mailer/settings.h"

static struct mailer_settings settings;
static struct fp_err err;
static char brands[] = "/tmp/brands_test.XXXXXX", providers[] = "/tmp/brands_test.XXXXXX",
            keys[] = "/tmp/brands_test.XXXXXX";

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void forget(void)
{
    const struct config_table t = {.program = "test",
                                   .rows = mailer_settings_rows,
                                   .n_rows = mailer_settings_n_rows};
    letter_close(&settings);
    providers_free(settings.providers);
    config_fini(&t, &settings);
    memset(&settings, 0, sizeof settings);
}

/* As the mailer's start does it. */
static int load(const char *file)
{
    char *argv[] = {(char *)"test",
                    (char *)"--brands-file",
                    (char *)(file ? brands : ""),
                    (char *)"--providers-file",
                    (char *)providers,
                    (char *)"--templates",
                    (char *)"services/mailer/templates",
                    (char *)"--token-key-file",
                    (char *)keys,
                    (char *)"--from",
                    (char *)"Common <reports@common.example>",
                    (char *)"--unsubscribe-url",
                    (char *)"https://leave.common.example"};
    const struct config_table t = {.program = "test",
                                   .rows = mailer_settings_rows,
                                   .n_rows = mailer_settings_n_rows};
    forget();
    write_file(brands, file ? file : "");
    write_file(providers, "[one]\ntransport = null\n[two]\ntransport = null\n");
    write_file(keys, "1:0123456789abcdef0123456789abcdef\n");
    assert_int_equal(config_parse(&t, &settings, sizeof argv / sizeof argv[0], argv, &err), 0);
    return mailer_settings_check(&settings, &err);
}

static const char acme[] =
    "# theirs\n[acme]\nfrom = Acme <reports@acme.example>\nreply-to = help@acme.example\n"
    "unsubscribe-url = https://leave.acme.example\n"
    "unsubscribe-mailto = leave@acme.example\nbounce-domain = b.acme.example\n"
    "list-host = acme.example\nfeedback-sender = acme-mail\npostal-address = Acme, Town\n"
    "template = plain\nprovider = two\n";

static struct fp_str mail;
static struct rendered rendered;

static int render(const char *users, const char *jobs)
{
    Foliopost__V1__JobContext job = FOLIOPOST__V1__JOB_CONTEXT__INIT;
    Foliopost__V1__User user = FOLIOPOST__V1__USER__INIT;
    Foliopost__V1__PortfolioSummary summary = FOLIOPOST__V1__PORTFOLIO_SUMMARY__INIT;
    Foliopost__V1__SummaryItem item = FOLIOPOST__V1__SUMMARY_ITEM__INIT;
    job.job_id = 7;
    job.kind = (char *)"monthly";
    job.period_start_day = 20000;
    job.period_end_day = 20030;
    job.as_of_us = job.mail_date_us = INT64_C(1767225600000000);
    job.template_name = (char *)"statement";
    job.brand = (char *)jobs;
    user.id = 4711;
    user.email = (char *)"ann@mail.example";
    user.base_currency = summary.currency = (char *)"EUR";
    user.brand = (char *)users;
    summary.exponent = 2;
    summary.since_day = 20000;
    summary.prices_as_of_day = 20030;
    item.user = &user;
    item.summary = &summary;
    item.outcome_case = FOLIOPOST__V1__SUMMARY_ITEM__OUTCOME_SUMMARY;
    str_fini(&mail);
    str_init(&mail, 0);
    return letter_mail(&settings, &job, &item, NULL, &mail, &rendered, &err);
}

static void has(const char *text)
{
    if (!strstr(mail.data, text))
        fail_msg("the mail does not hold \"%s\"", text);
}

static void a_user_gets_the_mail_of_his_brand(void **state)
{
    (void)state;
    if (load(acme) != 0 || render("acme", "default") != 0)
        fail_msg("%s", err.msg);
    has("\r\nFrom: Acme <reports@acme.example>\r\n");
    has("\r\nReply-To: help@acme.example\r\n");
    has("@acme.example>\r\nList-Unsubscribe: <https://leave.acme.example/u/");
    has(",\r\n <mailto:leave@acme.example?subject=");
    has("\r\nList-Id: <monthly.statements.acme.example>\r\n");
    has("\r\nFeedback-ID: 7:monthly:acme:acme-mail\r\n");
    assert_null(strstr(mail.data, "common.example"));
    assert_int_equal(rendered.provider, 1);
    assert_memory_equal(rendered.sender, "bounce+", 7);
    assert_non_null(strstr(rendered.sender, "@b.acme.example"));
    assert_true(text_is_address(rendered.sender));
    size_t of_brand = mail.len;
    assert_int_equal(render("", "default"), 0);
    has("\r\nFrom: Common <reports@common.example>\r\n");
    has("\r\nFeedback-ID: 7:monthly:default:foliopost\r\n");
    assert_null(strstr(mail.data, "acme"));
    assert_null(strstr(mail.data, "mailto:"));
    assert_int_equal(rendered.provider, -1);
    assert_string_equal(rendered.sender, "reports@common.example");
    assert_true(mail.len > of_brand + 1000); /* acme's template is the plain one */
}

static void the_user_comes_before_the_job(void **state)
{
    (void)state;
    assert_int_equal(load(acme), 0);
    assert_int_equal(render("", "acme"), 0);
    has("From: Acme");
    assert_int_equal(render("default", "acme"), 0);
    has("From: Common");
}

static void nobody_gets_the_mail_of_an_unknown_brand(void **state)
{
    (void)state;
    assert_int_equal(load(acme), 0);
    assert_int_equal(render("Acme", "default"), -1);
    assert_int_equal(err.code, FP_FAILED_PRECONDITION);
    assert_string_equal(err.msg, "unknown brand: Acme");
    struct outcome o;
    outcome_of_render_error(&err, &o);
    assert_int_equal(o.state, DELIVERY_FAILED);
    assert_string_equal(o.reason, "unknown brand: Acme");
    Foliopost__V1__JobContext job = FOLIOPOST__V1__JOB_CONTEXT__INIT;
    char why[160];
    job.template_name = (char *)"statement";
    job.brand = (char *)"acme";
    letter_cannot(&settings, &job, why);
    assert_string_equal(why, "");
    job.brand = (char *)"other";
    letter_cannot(&settings, &job, why);
    assert_non_null(strstr(why, "brand \"other\""));
}

static void without_a_file_a_brand_is_a_label(void **state)
{
    (void)state;
    if (load(NULL) != 0 || render("acme", "default") != 0)
        fail_msg("%s", err.msg);
    has("From: Common");
    has("Feedback-ID: 7:monthly:acme:foliopost");
}

static void a_section_default_takes_the_place_of_the_flags(void **state)
{
    (void)state;
    assert_int_equal(load("[default]\nfrom = New <new@new.example>\n"), 0);
    assert_int_equal(render("", "default"), 0);
    has("From: New <new@new.example>");
}

/* Whatever form the settings have, headers and the envelope have A-labels. */
static void domains_may_be_of_any_script(void **state)
{
    (void)state;
    if (load(
            "[acme]\nfrom = Bücher AG <post@bücher.example>\nreply-to = \"Hilfe, wo?\" <hilfe@BÜCHER.example>\n"
            "unsubscribe-url = https://weg.bücher.example:8443/a\nunsubscribe-mailto = weg@bücher.example\n"
            "bounce-domain = zurück.bücher.example\nlist-host = 例え.テスト\n") != 0 ||
        render("acme", "default") != 0)
        fail_msg("%s", err.msg);
    has("\r\nFrom: =?UTF-8?B?QsO8Y2hlciBBRw==?= <post@xn--bcher-kva.example>\r\n");
    has("\r\nReply-To: \"Hilfe, wo?\" <hilfe@xn--bcher-kva.example>\r\n");
    has("@xn--bcher-kva.example>\r\nList-Unsubscribe: <https://weg.xn--bcher-kva.example:8443/a/u/");
    has(",\r\n <mailto:weg@xn--bcher-kva.example?subject=");
    has("\r\nList-Id: <monthly.statements.xn--r8jz45g.xn--zckzah>\r\n");
    assert_non_null(strstr(rendered.sender, "@xn--zurck-mva.xn--bcher-kva.example"));
    assert_true(text_is_address(rendered.sender));
    for (size_t i = 0; i < mail.len; i++)
        if (mail.data[i] & 0x80)
            fail_msg("a byte that is not ASCII at %zu", i);
    assert_int_equal(load("[acme]\nfrom = post@bücher.example\nmessage-host = id.bücher.example\n"
                          "bounce-address = zurück@bücher.example\n"),
                     -1);
    assert_non_null(strstr(err.msg, "brand acme: bounce-address: \"zurück@bücher.example\": before the @"));
    if (load("[acme]\nfrom = post@bücher.example\nmessage-host = id.bücher.example\n"
             "bounce-address = weg@bücher.example\n") != 0 ||
        render("acme", "default") != 0)
        fail_msg("%s", err.msg);
    has("\r\nFrom: post@xn--bcher-kva.example\r\n");
    has("@id.xn--bcher-kva.example>\r\n");
    assert_string_equal(rendered.sender, "weg@xn--bcher-kva.example");
}

static void refused(const char *file, const char *words)
{
    if (load(file) == 0)
        fail_msg("taken: %s", file);
    if (!strstr(err.msg, words))
        fail_msg("\"%s\" does not hold \"%s\"", err.msg, words);
}

static void mistakes_stop_the_start(void **state)
{
    (void)state;
    refused("from = x@y.example\n", "line 1");
    refused("[a]\nfrom = nobody\n", "brand a: from");
    refused("[a]\ncolour = red\n", "a brand has no setting \"colour\"");
    refused("[a]\nsmtp-url = smtp://x:25\n", "a brand has no setting \"smtp-url\"");
    refused("[a]\n[a]\n", "brand a stands there twice");
    refused("[a/b]\n", "is no name");
    refused("\n", "names none");
    refused("[a]\ntemplate = none\n", "brand a: there is no template \"none\"");
    refused("[a]\nprovider = three\n", "brand a: there is no provider three");
    refused("[a]\nprovider = one\n[b]\nprovider = two\n", "brand default: every provider is another brand's");
    refused("[a]\nunsubscribe-url = http://a.example\n", "brand a: unsubscribe-url");
    refused("[a]\nunsubscribe-mailto = a@b.example?cc=c@d.example\n", "unsubscribe-mailto");
    refused("[a]\nbounce-domain = a b\n", "bounce-domain");
    refused("[a]\nfeedback-sender = a:bcdef\n", "feedback-sender");
    refused("[a]\nlist-host = a>b\n", "list-host");
    refused("[a]\nfrom = A\xff <a@b.example>\n", "line 2: from");
    refused("[a]\nfrom = A <a@b.example> B\n", "brand a: from");
    refused("[a]\nfrom = jürgen@b.example\n", "before the @ only ASCII");
    refused("[a]\nreply-to = a@☃.example\n", "brand a: reply-to: \"a@☃.example\" is no usable address");
    refused("[a]\nmessage-host = -a.example\n", "message-host");
    refused("[a]\nlist-host = xn--n3h.example\n", "list-host");
    refused("[a]\nunsubscribe-url = https://☃.example\n", "unsubscribe-url");
    refused("[a]\nunsubscribe-url = https://a.example/ü\n", "unsubscribe-url");
    refused("[a]\nunsubscribe-url = https://me@a.example\n", "unsubscribe-url");
}

static int files_up(void **state)
{
    (void)state;
    return mkstemp(brands) < 0 || mkstemp(providers) < 0 || mkstemp(keys) < 0 ? -1 : 0;
}

static int files_down(void **state)
{
    (void)state;
    forget();
    str_fini(&mail);
    return unlink(brands) + unlink(providers) + unlink(keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_user_gets_the_mail_of_his_brand),
        cmocka_unit_test(the_user_comes_before_the_job),
        cmocka_unit_test(nobody_gets_the_mail_of_an_unknown_brand),
        cmocka_unit_test(without_a_file_a_brand_is_a_label),
        cmocka_unit_test(a_section_default_takes_the_place_of_the_flags),
        cmocka_unit_test(domains_may_be_of_any_script),
        cmocka_unit_test(mistakes_stop_the_start),
    };
    return cmocka_run_group_tests(tests, files_up, files_down);
}
