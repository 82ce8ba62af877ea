/*
 * From a summary to the view that templates see.
 *
 * Templates have no logic, so everything is decided here: signs, words, bar
 * widths, which tables there are. All texts are formatted at once into one
 * flat struct, some 60 short strings, because a mail shows nearly all of them;
 * view.c then says where each name lies.
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
#include "lib/render/words.h"

#define LABEL_COLUMNS  44 /* of the text part: with a blank between, 72 in all */
#define AMOUNT_COLUMNS 27
#define MOVER_COLUMNS  42
#define GAIN_COLUMNS   18
#define SHARE_COLUMNS  10

#define MAX_EXPONENT 4 /* CLF has four decimals, no currency more */

/* U+202A to U+202E and U+2066 to U+2069: embeddings, overrides, isolates. */
static bool is_bidi_control(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    if (u[0] != 0xe2)
        return false;
    return (u[1] == 0x80 && u[2] >= 0xaa && u[2] <= 0xae) || (u[1] == 0x81 && u[2] >= 0xa6 && u[2] <= 0xa9);
}

static void clean(char *out, size_t cap, const char *in)
{
    text_clean(out, cap, in);
    char *o = out;
    for (const char *p = out; *p;) {
        if (is_bidi_control(p)) {
            p += 3;
            continue;
        }
        *o++ = *p++;
    }
    while (o > out && o[-1] == ' ')
        o--;
    *o = 0;
    size_t lead = strspn(out, " ");
    memmove(out, out + lead, (size_t)(o - out) - lead + 1);
}

/* A name that holds a link makes our mail carry it: such a name is not shown. */
static bool holds_link(const char *name)
{
    return strstr(name, "://") || strcasestr(name, "www.");
}

static void fill_names(struct statement *s, const Foliopost__V1__User *u)
{
    char last[STATEMENT_NAME_BYTES];
    clean(s->first_name, sizeof s->first_name, u->first_name);
    clean(last, sizeof last, u->last_name);
    if (holds_link(s->first_name) || holds_link(last)) {
        s->first_name[0] = s->name[0] = 0;
        return;
    }
    char both[2 * STATEMENT_NAME_BYTES];
    snprintf(both, sizeof both, "%s %s", s->first_name, last);
    clean(s->name, sizeof s->name, both);
}

static const char *kind_word(const char *kind)
{
    return strcmp(kind, "weekly") == 0 || strcmp(kind, "monthly") == 0 ? kind : "";
}

static void fill_dates(struct statement *s, const Foliopost__V1__JobContext *job,
                       const Foliopost__V1__PortfolioSummary *m)
{
    format_period(job->period_start_day, job->period_end_day, s->period);
    format_date(job->period_start_day, s->period_start);
    format_date(job->period_end_day, s->period_end);
    format_date(day_from_us(job->as_of_us), s->as_of);
    s->prices_as_of[0] = s->since[0] = 0;
    if (m->prices_as_of_day > 0)
        format_date(m->prices_as_of_day, s->prices_as_of);
    if (m->since_day > job->period_start_day)
        format_date(m->since_day, s->since);
}

static void fill_result(struct statement *s, const Foliopost__V1__PortfolioSummary *m)
{
    s->up = m->gain_minor > 0;
    s->down = m->gain_minor < 0;
    s->flat = m->gain_minor == 0;
    s->direction = s->up ? WORD_UP : s->down ? WORD_DOWN : WORD_UNCHANGED;
    format_money(m->open_value_minor, m->exponent, s->currency, FORMAT_MINUS, s->open_value);
    format_money(m->close_value_minor, m->exponent, s->currency, FORMAT_MINUS, s->close_value);
    format_money(m->net_contributions_minor, m->exponent, s->currency, FORMAT_SIGNED, s->contributions);
    format_money(m->gain_minor, m->exponent, s->currency, FORMAT_SIGNED, s->gain);
    format_money(m->gain_minor, m->exponent, s->currency, FORMAT_UNSIGNED, s->gain_amount);
    s->twr[0] = 0;
    s->twr_up = s->twr_down = false;
    if (m->twr_defined) {
        format_percent(m->twr_e8, FORMAT_SIGNED, s->twr);
        s->twr_up = s->twr[0] == '+';
        s->twr_down = s->twr[0] == '-';
    }
    snprintf(s->holdings, sizeof s->holdings, "%d %s", m->holdings,
             m->holdings == 1 ? WORD_HOLDING : WORD_HOLDINGS);
}

static void fill_row(struct statement_row *row, const char *label, int64_t minor,
                     const Foliopost__V1__PortfolioSummary *m, bool total)
{
    char left[STATEMENT_LINE_BYTES / 2], right[STATEMENT_LINE_BYTES / 2];
    snprintf(row->label, sizeof row->label, "%s", label);
    format_money(minor, m->exponent, "", total ? FORMAT_MINUS : FORMAT_SIGNED, row->amount);
    format_left(row->label, LABEL_COLUMNS, left, sizeof left);
    format_right(row->amount, AMOUNT_COLUMNS, right, sizeof right);
    snprintf(row->line, sizeof row->line, "%s %s", left, right);
    row->total = total;
    row->up = !total && minor > 0;
    row->down = !total && minor < 0;
}

static void fill_bridge(struct statement *s, const Foliopost__V1__JobContext *job,
                        const Foliopost__V1__PortfolioSummary *m)
{
    char date[FORMAT_BYTES], label[sizeof WORD_VALUE_ON + FORMAT_BYTES];
    format_date((int32_t)((int64_t)job->period_start_day - 1), date);
    snprintf(label, sizeof label, "%s%s", WORD_VALUE_ON, date);
    fill_row(&s->bridge[0], label, m->open_value_minor, m, true);
    fill_row(&s->bridge[1], WORD_CONTRIBUTIONS, m->net_contributions_minor, m, false);
    s->bridge[1].up = s->bridge[1].down = false; /* money paid in is no success, paid out no failure */
    fill_row(&s->bridge[2], WORD_GAIN, m->gain_minor, m, false);
    snprintf(label, sizeof label, "%s%s", WORD_VALUE_ON, s->period_end);
    fill_row(&s->bridge[3], label, m->close_value_minor, m, true);
    s->n_bridge = 4;
}

/* What the gain holds of, where there is any: income adds, costs take. */
static void fill_details(struct statement *s, const Foliopost__V1__PortfolioSummary *m)
{
    s->n_details = 0;
    if (m->income_minor)
        fill_row(&s->details[s->n_details++], WORD_INCOME, m->income_minor, m, false);
    if (m->fees_minor)
        fill_row(&s->details[s->n_details++], WORD_FEES, m->fees_minor > 0 ? -m->fees_minor : m->fees_minor,
                 m, false);
    if (m->taxes_minor)
        fill_row(&s->details[s->n_details++], WORD_TAXES,
                 m->taxes_minor > 0 ? -m->taxes_minor : m->taxes_minor, m, false);
}

/* What a bar shows: the share of the return, or the amount where there is no return. */
static uint64_t bar_weight(const Foliopost__V1__Mover *m, bool by_share)
{
    int64_t v = by_share ? m->contribution_e8 : m->gain_minor;
    return v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
}

static void fill_mover(struct statement_mover *row, const Foliopost__V1__Mover *m,
                       const Foliopost__V1__PortfolioSummary *sum, uint64_t widest)
{
    char left[STATEMENT_LINE_BYTES / 2], gain[FORMAT_BYTES], share[FORMAT_BYTES],
        label[STATEMENT_NAME_BYTES + 72];
    clean(row->name, sizeof row->name, m->name);
    clean(row->symbol, sizeof row->symbol, m->symbol);
    if (!*row->name)
        snprintf(row->name, sizeof row->name, WORD_INSTRUMENT " %lld", (long long)m->instrument_id);
    row->up = m->gain_minor > 0;
    row->down = m->gain_minor < 0;
    format_money(m->gain_minor, sum->exponent, "", FORMAT_SIGNED, row->gain);
    row->share[0] = 0;
    if (sum->twr_defined)
        format_percent(m->contribution_e8, FORMAT_SIGNED, row->share);

    unsigned bar = 1; /* what is there at all is to be seen */
    if (widest > 0)
        bar += (unsigned)((fp_i128)bar_weight(m, sum->twr_defined) * 98 / widest);
    snprintf(row->bar, sizeof row->bar, "%u", bar);
    snprintf(row->rest, sizeof row->rest, "%u", 100 - bar);

    snprintf(label, sizeof label, *row->symbol ? "%s (%s)" : "%s", row->name, row->symbol);
    format_left(label, MOVER_COLUMNS, left, sizeof left);
    format_right(row->gain, GAIN_COLUMNS, gain, sizeof gain);
    format_right(row->share, sum->twr_defined ? SHARE_COLUMNS : 0, share, sizeof share);
    snprintf(row->line, sizeof row->line, "%s %s%s%s", left, gain, *share ? " " : "", share);
}

static void fill_table(struct statement *s, const char *title, Foliopost__V1__Mover **movers, size_t n,
                       const Foliopost__V1__PortfolioSummary *sum, uint64_t widest)
{
    if (n == 0)
        return;
    struct statement_table *t = &s->movers[s->n_movers++];
    t->title = title;
    t->n_rows = n < STATEMENT_MAX_MOVERS ? n : STATEMENT_MAX_MOVERS;
    for (size_t i = 0; i < t->n_rows; i++)
        fill_mover(&t->rows[i], movers[i], sum, widest);
}

static uint64_t widest_of(Foliopost__V1__Mover **movers, size_t n, bool by_share, uint64_t widest)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t w = bar_weight(movers[i], by_share);
        widest = w > widest ? w : widest;
    }
    return widest;
}

static void fill_movers(struct statement *s, const Foliopost__V1__PortfolioSummary *m)
{
    uint64_t widest = widest_of(m->top, m->n_top, m->twr_defined, 0);
    widest = widest_of(m->bottom, m->n_bottom, m->twr_defined, widest);
    s->has_shares = m->twr_defined;
    s->n_movers = 0;
    fill_table(s, WORD_TOP, m->top, m->n_top, m, widest);
    fill_table(s, WORD_BOTTOM, m->bottom, m->n_bottom, m, widest);
}

static const char *remark(int flag)
{
    switch (flag) {
    case FOLIOPOST__V1__SUMMARY_FLAG__SUMMARY_FLAG_STALE_PRICE:
        return REMARK_STALE_PRICE;
    case FOLIOPOST__V1__SUMMARY_FLAG__SUMMARY_FLAG_PRICE_AFTER:
        return REMARK_PRICE_AFTER;
    case FOLIOPOST__V1__SUMMARY_FLAG__SUMMARY_FLAG_NOT_PRICED:
        return REMARK_NOT_PRICED;
    case FOLIOPOST__V1__SUMMARY_FLAG__SUMMARY_FLAG_NO_CAPITAL:
        return REMARK_NO_CAPITAL;
    case FOLIOPOST__V1__SUMMARY_FLAG__SUMMARY_FLAG_NEGATIVE_VALUE:
        return REMARK_NEGATIVE_VALUE;
    case FOLIOPOST__V1__SUMMARY_FLAG__SUMMARY_FLAG_OPENED_IN_PERIOD:
        return REMARK_OPENED;
    case FOLIOPOST__V1__SUMMARY_FLAG__SUMMARY_FLAG_SUSPECT_DAY:
        return REMARK_SUSPECT_DAY;
    default:
        return NULL;
    }
}

static void fill_remarks(struct statement *s, const Foliopost__V1__PortfolioSummary *m)
{
    s->n_remarks = 0;
    for (size_t i = 0; i < m->n_flags && s->n_remarks < STATEMENT_MAX_FLAGS; i++) {
        const char *text = remark((int)m->flags[i]);
        bool said = false;
        for (size_t k = 0; k < s->n_remarks; k++)
            said = said || s->remarks[k] == text;
        if (text && !said)
            s->remarks[s->n_remarks++] = text;
    }
}

static int check_item(const Foliopost__V1__JobContext *job, const Foliopost__V1__SummaryItem *item,
                      struct fp_err *err)
{
    if (!job || !item->user || item->outcome_case != FOLIOPOST__V1__SUMMARY_ITEM__OUTCOME_SUMMARY ||
        !item->summary)
        return err_set(err, FP_INVALID_ARGUMENT, "user %lld has no summary to render",
                       (long long)(item->user ? item->user->id : 0));
    const Foliopost__V1__PortfolioSummary *m = item->summary;
    if (m->exponent < 0 || m->exponent > MAX_EXPONENT || strlen(m->currency) != 3)
        return err_set(err, FP_INVALID_ARGUMENT,
                       "user %lld: currency \"%.8s\" with exponent %d cannot be printed",
                       (long long)item->user->id, m->currency, m->exponent);
    return 0;
}

int statement_fill(struct statement *s, const struct render_sender *sender, const char *sender_name,
                   const Foliopost__V1__JobContext *job, const Foliopost__V1__SummaryItem *item,
                   struct fp_err *err)
{
    if (check_item(job, item, err) != 0)
        return -1;
    const Foliopost__V1__PortfolioSummary *m = item->summary;
    clean(s->sender_name, sizeof s->sender_name, sender_name);
    clean(s->postal_address, sizeof s->postal_address, sender->postal_address);
    s->reply_to = sender->reply_to;
    s->kind = kind_word(job->kind);
    clean(s->currency, sizeof s->currency, m->currency);
    fill_names(s, item->user);
    fill_dates(s, job, m);
    fill_result(s, m);
    fill_bridge(s, job, m);
    fill_details(s, m);
    fill_movers(s, m);
    fill_remarks(s, m);
    s->has_details = s->n_details > 0;
    s->has_remarks = s->n_remarks > 0;
    return 0;
}
