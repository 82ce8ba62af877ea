/*
 * From a summary to the view that templates see.
 *
 * Templates have no logic, so everything is decided here: signs, words, bar
 * widths, which tables there are. All texts of the parts that the mail's
 * templates show are formatted at once into one flat struct, some 200 short
 * strings; view.c then says where each name lies. What a summary does not hold
 * (an older stats sends no spans, no bridge, no chart) is not shown.
 *
 * Text from the database is cleaned once more. Beside control characters,
 * which lib/wire refuses already, the controls of bidirectional text go: one
 * in a name would turn round the rest of the sentence it stands in.
 */
#define _GNU_SOURCE /* strcasestr */
#include "lib/render/statement.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/fixed.h"
#include "lib/base/text.h"
#include "lib/render/filling.h"

#define MAX_EXPONENT 4 /* CLF has four decimals, no currency more */
/* What tables of four columns have room for on a phone of 360 pixels: "-1.234.567.890,12", "-1.234,56 %". */
#define LONG_AMOUNT_COLUMNS 17
#define LONG_RATE_COLUMNS   11

/* --- what the parts share ------------------------------------------------------------ */

/* U+200E, U+200F, U+061C; U+202A to U+202E and U+2066 to U+2069: marks, embeddings, overrides, isolates. */
static size_t bidi_control_bytes(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    if (u[0] == 0xd8 && u[1] == 0x9c)
        return 2;
    if (u[0] != 0xe2)
        return 0;
    bool control = (u[1] == 0x80 && ((u[2] >= 0xaa && u[2] <= 0xae) || u[2] == 0x8e || u[2] == 0x8f)) ||
                   (u[1] == 0x81 && u[2] >= 0xa6 && u[2] <= 0xa9);
    return control ? 3 : 0;
}

void fill_clean(char *out, size_t cap, const char *in)
{
    text_clean(out, cap, in);
    char *o = out;
    for (const char *p = out; *p;) {
        size_t control = bidi_control_bytes(p);
        p += control;
        if (!control)
            *o++ = *p++;
    }
    while (o > out && o[-1] == ' ')
        o--;
    *o = 0;
    size_t lead = strspn(out, " ");
    memmove(out, out + lead, (size_t)(o - out) - lead + 1);
}

void fill_copy(char *out, size_t cap, const char *in)
{
    size_t n = strnlen(in, cap - 1);
    memcpy(out, in, n);
    out[n] = '\0';
}

void fill_small(char out[4], unsigned v)
{
    char *o = out;
    if (v >= 100)
        *o++ = (char)('0' + v / 100 % 10);
    if (v >= 10)
        *o++ = (char)('0' + v / 10 % 10);
    *o++ = (char)('0' + v % 10);
    *o = '\0';
}

void fill_money(const struct filling *f, int64_t minor, bool named, enum intl_sign sign, char *out)
{
    intl_money(f->intl, minor, f->m->exponent, named ? f->s->currency : "", sign, out);
}

void fill_right(char line[STATEMENT_LINE_BYTES], const char *text, size_t columns)
{
    size_t n = strlen(line);
    if (n + 2 > STATEMENT_LINE_BYTES)
        return;
    line[n++] = ' ';
    columns_right(text, columns, line + n, STATEMENT_LINE_BYTES - n);
}

void fill_line(const char *label, const char *amount, char line[STATEMENT_LINE_BYTES])
{
    columns_left(label, LABEL_COLUMNS, line, STATEMENT_LINE_BYTES / 2);
    fill_right(line, amount, AMOUNT_COLUMNS);
}

void fill_instrument(const struct filling *f, const char *name, const char *symbol, int64_t id, char *out,
                     size_t cap)
{
    char number[24];
    fill_clean(out, cap, name);
    if (!*out && symbol)
        fill_clean(out, cap, symbol);
    snprintf(number, sizeof number, "%lld", (long long)id);
    const struct word_value values[] = {{"id", number}, {NULL, NULL}};
    if (!*out)
        words_fill(out, cap, f->words->word[WORD_INSTRUMENT], values);
}

/* --- names, dates, the headline --------------------------------------------------------- */

/* A name that holds a link makes our mail carry it: such a name is not shown. */
static bool holds_link(const char *name)
{
    return strstr(name, "://") || strcasestr(name, "www.");
}

/* Mail programs make a link of "evil-bank.com/login" without any of that: a blank behind
 * each dot within a word ends it, and "J.R. Doe" reads as well as "J. R. Doe". */
static void spread_dots(char *name, size_t cap)
{
    char out[STATEMENT_NAME_BYTES];
    size_t n = 0;
    for (const char *p = name; *p && n + 2 < sizeof out; p++) {
        out[n++] = *p;
        if (*p == '.' && p > name && p[1] && p[1] != ' ' && p[1] != '.')
            out[n++] = ' ';
    }
    out[n] = '\0';
    text_clean(name, cap, out); /* cut within a character, perhaps */
}

static void fill_names(struct statement *s, const Foliopost__V1__User *u)
{
    char last[STATEMENT_NAME_BYTES];
    fill_clean(s->first_name, sizeof s->first_name, u->first_name);
    fill_clean(last, sizeof last, u->last_name);
    if (holds_link(s->first_name) || holds_link(last)) {
        s->first_name[0] = s->name[0] = 0;
        return;
    }
    spread_dots(s->first_name, sizeof s->first_name);
    spread_dots(last, sizeof last);
    char both[2 * STATEMENT_NAME_BYTES];
    bool family_first = strncmp(s->lang, "ja", 2) == 0 || strncmp(s->lang, "zh", 2) == 0 ||
                        strncmp(s->lang, "ko", 2) == 0 || strncmp(s->lang, "hu", 2) == 0;
    snprintf(both, sizeof both, "%s %s", family_first ? last : s->first_name,
             family_first ? s->first_name : last);
    fill_clean(s->name, sizeof s->name, both);
}

static void fill_dates(struct filling *f)
{
    struct statement *s = f->s;
    intl_period(f->intl, f->job->period_start_day, f->job->period_end_day, s->period);
    intl_date(f->intl, f->job->period_start_day, s->period_start);
    intl_date(f->intl, f->job->period_end_day, s->period_end);
    intl_date(f->intl, day_from_us(f->job->as_of_us), s->as_of);
    s->prices_as_of[0] = s->since[0] = 0;
    if (f->m->prices_as_of_day > 0)
        intl_date(f->intl, f->m->prices_as_of_day, s->prices_as_of);
    if (f->m->since_day > f->job->period_start_day)
        intl_date(f->intl, f->m->since_day, s->since);
    s->weekly = strcmp(f->job->kind, "weekly") == 0;
    s->monthly = strcmp(f->job->kind, "monthly") == 0;
    s->custom = !s->weekly && !s->monthly;
}

static void fill_holdings(struct filling *f)
{
    char number[INTL_BYTES];
    intl_count(f->intl, f->m->holdings, number);
    const struct word_value values[] = {{"n", number}, {NULL, NULL}};
    const char *const *forms = f->words->plural[PLURAL_HOLDINGS];
    const char *form = forms[intl_plural_of(f->intl, f->m->holdings)];
    words_fill(f->s->holdings, sizeof f->s->holdings, form ? form : forms[INTL_OTHER], values);
}

static void fill_result(struct filling *f)
{
    struct statement *s = f->s;
    const Foliopost__V1__PortfolioSummary *m = f->m;
    s->up = m->gain_minor > 0;
    s->down = m->gain_minor < 0;
    s->flat = m->gain_minor == 0;
    s->direction = f->words->word[s->up ? WORD_UP : s->down ? WORD_DOWN : WORD_UNCHANGED];
    fill_money(f, m->open_value_minor, true, INTL_MINUS, s->open_value);
    fill_money(f, m->close_value_minor, true, INTL_MINUS, s->close_value);
    fill_money(f, m->net_contributions_minor, true, INTL_SIGNED, s->contributions);
    fill_money(f, m->gain_minor, true, INTL_SIGNED, s->gain);
    fill_money(f, m->gain_minor, true, INTL_UNSIGNED, s->gain_amount);
    s->twr[0] = 0;
    s->twr_up = s->twr_down = false;
    if (m->twr_defined) {
        intl_percent(f->intl, m->twr_e8, 2, INTL_SIGNED, s->twr);
        s->twr_up = fixed_div(m->twr_e8, 10000) > 0;
        s->twr_down = fixed_div(m->twr_e8, 10000) < 0;
    }
    fill_holdings(f);
}

/* --- long figures ------------------------------------------------------------------------------ */

static bool is_long(const char *figure, size_t columns)
{
    size_t bytes = strlen(figure); /* never fewer than columns */
    return bytes > columns && columns_of_text(figure, bytes) > columns;
}

static bool rows_are_long(const struct statement_row *rows, size_t n)
{
    bool is = false;
    for (size_t i = 0; i < n; i++)
        is = is || is_long(rows[i].amount, LONG_AMOUNT_COLUMNS);
    return is;
}

static bool movers_are_long(const struct statement_movers *t)
{
    bool is = false;
    for (size_t i = 0; i < t->n_rows; i++)
        is = is || is_long(t->rows[i].gain, LONG_AMOUNT_COLUMNS) ||
             is_long(t->rows[i].share, LONG_RATE_COLUMNS);
    return is;
}

static bool shares_are_long(const struct statement_shares *t)
{
    bool is = false;
    for (size_t i = 0; i < t->n_rows; i++)
        is = is || is_long(t->rows[i].amount, LONG_AMOUNT_COLUMNS);
    return is;
}

static bool span_is_long(const struct statement_span *o)
{
    return is_long(o->twr, LONG_RATE_COLUMNS) || is_long(o->mwr, LONG_RATE_COLUMNS) ||
           is_long(o->benchmark, LONG_RATE_COLUMNS);
}

/* One answer for the whole mail: a template asks for it in each cell. */
static bool has_long_figures(const struct statement *s)
{
    bool is = rows_are_long(s->bridge, s->n_bridge) || rows_are_long(s->details, s->n_details);
    for (size_t i = 0; i < s->n_spans; i++)
        is = is || span_is_long(&s->spans[i]);
    for (size_t i = 0; i < s->n_movers; i++)
        is = is || movers_are_long(&s->movers[i]);
    for (size_t i = 0; i < s->n_allocations; i++)
        is = is || shares_are_long(&s->allocations[i]);
    return is;
}

/* --- all together ----------------------------------------------------------------------------- */

static int check_item(const struct statement_from *from, struct fp_err *err)
{
    const Foliopost__V1__SummaryItem *item = from->item;
    if (!from->job || !item->user || item->outcome_case != FOLIOPOST__V1__SUMMARY_ITEM__OUTCOME_SUMMARY ||
        !item->summary)
        return err_set(err, FP_INVALID_ARGUMENT, "no summary to render");
    const Foliopost__V1__PortfolioSummary *m = item->summary;
    if (m->exponent < 0 || m->exponent > MAX_EXPONENT || strlen(m->currency) != 3)
        return err_set(err, FP_INVALID_ARGUMENT, "currency \"%.8s\" with exponent %d cannot be printed",
                       m->currency, m->exponent);
    return 0;
}

static void fill_sender(struct statement *s, const struct statement_from *from)
{
    fill_clean(s->sender_name, sizeof s->sender_name, from->sender_name);
    fill_clean(s->postal_address, sizeof s->postal_address, from->sender->postal_address);
    s->reply_to = from->sender->reply_to;
    s->unsubscribe_url = from->extras->unsubscribe_url;
    s->test = from->extras->test;
    s->lang = catalogue_tag(from->language->messages);
    s->right_to_left = from->language->right_to_left;
    s->dir = s->right_to_left ? "rtl" : "ltr";
    s->left = s->right_to_left ? "right" : "left";
    s->right = s->right_to_left ? "left" : "right";
    s->template_name = from->job->template_name;
}

static void fill_parts(struct filling *f, unsigned parts)
{
    static const struct {
        unsigned part;
        void (*fill)(struct filling *f);
    } all[] = {
        {STATEMENT_BRIDGE, fill_bridge},
        {STATEMENT_SPANS, fill_spans},
        {STATEMENT_CHART, fill_chart},
        {STATEMENT_MOVERS, fill_movers},
        {STATEMENT_ALLOCATIONS, fill_allocations},
        {STATEMENT_REMARKS, fill_remarks},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (parts & all[i].part)
            all[i].fill(f);
    if ((parts & STATEMENT_FIGURES) == STATEMENT_FIGURES)
        f->s->long_figures = has_long_figures(f->s);
}

int statement_fill(struct statement *s, const struct statement_from *from, struct fp_err *err)
{
    if (check_item(from, err) != 0)
        return -1;
    struct filling f = {s, &from->language->words, from->intl, from->job, from->item->summary};
    fill_sender(s, from);
    fill_clean(s->currency, sizeof s->currency, f.m->currency);
    fill_names(s, from->item->user);
    fill_dates(&f);
    fill_result(&f);
    fill_parts(&f, from->parts);
    return 0;
}
