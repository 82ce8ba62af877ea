/*
 * A template has only what it shows filled in: each name of a statement alone,
 * rendered over a view full of garbage, is as it is when all is filled in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <unistd.h>

#include "lib/render/fixtures.h"
#include "lib/render/statement.h"
#include "lib/render/templates.h"

#define GARBAGE 0xa5

/* What templates say of each part: sections, names within them, names by themselves. */
static const struct {
    const char *template;
    unsigned parts;
} cases[] = {
    {"{{first_name}} {{close_value}} {{gain}} {{twr}} {{period}} {{holdings}}", 0},
    {"{{#up}}{{direction}}{{/up}}{{^test}}{{as_of}}{{/test}}", 0},
    {"{{#bridge}}{{label}} {{amount}}{{/bridge}}", STATEMENT_BRIDGE},
    {"{{#has_details}}{{#details}}{{line}}{{/details}}{{/has_details}}", STATEMENT_BRIDGE},
    {"{{#spans}}{{label}}{{#rows}}{{line}}{{/rows}}{{/spans}}", STATEMENT_SPANS},
    {"{{#has_risk}}{{volatility}} {{drawdown}} {{drawdown_days}} {{risk_span}}{{/has_risk}}",
     STATEMENT_SPANS},
    {"{{^has_benchmark}}none{{/has_benchmark}} {{benchmark_name}} {{#has_annual}}a{{/has_annual}}",
     STATEMENT_SPANS},
    {"{{#has_chart}}{{#columns}}{{base}} {{step}}{{/columns}}{{/has_chart}}", STATEMENT_CHART},
    {"{{chart_summary}} {{chart_first}} {{chart_top}} {{#chart_has_loss}}l{{/chart_has_loss}}",
     STATEMENT_CHART},
    {"{{#movers}}{{title}}{{#rows}}{{name}} {{gain}} {{bar}}{{/rows}}{{/movers}}", STATEMENT_MOVERS},
    {"{{#has_shares}}s{{/has_shares}}", STATEMENT_MOVERS},
    {"{{#allocations}}{{title}}{{#rows}}{{label}} {{percent}}{{/rows}}{{/allocations}}",
     STATEMENT_ALLOCATIONS},
    {"{{#has_remarks}}{{#remarks}}{{.}}{{/remarks}}{{/has_remarks}}", STATEMENT_REMARKS},
    {"{{#long_figures}}long{{/long_figures}}", STATEMENT_FIGURES},
};

static char folder[64];

static void put(const char *file, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int make_folder(void **state)
{
    char command[128];
    (void)state;
    strcpy(folder, "/tmp/parts_test.XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(command, sizeof command, "cp %s/*.properties %s", FIXTURE_TEMPLATES, folder);
    return system(command);
}

static int remove_folder(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static void render_parts(const struct language *l, const char *tag, struct fixture *f, unsigned parts,
                         struct fp_str *out)
{
    static struct statement s;
    struct fp_err err = {0};
    struct mustache_value root;
    const struct render_sender sender = fixture_sender();
    const struct render_extras extras = fixture_extras();
    const struct statement_from from = {.parts = parts,
                                        .sender = &sender,
                                        .sender_name = "Foliopost",
                                        .extras = &extras,
                                        .job = &f->job,
                                        .item = &f->item,
                                        .language = l,
                                        .intl = intl_of_thread(tag, &err)};
    memset(&s, GARBAGE, sizeof s);
    assert_int_equal(statement_fill(&s, &from, &err), 0);
    statement_root(&s, &root);
    assert_int_equal(mustache_render(l->text, l->mails[0].text, &root, out, &err), 0);
}

static void check_case(size_t k, const struct fixture_case *c)
{
    struct fp_err err;
    char tag[INTL_TAG_BYTES];
    struct fixture f;
    struct fp_str some, all;
    const struct templates_from from = {folder, "", "", "en"};
    put("statement.subject", "s");
    put("statement.txt", cases[k].template);
    put("statement.html", "h");
    struct fp_templates *t = templates_load(&from, &err);
    if (!t)
        fail_msg("%s", err.msg);
    c->fill(&f);
    const struct language *l = templates_language(t, f.user.locale, tag);
    assert_int_equal(l->mails[0].parts, cases[k].parts);
    str_init(&some, 1 << 20);
    str_init(&all, 1 << 20);
    render_parts(l, tag, &f, l->mails[0].parts, &some);
    render_parts(l, tag, &f, STATEMENT_ALL, &all);
    assert_int_equal(some.len, all.len);
    assert_true(all.len == 0 || memcmp(some.data, all.data, all.len) == 0);
    str_fini(&some);
    str_fini(&all);
    templates_free(t);
}

static void a_part_is_filled_when_it_is_shown(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++)
        for (size_t i = 0; i < FIXTURE_CASES; i++)
            check_case(k, &fixture_cases[i]);
}

static void our_own_statement_shows_all_parts_and_the_plain_one_few(void **state)
{
    (void)state;
    struct fp_err err;
    char tag[INTL_TAG_BYTES];
    const struct templates_from from = fixture_templates();
    struct fp_templates *t = templates_load(&from, &err);
    if (!t)
        fail_msg("%s", err.msg);
    const struct language *l = templates_language(t, "en", tag);
    assert_int_equal(templates_find(l, "statement")->parts, STATEMENT_ALL);
    assert_int_equal(templates_find(l, "plain")->parts & (STATEMENT_CHART | STATEMENT_ALLOCATIONS), 0);
    templates_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_part_is_filled_when_it_is_shown),
        cmocka_unit_test(our_own_statement_shows_all_parts_and_the_plain_one_few),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
