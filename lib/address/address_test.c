/* Internationalised addresses: which become what, and which are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/address/address.h"
#include "lib/base/text.h"

#define SIXTY   "123456789012345678901234567890123456789012345678901234567890"
#define U_FIFTY "üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü"

static void domains_become_a_labels(void **state)
{
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"user@example.com", "user@example.com"},
        {"User@Example.COM", "User@Example.COM"},
        {"user@bücher.example", "user@xn--bcher-kva.example"},
        {"user@BÜCHER.example", "user@xn--bcher-kva.example"},
        {"user@bu\xcc\x88"
         "cher.example",
         "user@xn--bcher-kva.example"}, /* u and a combining diaeresis: NFC */
        {"user@xn--bcher-kva.example", "user@xn--bcher-kva.example"},
        {"user@straße.example", "user@xn--strae-oqa.example"}, /* not strasse: non-transitional */
        {"user@faß.de", "user@xn--fa-hia.de"},
        {"user@例え.テスト", "user@xn--r8jz45g.xn--zckzah"},
        {"user@例え。テスト", "user@xn--r8jz45g.xn--zckzah"}, /* the ideographic full stop is a dot */
        {"user@مثال.إختبار", "user@xn--mgbh0fb.xn--kgbechtv"},
        {"user@ｅｘａｍｐｌｅ.com", "user@example.com"}, /* full width */
        {"user@аррӏе.com", "user@xn--80ak6aa92e.com"},   /* a homograph is an address like any other */
        {"a+b.c@mail.bücher.example", "a+b.c@mail.xn--bcher-kva.example"},
    };
    char out[ADDRESS_BYTES];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (address_to_ascii(rows[i].in, out) != ADDRESS_USABLE)
            fail_msg("refused: %s", rows[i].in);
        assert_string_equal(out, rows[i].out);
        assert_true(text_is_address(out));
    }
}

static void hostile_domains_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "@",
        "bücher.example",
        "user@",
        "user@bücher",
        "user@.bücher.example",
        "user@bücher..example",
        "user@bücher.example.",
        "user@bücher。",
        "user@-bücher.example",
        "user@bücher-.example",
        "user@bü cher.example",
        "user@bü\xc2\xa0"
        "cher.example", /* a space that does not break becomes one */
        "user@bü_cher.example",
        "user@bücher.example\r\nRCPT TO:<x@example.com>",
        "us\r\ner@bücher.example",
        "user@bücher.example>\r\nRSET\r\n<x@example.com",
        "user@bü\xef\xbc\xa0"
        "cher.example", /* a full-width @ becomes one */
        "user@bü\xef\xbc\x9e"
        "cher.example", /* and a full-width > */
        "user@b\xfc"
        "cher.example", /* Latin-1 */
        "user@b\xc3.example",
        "user@\xed\xa0\x80.example",      /* a surrogate */
        "user@b\xe2\x80\xae.example",     /* right-to-left override */
        "user@b\xe2\x80\x8d.example.com", /* a joiner that joins nothing */
        "user@☃.example",                 /* IDNA2008 allows no symbols */
        "user@💩.example",
        "user@\xcc\x88.example",     /* a mark that combines with nothing */
        "user@אa.example",           /* mixed directions */
        "user@xn--bcher-kv.example", /* the form of nothing */
        "user@xn--bcher-kva8.example",
        "user@xn--.example",
        "user@xn--a.example", /* decodes to ASCII, or to nothing */
        "user@xn--99999999.example",
        "user@xn--n3h.example", /* the snowman in disguise */
        "user@xn--BCHER-KVA-.example",
        "user@XN--\xc3\xbc.example",
        "user@xn--strasse-.example",
        "user@ab--ü.example", /* hyphens at 3 and 4 are kept for what is to come */
        "user@" U_FIFTY U_FIFTY ".example",
        "user@" SIXTY "1234.example",
        "user@bücher." SIXTY "." SIXTY "." SIXTY "." SIXTY ".example",
        "user@1.2.3.4",
        "user@１.２.３.４", /* an IP address in full width */
        "a@b@bücher.example",
    };
    char out[ADDRESS_BYTES], longest[3000];
    int wrong = 0;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (address_to_ascii(bad[i], out) != ADDRESS_BAD)
            print_error("not refused: %s, became %s\n", bad[i], out), wrong++;
    assert_int_equal(wrong, 0);
    memset(longest, 'a', sizeof longest);
    memcpy(longest + 10, "@", 1);
    memcpy(longest + sizeof longest - 12, "bücher.com", sizeof "bücher.com");
    assert_int_equal(address_to_ascii(longest, out), ADDRESS_BAD);
}

static void mailboxes_stay_ascii(void **state)
{
    static const struct {
        const char *in;
        enum address_form form;
    } rows[] = {
        {"jürgen@example.com", ADDRESS_NON_ASCII_MAILBOX},
        {"用户@例え.テスト", ADDRESS_NON_ASCII_MAILBOX},
        {"é@bücher.example", ADDRESS_NON_ASCII_MAILBOX},
        {"é@☃.example", ADDRESS_BAD},
        {"é..é@example.com", ADDRESS_BAD},
        {"é>@example.com", ADDRESS_BAD},
        {"é @example.com", ADDRESS_BAD},
        {"\xff@example.com", ADDRESS_BAD},
        {"é@", ADDRESS_BAD},
        {U_FIFTY U_FIFTY "@example.com", ADDRESS_BAD},
    };
    char out[ADDRESS_BYTES];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (address_to_ascii(rows[i].in, out) != rows[i].form)
            fail_msg("wrong form: %s", rows[i].in);
        assert_string_equal(out, "");
    }
}

static void hosts_are_names_alone(void **state)
{
    static const struct {
        const char *in, *out; /* NULL: refused */
    } rows[] = {
        {"example.com", "example.com"},
        {"localhost", "localhost"},
        {"bücher.example", "xn--bcher-kva.example"},
        {"例え。テスト", "xn--r8jz45g.xn--zckzah"},
        {"xn--bcher-kva.example", "xn--bcher-kva.example"},
        {"xn--n3h.example", NULL},
        {"☃.example", NULL},
        {"", NULL},
        {".", NULL},
        {"a..b", NULL},
        {".a", NULL},
        {"a.", NULL},
        {"-a.b", NULL},
        {"a-.b", NULL},
        {"a_b.c", NULL},
        {"a b", NULL},
        {"a@b.c", NULL},
        {"a/b", NULL},
        {"a\r\nb", NULL},
        {"bü\xff.example", NULL},
        {SIXTY "1234.example", NULL},
        {SIXTY "." SIXTY "." SIXTY "." SIXTY "." SIXTY, NULL},
    };
    char out[ADDRESS_BYTES];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (address_host_to_ascii(rows[i].in, out, sizeof out) != (rows[i].out != NULL))
            fail_msg("%s: %s", rows[i].out ? "refused" : "taken", rows[i].in);
        assert_string_equal(out, rows[i].out ? rows[i].out : "");
    }
    assert_false(address_host_to_ascii("example.com", out, sizeof "example.com" - 1));
    assert_true(address_host_to_ascii("example.com", out, sizeof "example.com"));
}

/* Whatever comes out can go into an envelope, and comes out of itself unchanged. */
static void what_comes_out_is_an_address(void **state)
{
    static const char *const parts[] = {"a", "@",    ".",  "-", "xn--", "ü", "ß",  "\xe2\x80\x8d", "１", "\r",
                                        ">", "\xff", "例", "0", "א",    "_", "。", "b-c",          "kva"};
    char in[256], out[ADDRESS_BYTES], again[ADDRESS_BYTES];
    uint32_t seed = 1;
    int usable = 0;
    (void)state;
    for (int i = 0; i < 20000; i++) {
        strcpy(in, "u@");
        for (int k = 0; k < 12; k++) {
            seed = seed * 1664525 + 1013904223;
            strcat(in, parts[(seed >> 16) % (sizeof parts / sizeof parts[0])]);
        }
        strcat(in, ".de");
        if (address_to_ascii(in, out) != ADDRESS_USABLE)
            continue;
        usable++;
        if (!text_is_address(out) || address_to_ascii(out, again) != ADDRESS_USABLE ||
            strcmp(out, again) != 0)
            fail_msg("%s became %s", in, out);
    }
    assert_true(usable > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(domains_become_a_labels),      cmocka_unit_test(hostile_domains_are_refused),
        cmocka_unit_test(mailboxes_stay_ascii),         cmocka_unit_test(hosts_are_names_alone),
        cmocka_unit_test(what_comes_out_is_an_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
