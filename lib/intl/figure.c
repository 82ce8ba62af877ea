/*
 * Figures: ICU shows how, we write.
 *
 * ICU formats a number in about two microseconds, and a mail has a hundred of
 * them. What it writes is made of few pieces: what stands before and after in
 * each sign, ten digits, a point, a separator of groups and the sizes of the
 * groups. figure_learn() has ICU write some known numbers and takes them
 * apart; figure_write() puts others together by the same rules. Money is never
 * a float on the way.
 */
#include "lib/intl/figure.h"

#include <stdio.h>
#include <string.h>
#include <unicode/unumberformatter.h>
#include <unicode/ustring.h>

#define TEXT_BYTES 160

/* --- what ICU writes ----------------------------------------------------------------- */

static int ask(const char *locale, const char *skeleton, const char *number, char out[TEXT_BYTES],
               struct fp_err *err)
{
    UErrorCode e = U_ZERO_ERROR;
    UChar wide[TEXT_BYTES];
    u_uastrncpy(wide, skeleton, TEXT_BYTES - 1);
    wide[TEXT_BYTES - 1] = 0;
    UNumberFormatter *f = unumf_openForSkeletonAndLocale(wide, -1, locale, &e);
    UFormattedNumber *r = unumf_openResult(&e);
    unumf_formatDecimal(f, number, -1, r, &e);
    int32_t n = unumf_resultToString(r, wide, TEXT_BYTES, &e), bytes = 0;
    u_strToUTF8(out, TEXT_BYTES, &bytes, wide, n, &e);
    unumf_closeResult(r);
    unumf_close(f);
    if (U_FAILURE(e) || bytes >= TEXT_BYTES)
        return err_set(err, FP_INTERNAL, "ICU cannot write %s in %s as \"%s\": %s", number, locale, skeleton,
                       u_errorName(e));
    return 0;
}

/* --- taking it apart -------------------------------------------------------------------- */

static const char *next_char(const char *p)
{
    do
        p++;
    while ((*p & 0xc0) == 0x80);
    return p;
}

static bool set_mark(struct figure_mark *m, const char *from, const char *to)
{
    if (to < from || to - from >= FIGURE_MARK_BYTES)
        return false;
    m->bytes = (unsigned char)(to - from);
    memcpy(m->text, from, m->bytes);
    return true;
}

static bool set_affix(struct figure_affix *a, const char *from, const char *to)
{
    if (to < from || to - from >= FIGURE_AFFIX_BYTES)
        return false;
    a->bytes = (unsigned char)(to - from);
    memcpy(a->text, from, a->bytes);
    return true;
}

/* The ten digits: ICU writes them without anything between. */
static bool take_digits(struct figure *f, const char *text)
{
    for (int i = 0; i < 10; i++) {
        const char *end = next_char(text);
        if (!*text || !set_mark(&f->digits[i], text, end))
            return false;
        text = end;
    }
    return *text == 0;
}

static int digit_at(const struct figure *f, const char *p)
{
    for (int i = 0; i < 10; i++)
        if (memcmp(p, f->digits[i].text, f->digits[i].bytes) == 0)
            return i;
    return -1;
}

/* Where the figure's digits begin and end in the text. */
static bool find_number(const struct figure *f, const char *text, const char **from, const char **to)
{
    *from = *to = NULL;
    for (const char *p = text; *p; p = next_char(p)) {
        if (digit_at(f, p) < 0)
            continue;
        if (!*from)
            *from = p;
        *to = next_char(p);
    }
    return *from != NULL;
}

static bool take_affixes(struct figure *f, enum figure_shape shape, const char *text)
{
    const char *from, *to;
    return find_number(f, text, &from, &to) && set_affix(&f->before[shape], text, from) &&
           set_affix(&f->after[shape], to, text + strlen(text));
}

/* "1,234,567,890.12": what stands between the digits, and how many are between. */
static bool take_groups(struct figure *f, const char *from, const char *to)
{
    int groups[20] = {0}, n = 0, whole = 0;
    for (const char *p = from; p < to;) {
        if (digit_at(f, p) >= 0) {
            groups[n]++;
            whole++;
            p = next_char(p);
            continue;
        }
        const char *end = p;
        while (end < to && digit_at(f, end) < 0)
            end = next_char(end);
        struct figure_mark *mark = whole < 10 ? &f->group : &f->point; /* ten digits before the point */
        if (!set_mark(mark, p, end) || ++n == 20)
            return false;
        p = end;
    }
    int last = f->decimals > 0 ? n - 1 : n; /* the group before the point */
    f->first_group = last > 0 ? groups[last] : 0;
    f->next_groups = last > 1 ? groups[last - 1] : f->first_group;
    return true;
}

static int cannot(const char *locale, const char *kind, const char *text, struct fp_err *err)
{
    return err_set(err, FP_INTERNAL, "cannot take apart what ICU writes in %s as \"%s\": \"%s\"", locale,
                   kind, text);
}

/* From how many digits on there are groups: Spanish writes 1234 and 12.345. */
static int learn_least(struct figure *f, const char *locale, const char *kind, struct fp_err *err)
{
    static const char *const numbers[] = {"1234", "12345", "123456"};
    char text[TEXT_BYTES];
    f->least_digits = 4;
    for (size_t i = 0; i < 3; i++) {
        const char *from, *to;
        if (ask(locale, kind, numbers[i], text, err) != 0)
            return -1;
        if (!find_number(f, text, &from, &to))
            return cannot(locale, kind, text, err);
        int digits = 0;
        for (const char *p = from; p < to && digit_at(f, p) >= 0; p = next_char(p))
            digits++;
        if (digits < 4 + (int)i)
            return 0;
        f->least_digits++;
    }
    return 0;
}

int figure_learn(struct figure *f, const char *locale, const char *kind, int decimals, struct fp_err *err)
{
    static const char *const signs[FIGURE_SHAPES] = {"sign-never", "sign-auto", "sign-always"};
    static const char *const numbers[FIGURE_SHAPES] = {"1234567890.1234", "-1234567890.1234",
                                                       "1234567890.1234"};
    char text[TEXT_BYTES], skeleton[TEXT_BYTES];
    const char *from, *to;
    *f = (struct figure){.decimals = decimals};
    if (ask(locale, "precision-integer group-off", "1234567890", text, err) != 0)
        return -1;
    /* 1 to 9 and 0 */
    if (!take_digits(f, text))
        return cannot(locale, "group-off", text, err);
    struct figure_mark zero = f->digits[9];
    memmove(f->digits + 1, f->digits, 9 * sizeof f->digits[0]);
    f->digits[0] = zero;
    for (int i = 0; i < FIGURE_SHAPES; i++) {
        snprintf(skeleton, sizeof skeleton, "%s %s", kind, signs[i]);
        if (ask(locale, skeleton, numbers[i], text, err) != 0)
            return -1;
        if (!take_affixes(f, i, text))
            return cannot(locale, skeleton, text, err);
        if (i == FIGURE_PLAIN && !(find_number(f, text, &from, &to) && take_groups(f, from, to)))
            return cannot(locale, skeleton, text, err);
    }
    snprintf(f->kind, sizeof f->kind, "%s", kind);
    return learn_least(f, locale, kind, err);
}

/* --- putting it together --------------------------------------------------------------------- */

static char *put(char *p, const char *text, size_t bytes)
{
    memcpy(p, text, bytes);
    return p + bytes;
}

static enum figure_shape shape_of(int64_t v, enum intl_sign sign)
{
    if (v == 0 || sign == INTL_UNSIGNED)
        return FIGURE_PLAIN;
    if (v < 0)
        return FIGURE_MINUS;
    return sign == INTL_SIGNED ? FIGURE_PLUS : FIGURE_PLAIN;
}

static bool begins_group(const struct figure *f, int left, int whole)
{
    if (f->first_group == 0 || whole < f->least_digits || left < f->first_group || left == whole)
        return false;
    return left == f->first_group || (left > f->first_group && (left - f->first_group) % f->next_groups == 0);
}

void figure_write(const struct figure *f, int64_t v, enum intl_sign sign, char *out)
{
    char digits[24];
    enum figure_shape shape = shape_of(v, sign);
    uint64_t left = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    int n = 0;
    for (; left > 0 || n <= f->decimals; left /= 10)
        digits[n++] = (char)(left % 10);
    /* 20 digits of 4 bytes, 6 groups of 3 and both affixes fit: checked where it is learnt */
    char *p = put(out, f->before[shape].text, f->before[shape].bytes);
    for (int i = n - 1; i >= 0; i--) {
        if (i == f->decimals - 1)
            p = put(p, f->point.text, f->point.bytes);
        else if (i >= f->decimals && begins_group(f, i + 1 - f->decimals, n - f->decimals))
            p = put(p, f->group.text, f->group.bytes);
        const struct figure_mark *d = &f->digits[(int)digits[i]];
        p = put(p, d->text, d->bytes);
    }
    p = put(p, f->after[shape].text, f->after[shape].bytes);
    *p = 0;
}
