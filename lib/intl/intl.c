/*
 * One locale of one thread: its figures, dates and plurals, opened when first
 * needed and kept.
 *
 * Dates go through ICU itself, but a job's mails show the same few days again
 * and again: the last texts are kept by day. The calendar is the Gregorian one
 * everywhere, because prices and bookings are; the time zone is UTC, because a
 * day here is a calendar day already.
 */
#include "lib/intl/intl.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/udat.h>
#include <unicode/udateintervalformat.h>
#include <unicode/udatpg.h>
#include <unicode/upluralrules.h>
#include <unicode/ustring.h>

#include "lib/base/clock.h"
#include "lib/base/fixed.h"
#include "lib/base/mem.h"
#include "lib/intl/figure.h"

#define MONEY_KEPT 16 /* currencies of one locale at a time */
#define DATES_KEPT 64
#define TEXT_UNITS 128

enum date_kind { DATE_FULL, DATE_SHORT, DATE_MONTH, DATE_SPAN, DATE_KINDS };

struct date_text {
    int32_t first, last;
    enum date_kind kind;
    bool used;
    char text[INTL_BYTES];
};

struct intl {
    char tag[INTL_TAG_BYTES];
    char calendar[INTL_TAG_BYTES + 24]; /* "de-AT@calendar=gregorian": what ICU is given for dates */
    struct figure count, percent[3], money[MONEY_KEPT];
    int n_money;
    UDateFormat *dates[DATE_SPAN];
    UDateIntervalFormat *span;
    UPluralRules *plurals;
    struct date_text kept[DATES_KEPT];
};

/* --- opening ------------------------------------------------------------------------------- */

static int open_date(struct intl *l, UDateTimePatternGenerator *g, enum date_kind kind, const char *skeleton,
                     struct fp_err *err)
{
    UErrorCode e = U_ZERO_ERROR;
    UChar wide[16], pattern[TEXT_UNITS], zone[16];
    u_uastrcpy(wide, skeleton);
    u_uastrcpy(zone, "Etc/UTC");
    int32_t n = udatpg_getBestPattern(g, wide, -1, pattern, TEXT_UNITS, &e);
    l->dates[kind] = udat_open(UDAT_PATTERN, UDAT_PATTERN, l->calendar, zone, -1, pattern, n, &e);
    return U_SUCCESS(e) ? 0
                        : err_set(err, FP_INTERNAL, "ICU has no dates for %s: %s", l->tag, u_errorName(e));
}

static int open_dates(struct intl *l, struct fp_err *err)
{
    UErrorCode e = U_ZERO_ERROR;
    UChar wide[16], zone[16];
    UDateTimePatternGenerator *g = udatpg_open(l->calendar, &e);
    if (U_FAILURE(e))
        return err_set(err, FP_INTERNAL, "ICU has no dates for %s: %s", l->tag, u_errorName(e));
    int rc = open_date(l, g, DATE_FULL, "yMMMMd", err) || open_date(l, g, DATE_SHORT, "MMMd", err) ||
             open_date(l, g, DATE_MONTH, "yMMMM", err);
    udatpg_close(g);
    u_uastrcpy(wide, "yMMMMd");
    u_uastrcpy(zone, "Etc/UTC");
    l->span = udtitvfmt_open(l->calendar, wide, -1, zone, -1, &e);
    l->plurals = uplrules_open(l->tag, &e);
    if (rc == 0 && U_FAILURE(e))
        rc = err_set(err, FP_INTERNAL, "ICU has no spans of dates for %s: %s", l->tag, u_errorName(e));
    return rc ? -1 : 0;
}

struct intl *intl_open(const char *tag, struct fp_err *err)
{
    static const char *const percents[] = {"percent precision-integer", "percent .0", "percent .00"};
    struct intl *l = mem_alloc(sizeof *l);
    snprintf(l->tag, sizeof l->tag, "%s", tag);
    snprintf(l->calendar, sizeof l->calendar, "%s@calendar=gregorian", l->tag);
    int rc = open_dates(l, err);
    if (rc == 0)
        rc = figure_learn(&l->count, l->tag, "precision-integer", 0, err);
    for (int i = 0; i < 3 && rc == 0; i++)
        rc = figure_learn(&l->percent[i], l->tag, percents[i], i, err);
    if (rc == 0)
        return l;
    intl_close(l);
    return NULL;
}

void intl_close(struct intl *l)
{
    if (!l)
        return;
    for (int i = 0; i < DATE_SPAN; i++)
        if (l->dates[i])
            udat_close(l->dates[i]);
    if (l->span)
        udtitvfmt_close(l->span);
    if (l->plurals)
        uplrules_close(l->plurals);
    mem_free(l);
}

/* --- those of the calling thread ------------------------------------------------------------------ */

struct kept {
    struct intl *items[INTL_KEPT];
    int n, next; /* next: who makes room when all places are taken */
};

static pthread_key_t kept_key;
static pthread_once_t kept_once = PTHREAD_ONCE_INIT;

static void kept_free(void *arg)
{
    struct kept *k = arg;
    for (int i = 0; i < k->n; i++)
        intl_close(k->items[i]);
    mem_free(k);
}

/* A main thread that ends by exit() runs no destructors of keys. */
static void kept_at_exit(void)
{
    struct kept *k = pthread_getspecific(kept_key);
    if (k)
        kept_free(k);
    pthread_setspecific(kept_key, NULL);
}

static void kept_make(void)
{
    if (pthread_key_create(&kept_key, kept_free) != 0)
        fp_panic("no key left for the locales of a thread");
    atexit(kept_at_exit);
}

struct intl *intl_of_thread(const char *tag, struct fp_err *err)
{
    pthread_once(&kept_once, kept_make);
    struct kept *k = pthread_getspecific(kept_key);
    if (!k) {
        k = mem_alloc(sizeof *k);
        pthread_setspecific(kept_key, k);
    }
    for (int i = 0; i < k->n; i++)
        if (strcmp(k->items[i]->tag, tag) == 0)
            return k->items[i];
    struct intl *l = intl_open(tag, err);
    if (!l)
        return NULL;
    if (k->n < INTL_KEPT)
        return k->items[k->n++] = l;
    int at = k->next++ % INTL_KEPT;
    intl_close(k->items[at]);
    return k->items[at] = l;
}

/* --- figures --------------------------------------------------------------------------------------- */

static void money_kind(char out[40], const char *currency, int decimals)
{
    static const char *const precisions[] = {"precision-integer", ".0", ".00", ".000", ".0000"};
    if (*currency)
        snprintf(out, 40, "currency/%.3s %s", currency, precisions[decimals]);
    else
        snprintf(out, 40, "%s", precisions[decimals]);
}

/* What ICU knows no letters for is written with ours: "-XQZ 1.00". */
static void learn_unknown(struct intl *l, struct figure *f, const char *currency, int decimals)
{
    char name[4];
    *f = l->count;
    snprintf(name, sizeof name, "%.3s", currency);
    f->decimals = decimals;
    f->point = (struct figure_mark){".", 1};
    for (int i = 0; i < FIGURE_SHAPES; i++)
        f->after[i].bytes =
            (unsigned char)snprintf(f->after[i].text, sizeof f->after[i].text, "\xc2\xa0%s", name);
}

/* Whether this is what money_kind() says: asked for each figure, when printing it would take as long as the
 * figure. */
static bool is_money_of(const struct figure *f, const char *currency, int decimals)
{
    static const char start[] = "currency/";
    size_t n = strnlen(currency, 3), begin = sizeof start - 1;
    if (f->decimals != decimals)
        return false;
    if (n == 0)
        return f->kind[0] != 'c';
    return memcmp(f->kind, start, begin) == 0 && memcmp(f->kind + begin, currency, n) == 0 &&
           f->kind[begin + n] == ' ';
}

static const struct figure *money_figure(struct intl *l, const char *currency, int decimals)
{
    char kind[40];
    struct fp_err err;
    int known = l->n_money < MONEY_KEPT ? l->n_money : MONEY_KEPT;
    for (int i = 0; i < known; i++)
        if (is_money_of(&l->money[i], currency, decimals))
            return &l->money[i];
    money_kind(kind, currency, decimals);
    struct figure *f = &l->money[l->n_money++ % MONEY_KEPT];
    if (figure_learn(f, l->tag, kind, decimals, &err) != 0)
        learn_unknown(l, f, currency, decimals);
    snprintf(f->kind, sizeof f->kind, "%s", kind);
    return f;
}

void intl_money(struct intl *l, int64_t minor, int exponent, const char *currency, enum intl_sign sign,
                char *out)
{
    int decimals = exponent < 0 ? 0 : exponent > FIGURE_MAX_DECIMALS ? FIGURE_MAX_DECIMALS : exponent;
    figure_write(money_figure(l, currency, decimals), minor, sign, out);
}

void intl_percent(struct intl *l, int64_t rate_e8, int decimals, enum intl_sign sign, char *out)
{
    int d = decimals < 0 ? 0 : decimals > 2 ? 2 : decimals;
    figure_write(&l->percent[d], (int64_t)fixed_div(rate_e8, fixed_pow10(6 - d)), sign, out);
}

void intl_count(struct intl *l, int64_t n, char *out)
{
    figure_write(&l->count, n, INTL_MINUS, out);
}

/* --- dates ------------------------------------------------------------------------------------------- */

/* Noon: no clock change of any zone reaches it. */
static UDate moment(int32_t day)
{
    return ((double)day + 0.5) * 86400000.0;
}

static void write_date(struct intl *l, struct date_text *t)
{
    UErrorCode e = U_ZERO_ERROR;
    UChar wide[TEXT_UNITS];
    int32_t n = t->kind == DATE_SPAN
                    ? udtitvfmt_format(l->span, moment(t->first), moment(t->last), wide, TEXT_UNITS, NULL, &e)
                    : udat_format(l->dates[t->kind], moment(t->first), wide, TEXT_UNITS, NULL, &e);
    int32_t bytes = 0;
    u_strToUTF8(t->text, sizeof t->text, &bytes, wide, n, &e);
    if (U_FAILURE(e) || bytes >= (int32_t)sizeof t->text)
        day_format(t->first, t->text);
}

static void put_date(struct intl *l, enum date_kind kind, int32_t first, int32_t last, char *out)
{
    unsigned at = ((unsigned)first * 4 + (unsigned)kind + (unsigned)last * 31) % DATES_KEPT;
    struct date_text *t = &l->kept[at];
    if (!t->used || t->kind != kind || t->first != first || t->last != last) {
        *t = (struct date_text){.first = first, .last = last, .kind = kind, .used = true};
        write_date(l, t);
    }
    memcpy(out, t->text, strlen(t->text) + 1);
}

/* A day that is one: the hostile others print as the nearest. */
static int32_t real(int32_t day)
{
    return day < FP_DAY_MIN ? FP_DAY_MIN : day > FP_DAY_MAX ? FP_DAY_MAX : day;
}

void intl_date(struct intl *l, int32_t day, char *out)
{
    put_date(l, DATE_FULL, real(day), real(day), out);
}

void intl_short_date(struct intl *l, int32_t day, char *out)
{
    put_date(l, DATE_SHORT, real(day), real(day), out);
}

void intl_period(struct intl *l, int32_t first_day, int32_t last_day, char *out)
{
    first_day = real(first_day);
    last_day = real(last_day);
    if (day_first_of_month(first_day) == first_day && day_add_months(first_day, 1) - 1 == last_day)
        put_date(l, DATE_MONTH, first_day, first_day, out);
    else if (first_day == last_day)
        put_date(l, DATE_FULL, first_day, first_day, out);
    else
        put_date(l, DATE_SPAN, first_day, last_day, out);
}

enum intl_plural intl_plural_of(struct intl *l, int64_t n)
{
    UErrorCode e = U_ZERO_ERROR;
    UChar wide[16];
    char name[16];
    int32_t units = uplrules_select(l->plurals, (double)n, wide, 15, &e);
    if (U_FAILURE(e) || units >= 15)
        return INTL_OTHER;
    u_austrncpy(name, wide, units);
    name[units] = 0;
    for (int i = 0; i < INTL_PLURALS; i++)
        if (strcmp(name, intl_plural_names[i]) == 0)
            return i;
    return INTL_OTHER;
}
