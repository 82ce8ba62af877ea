/*
 * Eleven mails, byte for byte as they were: source, text and HTML in
 * tests/golden/. The files are written only by
 *
 *   FOLIOPOST_WRITE_GOLDEN=1 build/debug/unit/render_golden_test
 *
 * from the project's root; look at what changed before committing it. How a
 * locale writes a date changes with ICU's data now and then: they are compared
 * only where ICU is the one that wrote them (Debian 12's).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <unicode/uversion.h>

#include "lib/render/fixtures.h"

#define GOLDEN_ICU 72

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

static void write_file(const char *path, const struct fp_str *text)
{
    FILE *w = fopen(path, "w");
    assert_non_null(w);
    assert_int_equal(fwrite(text->data, 1, text->len, w), text->len);
    assert_int_equal(fclose(w), 0);
}

static void compare(const char *name, const char *end, const struct fp_str *text)
{
    static char expected[256 * 1024];
    char path[100];
    snprintf(path, sizeof path, "tests/golden/%s.%s", name, end);
    if (getenv("FOLIOPOST_WRITE_GOLDEN"))
        write_file(path, text);
    FILE *r = fopen(path, "r");
    if (!r)
        fail_msg("%s is not there; this runs in the project's root", path);
    size_t n = fread(expected, 1, sizeof expected, r);
    fclose(r);
    if (n != text->len || memcmp(expected, text->data, n) != 0)
        fail_msg("%s: the mail is not as it was", path);
}

static void a_mail_is_as_it_was(void **state)
{
    const struct fixture_case *c = *state;
    static const char *const ends[] = {"subject", "txt", "html"};
    struct fixture f = {0};
    struct fp_err err;
    struct fp_str out;
    struct render_sender sender = fixture_sender();
    struct render_extras extras = fixture_extras();
    UVersionInfo icu;
    u_getVersion(icu);
    if (icu[0] != GOLDEN_ICU)
        skip();
    c->fill(&f);
    str_init(&out, 0);
    if (render_mail(templates, &sender, &extras, &f.job, &f.item, &out, NULL, &err) != 0)
        fail_msg("%s", err.msg);
    compare(c->name, "eml", &out);
    for (int part = RENDER_TEXT; part <= RENDER_HTML; part++) {
        str_clear(&out);
        assert_int_equal(render_part(templates, &sender, &extras, &f.job, &f.item, (enum render_part)part,
                                     &out, &err),
                         0);
        compare(c->name, ends[part], &out);
    }
    assert_true(out.len < 60 * 1024); /* the HTML: Gmail cuts at 102 kB */
    str_fini(&out);
}

int main(void)
{
    struct CMUnitTest tests[FIXTURE_CASES];
    for (size_t i = 0; i < FIXTURE_CASES; i++)
        tests[i] = (struct CMUnitTest){fixture_cases[i].name, a_mail_is_as_it_was, NULL, NULL,
                                       (void *)(uintptr_t)&fixture_cases[i]};
    return cmocka_run_group_tests(tests, load, unload);
}
