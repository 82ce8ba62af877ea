/*
 * Figures, dates and plurals as a locale writes them, by ICU.
 *
 * ICU is asked once for each locale, currency and date, and what it says is
 * kept: a figure is then put together from the pieces that ICU's own answer
 * was made of, which costs some 100 ns instead of 2 us. intl_test.c holds
 * the two against each other.
 *
 * A struct intl belongs to one thread. intl_of_thread() keeps those of the
 * calling thread until it ends. Every out is at least INTL_BYTES large and is
 * always filled: what no person should ever see (a negative exponent, a day
 * 30,000 years away) is printed all the same, in bounds.
 */
#ifndef FP_INTL_INTL_H
#define FP_INTL_INTL_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"

#define INTL_BYTES     192 /* 20 digits of 4 bytes, 9 groups and both affixes of a figure: 174 */
#define INTL_TAG_BYTES 16  /* "zh-Hant-TW" */

enum intl_sign {
    INTL_MINUS,    /* "-1.00", "1.00" */
    INTL_SIGNED,   /* "-1.00", "+1.00", "0.00" */
    INTL_UNSIGNED, /* "1.00": for where a word says the direction */
};

enum intl_plural { INTL_ZERO, INTL_ONE, INTL_TWO, INTL_FEW, INTL_MANY, INTL_OTHER, INTL_PLURALS };
extern const char *const intl_plural_names[INTL_PLURALS]; /* "zero", ... */

struct intl;

/* A locale as a user's row has it ("de_AT.UTF-8", "DE-at", "de-AT-u-nu-latn")
 * into "de-AT": language, script and region; false when it begins with no
 * language. */
bool intl_tag(const char *locale, char out[INTL_TAG_BYTES]);
/* The next more general one, in place: zh-Hant-TW, zh-Hant, zh; false: there is none. */
bool intl_parent(char tag[INTL_TAG_BYTES]);
bool intl_is_right_to_left(const char *tag);
/* A bit (1 << enum intl_plural) for each category that the language has. */
unsigned intl_plural_set(const char *tag);

/* tag: one that intl_tag() made. Fails only when ICU lacks its data. */
struct intl *intl_open(const char *tag, struct fp_err *err) FP_MUST_CHECK;
void intl_close(struct intl *l);
/* The calling thread's, opened when first asked for; never closed by the
 * caller, valid until the thread asks for INTL_KEPT others or ends. */
#define INTL_KEPT 64
struct intl *intl_of_thread(const char *tag, struct fp_err *err) FP_MUST_CHECK;

/* 1234567, 2, "EUR" -> "€12,345.67"; currency "": the number alone. */
void intl_money(struct intl *l, int64_t minor, int exponent, const char *currency, enum intl_sign sign,
                char *out);
/* 1234567 (1e-8) -> "1.23%" with 2 decimals (0 to 2), rounded half away from
 * zero; what rounds to zero has no sign. */
void intl_percent(struct intl *l, int64_t rate_e8, int decimals, enum intl_sign sign, char *out);
void intl_count(struct intl *l, int64_t n, char *out);        /* "1,234" */
void intl_date(struct intl *l, int32_t day, char *out);       /* "27 October 2026" */
void intl_short_date(struct intl *l, int32_t day, char *out); /* "27 Oct" */
/* "October 2026" for a calendar month, else "5 – 11 October 2026". */
void intl_period(struct intl *l, int32_t first_day, int32_t last_day, char *out);
enum intl_plural intl_plural_of(struct intl *l, int64_t n);

#endif
