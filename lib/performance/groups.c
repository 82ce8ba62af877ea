/*
 * The closing value by asset class and by currency.
 *
 * Groups are summed unrounded; printed, the largest takes what rounding left,
 * so that each list adds up to the closing value. Percentages are of what is
 * positive, by largest remainder; an overdraft or a short position stands for
 * itself, without one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/performance/internal.h"

#define MAX_GROUPS 64 /* before the smallest are put together */
#define CASH       "cash"
#define OTHER      "other"

struct group {
    char label[PERF_CLASS_BYTES];
    fp_i128 value_e8;
};
struct groups {
    struct group list[MAX_GROUPS];
    int n;
};

static void add(struct groups *g, const char *label, fp_i128 value_e8)
{
    int i = 0;

    if (!value_e8)
        return;
    while (i < g->n && strncmp(g->list[i].label, label, PERF_CLASS_BYTES - 1) != 0)
        i++;
    if (i == MAX_GROUPS) { /* the last one is everybody's */
        i = MAX_GROUPS - 1;
        snprintf(g->list[i].label, sizeof g->list[i].label, "%s", OTHER);
    }
    if (i == g->n) {
        snprintf(g->list[i].label, sizeof g->list[i].label, "%s", label);
        g->list[i].value_e8 = 0;
        g->n++;
    }
    g->list[i].value_e8 += value_e8;
}

/* Largest first; equals by label, so that the order of holdings does not matter. */
static int by_value(const void *a, const void *b)
{
    const struct group *x = a, *y = b;

    if (x->value_e8 != y->value_e8)
        return x->value_e8 > y->value_e8 ? -1 : 1;
    return strcmp(x->label, y->label);
}

/* Where the smallest of the first n becomes part of "other": in what has that name already, or in its
 * neighbour, which gets it. */
static int other_of(struct groups *g, int n)
{
    for (int i = 0; i < n - 1; i++)
        if (strcmp(g->list[i].label, OTHER) == 0)
            return i;
    snprintf(g->list[n - 2].label, sizeof g->list[n - 2].label, "%s", OTHER);
    return n - 2;
}

/* In order of value. The smallest positive ones beyond the table's end become "other"; what is negative
 * stands for itself, as long as there is room for it. */
static void merge_small(struct groups *g)
{
    while (g->n > PERF_GROUPS) {
        int n = g->n, into;

        while (n > 0 && g->list[n - 1].value_e8 < 0)
            n--;
        n = n < 2 ? g->n : n;
        into = other_of(g, n);
        g->list[into].value_e8 += g->list[n - 1].value_e8;
        memmove(&g->list[n - 1], &g->list[n], (size_t)(g->n - n) * sizeof g->list[0]);
        g->n--;
    }
    qsort(g->list, (size_t)g->n, sizeof g->list[0], by_value);
}

static bool put(struct fp_performance *p, struct groups *g, int64_t close_minor, struct perf_group *out,
                int *n)
{
    int64_t values[PERF_GROUPS] = {0};
    int32_t percents[PERF_GROUPS] = {0};
    int64_t rest = close_minor;

    qsort(g->list, (size_t)g->n, sizeof g->list[0], by_value);
    merge_small(g);
    for (int i = 0; i < g->n; i++) {
        if (!perf_to_minor(p, g->list[i].value_e8, &values[i]))
            return false;
        rest = (int64_t)((uint64_t)rest - (uint64_t)values[i]);
    }
    if (g->n > 0 && rest >= -MAX_GROUPS && rest <= MAX_GROUPS) /* half a unit for each group, no more */
        values[0] += rest;
    returns_shares(values, (size_t)g->n, percents);
    *n = g->n;
    for (int i = 0; i < g->n; i++) {
        memcpy(out[i].label, g->list[i].label, sizeof out[i].label);
        out[i].value_minor = values[i];
        out[i].percent_e2 = percents[i];
        out[i].negative = values[i] < 0;
    }
    return true;
}

bool perf_groups(struct fp_performance *p, struct perf_summary *s)
{
    struct groups classes = {.n = 0}, currencies = {.n = 0};
    char code[4];

    for (size_t i = 0; i < p->n_holdings; i++) {
        const struct perf_holding *h = &p->holdings[i];

        perf_currency_text(p->cash[h->cash].currency, code);
        add(&classes, h->data->asset_class[0] ? h->data->asset_class : OTHER, h->value_e8);
        add(&currencies, code, h->value_e8);
    }
    for (int i = 0; i < p->n_cash; i++) {
        perf_currency_text(p->cash[i].currency, code);
        add(&classes, CASH, p->cash[i].value_e8);
        add(&currencies, code, p->cash[i].value_e8);
    }
    return put(p, &classes, s->close_value_minor, s->by_class, &s->n_by_class) &&
           put(p, &currencies, s->close_value_minor, s->by_currency, &s->n_by_currency);
}
