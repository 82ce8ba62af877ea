/* Templates with mistakes are refused at start, with the place of the mistake. */
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

static struct fp_templates *load(const char *dir, struct fp_err *err)
{
    const struct templates_from from = {dir, "", "", "en"};
    return templates_load(&from, err);
}

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/templates_test.XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    char command[128];
    snprintf(command, sizeof command, "cp %s/en.properties %s", FIXTURE_TEMPLATES, folder);
    if (system(command) != 0)
        return -1;
    put("statement.subject", "Statement {{period}}");
    put("statement.txt", "Hello {{name}}");
    put("statement.html", "<p>Hello {{name}}</p>");
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static void expect_error(const char *message)
{
    struct fp_err err;
    char expected[512];
    assert_null(load(folder, &err));
    snprintf(expected, sizeof expected, "%s: %s", folder, message);
    assert_string_equal(err.msg, expected);
}

static void a_good_folder_is_loaded(void **state)
{
    (void)state;
    struct fp_err err;
    put("notes.md", "{{nothing}} of ours");
    put(".statement.txt", "{{");
    struct fp_templates *t = load(folder, &err);
    if (!t)
        fail_msg("%s", err.msg);
    assert_true(templates_has(t, "statement"));
    assert_false(templates_has(t, "notes"));
    assert_false(templates_has(t, ""));
    templates_free(t);
    templates_free(NULL);
}

static void the_hash_follows_every_file(void **state)
{
    (void)state;
    struct fp_err err;
    struct fp_templates *a = load(folder, &err), *b = load(folder, &err);
    assert_string_equal(templates_hash(a), templates_hash(b));
    assert_int_equal(strlen(templates_hash(a)), 64);
    put("unused.mustache", "x");
    struct fp_templates *c = load(folder, &err);
    assert_string_not_equal(templates_hash(a), templates_hash(c));
    templates_free(a);
    templates_free(b);
    templates_free(c);
}

static void an_unknown_name_is_found_with_its_place(void **state)
{
    (void)state;
    put("statement.html", "<p>\n  {{naem}}</p>");
    expect_error("statement.html:2:3: a statement has no \"naem\"");
    put("statement.html", "{{name.first}}");
    expect_error("statement.html:1:1: a statement has no \"name.first\"");
    put("statement.html", "{{> p}}");
    put("p.mustache", "\n\n{{oops}}");
    expect_error("p.mustache:3:1: a statement has no \"oops\"");
}

/* A mover has a symbol; a statement, or a row of the bridge, has not. */
static void a_name_is_known_only_where_it_is_offered(void **state)
{
    (void)state;
    struct fp_err err;
    put("statement.html", "{{symbol}}");
    expect_error("statement.html:1:1: a statement has no \"symbol\"");
    put("statement.html", "{{#bridge}}{{symbol}}{{/bridge}}");
    expect_error("statement.html:1:12: a statement has no \"symbol\" inside bridge");
    put("statement.html", "{{#rows}}{{symbol}}{{/rows}}");
    expect_error("statement.html:1:1: a statement has no \"rows\"");
    put("statement.html", "{{#movers}}{{#rows}}{{#up}}{{symbol}} {{currency}}{{/up}}{{/rows}}{{/movers}}");
    struct fp_templates *t = load(folder, &err);
    if (!t)
        fail_msg("%s", err.msg);
    templates_free(t);
}

static void mistakes_of_syntax_and_missing_files_are_found(void **state)
{
    (void)state;
    put("statement.txt", "a\n{{#movers}}");
    expect_error("statement.txt:2:1: the section \"movers\" is never closed");
    put("statement.txt", "{{> gone}}");
    expect_error("statement.txt:1:1: there is no partial \"gone\"");
    put("statement.txt", "x");
    put("other.html", "x");
    expect_error("the template \"other\" needs other.subject, other.txt and other.html");
}

/* With a section around it as well: a statement holds nothing of its own kind. */
static void a_partial_that_includes_itself_is_found(void **state)
{
    (void)state;
    put("statement.html", "{{> style}}");
    put("style.mustache", "x\n {{> style}}");
    expect_error("style.mustache:2:2: the partial \"style\" includes itself without end");
    put("style.mustache", "{{#bridge}}{{> other}}{{/bridge}}");
    put("other.mustache", "{{^up}}{{> style}}{{/up}}");
    expect_error("style.mustache:1:12: the partial \"other\" includes itself without end");
    put("other.mustache", "{{> third}}{{> third}}");
    put("third.mustache", "twice, and no recursion");
    struct fp_err err;
    struct fp_templates *t = load(folder, &err);
    if (!t)
        fail_msg("%s", err.msg);
    templates_free(t);
}

static void nesting_that_cannot_be_rendered_is_found(void **state)
{
    (void)state;
    char name[32], text[32];
    put("statement.html", "{{> p0}}");
    for (int i = 0; i < 70; i++) {
        snprintf(name, sizeof name, "p%d.mustache", i);
        snprintf(text, sizeof text, i < 69 ? "{{> p%d}}" : "x", i + 1);
        put(name, text);
    }
    struct fp_err err;
    assert_null(load(folder, &err));
    assert_non_null(strstr(err.msg, ".mustache:1:1: sections and partials are nested deeper than 64"));
}

static void fill_kb(char *text, int kb)
{
    memset(text, 'x', (size_t)kb * 1024);
    strcpy(text + kb * 1024, "{{#movers}}{{#rows}}{{name}}{{/rows}}{{/movers}}");
}

/* What is too long with everything there is to show is found before a user has it. */
static void a_mail_that_is_too_long_is_found(void **state)
{
    (void)state;
    static char text[300 * 1024];
    struct fp_err err;
    fill_kb(text, 59);
    put("statement.html", text);
    put("statement.txt", text);
    struct fp_templates *t = load(folder, &err);
    if (!t)
        fail_msg("%s", err.msg);
    templates_free(t);
    fill_kb(text, 60);
    put("statement.txt", text);
    expect_error(
        "statement.txt:1:1: 61890 bytes in en with a statement of everything; it may have 61440: Gmail"
        " cuts long mails");
    put("statement.txt", "x");
    put("statement.html", text);
    assert_null(load(folder, &err));
    assert_non_null(strstr(err.msg, "statement.html:1:1: 61890 bytes in en with a statement of everything"));
    fill_kb(text, 200);
    put("statement.html", "{{> a}}{{> a}}");
    put("a.mustache", text);
    assert_null(load(folder, &err));
    assert_non_null(strstr(err.msg, "statement.html, in en with a statement of nothing: "));
    assert_non_null(strstr(err.msg, "what it renders to is too large"));
}

static void an_empty_and_a_missing_folder_are_named(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm %s/*", folder);
    assert_int_equal(system(command), 0);
    expect_error(
        "no template is in it: at least statement.subject, statement.txt and statement.html are needed");
    assert_int_equal(rmdir(folder), 0);
    expect_error("the folder of templates cannot be read: No such file or directory");
}

/* A company's own folder over ours: a word, a partial, a template and a language of its own. */
static void a_folder_is_laid_over_another(void **state)
{
    (void)state;
    struct fp_err err;
    const struct templates_from from = {FIXTURE_TEMPLATES, folder, "en", "en-GB"};
    put("en.properties", "own.word = <Hi> {{first_name}}\nup = better by\n");
    put("statement.html", "{{t.own.word}} {{direction}} {{> mine}}");
    put("mine.mustache", "{{t.up}}");
    struct fp_templates *t = templates_load(&from, &err);
    if (!t)
        fail_msg("%s", err.msg);
    assert_true(templates_has(t, "plain"));
    assert_int_equal(templates_languages(t), 1);
    struct fixture f = {0};
    struct fp_str out;
    struct render_sender sender = fixture_sender();
    fixture_anna(&f);
    str_init(&out, 0);
    assert_int_equal(render_part(t, &sender, NULL, &f.job, &f.item, RENDER_HTML, &out, &err), 0);
    assert_string_equal(out.data, "&lt;Hi&gt; Anna better by better by");
    str_fini(&out);
    templates_free(t);
}

static void expect_own_error(const char *locales, const char *message)
{
    struct fp_err err;
    const struct templates_from from = {FIXTURE_TEMPLATES, folder, locales, "en"};
    assert_null(templates_load(&from, &err));
    if (!strstr(err.msg, message))
        fail_msg("\"%s\", not \"%s\"", err.msg, message);
}

static void what_a_catalogue_lacks_is_found_with_file_and_key(void **state)
{
    (void)state;
    put("en.properties", "own.word = x");
    put("statement.html", "\n {{t.own.word}}");
    expect_own_error("", "statement.html:2:2: ar.properties has no message \"own.word\"");
    put("statement.html", "x");
    put("en.properties", "bridge.fees = {{date}}");
    expect_own_error("en", "en.properties:1: \"bridge.fees\" has no value \"date\"; it has: none");
    put("en.properties", "a\nb");
    expect_own_error("en", "en.properties:1: not like \"key = message\"");
    put("en.properties", "a = 1\n# x\na = 2");
    expect_own_error("en", "en.properties:3: \"a\" stands in line 1 already");
    put("en.properties", "headline.value = {{nonsense}}");
    put("statement.html", "{{t.headline.value}}");
    expect_own_error("en", "statement.html:1:1: a statement has no \"nonsense\"");
    put("en.properties", "");
    put("statement.html", "x");
    put("pl.properties", "up = wzrost");
    expect_own_error("en,pl", "pl.properties: the message \"down\" is missing");
    put("english.properties", "");
    expect_own_error("en", "english.properties: not named like a language");
    char command[128];
    snprintf(command, sizeof command, "rm %s/english.properties", folder);
    assert_int_equal(system(command), 0);
    expect_own_error("de", "there is no catalogue for the default locale: en.properties");
}

static void a_file_with_a_nul_is_refused(void **state)
{
    (void)state;
    struct fp_err err;
    char path[128];
    snprintf(path, sizeof path, "%s/statement.txt", folder);
    FILE *f = fopen(path, "w");
    assert_int_equal(fwrite("a\0b", 1, 3, f), 3);
    fclose(f);
    assert_null(load(folder, &err));
    assert_non_null(strstr(err.msg, "NUL"));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(a_good_folder_is_loaded),
        TEST(the_hash_follows_every_file),
        TEST(an_unknown_name_is_found_with_its_place),
        TEST(a_name_is_known_only_where_it_is_offered),
        TEST(mistakes_of_syntax_and_missing_files_are_found),
        TEST(a_partial_that_includes_itself_is_found),
        TEST(nesting_that_cannot_be_rendered_is_found),
        TEST(a_mail_that_is_too_long_is_found),
        TEST(an_empty_and_a_missing_folder_are_named),
        TEST(a_folder_is_laid_over_another),
        TEST(what_a_catalogue_lacks_is_found_with_file_and_key),
        TEST(a_file_with_a_nul_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
