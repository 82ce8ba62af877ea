#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "tests/tools/vectors/vectors.h"

/* --- figures that are not ours --------------------------------------------------------- */

/* Each stands in docs/statistics.md, "Where others differ". id NULL: of any case;
 * convention: only where the case's convention of that name holds `part`. */
static const struct {
    const char *id, *figure, *convention, *part, *why;
} not_ours[] = {
    {NULL, "other_day_counts", NULL, NULL, "the product has act/365F only"},
    {NULL, "other_roots_ours", NULL, NULL, "a remark: one root is published, and flagged"},
    {NULL, "alternative_root", NULL, NULL, "a remark: one root is published, and flagged"},
    {NULL, "periodicity", NULL, NULL, "no statement says how often a share pays"},
    {NULL, "modified_dietz_upstream", NULL, NULL, "a quirk of its source: the first flow weighs more than 1"},
    {NULL, "modified_dietz", "weight", "upstream quirk",
     "a quirk of its source: the first flow weighs more than 1"},
    {NULL, "capital_gains_fx_part", NULL, NULL, "a holding's gain is not told apart by currency"},
    {NULL, "realized_gains_fx_part", NULL, NULL, "a holding's gain is not told apart by currency"},
    {NULL, "unrealized_fx_gain_fifo", NULL, NULL, "a holding's gain is not told apart by currency"},
    {"portfolio-ghostfolio-cash-usd-in-chf", "fx_performance_wtd", NULL, NULL,
     "its source opens with 1.0 for a rate of the day before that it lacks"},
    {NULL, "liabilities", NULL, NULL, "the data contract has no liabilities"},
    {NULL, "total_liabilities", NULL, NULL, "the data contract has no liabilities"},
    {NULL, "entry_average", NULL, NULL, "a short sale has no cost before it is covered"},
    {NULL, "realized_fx_gain_fifo", NULL, NULL, "a holding's gain is not told apart by currency"},
};

/* Lots are used first in, first out, and at average cost. */
static bool other_lot_method(const struct vcase *c, const char *figure)
{
    static const char *const words[] = {"lifo", "hifo", "LIFO", "HIFO"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strstr(figure, words[i]) || strstr(c->kind, words[i]) || says(c, "booking", words[i]) ||
            says(c, "method", words[i]))
            return true;
    return false;
}

const char *why_not_ours(const struct vcase *c, const char *figure)
{
    if (other_lot_method(c, figure))
        return "lots are used first in, first out, and at average cost; not last or highest first";
    for (size_t i = 0; i < sizeof not_ours / sizeof not_ours[0]; i++) {
        if (strcmp(not_ours[i].figure, figure) != 0 || (not_ours[i].id && strcmp(not_ours[i].id, c->id) != 0))
            continue;
        if (!not_ours[i].convention || says(c, not_ours[i].convention, not_ours[i].part))
            return not_ours[i].why;
    }
    return NULL;
}

/* --- reading ------------------------------------------------------------------------------ */

double number_value(const json_t *v)
{
    char *end;
    double n, d;

    if (json_is_number(v))
        return json_number_value(v);
    if (!json_is_string(v))
        return NAN;
    n = strtod(json_string_value(v), &end);
    if (end == json_string_value(v))
        return NAN;
    if (*end != '/')
        return *end ? NAN : n;
    d = strtod(end + 1, &end);
    return *end || d == 0 ? NAN : n / d;
}

double number_of(const json_t *o, const char *key, double otherwise)
{
    const json_t *v = json_object_get(o, key);

    return v && !json_is_null(v) ? number_value(v) : otherwise;
}

const char *text_of(const json_t *o, const char *key, const char *otherwise)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s ? s : otherwise;
}

bool day_of(const json_t *o, const char *key, int32_t *day)
{
    const char *said = text_of(o, key, "");
    char text[11];

    snprintf(text, sizeof text, "%s", said);
    return day_parse(text, day) && (strlen(said) == 10 || said[10] == 'T' || said[10] == ' ');
}

bool says(const struct vcase *c, const char *convention, const char *part)
{
    return strstr(text_of(c->conventions, convention, ""), part) != NULL;
}

/* A case without a period has that of its dates. */
static void find_period(struct vcase *c)
{
    const char *lists[] = {"transactions", "prices", "valuations", "flows", "splits"};
    const json_t *m;
    size_t i;
    int32_t day;
    bool any = false;

    if (day_of(json_object_get(c->json, "period"), "start", &c->period_start) &&
        day_of(json_object_get(c->json, "period"), "end", &c->period_end))
        return;
    for (size_t k = 0; k < sizeof lists / sizeof lists[0]; k++) {
        json_array_foreach(json_object_get(c->json, lists[k]), i, m)
        {
            if (!day_of(m, "date", &day))
                continue;
            if (!any || day < c->period_start)
                c->period_start = day;
            if (!any || day > c->period_end)
                c->period_end = day;
            any = true;
        }
    }
}

struct vcase *case_open(const char *path, char text[300])
{
    json_error_t error;
    json_t *json = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    struct vcase *c;

    if (!json || !json_is_object(json_object_get(json, "expected"))) {
        snprintf(text, 300, "%s cannot be read: %s", path, json ? "no \"expected\"" : error.text);
        json_decref(json);
        return NULL;
    }
    c = mem_alloc(sizeof *c);
    c->json = json;
    c->id = text_of(json, "id", path);
    c->kind = text_of(json, "kind", "");
    c->source = text_of(json, "source", "");
    c->currency = text_of(json, "currency", "EUR");
    c->expected = json_object_get(json, "expected");
    c->tolerance = json_object_get(json, "tolerance");
    c->conventions = json_object_get(json, "conventions");
    find_period(c);
    return c;
}

void case_close(struct vcase *c)
{
    book_free(c);
    json_decref(c->json);
    mem_free(c->text);
    mem_free(c);
}

/* --- comparing ------------------------------------------------------------------------------ */

__attribute__((format(printf, 2, 0))) static void add_line(struct vcase *c, const char *format, va_list args)
{
    char line[400];
    size_t n;

    vsnprintf(line, sizeof line, format, args);
    n = strlen(line);
    c->text = mem_resize(c->text, c->text_bytes + n + 5, 1);
    c->text_bytes += (size_t)sprintf(c->text + c->text_bytes, "   %s\n", line);
}

void case_note(struct vcase *c, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add_line(c, format, args);
    va_end(args);
}

void case_differs(struct vcase *c, const char *format, ...)
{
    va_list args;

    c->differ++;
    va_start(args, format);
    add_line(c, format, args);
    va_end(args);
}

/* The longest name in the file's list that the figure's name holds:
 * "max_drawdown" for itself, "ratio" for net_performance_ratio; "money" for any. */
double case_tolerance(const struct vcase *c, const char *name, enum unit unit)
{
    const char *key;
    json_t *value;
    size_t longest = 0;
    double tolerance = unit == UNIT_MONEY ? number_of(c->tolerance, "money", 1e-9) : 1e-9;

    json_object_foreach((json_t *)c->tolerance, key, value)
    {
        if (strlen(key) > longest && strstr(name, key)) {
            longest = strlen(key);
            tolerance = number_value(value);
        }
    }
    if (unit == UNIT_SHARES) /* shares are kept to 1e-8, and prices by share follow */
        return fmax(tolerance, 1e-8);
    return unit == UNIT_MONEY ? fmax(tolerance, 1e-6) : fmax(tolerance, 1e-15);
}

void case_compare(struct vcase *c, const char *what, const char *name, const json_t *want, enum unit unit,
                  double have)
{
    double number = number_value(want), tolerance = case_tolerance(c, name, unit);

    c->compared++;
    if (unit == UNIT_SHARES && fabs(number) > 1)
        tolerance *= fabs(number);
    if (json_is_boolean(want) && json_is_true(want) == (have != 0))
        return;
    if (fabs(have - number) <= tolerance * (1 + 1e-9))
        return;
    case_differs(c, "%s is %.12g, expected %.12g +- %g", what, have, number, tolerance);
}

void case_figure(struct vcase *c, const char *name, enum unit unit, bool defined, double have)
{
    const json_t *want = json_object_get(c->expected, name);

    if (defined && isfinite(have) && !json_is_null(want)) {
        case_compare(c, name, name, want, unit, have);
        return;
    }
    c->compared++;
    if (json_is_null(want) && defined)
        case_differs(c, "%s is %.12g, expected no figure", name, have);
    else if (!json_is_null(want))
        case_differs(c, "%s is undefined, expected %.12g", name, number_value(want));
}

/* Who expects an error gets it by a refusal, or by what we say instead of one. */
static bool error_expected(struct vcase *c, const char *name)
{
    const struct run *r;

    if (strcmp(name, "error") != 0 || !json_object_get(c->json, "transactions"))
        return false;
    r = book_run(c, (struct view){WHOLE, book_first_day(c), c->period_end, NULL});
    if (r && r->summary.flags & PERF_SHORT_POSITION)
        case_note(c, "more is sold than held: a short position here, flagged");
    else if (r)
        case_differs(c, "no error where \"%s\" is expected", text_of(c->expected, name, "?"));
    c->compared++;
    return true;
}

static void compare_figure(struct vcase *c, const char *name, const json_t *want)
{
    bool found;

    c->refused = false;
    found = error_expected(c, name) || formulas_figure(c, name, want) || derived_figure(c, name, want) ||
            series_figure(c, name, want) || figures_figure(c, name, want);
    if (c->refused && !json_is_null(want) && strcmp(name, "error") != 0)
        case_differs(c, "%s: the library refuses the case", name);
    else if (!found)
        case_differs(c, "%s: there is no such figure here", name);
    c->compared += c->refused;
}

static void leave_out(struct vcase *c, const char *name, const char *why)
{
    case_note(c, "%s is not compared: %s", name, why);
    c->left_out++;
}

/* --- what is no case -------------------------------------------------------------------------- */

static void check_row(struct vcase *c, const char *list, size_t i, const json_t *row)
{
    static const char *const numbers[] = {"amount", "quantity",  "price",       "fee",  "tax",
                                          "close",  "numerator", "denominator", "rate", "value"};
    int32_t day;

    if (json_object_get(row, "date") && !day_of(row, "date", &day))
        case_differs(c, "%s[%zu]: \"%s\" is no date such as 2024-03-31", list, i, text_of(row, "date", "?"));
    for (size_t k = 0; k < sizeof numbers / sizeof numbers[0]; k++)
        if (!isfinite(number_of(row, numbers[k], 0)))
            case_differs(c, "%s[%zu]: its %s is no number", list, i, numbers[k]);
}

/* A figure that is computed from what cannot be read would be right or wrong by chance. */
static void check_rows(struct vcase *c)
{
    static const char *const lists[] = {"transactions", "prices", "fx", "splits", "flows", "valuations"};
    const json_t *row;
    size_t i;

    for (size_t k = 0; k < sizeof lists / sizeof lists[0]; k++) {
        const json_t *list = json_object_get(c->json, lists[k]);

        if (list && !json_is_null(list) && !json_is_array(list))
            case_differs(c, "%s: no list", lists[k]);
        json_array_foreach(list, i, row) check_row(c, lists[k], i, row);
    }
}

void case_run(struct vcase *c)
{
    const char *name, *why;
    json_t *want;

    check_rows(c);
    if (c->differ)
        return;

    json_object_foreach((json_t *)c->expected, name, want)
    {
        if ((why = why_not_ours(c, name)) != NULL)
            leave_out(c, name, why);
        else if (strcmp(name, "undefined") != 0 && strcmp(name, "columns") != 0)
            compare_figure(c, name, want);
    }
    if (!c->differ && !c->compared && !c->left_out)
        case_differs(c, "nothing could be compared");
}
