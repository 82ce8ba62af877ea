/*
 * Whole mails: compared byte for byte with tests/golden/, and read back as a
 * mail reader would. The golden files are written only by
 *
 *   FOLIOPOST_WRITE_GOLDEN=1 build/debug/unit/render_mail_test
 *
 * from the project's root; look at what changed before committing it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/render/fixtures.h"

static struct fp_templates *templates;

static int load(void **state)
{
    (void)state;
    struct fp_err err;
    templates = templates_load(FIXTURE_TEMPLATES, &err);
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
    if (render_mail(templates, &sender, &f->job, &f->item, out, &err) != 0)
        fail_msg("%s", err.msg);
}

/* --- golden files ------------------------------------------------------------------ */

static void compare(struct fixture *f, const char *name)
{
    char path[100];
    snprintf(path, sizeof path, "tests/golden/%s.eml", name);
    struct fp_str mail;
    render(f, &mail);
    if (getenv("FOLIOPOST_WRITE_GOLDEN")) {
        FILE *w = fopen(path, "w");
        assert_non_null(w);
        assert_int_equal(fwrite(mail.data, 1, mail.len, w), mail.len);
        assert_int_equal(fclose(w), 0);
    }
    FILE *r = fopen(path, "r");
    if (!r)
        fail_msg("%s is not there; this runs in the project's root", path);
    static char expected[256 * 1024];
    size_t n = fread(expected, 1, sizeof expected, r);
    fclose(r);
    assert_int_equal(n, mail.len);
    assert_memory_equal(expected, mail.data, n);
    str_fini(&mail);
}

static void a_good_month_is_as_it_was(void **state)
{
    (void)state;
    struct fixture f = {0};
    fixture_anna(&f);
    compare(&f, "good-month");
}

static void a_bad_week_in_yen_is_as_it_was(void **state)
{
    (void)state;
    struct fixture f = {0};
    fixture_haruto(&f);
    compare(&f, "bad-week-yen");
}

static void hostile_names_are_as_they_were(void **state)
{
    (void)state;
    struct fixture f = {0};
    fixture_mallory(&f);
    compare(&f, "hostile");
}

static void an_empty_account_is_as_it_was(void **state)
{
    (void)state;
    struct fixture f = {0};
    fixture_layla(&f);
    compare(&f, "opened-right-to-left");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_month_is_as_it_was),
        cmocka_unit_test(a_bad_week_in_yen_is_as_it_was),
        cmocka_unit_test(hostile_names_are_as_they_were),
        cmocka_unit_test(an_empty_account_is_as_it_was),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
