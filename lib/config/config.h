/*
 * Settings: one table for each program says name, type, unit, default, bounds
 * and help. Values come from flags (--mail-rate 50) and from the environment
 * (FOLIOPOST_MAIL_RATE=50); the flag wins. --help and the docs are made from
 * the table. A wrong value stops the start with its name, value and bounds.
 *
 * A secret comes from a file named by a setting of type CONFIG_SECRET_FILE
 * (--rpc-token-file PATH). config_secret() reads it anew at each call; who
 * keeps the secret looks whether the file has changed.
 * Values live in a struct of the program: each row says where with offsetof.
 */
#ifndef FP_CONFIG_CONFIG_H
#define FP_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/base/err.h"

enum config_type {
    CONFIG_STRING,      /* char *            min, max: length in bytes */
    CONFIG_INT,         /* int64_t           min, max */
    CONFIG_DOUBLE,      /* double            min, max */
    CONFIG_BOOL,        /* bool              --name, --no-name, --name=true|false */
    CONFIG_DURATION_MS, /* int64_t, ms       "250ms", "5s", "2m", "1h", "1d"; a bare number takes the row's
                         * unit; min, max in ms */
    CONFIG_CHOICE,      /* char *            one of choices, "a|b|c" */
    CONFIG_SECRET_FILE, /* char *            a path; "" when unset */
};

struct config_setting {
    const char *name; /* "mail-rate" */
    enum config_type type;
    const char *unit;    /* shown in help: "mails/s", "ms"; NULL: none */
    const char *def;     /* as text; NULL: required */
    double min, max;     /* both 0: no bounds */
    const char *choices; /* CONFIG_CHOICE */
    const char *help;
    size_t offset; /* of the value in the program's struct */
};

struct config_table {
    const char *program; /* "foliopost-mailer" */
    const char *summary; /* one line */
    const struct config_setting *rows;
    size_t n_rows;
    const struct config_setting *more; /* the skeleton's rows; may be NULL */
    size_t n_more;
    void *more_values; /* the struct that `more` fills */
};

/* Fills values from defaults, environment and argv. Returns 0; 1 when --help
 * or --version was asked for and printed to stdout; -1 with INVALID_ARGUMENT.
 * Strings are owned by the struct: config_fini(). */
int config_parse(const struct config_table *t, void *values, int argc, char **argv,
                 struct fp_err *err) FP_MUST_CHECK;
void config_fini(const struct config_table *t, void *values);
/* "0.1.0": what --version prints and instances publish. */
const char *config_version(void);
void config_print_help(const struct config_table *t, FILE *out);
/* One setting as in that help: flag, what it is, unit, bounds and default. */
void config_print_row(const struct config_setting *row, FILE *out);
/* The table in Markdown, for docs/settings.md: `PROGRAM --help=markdown`. */
void config_print_markdown(const struct config_table *t, FILE *out);

/* Puts the text into the struct, checked against its row. `from` is how the
 * person named the setting: the flag, the variable, a file's key. */
int config_set(const struct config_setting *row, void *base, const char *from, const char *text,
               struct fp_err *err) FP_MUST_CHECK;

/* The first line of the file, without its newline, at most 4 kB; freed by the
 * caller. The path "" gives NULL and no error. */
int config_secret(const char *path, char **out, struct fp_err *err) FP_MUST_CHECK;
/* The same for a secret of several lines: all of the file, at most 4 kB. */
int config_secret_text(const char *path, char **out, struct fp_err *err) FP_MUST_CHECK;

#endif
