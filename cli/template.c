/*
 * foliopost template check DIR: is a folder of templates fit for the mailer?
 *
 * The same loading as at the mailer's start, so that a mistake is found where
 * the templates are written and not where they are rolled out.
 */
#include <limits.h>
#include <string.h>

#include "cli/cli.h"
#include "lib/render/render.h"

struct values {
    char *locales, *default_locale;
};
#define AT(field) offsetof(struct values, field)

static const struct config_setting rows[] = {
    {"locales", CONFIG_STRING, NULL, "", 0, 512, NULL,
     "languages that must be whole, like en,de; empty: each that has a catalogue", AT(locales)},
    {"default-locale", CONFIG_STRING, NULL, "en", 2, 35, NULL, "the mailer's default-locale",
     AT(default_locale)},
};

static void print_found(const struct fp_templates *t)
{
    printf("hash       %s\ntemplates ", templates_hash(t));
    for (size_t i = 0; templates_name(t, i); i++)
        printf(" %s", templates_name(t, i));
    printf("\nlanguages ");
    for (size_t i = 0; i < templates_languages(t); i++)
        printf(" %s", templates_language_tag(t, i));
    printf("\n");
}

static enum cli_exit run(struct cli *c, void *values, char **args, int n_args)
{
    const struct values *v = values;
    char base[PATH_MAX];
    struct fp_err err;
    (void)c;
    (void)n_args;
    if (strcmp(args[0], "check") != 0) {
        err_set(&err, FP_INVALID_ARGUMENT, "\"%.40s\" is nothing that can be done with templates: check DIR",
                args[0]);
        return cli_fail(&err);
    }
    if (!templates_find_base(base))
        base[0] = '\0';
    const struct templates_from from = {base, args[1], v->locales, v->default_locale};
    struct fp_templates *t = templates_load(&from, &err);
    if (t == NULL)
        return cli_fail(&err);
    print_found(t);
    templates_free(t);
    return CLI_OK;
}

const struct cli_command cli_template = {
    .name = "template",
    .arguments = "check DIR",
    .summary = "Checks a folder of templates",
    .details = "Loads DIR over the templates that come with the program, as the mailer does at start:\n"
               "syntax, partials, names and messages of every language; then each template is written with\n"
               "a statement of everything and one of nothing, and may have 60 kB. The first mistake is\n"
               "named with file, line and column.\n"
               "  foliopost template check ./our-templates\n"
               "  foliopost template check ./our-templates --locales en,de\n",
    .rows = rows,
    .n_rows = sizeof rows / sizeof rows[0],
    .values_bytes = sizeof(struct values),
    .no_json = "the exit code, 0 for a folder without mistakes",
    .min_args = 2,
    .max_args = 2,
    .run = run,
};
