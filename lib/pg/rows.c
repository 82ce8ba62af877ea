/*
 * The rows of a result, read cell by cell.
 *
 * Cells come as text: measured no slower than binary for pages of 100 rows,
 * and a cell can be read as what the SQL cast it to, whatever the column's
 * width. Times come in the server's time zone, which is not ours to SET, so
 * the offset is read with them; DateStyle ISO is checked at connecting. A
 * cell of the wrong form means that a statement and its reader disagree: our
 * bug, so it panics.
 */
#include "lib/pg/pg_internal.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/text.h"

struct fp_rows {
    PGresult *res;
};

struct fp_rows *pg_rows_new(PGresult *res)
{
    struct fp_rows *r = mem_alloc(sizeof *r);
    r->res = res;
    return r;
}

void pg_rows_free(struct fp_rows *r)
{
    if (r != NULL) {
        PQclear(r->res);
        mem_free(r);
    }
}

int pg_rows_count(const struct fp_rows *r)
{
    return PQntuples(r->res);
}

int64_t pg_rows_affected(const struct fp_rows *r)
{
    int64_t n = 0;
    return text_parse_i64(PQcmdTuples(r->res), &n) ? n : 0;
}

static void check_cell(const struct fp_rows *r, int row, int col)
{
    if (row < 0 || row >= PQntuples(r->res) || col < 0 || col >= PQnfields(r->res)) {
        fp_panic("cell %d, %d of a result of %d rows and %d columns", row, col, PQntuples(r->res),
                 PQnfields(r->res));
    }
}

static void __attribute__((noreturn)) wrong_form(const struct fp_rows *r, int row, int col, const char *what)
{
    fp_panic("column %s: not %s: %.40s", PQfname(r->res, col), what, PQgetvalue(r->res, row, col));
}

bool pg_is_null(const struct fp_rows *r, int row, int col)
{
    check_cell(r, row, col);
    return PQgetisnull(r->res, row, col) != 0;
}

const char *pg_text(const struct fp_rows *r, int row, int col)
{
    check_cell(r, row, col);
    return PQgetvalue(r->res, row, col); /* "" for null */
}

int64_t pg_i64(const struct fp_rows *r, int row, int col)
{
    int64_t v = 0;
    if (!pg_is_null(r, row, col) && !text_parse_i64(pg_text(r, row, col), &v))
        wrong_form(r, row, col, "a whole number");
    return v;
}

double pg_f64(const struct fp_rows *r, int row, int col)
{
    double v = 0;
    if (!pg_is_null(r, row, col) && !text_parse_double(pg_text(r, row, col), &v))
        wrong_form(r, row, col, "a finite number");
    return v;
}

bool pg_bool(const struct fp_rows *r, int row, int col)
{
    const char *s = pg_text(r, row, col);
    if (s[0] != '\0' && strcmp(s, "t") != 0 && strcmp(s, "f") != 0)
        wrong_form(r, row, col, "a boolean");
    return s[0] == 't';
}

/* min to max digits at *p; false when there are fewer. */
static bool digits(const char **p, int min, int max, int *out)
{
    int v = 0, n = 0;
    while (n < max && **p >= '0' && **p <= '9') {
        v = v * 10 + (*(*p)++ - '0');
        n++;
    }
    *out = v;
    return n >= min;
}

static bool literal(const char **p, char c)
{
    if (**p != c)
        return false;
    (*p)++;
    return true;
}

struct civil {
    int year, month, mday;
    int hour, minute, second, us, offset_s;
};

static bool parse_date(const char **p, struct civil *c)
{
    return digits(p, 4, 6, &c->year) && literal(p, '-') && digits(p, 2, 2, &c->month) && literal(p, '-') &&
           digits(p, 2, 2, &c->mday);
}

static bool parse_fraction(const char **p, int *us)
{
    *us = 0;
    if (!literal(p, '.'))
        return true;
    const char *start = *p;
    if (!digits(p, 1, 6, us))
        return false;
    for (int n = (int)(*p - start); n < 6; n++)
        *us *= 10;
    return true;
}

/* +00, -03:30, or with seconds as local times before 1900 have. */
static bool parse_offset(const char **p, int *offset_s)
{
    int sign = **p == '-' ? -1 : 1, h, m = 0, s = 0;
    if (!literal(p, '+') && !literal(p, '-'))
        return false;
    if (!digits(p, 2, 2, &h) || (literal(p, ':') && !digits(p, 2, 2, &m)) ||
        (literal(p, ':') && !digits(p, 2, 2, &s)))
        return false;
    *offset_s = sign * (h * 3600 + m * 60 + s);
    return true;
}

static bool parse_era(const char **p, struct civil *c)
{
    if (strcmp(*p, " BC") == 0) {
        *p += 3;
        c->year = 1 - c->year;
    }
    return **p == '\0';
}

static bool parse_time(const char *s, int64_t *out)
{
    struct civil c;
    if (!parse_date(&s, &c) || !literal(&s, ' ') || !digits(&s, 2, 2, &c.hour) || !literal(&s, ':') ||
        !digits(&s, 2, 2, &c.minute) || !literal(&s, ':') || !digits(&s, 2, 2, &c.second) ||
        !parse_fraction(&s, &c.us) || !parse_offset(&s, &c.offset_s) || !parse_era(&s, &c))
        return false;
    int64_t day = day_from_civil(c.year, c.month, c.mday);
    int64_t second = c.hour * 3600 + c.minute * 60 + c.second - c.offset_s;
    *out = day * FP_US_PER_DAY + second * FP_US_PER_S + c.us;
    return true;
}

static bool is_infinite(const char *s)
{
    return strcmp(s, "infinity") == 0 || strcmp(s, "-infinity") == 0;
}

int64_t pg_time_us(const struct fp_rows *r, int row, int col)
{
    int64_t us = 0;
    const char *s = pg_text(r, row, col);
    if (is_infinite(s))
        return s[0] == '-' ? INT64_MIN : INT64_MAX;
    if (s[0] != '\0' && !parse_time(s, &us))
        wrong_form(r, row, col, "a timestamptz in ISO form");
    return us;
}

int32_t pg_day(const struct fp_rows *r, int row, int col)
{
    struct civil c;
    const char *s = pg_text(r, row, col);
    if (s[0] == '\0')
        return 0;
    if (is_infinite(s))
        return s[0] == '-' ? INT32_MIN : INT32_MAX;
    if (!parse_date(&s, &c) || !parse_era(&s, &c))
        wrong_form(r, row, col, "a date in ISO form");
    return day_from_civil(c.year, c.month, c.mday);
}

/* A number, and *s behind it. strtoll() takes four times as long, and arrays of closes are long. */
static bool parse_i64(const char **s, int64_t *out)
{
    bool minus = **s == '-', fits = true;
    const char *digits = *s + minus, *p = digits;
    int64_t v = 0;
    for (; *p >= '0' && *p <= '9'; p++) /* counted down: there is one more below zero than above */
        fits = fits && !__builtin_mul_overflow(v, 10, &v) && !__builtin_sub_overflow(v, *p - '0', &v);
    *s = p;
    *out = v;
    return fits && p > digits && (minus || !__builtin_sub_overflow(0, v, out));
}

/* "{1,-2,3}": each number ends at a comma or the brace. */
bool pg_i64s(const struct fp_rows *r, int row, int col, int64_t **out, size_t *n)
{
    const char *s = pg_text(r, row, col);
    size_t len = strlen(s), count = 0;
    *out = NULL;
    *n = 0;
    if (len < 2 || s[0] != '{' || s[len - 1] != '}')
        return false;
    int64_t *v = mem_array(len / 2 + 1, sizeof *v);
    for (const char *p = s + 1; len > 2; p++) { /* "{}" has none */
        bool parsed = parse_i64(&p, &v[count]), last = p == s + len - 1;
        if (!parsed || (!last && *p != ',')) {
            mem_free(v);
            return false;
        }
        count++;
        if (last)
            break;
    }
    *out = v;
    *n = count;
    return true;
}

static int nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* bytea_output is hex unless somebody set the old form for the role. */
bool pg_bytes(const struct fp_rows *r, int row, int col, void *out, size_t max, size_t *n)
{
    const char *s = pg_text(r, row, col);
    size_t len = strlen(s);
    unsigned char *to = out;

    if (len < 2 || len % 2 != 0 || s[0] != '\\' || s[1] != 'x' || (len - 2) / 2 > max)
        return false;
    *n = (len - 2) / 2;
    for (size_t i = 0; i < *n; i++) {
        int high = nibble(s[2 + 2 * i]), low = nibble(s[3 + 2 * i]);
        if (high < 0 || low < 0)
            return false;
        to[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}
