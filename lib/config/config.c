/*
 * Reading the settings: defaults, then the environment, then the flags; the
 * later wins. All checks are in value.c; a default passes through them too, so
 * that a table cannot disagree with itself.
 *
 * This module does not read configuration files: Kubernetes gives variables,
 * people give flags, and a third place would be one more to look at when a
 * value surprises.
 */
#include "lib/config/config_internal.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/text.h"

#define NAME_MAX_BYTES 64 /* of a setting; longer flags are unknown */

const char *config_version(void)
{
    return FP_VERSION;
}

const struct config_setting *config_row(const struct config_table *t, size_t i, void *values, void **base)
{
    if (i < t->n_rows) {
        *base = values;
        return &t->rows[i];
    }
    *base = t->more_values;
    return t->more && i - t->n_rows < t->n_more ? &t->more[i - t->n_rows] : NULL;
}

void config_env_name(const struct config_setting *row, char out[CONFIG_ENV_CAP])
{
    size_t n = (size_t)snprintf(out, CONFIG_ENV_CAP, "FOLIOPOST_%s", row->name);

    if (n >= CONFIG_ENV_CAP)
        fp_panic("setting %s: name too long", row->name);
    for (char *p = out; *p; p++)
        *p = *p == '-' ? '_' : *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p;
}

static void set_defaults(const struct config_table *t, void *values)
{
    const struct config_setting *row;
    struct fp_err err;
    void *base;

    for (size_t i = 0; (row = config_row(t, i, values, &base)); i++) {
        if (config_is_text(row))
            *(char **)((char *)base + row->offset) = NULL; /* what was there is not ours to free */
        if (row->def && config_set(row, base, row->name, row->def, &err) < 0)
            fp_panic("default of setting %s: %s", row->name, err.msg);
    }
}

static int set_from_environment(const struct config_table *t, void *values, bool *given, struct fp_err *err)
{
    const struct config_setting *row;
    char env[CONFIG_ENV_CAP];
    void *base;

    for (size_t i = 0; (row = config_row(t, i, values, &base)); i++) {
        config_env_name(row, env);
        const char *text = getenv(env);
        if (!text || !*text)
            continue;
        if (config_set(row, base, env, text, err) < 0)
            return -1;
        given[i] = true;
    }
    return 0;
}

/* How many letters to add, drop or change (Levenshtein's distance). */
static size_t edit_distance(const char *a, const char *b)
{
    size_t row[NAME_MAX_BYTES + 1], nb = strlen(b);

    for (size_t j = 0; j <= nb; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            size_t drop = row[j] + 1, add = row[j - 1] + 1;
            row[j] = change < drop ? change : drop;
            row[j] = row[j] < add ? row[j] : add;
        }
    }
    return row[nb];
}

/* A known name so close that the flag may have meant it; NULL. */
static const char *nearest_name(const struct config_table *t, const char *flag)
{
    const struct config_setting *row;
    const char *best = NULL;
    size_t best_distance = strlen(flag) / 3 + 1; /* a third wrong is another word */
    void *base;

    if (strlen(flag) > NAME_MAX_BYTES)
        return NULL;
    for (size_t i = 0; (row = config_row(t, i, NULL, &base)); i++) {
        if (strlen(row->name) > NAME_MAX_BYTES)
            continue;
        size_t d = edit_distance(flag, row->name);
        if (d <= best_distance && (!best || d < best_distance)) {
            best = row->name;
            best_distance = d;
        }
    }
    return best;
}

static int unknown_flag(const struct config_table *t, const char *name, struct fp_err *err)
{
    char shown[NAME_MAX_BYTES + 1];
    const char *near = nearest_name(t, name);

    text_clean(shown, sizeof shown, name);
    if (near)
        return err_set(err, FP_INVALID_ARGUMENT, "--%s: no such setting; do you mean --%s?", shown, near);
    return err_set(err, FP_INVALID_ARGUMENT, "--%s: no such setting", shown);
}

/* The row of a name; *i is its number. */
static const struct config_setting *find_row(const struct config_table *t, const char *name, size_t *i,
                                             void *values, void **base)
{
    const struct config_setting *row;

    for (*i = 0; (row = config_row(t, *i, values, base)); ++*i)
        if (strcmp(row->name, name) == 0)
            return row;
    return NULL;
}

struct args {
    int argc;
    char **argv;
    int at;
};

/* One flag at args->at, and its value. */
static int set_flag(const struct config_table *t, void *values, struct args *args, bool *given,
                    struct fp_err *err)
{
    const char *arg = args->argv[args->at++], *value = strchr(arg, '=');
    char name[NAME_MAX_BYTES + 1], from[NAME_MAX_BYTES + 3];
    size_t i, n = value ? (size_t)(value - arg) - 2 : strlen(arg) - 2;
    void *base;

    snprintf(name, sizeof name, "%.*s", n < sizeof name ? (int)n : NAME_MAX_BYTES, arg + 2);
    if (n > NAME_MAX_BYTES)
        return unknown_flag(t, name, err);
    const struct config_setting *row = find_row(t, name, &i, values, &base);
    bool no = !row && !value && strncmp(name, "no-", 3) == 0;
    if (no) {
        row = find_row(t, name + 3, &i, values, &base);
        if (row && row->type != CONFIG_BOOL)
            row = NULL;
    }
    if (!row)
        return unknown_flag(t, name, err);
    snprintf(from, sizeof from, "--%s", name);
    if (value)
        value++;
    else if (row->type == CONFIG_BOOL)
        value = no ? "false" : "true";
    else if (args->at < args->argc && strncmp(args->argv[args->at], "--", 2) != 0)
        value = args->argv[args->at++];
    else
        return err_set(err, FP_INVALID_ARGUMENT, "%s needs a value", from);
    given[i] = true;
    return config_set(row, base, from, value, err);
}

static int set_from_flags(const struct config_table *t, void *values, int argc, char **argv, bool *given,
                          struct fp_err *err)
{
    struct args args = {argc, argv, 1};
    char shown[NAME_MAX_BYTES + 1];

    while (args.at < argc) {
        const char *arg = argv[args.at];
        if (strncmp(arg, "--", 2) != 0 || !arg[2]) {
            text_clean(shown, sizeof shown, arg);
            return err_set(err, FP_INVALID_ARGUMENT, "\"%s\" is not a setting: settings are --NAME VALUE",
                           shown);
        }
        if (set_flag(t, values, &args, given, err) < 0)
            return -1;
    }
    return 0;
}

static int check_required(const struct config_table *t, void *values, const bool *given, struct fp_err *err)
{
    const struct config_setting *row;
    char env[CONFIG_ENV_CAP];
    void *base;

    for (size_t i = 0; (row = config_row(t, i, values, &base)); i++) {
        if (row->def || given[i])
            continue;
        config_env_name(row, env);
        const char *end = strchr(row->help, '.'); /* its first sentence says what it is */
        int n = end ? (int)(end - row->help) : (int)strlen(row->help);
        return err_set(err, FP_INVALID_ARGUMENT, "--%s (or %s) is required: %.*s", row->name, env, n,
                       row->help);
    }
    return 0;
}

/* --help and --version win over everything else, also over wrong settings. */
static bool asked_for_help(const struct config_table *t, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            config_print_help(t, stdout);
        else if (strcmp(argv[i], "--help=markdown") == 0)
            config_print_markdown(t, stdout);
        else if (strcmp(argv[i], "--version") == 0)
            printf("%s %s\n", t->program, config_version());
        else
            continue;
        fflush(stdout);
        return true;
    }
    return false;
}

int config_parse(const struct config_table *t, void *values, int argc, char **argv, struct fp_err *err)
{
    set_defaults(t, values);
    if (asked_for_help(t, argc, argv))
        return 1;
    bool *given = mem_array(t->n_rows + (t->more ? t->n_more : 0), sizeof *given);
    int rc = set_from_environment(t, values, given, err);
    if (rc == 0)
        rc = set_from_flags(t, values, argc, argv, given, err);
    if (rc == 0)
        rc = check_required(t, values, given, err);
    mem_free(given);
    if (rc == 0)
        return 0;
    if (err) {
        size_t n = strlen(err->msg);
        snprintf(err->msg + n, sizeof err->msg - n, "; see %s --help", t->program);
    }
    config_fini(t, values);
    return -1;
}

void config_fini(const struct config_table *t, void *values)
{
    const struct config_setting *row;
    void *base;

    for (size_t i = 0; (row = config_row(t, i, values, &base)); i++) {
        if (!config_is_text(row))
            continue;
        char **value = (char **)((char *)base + row->offset);
        mem_free(*value);
        *value = NULL;
    }
}
