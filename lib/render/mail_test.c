/* Whole mails, read back as a mail reader would. golden_test.c compares bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/text.h"
#include "lib/render/digest.h"
#include "lib/render/fixtures.h"

static struct fp_templates *templates;

static int load(void **state)
{
    (void)state;
    struct fp_err err;
    const struct templates_from from = fixture_templates();
    templates = templates_load(&from, &err);
    if (!templates)
        print_error("%s\n", err.msg);
    return templates ? 0 : -1;
}

static int unload(void **state)
{
    (void)state;
    templates_free(templates);
    return 0;
}

static void render(struct fixture *f, struct fp_str *out)
{
    struct fp_err err;
    struct render_sender sender = fixture_sender();
    str_init(out, 0);
    struct render_extras extras = fixture_extras();
    if (render_mail(templates, &sender, &extras, &f->job, &f->item, out, NULL, &err) != 0)
        fail_msg("%s", err.msg);
}

/* --- read back -------------------------------------------------------------------------- */

static int hex_digit(char c)
{
    return c >= 'A' ? c - 'A' + 10 : c - '0';
}

/* The decoded body of the part with this type, in a static buffer. */
static const char *part(const struct fp_str *mail, const char *type)
{
    static char text[256 * 1024];
    char mark[64];
    snprintf(mark, sizeof mark, "Content-Type: %s;", type);
    const char *p = strstr(mail->data, mark);
    assert_non_null(p);
    p = strstr(p, "\r\n\r\n") + 4;
    const char *end = strstr(p, "\r\n--=_");
    assert_non_null(end);
    char *o = text;
    while (p < end) {
        if (p[0] == '=' && p[1] == '\r') {
            p += 3;
        } else if (p[0] == '=') {
            *o++ = (char)(hex_digit(p[1]) << 4 | hex_digit(p[2]));
            p += 3;
        } else if (p[0] != '\r') {
            *o++ = *p++;
        } else {
            p++;
        }
    }
    *o = 0;
    return text;
}

static void every_mail_keeps_to_the_rules_of_the_wire(void **state)
{
    (void)state;
    for (size_t i = 0; i < FIXTURE_CASES; i++) {
        struct fixture f = {0};
        struct fp_str mail;
        fixture_cases[i].fill(&f);
        render(&f, &mail);
        assert_int_equal(strlen(mail.data), mail.len);
        for (const char *line = mail.data; *line;) {
            const char *end = strstr(line, "\r\n");
            assert_non_null(end);
            if (strncmp(line, "List-Unsubscribe: ", 18) != 0) /* a URI is not folded */
                assert_in_range(end - line, 0, 78);
            for (const char *p = line; p < end; p++)
                assert_in_range(*p, ' ', '~');
            line = end + 2;
        }
        assert_true(strlen(part(&mail, "text/html")) < 60 * 1024);
        str_fini(&mail);
    }
}

static void the_same_input_gives_the_same_mail_and_another_user_another_id(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct fp_str a, b;
    fixture_anna(&f);
    render(&f, &a);
    render(&f, &b);
    assert_string_equal(a.data, b.data);
    assert_non_null(strstr(a.data, "\r\nMessage-ID: <42.1001."));
    str_fini(&b);
    f.user.id = 1002;
    render(&f, &b);
    assert_non_null(strstr(b.data, "\r\nMessage-ID: <42.1002."));
    str_fini(&a);
    str_fini(&b);
}

/* The words and figures that a reader must find, in both parts. */
static void both_parts_say_the_same(void **state)
{
    (void)state;
    static const char *const said[] = {
        "\xe2\x82\xac"
        "25,233.09",
        "up \xe2\x82\xac"
        "612.34",
        "+481.24",
        "-18.75",
        "+500.00",
        "24,120.75",
        "+2.52%",
        "Anna",
        "+402.10",
        "+1.66%",
        "-98.76",
        "-0.41%",
        "+43.12",
        "-5.99",
        "-10.78",
        "NLGF",
        "12 holdings",
        "MSCI World",
        "+38.41%",
        "+7.27% a year",
        "58.66%",
        "13,204.00",
        "11.4%",
        "4 for 1",
        "lowest \xe2\x82\xac"
        "23,916.63",
        FIXTURE_URL,
        "no recent price",
    };
    struct fixture f = {0};
    struct fp_str mail;
    fixture_anna(&f);
    render(&f, &mail);
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++) {
        if (!strstr(part(&mail, "text/plain"), said[i]))
            fail_msg("the text does not say \"%s\"", said[i]);
        if (!strstr(part(&mail, "text/html"), said[i]))
            fail_msg("the HTML does not say \"%s\"", said[i]);
    }
    str_fini(&mail);
}

static void a_return_that_is_not_defined_is_not_printed(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct fp_str mail;
    fixture_anna(&f);
    f.summary.twr_defined = false;
    f.summary.n_spans = f.summary.n_by_class = f.summary.n_by_currency = 0;
    render(&f, &mail);
    assert_null(strstr(part(&mail, "text/plain"), "%"));
    assert_null(strstr(part(&mail, "text/html"), "Time-weighted"));
    assert_null(strstr(part(&mail, "text/html"), "Of return"));
    str_fini(&mail);
}

/* What may be wrong is told beside any number of splits; without room for it, in general. */
static void a_finding_is_told_beside_many_splits(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct fp_str mail;
    fixture_anna(&f);
    f.summary.n_events = 0;
    for (int i = 0; i < 8; i++)
        fixture_event(&f, FOLIOPOST__V1__EVENT_KIND__EVENT_KIND_SPLIT, f.job.period_start_day + i, "Acme", 0);
    fixture_event(&f, FOLIOPOST__V1__EVENT_KIND__EVENT_KIND_PRICE_JUMP, f.job.period_end_day, "Globex", 0);
    render(&f, &mail);
    assert_non_null(strstr(part(&mail, "text/plain"), "Globex: the price of"));
    str_fini(&mail);
    f.summary.n_events = 0;
    for (int i = 0; i < 7; i++)
        fixture_event(&f, FOLIOPOST__V1__EVENT_KIND__EVENT_KIND_PRICE_JUMP, f.job.period_end_day, "Globex",
                      0);
    fixture_event(&f, FOLIOPOST__V1__EVENT_KIND__EVENT_KIND_STALE_PRICE, f.job.period_end_day, "Acme", 0);
    f.flags[0] = FOLIOPOST__V1__SUMMARY_FLAG__SUMMARY_FLAG_STALE_PRICE;
    f.summary.n_flags = 1;
    render(&f, &mail);
    assert_null(strstr(part(&mail, "text/plain"), "Acme: "));
    assert_non_null(strstr(part(&mail, "text/plain"), "no recent price"));
    str_fini(&mail);
}

static void a_suspect_day_before_the_period_is_told_of_the_longer_spans(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct fp_str mail;
    fixture_anna(&f);
    f.summary.spans[2]->suspect_day = true;
    render(&f, &mail);
    assert_non_null(strstr(part(&mail, "text/plain"), "on a day before this"));
    str_fini(&mail);
    f.flags[0] = FOLIOPOST__V1__SUMMARY_FLAG__SUMMARY_FLAG_SUSPECT_DAY; /* of the period itself */
    render(&f, &mail);
    assert_null(strstr(part(&mail, "text/plain"), "on a day before this"));
    assert_non_null(strstr(part(&mail, "text/plain"), "on a single day"));
    str_fini(&mail);
}

static void render_named(const char *first, const char *last, struct fp_str *mail)
{
    struct fixture f = {0};
    fixture_anna(&f);
    f.user.first_name = (char *)first;
    f.user.last_name = (char *)last;
    render(&f, mail);
}

static void names_are_escaped_in_html_and_never_templates(void **state)
{
    (void)state;
    struct fp_str mail;
    render_named("{{close_value}}<img src=x onerror='a'>", "&", &mail);
    const char *html = part(&mail, "text/html");
    assert_non_null(strstr(html, "{{close_value}}&lt;img src=x onerror=&#39;a&#39;&gt;"));
    assert_null(strstr(html, "<img"));
    assert_non_null(strstr(part(&mail, "text/plain"), "Hello {{close_value}}<img src=x onerror='a'>,"));
    str_fini(&mail);
}

static void names_add_no_lines_and_no_headers(void **state)
{
    (void)state;
    struct fp_str mail;
    render_named("Anna\r\nBcc: x@y.example\r\n\r\n--=_", "\x1b[31m\x85", &mail);
    assert_null(strstr(mail.data, "\r\nBcc"));
    assert_non_null(strstr(part(&mail, "text/plain"), "Hello Anna  Bcc: x@y. example    --=_,\n"));
    str_fini(&mail);
}

/* U+202E in a name would turn round what follows it. */
static void names_turn_nothing_round(void **state)
{
    (void)state;
    struct fp_str mail;
    render_named("\xe2\x80\xae"
                 "Anna"
                 "\xe2\x81\xa6",
                 "\xe2\x80\xaa", &mail);
    assert_non_null(strstr(part(&mail, "text/plain"), "Hello Anna,\n"));
    assert_non_null(strstr(mail.data, "\r\nTo: Anna <anna"));
    str_fini(&mail);
}

static void names_with_links_are_left_out(void **state)
{
    (void)state;
    struct fp_str mail;
    render_named("WIN at https://evil.example", "x", &mail);
    assert_non_null(strstr(part(&mail, "text/plain"), "Hello,\n"));
    assert_null(strstr(mail.data, "evil"));
    str_fini(&mail);
    render_named("Anna", "Www.evil.example", &mail);
    assert_null(strstr(mail.data, "vil.ex"));
    str_fini(&mail);
}

/* What has neither "://" nor "www." is made a link of by many mail programs all the same. */
static void a_name_like_a_domain_is_no_link(void **state)
{
    (void)state;
    struct fp_str mail;
    render_named("evil-bank.com/login", "now.evil.example", &mail);
    assert_non_null(strstr(part(&mail, "text/plain"), "Hello evil-bank. com/login,\n"));
    assert_null(strstr(mail.data, "evil-bank.com"));
    assert_null(strstr(mail.data, "evil.ex"));
    str_fini(&mail);
    render_named("J.R.R. St. Anna", "Doe Jr.", &mail);
    assert_non_null(strstr(part(&mail, "text/plain"), "Hello J. R. R. St. Anna,\n"));
    assert_non_null(strstr(mail.data, "Doe Jr."));
    str_fini(&mail);
}

static void very_long_names_are_cut_at_whole_characters(void **state)
{
    (void)state;
    char name[2001] = "";
    struct fp_str mail;
    while (strlen(name) < 1990)
        strcat(name, "佐藤");
    render_named(name, name, &mail);
    assert_true(mail.len < 64 * 1024);
    assert_true(text_is_utf8(part(&mail, "text/html"), strlen(part(&mail, "text/html"))));
    str_fini(&mail);
}

/* --- errors --------------------------------------------------------------------------------- */

static void expect_error(struct fixture *f, const struct render_sender *sender, enum fp_code code)
{
    struct fp_err err;
    struct fp_str out;
    str_init(&out, 0);
    str_puts(&out, "before");
    assert_int_equal(render_mail(templates, sender, NULL, &f->job, &f->item, &out, NULL, &err), -1);
    assert_int_equal(err.code, code);
    assert_string_equal(out.data, "before");
    str_fini(&out);
}

static void what_cannot_be_rendered_is_said_and_leaves_nothing(void **state)
{
    (void)state;
    struct render_sender sender = fixture_sender();
    struct fixture f = {0};
    fixture_anna(&f);
    f.job.template_name = (char *)"nothing";
    expect_error(&f, &sender, FP_NOT_FOUND);
    fixture_anna(memset(&f, 0, sizeof f));
    f.user.email = (char *)"a@b.example>\r\nRSET";
    expect_error(&f, &sender, FP_INVALID_ARGUMENT);
    fixture_anna(memset(&f, 0, sizeof f));
    f.summary.exponent = 5;
    expect_error(&f, &sender, FP_INVALID_ARGUMENT);
    fixture_anna(memset(&f, 0, sizeof f));
    f.summary.currency = (char *)"";
    expect_error(&f, &sender, FP_INVALID_ARGUMENT);
    fixture_anna(memset(&f, 0, sizeof f));
    f.item.outcome_case = FOLIOPOST__V1__SUMMARY_ITEM__OUTCOME_SKIP;
    expect_error(&f, &sender, FP_INVALID_ARGUMENT);
    fixture_anna(memset(&f, 0, sizeof f));
    sender.from = "nobody";
    expect_error(&f, &sender, FP_INVALID_ARGUMENT);
}

static void a_full_buffer_is_an_error_of_this_mail(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct fp_err err;
    struct fp_str out;
    struct render_sender sender = fixture_sender();
    fixture_anna(&f);
    str_init(&out, 5000);
    assert_int_equal(render_mail(templates, &sender, NULL, &f.job, &f.item, &out, NULL, &err), -1);
    assert_int_equal(err.code, FP_RESOURCE_EXHAUSTED);
    str_fini(&out);
}

static void days_from_a_hostile_peer_do_no_harm(void **state)
{
    (void)state;
    static const int32_t days[] = {INT32_MIN, INT32_MAX, 0};
    for (size_t i = 0; i < 3; i++) {
        struct fixture f = {0};
        struct fp_str mail;
        fixture_anna(&f);
        f.job.period_start_day = f.job.period_end_day = f.summary.since_day = f.summary.prices_as_of_day =
            days[i];
        f.job.as_of_us = days[i] * INT64_C(4000000000);
        render(&f, &mail);
        str_fini(&mail);
    }
}

/* The hash is of what a reader decodes: whoever has the mail can compute it. */
static void the_content_hash_can_be_computed_from_the_mail(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct fp_str mail, subject;
    struct fp_err err;
    struct render_info info, again;
    struct digest d;
    unsigned char hash[DIGEST_BYTES];
    const struct render_sender sender = fixture_sender();
    const struct render_extras extras = fixture_extras();
    fixture_anna(&f);
    str_init(&mail, 0);
    str_init(&subject, 0);
    assert_int_equal(render_mail(templates, &sender, &extras, &f.job, &f.item, &mail, &info, &err), 0);
    assert_int_equal(render_part(templates, &sender, &extras, &f.job, &f.item, RENDER_SUBJECT, &subject,
                                 &err),
                     0);
    const char *text = part(&mail, "text/plain");
    digest_init(&d);
    digest_add(&d, subject.data, strcspn(subject.data, "\n"));
    digest_add(&d, "\n", 1);
    digest_add(&d, text, strlen(text));
    digest_end(&d, hash);
    assert_memory_equal(info.content, hash, sizeof info.content);
    char version[9];
    snprintf(version, sizeof version, "%02x%02x%02x%02x", info.template_version[0], info.template_version[1],
             info.template_version[2], info.template_version[3]);
    assert_memory_equal(version, templates_hash(templates), 8);
    f.summary.close_value_minor++;
    str_clear(&mail);
    assert_int_equal(render_mail(templates, &sender, &extras, &f.job, &f.item, &mail, &again, &err), 0);
    assert_memory_not_equal(info.content, again.content, sizeof info.content);
    str_fini(&subject);
    str_fini(&mail);
}

static void check_from(const char *from, int expected)
{
    struct fp_err err;
    struct render_sender s = fixture_sender();
    s.from = from;
    if (render_check_sender(&s, &err) != expected)
        fail_msg("\"%s\": %s", from, expected ? "taken" : err.msg);
}

static void senders_are_checked(void **state)
{
    (void)state;
    check_from("a@b.example", 0);
    check_from("A <a@b.example>", 0);
    check_from("\"A, Inc.\" <a@b.example>", 0);
    check_from("Grüße <a@b.example>", 0);
    check_from("", -1);
    check_from("A <a@b.example", -1);
    check_from("A <a@b.example> x", -1);
    check_from("A <>", -1);
    check_from("A\r\nBcc: <a@b.example>", -1);
    struct fp_err err;
    struct render_sender s = fixture_sender();
    s.message_host = "a b";
    assert_int_equal(render_check_sender(&s, &err), -1);
    s = fixture_sender();
    s.reply_to = "x";
    assert_int_equal(render_check_sender(&s, &err), -1);
    s = fixture_sender();
    s.postal_address = "a\nb";
    assert_int_equal(render_check_sender(&s, &err), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_mail_keeps_to_the_rules_of_the_wire),
        cmocka_unit_test(the_same_input_gives_the_same_mail_and_another_user_another_id),
        cmocka_unit_test(both_parts_say_the_same),
        cmocka_unit_test(a_return_that_is_not_defined_is_not_printed),
        cmocka_unit_test(a_finding_is_told_beside_many_splits),
        cmocka_unit_test(a_suspect_day_before_the_period_is_told_of_the_longer_spans),
        cmocka_unit_test(names_are_escaped_in_html_and_never_templates),
        cmocka_unit_test(names_add_no_lines_and_no_headers),
        cmocka_unit_test(names_turn_nothing_round),
        cmocka_unit_test(names_with_links_are_left_out),
        cmocka_unit_test(a_name_like_a_domain_is_no_link),
        cmocka_unit_test(very_long_names_are_cut_at_whole_characters),
        cmocka_unit_test(what_cannot_be_rendered_is_said_and_leaves_nothing),
        cmocka_unit_test(a_full_buffer_is_an_error_of_this_mail),
        cmocka_unit_test(days_from_a_hostile_peer_do_no_harm),
        cmocka_unit_test(the_content_hash_can_be_computed_from_the_mail),
        cmocka_unit_test(senders_are_checked),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
