/* Settings: where values come from, what is refused, and what is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/config/config.h"

struct values {
    char *name;
    int64_t batch_size;
    double mail_rate;
    bool dry_run, pretty;
    int64_t wait_ms;
    char *format;
    char *token_file;
};
struct common {
    char *dsn;
};

#define AT(f) offsetof(struct values, f)
static const struct config_setting rows[] = {
    {.name = "sender-name",
     .type = CONFIG_STRING,
     .def = "Foliopost",
     .min = 1,
     .max = 20,
     .help = "who",
     .offset = AT(name)},
    {.name = "batch-size",
     .type = CONFIG_INT,
     .unit = "users",
     .def = "100",
     .min = 1,
     .max = 1000,
     .help = "size",
     .offset = AT(batch_size)},
    {.name = "mail-rate",
     .type = CONFIG_DOUBLE,
     .unit = "mails/s",
     .def = "0",
     .min = 0,
     .max = 100000,
     .help = "rate",
     .offset = AT(mail_rate)},
    {.name = "dry-run", .type = CONFIG_BOOL, .def = "false", .help = "no mail", .offset = AT(dry_run)},
    {.name = "pretty", .type = CONFIG_BOOL, .def = "true", .help = "nice", .offset = AT(pretty)},
    {.name = "wait",
     .type = CONFIG_DURATION_MS,
     .unit = "s",
     .def = "5s",
     .min = 100,
     .max = 3600e3,
     .help = "time",
     .offset = AT(wait_ms)},
    {.name = "log-format",
     .type = CONFIG_CHOICE,
     .def = "text",
     .choices = "text|json|none",
     .help = "form",
     .offset = AT(format)},
    {.name = "token-file", .type = CONFIG_SECRET_FILE, .def = "", .help = "secret", .offset = AT(token_file)},
};
static const struct config_setting more[] = {
    {.name = "ledger-dsn",
     .type = CONFIG_STRING,
     .min = 1,
     .max = 60,
     .help = "where. And a long sentence that has to be broken, since it does not fit into one line.",
     .offset = offsetof(struct common, dsn)},
};

static struct values v;
static struct common common;
static struct fp_err err;
static const struct config_table table = {
    "foliopost-test", "a test", rows, sizeof rows / sizeof rows[0], more, 1, &common};

static int setup(void **state)
{
    (void)state;
    memset(&v, 0xaa, sizeof v); /* what was there before does not matter */
    memset(&common, 0xaa, sizeof common);
    memset(&err, 0, sizeof err);
    clearenv();
    return 0;
}

/* Parses the words, ended by NULL. */
static int parse(const char *first, ...)
{
    char *argv[16] = {(char *)(uintptr_t) "prog"};
    int argc = 1;
    va_list ap;

    va_start(ap, first);
    for (const char *a = first; a; a = va_arg(ap, const char *))
        argv[argc++] = (char *)(uintptr_t)a;
    va_end(ap);
    return config_parse(&table, &v, argc, argv, &err);
}

#define DSN "--ledger-dsn=host=x"

static void defaults_hold_when_nothing_is_said(void **state)
{
    (void)state;
    assert_int_equal(parse(DSN, NULL), 0);
    assert_string_equal(v.name, "Foliopost");
    assert_int_equal(v.batch_size, 100);
    assert_true(v.mail_rate == 0);
    assert_false(v.dry_run);
    assert_true(v.pretty);
    assert_int_equal(v.wait_ms, 5000);
    assert_string_equal(v.format, "text");
    assert_string_equal(v.token_file, "");
    assert_string_equal(common.dsn, "host=x");
    config_fini(&table, &v);
    assert_null(v.name);
    config_fini(&table, &v); /* twice is fine */
}

static void a_flag_wins_over_the_environment(void **state)
{
    (void)state;
    setenv("FOLIOPOST_MAIL_RATE", "50.5", 1);
    setenv("FOLIOPOST_BATCH_SIZE", "7", 1);
    setenv("FOLIOPOST_LEDGER_DSN", "from env", 1);
    setenv("FOLIOPOST_SENDER_NAME", "", 1); /* empty: not set */
    setenv("FOLIOPOST_DRY_RUN", "yes", 1);
    assert_int_equal(parse("--batch-size", "9", NULL), 0);
    assert_true(v.mail_rate == 50.5);
    assert_int_equal(v.batch_size, 9);
    assert_string_equal(common.dsn, "from env");
    assert_string_equal(v.name, "Foliopost");
    assert_true(v.dry_run);
    config_fini(&table, &v);
}

static void the_last_flag_wins_and_nothing_leaks(void **state)
{
    (void)state;
    assert_int_equal(parse(DSN, "--sender-name=a", "--sender-name", "b", "--log-format=json",
                           "--sender-name=", NULL),
                     -1);
    assert_int_equal(parse(DSN, "--sender-name=a", "--sender-name", "b", "--log-format=json", NULL), 0);
    assert_string_equal(v.name, "b");
    assert_string_equal(v.format, "json");
    config_fini(&table, &v);
}

static void switches_have_three_forms(void **state)
{
    (void)state;
    assert_int_equal(parse(DSN, "--dry-run", "--no-pretty", NULL), 0);
    assert_true(v.dry_run && !v.pretty);
    config_fini(&table, &v);
    assert_int_equal(parse(DSN, "--dry-run=true", "--pretty=false", NULL), 0);
    assert_true(v.dry_run && !v.pretty);
    config_fini(&table, &v);
    assert_int_equal(parse(DSN, "--dry-run=maybe", NULL), -1);
    assert_non_null(strstr(err.msg, "--dry-run: \"maybe\" is not true or false"));
    assert_int_equal(parse(DSN, "--no-batch-size", NULL), -1);
    assert_int_equal(parse(DSN, "--no-pretty=true", NULL), -1);
}

static void durations_have_units(void **state)
{
    static const struct {
        const char *flag;
        int64_t ms;
    } good[] = {{"--wait=250ms", 250},  {"--wait=5s", 5000}, {"--wait=2m", 120000},
                {"--wait=1h", 3600000}, {"--wait=7", 7000},  {"--wait=1.5s", 1500}};
    static const char *const bad[] = {"--wait=",
                                      "--wait=s",
                                      "--wait=5x",
                                      "--wait=-5s",
                                      "--wait=5 s",
                                      "--wait=1d",
                                      "--wait=99ms",
                                      "--wait=5ss",
                                      "--wait=1.2.3s",
                                      "--wait=1e3s",
                                      "--wait=99999999999999999999999999999999999999s"};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(parse(DSN, good[i].flag, NULL), 0);
        assert_int_equal(v.wait_ms, good[i].ms);
        config_fini(&table, &v);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (parse(DSN, bad[i], NULL) != -1)
            fail_msg("taken: %s", bad[i]);
    assert_int_equal(parse(DSN, "--wait=2h", NULL), -1);
    assert_string_equal(err.msg,
                        "--wait: \"2h\" is not within its bounds (100ms to 1h); see foliopost-test --help");
}

static void a_wrong_value_is_named_with_its_bounds(void **state)
{
    (void)state;
    assert_int_equal(parse(DSN, "--mail-rate", "abc", NULL), -1);
    assert_int_equal(err.code, FP_INVALID_ARGUMENT);
    assert_string_equal(
        err.msg, "--mail-rate: \"abc\" is not a number (mails/s, 0 to 100000); see foliopost-test --help");
    assert_int_equal(parse(DSN, "--batch-size=1001", NULL), -1);
    assert_string_equal(
        err.msg,
        "--batch-size: \"1001\" is not within its bounds (users, 1 to 1000); see foliopost-test --help");
    assert_int_equal(parse(DSN, "--batch-size=1.5", NULL), -1);
    assert_int_equal(parse(DSN, "--batch-size=99999999999999999999", NULL), -1);
    assert_int_equal(parse(DSN, "--mail-rate=nan", NULL), -1);
    assert_int_equal(parse(DSN, "--log-format=xml", NULL), -1);
    assert_non_null(strstr(err.msg, "\"xml\" is not one of its values (text, json or none)"));
    assert_int_equal(parse(DSN, "--log-format=text|json", NULL), -1);
    assert_int_equal(parse(DSN, "--log-format=", NULL), -1);
    setenv("FOLIOPOST_MAIL_RATE", "-1", 1);
    assert_int_equal(parse(DSN, NULL), -1);
    assert_non_null(strstr(err.msg, "FOLIOPOST_MAIL_RATE: \"-1\""));
}

static void strings_are_checked_and_never_shown(void **state)
{
    (void)state;
    assert_int_equal(
        parse("--ledger-dsn=password=hunter2-hunter2-hunter2-hunter2-hunter2-hunter2-hunter2-hunter2", NULL),
        -1);
    assert_null(strstr(err.msg, "hunter2"));
    assert_non_null(strstr(err.msg, "--ledger-dsn: has 72 characters (1 to 60 characters)"));
    assert_int_equal(parse("--ledger-dsn=hunter2\nx", NULL), -1);
    assert_null(strstr(err.msg, "hunter2"));
    assert_int_equal(parse(DSN, "--sender-name=\xff", NULL), -1);
}

static void a_missing_setting_is_named_with_both_its_names(void **state)
{
    (void)state;
    assert_int_equal(parse(NULL, NULL), -1);
    assert_string_equal(
        err.msg, "--ledger-dsn (or FOLIOPOST_LEDGER_DSN) is required: where; see foliopost-test --help");
    assert_null(v.name); /* nothing left to free */
}

static void an_unknown_flag_names_its_neighbour(void **state)
{
    (void)state;
    assert_int_equal(parse(DSN, "--mail-rat=5", NULL), -1);
    assert_string_equal(err.msg,
                        "--mail-rat: no such setting; do you mean --mail-rate?; see foliopost-test --help");
    assert_int_equal(parse(DSN, "--ledger_dsn=5", NULL), -1);
    assert_non_null(strstr(err.msg, "do you mean --ledger-dsn?"));
    assert_int_equal(parse(DSN, "--zzzzzzzz", NULL), -1);
    assert_null(strstr(err.msg, "do you mean"));
    char big[5000] = "--";
    memset(big + 2, 'a', sizeof big - 3);
    big[sizeof big - 1] = '\0';
    assert_int_equal(parse(DSN, big, NULL), -1);
    assert_int_equal(parse(DSN, "--=x", NULL), -1);
}

static void other_words_and_missing_values_are_errors(void **state)
{
    (void)state;
    assert_int_equal(parse(DSN, "hello\x1b", NULL), -1);
    assert_string_equal(err.msg,
                        "\"hello \" is not a setting: settings are --NAME VALUE; see foliopost-test --help");
    assert_int_equal(parse(DSN, "--", NULL), -1);
    assert_int_equal(parse(DSN, "-x", NULL), -1);
    assert_int_equal(parse(DSN, "--batch-size", NULL), -1);
    assert_non_null(strstr(err.msg, "--batch-size needs a value"));
    assert_int_equal(parse(DSN, "--batch-size", "--dry-run", NULL), -1);
    assert_int_equal(parse(DSN, "--mail-rate", "-5", NULL), -1); /* a value, though a wrong one */
    assert_non_null(strstr(err.msg, "\"-5\""));
}

/* What f prints, to be freed. */
static char *printed(void (*f)(const struct config_table *, FILE *))
{
    char *text;
    size_t n;
    FILE *out = open_memstream(&text, &n);

    f(&table, out);
    fclose(out);
    return text;
}

static void help_shows_every_row(void **state)
{
    (void)state;
    char *help = printed(config_print_help), *md = printed(config_print_markdown);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_non_null(strstr(help, rows[i].name));
        assert_non_null(strstr(md, rows[i].name));
    }
    assert_non_null(strstr(help, "  --mail-rate NUMBER\n      rate (mails/s, 0 to 100000; default 0)\n"));
    assert_non_null(strstr(
        help,
        "  --ledger-dsn TEXT\n      where. And a long sentence that has to be broken, since it does not fit\n"
        "      into one line. (1 to 60 characters; required)\n"));
    assert_non_null(strstr(help, "form (text, json or none; default text)"));
    assert_non_null(strstr(md, "| `--wait` | `FOLIOPOST_WAIT` | `5s` | 100ms to 1h | time |"));
    free(help);
    free(md);
}

static void help_wins_over_wrong_settings(void **state)
{
    (void)state;
    int keep = dup(STDOUT_FILENO);
    assert_non_null(freopen("/dev/null", "w", stdout));
    int help = parse("--batch-size=abc", "--help", NULL);
    config_fini(&table, &v);
    int version = parse("--version", NULL);
    config_fini(&table, &v);
    fflush(stdout);
    dup2(keep, STDOUT_FILENO);
    close(keep);
    assert_int_equal(help, 1);
    assert_int_equal(version, 1);
}

/* Writes a file of its own and reads it as a secret. */
static int secret(const char *content, size_t bytes, char **out)
{
    char path[] = "/tmp/config_test.XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, bytes), (ssize_t)bytes);
    close(fd);
    int rc = config_secret(path, out, &err);
    unlink(path);
    return rc;
}

static void a_secret_is_the_first_line(void **state)
{
    char *got, big[5000];

    (void)state;
    assert_int_equal(config_secret("", &got, &err), 0);
    assert_null(got);
    assert_int_equal(secret("pass word\nmore\n", 15, &got), 0);
    assert_string_equal(got, "pass word");
    mem_free(got);
    assert_int_equal(secret("crlf\r\n", 6, &got), 0);
    assert_string_equal(got, "crlf");
    mem_free(got);
    memset(big, 'x', sizeof big);
    assert_int_equal(secret(big, 4096, &got), 0);
    assert_int_equal(strlen(got), 4096);
    mem_free(got);
    assert_int_equal(secret(big, 4097, &got), -1);
    assert_int_equal(secret(big, 5000, &got), -1);
    assert_null(got);
    assert_null(strstr(err.msg, "xxx"));
    assert_int_equal(secret("", 0, &got), -1);
    assert_int_equal(secret("\nx", 2, &got), -1);
    assert_int_equal(secret("a\0b\n", 4, &got), -1);
    assert_int_equal(config_secret("/nonexistent/secret", &got, &err), -1);
    assert_non_null(strstr(err.msg, "/nonexistent/secret: No such file"));
    assert_int_equal(config_secret("/tmp", &got, &err), -1);
}

static void a_secret_of_several_lines_is_the_whole_file(void **state)
{
    char path[] = "/tmp/config_test.XXXXXX", big[4097], *got;
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "one\ntwo\n", 8), 8);
    assert_int_equal(config_secret_text(path, &got, &err), 0);
    assert_string_equal(got, "one\ntwo\n");
    mem_free(got);
    memset(big, 'x', sizeof big);
    assert_int_equal(write(fd, big, 4088), 4088);
    assert_int_equal(config_secret_text(path, &got, &err), 0);
    assert_int_equal(strlen(got), 4096);
    mem_free(got);
    assert_int_equal(write(fd, "x", 1), 1);
    assert_int_equal(config_secret_text(path, &got, &err), -1);
    assert_null(got);
    assert_int_equal(ftruncate(fd, 1) | (int)pwrite(fd, "a\0b", 3, 0), 3);
    assert_int_equal(config_secret_text(path, &got, &err), -1);
    close(fd);
    unlink(path);
    assert_int_equal(config_secret_text("", &got, &err), 0);
    assert_null(got);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup(f, setup)
    const struct CMUnitTest tests[] = {
        TEST(defaults_hold_when_nothing_is_said),
        TEST(a_flag_wins_over_the_environment),
        TEST(the_last_flag_wins_and_nothing_leaks),
        TEST(switches_have_three_forms),
        TEST(durations_have_units),
        TEST(a_wrong_value_is_named_with_its_bounds),
        TEST(strings_are_checked_and_never_shown),
        TEST(a_missing_setting_is_named_with_both_its_names),
        TEST(an_unknown_flag_names_its_neighbour),
        TEST(other_words_and_missing_values_are_errors),
        TEST(help_shows_every_row),
        TEST(help_wins_over_wrong_settings),
        TEST(a_secret_is_the_first_line),
        TEST(a_secret_of_several_lines_is_the_whole_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
