/*
 * One value: from text into the program's struct, checked against its row.
 *
 * A message names the setting as the person wrote it, the value where it is
 * short and cannot be a secret (numbers and choices, never strings), and what
 * would be right.
 */
#include "lib/config/config_internal.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/text.h"

#define SHOWN_BYTES 64 /* of a wrong value, in a message */

bool config_is_text(const struct config_setting *row)
{
    return row->type == CONFIG_STRING || row->type == CONFIG_CHOICE || row->type == CONFIG_SECRET_FILE;
}

static bool has_bounds(const struct config_setting *row)
{
    return row->min != 0 || row->max != 0;
}

/* 90000 -> "90s": the largest unit that needs no fraction. */
static void format_duration(double ms, char *out, size_t cap)
{
    static const struct {
        const char *unit;
        double ms;
    } units[] = {{"d", 86400e3}, {"h", 3600e3}, {"m", 60e3}, {"s", 1e3}, {"ms", 1}};
    size_t i = 0;

    if (ms == 0) {
        snprintf(out, cap, "0");
        return;
    }
    while (i < 4 && fmod(ms, units[i].ms) != 0)
        i++;
    snprintf(out, cap, "%.15g%s", ms / units[i].ms, units[i].unit);
}

static void describe_bounds(const struct config_setting *row, char *out, size_t cap)
{
    char min[40], max[40];

    if (row->type == CONFIG_DURATION_MS) {
        format_duration(row->min, min, sizeof min);
        format_duration(row->max, max, sizeof max);
        snprintf(out, cap, "%s to %s", min, max);
    } else {
        const char *what = row->type == CONFIG_STRING ? " characters" : "";
        snprintf(out, cap, "%.15g to %.15g%s", row->min, row->max, what);
    }
}

/* "a|b|c" -> "a, b or c" */
static void describe_choices(const char *choices, char *out, size_t cap)
{
    size_t n = 0;

    out[0] = '\0';
    for (const char *p = choices; p && *p && n < cap;) {
        size_t len = strcspn(p, "|");
        const char *end = p + len, *last = *end ? strchr(end + 1, '|') : NULL;
        const char *glue = !*end ? "" : last ? ", " : " or ";
        n += (size_t)snprintf(out + n, cap - n, "%.*s%s", (int)len, p, glue);
        p = *end ? end + 1 : end;
    }
}

void config_describe(const struct config_setting *row, char *out, size_t cap)
{
    char bounds[120] = "";

    if (row->type == CONFIG_CHOICE) {
        describe_choices(row->choices, out, cap);
        return;
    }
    if (has_bounds(row))
        describe_bounds(row, bounds, sizeof bounds);
    const char *unit = row->unit && row->type != CONFIG_DURATION_MS ? row->unit : "";
    snprintf(out, cap, "%s%s%s", unit, *unit && *bounds ? ", " : "", bounds);
}

/* The message of a wrong value: FROM: "TEXT" is not WHAT (unit, bounds). */
static int wrong(const struct config_setting *row, const char *from, const char *text, const char *what,
                 struct fp_err *err)
{
    char shown[SHOWN_BYTES], right[200];

    text_clean(shown, sizeof shown, text);
    config_describe(row, right, sizeof right);
    if (*right)
        return err_set(err, FP_INVALID_ARGUMENT, "%s: \"%s\" is not %s (%s)", from, shown, what, right);
    return err_set(err, FP_INVALID_ARGUMENT, "%s: \"%s\" is not %s", from, shown, what);
}

static int check_bounds(const struct config_setting *row, const char *from, const char *text, double v,
                        struct fp_err *err)
{
    if (has_bounds(row) && (v < row->min || v > row->max))
        return wrong(row, from, text, "within its bounds", err);
    return 0;
}

static int set_int(const struct config_setting *row, void *at, const char *from, const char *text,
                   struct fp_err *err)
{
    int64_t v;

    if (!text_parse_i64(text, &v))
        return wrong(row, from, text, "a whole number", err);
    if (check_bounds(row, from, text, (double)v, err) < 0)
        return -1;
    memcpy(at, &v, sizeof v);
    return 0;
}

static int set_double(const struct config_setting *row, void *at, const char *from, const char *text,
                      struct fp_err *err)
{
    double v;

    if (!text_parse_double(text, &v))
        return wrong(row, from, text, "a number", err);
    if (check_bounds(row, from, text, v, err) < 0)
        return -1;
    memcpy(at, &v, sizeof v);
    return 0;
}

static int set_bool(const struct config_setting *row, void *at, const char *from, const char *text,
                    struct fp_err *err)
{
    static const char *const words[] = {"false", "true", "0", "1", "no", "yes", "off", "on"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(text, words[i]) == 0) {
            *(bool *)at = i % 2;
            return 0;
        }
    return wrong(row, from, text, "true or false", err);
}

/* Milliseconds of a unit; 0 when there is no such unit. */
static double unit_ms(const char *unit)
{
    static const struct {
        const char *name;
        double ms;
    } units[] = {{"ms", 1}, {"s", 1e3}, {"m", 60e3}, {"h", 3600e3}, {"d", 86400e3}};

    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcmp(unit, units[i].name) == 0)
            return units[i].ms;
    return 0;
}

static int set_duration(const struct config_setting *row, void *at, const char *from, const char *text,
                        struct fp_err *err)
{
    const char *what = "a duration like 250ms, 5s, 2m, 1h or 1d";
    char number[32];
    double v;
    size_t n = strspn(text, "0123456789.");

    if (n >= sizeof number)
        return wrong(row, from, text, what, err);
    memcpy(number, text, n);
    number[n] = '\0';
    const char *unit = text[n] ? text + n : row->unit ? row->unit : "ms";
    double ms = unit_ms(unit);
    if (!text_parse_double(number, &v) || ms == 0 || v * ms > 9e15)
        return wrong(row, from, text, what, err);
    int64_t rounded = llround(v * ms);
    if (check_bounds(row, from, text, (double)rounded, err) < 0)
        return -1;
    memcpy(at, &rounded, sizeof rounded);
    return 0;
}

static void set_text(void *at, const char *text)
{
    char **value = at;

    mem_free(*value);
    *value = mem_strdup(text);
}

static int set_string(const struct config_setting *row, void *at, const char *from, const char *text,
                      struct fp_err *err)
{
    size_t n = strlen(text);
    char right[120];

    /* Strings are never shown: one may hold a password. */
    if (has_bounds(row) && ((double)n < row->min || (double)n > row->max)) {
        config_describe(row, right, sizeof right);
        return err_set(err, FP_INVALID_ARGUMENT, "%s: has %zu characters (%s)", from, n, right);
    }
    if (!text_is_clean(text))
        return err_set(err, FP_INVALID_ARGUMENT, "%s: holds control characters or is not UTF-8", from);
    set_text(at, text);
    return 0;
}

static int set_choice(const struct config_setting *row, void *at, const char *from, const char *text,
                      struct fp_err *err)
{
    size_t n = strlen(text);

    for (const char *p = row->choices; p;) {
        size_t len = strcspn(p, "|");
        if (len == n && strncmp(p, text, n) == 0) {
            set_text(at, text);
            return 0;
        }
        p = p[len] ? p + len + 1 : NULL;
    }
    return wrong(row, from, text, "one of its values", err);
}

int config_set(const struct config_setting *row, void *base, const char *from, const char *text,
               struct fp_err *err)
{
    void *at = (char *)base + row->offset;

    switch (row->type) {
    case CONFIG_INT:
        return set_int(row, at, from, text, err);
    case CONFIG_DOUBLE:
        return set_double(row, at, from, text, err);
    case CONFIG_BOOL:
        return set_bool(row, at, from, text, err);
    case CONFIG_DURATION_MS:
        return set_duration(row, at, from, text, err);
    case CONFIG_CHOICE:
        return set_choice(row, at, from, text, err);
    case CONFIG_STRING:
    case CONFIG_SECRET_FILE:
        return set_string(row, at, from, text, err);
    }
    fp_panic("setting %s: type %d", row->name, (int)row->type);
}
