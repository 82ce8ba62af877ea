/* What the specification leaves open: errors, limits, escaping modes, names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/mustache/mustache.h"

/* A view of one name, "x", whose value is the object's text; "self" is the object. */
static const struct mustache_view view;

static bool get(const void *object, const char *name, struct mustache_value *out)
{
    if (strcmp(name, "x") == 0)
        *out = (struct mustache_value){.kind = MUSTACHE_TEXT, .text = object};
    else if (strcmp(name, "self") == 0)
        *out = (struct mustache_value){.kind = MUSTACHE_OBJECT, .ptr = object, .view = &view};
    else if (strcmp(name, "many") == 0)
        *out = (struct mustache_value){.kind = MUSTACHE_LIST, .ptr = object, .view = &view, .count = 2000};
    else
        return false;
    return true;
}

static void item(const void *list, size_t index, struct mustache_value *out)
{
    (void)index;
    *out = (struct mustache_value){.kind = MUSTACHE_OBJECT, .ptr = list, .view = &view};
}

static const struct mustache_view view = {get, item, NULL};

static struct fp_mustache_set *set;
static struct fp_err err;

static int make_set(void **state)
{
    (void)state;
    set = mustache_set_new();
    return 0;
}

static int free_set(void **state)
{
    (void)state;
    mustache_set_free(set);
    return 0;
}

static void add(const char *name, const char *text, bool html)
{
    if (mustache_set_add(set, name, text, html, &err) != 0)
        fail_msg("%s", err.msg);
}

static int render(const char *name, const char *x, size_t max_bytes, struct fp_str *out)
{
    struct mustache_value root = {.kind = MUSTACHE_OBJECT, .ptr = x, .view = &view};
    str_init(out, max_bytes);
    return mustache_render(set, mustache_set_get(set, name), &root, out, &err);
}

static void expect(const char *name, const char *x, const char *expected)
{
    struct fp_str out;
    if (render(name, x, 0, &out) != 0)
        fail_msg("%s", err.msg);
    assert_string_equal(out.data, expected);
    str_fini(&out);
}

static void expect_error(const char *text, const char *message)
{
    assert_int_equal(mustache_set_add(set, "t.html", text, true, &err), -1);
    assert_int_equal(err.code, FP_INVALID_ARGUMENT);
    assert_string_equal(err.msg, message);
    assert_null(mustache_set_get(set, "t.html"));
}

static void mistakes_are_named_with_file_line_and_column(void **state)
{
    (void)state;
    expect_error("a\nbc {{x", "t.html:2:4: the tag has no closing \"}}\"");
    expect_error("{{{x}}", "t.html:1:1: the tag has no closing \"}}}\"");
    expect_error("{{#a}}\n\n  {{#b}}\n{{/a}}", "t.html:4:1: \"a\" closes the section \"b\" of line 3");
    expect_error("\n{{#a}}x", "t.html:2:1: the section \"a\" is never closed");
    expect_error("x {{/a}}", "t.html:1:3: no section is open to be closed by \"a\"");
    expect_error("{{ }}", "t.html:1:1: a tag without a name");
    expect_error("{{#}}{{/}}", "t.html:1:1: a tag without a name");
    expect_error("{{a b}}", "t.html:1:1: a blank inside the name \"a b\"");
    expect_error("{{.a}}", "t.html:1:1: a dot in the wrong place of \".a\"");
    expect_error("{{a..b}}", "t.html:1:1: a dot in the wrong place of \"a..b\"");
    expect_error("{{=<% =}}",
                 "t.html:1:1: delimiters are written {{=<% %>=}}: two words of 1 to 8 characters without =");
    expect_error("{{=a b c=}}", "t.html:1:1: more than two delimiters");
    expect_error("\xff", "t.html: not UTF-8");
}

static void sections_nest_no_deeper_than_the_limit(void **state)
{
    (void)state;
    char text[2000] = "";
    for (int i = 0; i < MUSTACHE_MAX_DEPTH + 1; i++)
        strcat(text, "{{#self}}");
    expect_error(text, "t.html:1:577: sections are nested too deep");
}

static void a_template_has_a_largest_size_and_a_name_of_its_own(void **state)
{
    (void)state;
    char *text = mem_alloc(MUSTACHE_MAX_TEMPLATE_BYTES + 2);
    memset(text, 'a', MUSTACHE_MAX_TEMPLATE_BYTES);
    add("t", text, false);
    assert_int_equal(mustache_set_add(set, "t", "", false, &err), -1);
    assert_int_equal(err.code, FP_ALREADY_EXISTS);
    text[MUSTACHE_MAX_TEMPLATE_BYTES] = 'a';
    assert_int_equal(mustache_set_add(set, "u", text, false, &err), -1);
    assert_int_equal(err.code, FP_RESOURCE_EXHAUSTED);
    mem_free(text);
}

static void html_is_escaped_and_text_is_not(void **state)
{
    (void)state;
    add("h", "{{x}} {{{x}}} {{&x}}", true);
    add("t", "{{x}} {{{x}}} {{&x}}", false);
    expect("h", "<'\"&>", "&lt;&#39;&quot;&amp;&gt; <'\"&> <'\"&>");
    expect("t", "<'\"&>", "<'\"&> <'\"&> <'\"&>");
}

static void a_partial_escapes_as_its_includer_does(void **state)
{
    (void)state;
    add("p.mustache", "{{x}}", false);
    add("h", "{{> p}}", true);
    add("t", "{{> p}}", false);
    expect("h", "<", "&lt;");
    expect("t", "<", "<");
}

/* What a value holds is never read as a template. */
static void values_are_not_templates(void **state)
{
    (void)state;
    add("t", "{{x}}{{#self}}{{x}}{{/self}}", true);
    expect("t", "{{x}}{{> t}}", "{{x}}{{&gt; t}}{{x}}{{&gt; t}}");
}

static void a_partial_that_includes_itself_ends_with_an_error(void **state)
{
    (void)state;
    struct fp_str out;
    add("loop", "{{> loop}}{{> loop}}", true);
    assert_int_equal(render("loop", "", 0, &out), -1);
    assert_int_equal(err.code, FP_RESOURCE_EXHAUSTED);
    str_fini(&out);
}

/* Thirty partials, each twice in the next: nothing recursive, and two to the thirty of work. */
static void work_is_bounded_too(void **state)
{
    (void)state;
    struct fp_str out;
    char name[16], text[40];
    add("p0", "", true);
    for (int i = 1; i <= 30; i++) {
        snprintf(name, sizeof name, "p%d", i);
        snprintf(text, sizeof text, "{{> p%d}}{{> p%d}}", i - 1, i - 1);
        add(name, text, true);
    }
    assert_int_equal(render("p30", "", 0, &out), -1);
    assert_int_equal(err.code, FP_RESOURCE_EXHAUSTED);
    str_fini(&out);
}

static void output_is_bounded(void **state)
{
    (void)state;
    struct fp_str out;
    add("t", "{{#many}}{{#many}}0123456789{{/many}}{{/many}}", true);
    assert_int_equal(render("t", "", 1000, &out), -1);
    assert_int_equal(err.code, FP_RESOURCE_EXHAUSTED);
    assert_true(out.len <= 1000);
    str_fini(&out);
}

static unsigned number(const char *name)
{
    return strcmp(name, "x") == 0 ? 1 : strcmp(name, "self") == 0 ? 2 : 0;
}

static bool get_numbered(const void *object, unsigned n, struct mustache_value *out)
{
    return get(object, n == 1 ? "x" : n == 2 ? "self" : "", out);
}

/* Twice would be "=3D3D". */
static void encode(struct fp_str *out, const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (text[i] == '=')
            str_puts(out, "=3D");
        else
            str_putc(out, text[i]);
}

static void a_bound_set_renders_the_same_and_encodes_once(void **state)
{
    (void)state;
    static const struct mustache_view numbered = {get, item, get_numbered};
    static const struct mustache_bind how = {number, encode};
    struct mustache_value root = {.kind = MUSTACHE_OBJECT, .ptr = "1=<2", .view = &numbered};
    struct fp_str out;
    str_init(&out, 0);
    add("a.html", "a={{x}}\n{{#self}}={{self.x}}{{/self}}{{> p}}{{> none}}{{none}}{{{x}}}", true);
    add("p", "p={{x}}", true);
    mustache_set_bind(set, &how);
    if (mustache_render(set, mustache_set_get(set, "a.html"), &root, &out, &err) != 0)
        fail_msg("%s", err.msg);
    assert_string_equal(out.data, "a=3D1=3D&lt;2\n=3D1=3D&lt;2p=3D1=3D&lt;21=3D<2");
    str_fini(&out);
}

static void a_missing_partial_is_found_before_rendering(void **state)
{
    (void)state;
    add("t", "x\n {{> gone}}", true);
    assert_int_equal(mustache_check_partials(set, &err), -1);
    assert_string_equal(err.msg, "t:2:2: there is no partial \"gone\"");
    add("gone.mustache", "", true);
    assert_int_equal(mustache_check_partials(set, &err), 0);
}

static void an_endless_template_is_found_before_rendering(void **state)
{
    (void)state;
    add("a", "{{> b}}{{> b}}", true);
    add("b", "{{#x}}\n{{> c}}{{/x}}", true);
    add("c.mustache", "x", true);
    assert_int_equal(mustache_check_nesting(set, &err), 0);
    add("d", "{{> d}}", true);
    assert_int_equal(mustache_check_nesting(set, &err), -1);
    assert_string_equal(err.msg, "d:1:1: the partial \"d\" includes itself without end");
}

static void note_use(void *ctx, const struct mustache_use *use)
{
    struct fp_str *seen = ctx;
    str_printf(seen, "%s:%d:%d", use->template_name, use->line, use->column);
    for (int i = 0; i < use->depth; i++)
        str_printf(seen, " %s", use->inside[i]);
    str_printf(seen, " %s;", use->name);
}

static void all_names_are_told_with_the_sections_around_them(void **state)
{
    (void)state;
    struct fp_str seen;
    str_init(&seen, 0);
    add("p", "{{e}}{{> t}}", true);
    add("t", "{{a.b}}{{#c}}\n {{^d}}{{.}}{{> p}}{{/d}}{{/c}}", true);
    mustache_names(mustache_set_get(set, "t"), note_use, &seen);
    assert_string_equal(seen.data, "t:1:1 a.b;t:1:8 c;t:2:2 c d;p:1:1 c e;");
    str_fini(&seen);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_set, free_set)
    const struct CMUnitTest tests[] = {
        TEST(mistakes_are_named_with_file_line_and_column),
        TEST(sections_nest_no_deeper_than_the_limit),
        TEST(a_template_has_a_largest_size_and_a_name_of_its_own),
        TEST(html_is_escaped_and_text_is_not),
        TEST(a_partial_escapes_as_its_includer_does),
        TEST(values_are_not_templates),
        TEST(a_partial_that_includes_itself_ends_with_an_error),
        TEST(work_is_bounded_too),
        TEST(output_is_bounded),
        TEST(a_bound_set_renders_the_same_and_encodes_once),
        TEST(a_missing_partial_is_found_before_rendering),
        TEST(an_endless_template_is_found_before_rendering),
        TEST(all_names_are_told_with_the_sections_around_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
