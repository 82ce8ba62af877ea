/* Bare numbers: what formulas.c, lists.c and lots.c have for each other and for the rest. */
#ifndef FP_TOOLS_VECTORS_FORMULAS_H
#define FP_TOOLS_VECTORS_FORMULAS_H

#include "lib/base/fixed.h"
#include "lib/performance/returns.h"
#include "tests/tools/vectors/vectors.h"

/* [{date|day, amount}] times sign, with room for two more; freed by the caller. */
struct returns_flow *flows_of(const json_t *list, double sign, size_t *n);
/* Days of the case's year (act/360, act/365.25), and a rate of 365 days as one of such a year. */
double days_of_year(const struct vcase *c);
double rate_of_year(const struct vcase *c, double annual_365);
/* By the calendar of Portfolio Performance: Monday to Friday, without New Year,
 * Good Friday, Easter Monday, 1 May and 24 to 26 December. */
bool is_trading_day(int32_t day);
fp_i128 formulas_e8(double v);

/* derived.c: 1 where the name is of a fall's peak day, 2 of its trough; 0: neither. */
int day_of_fall(const char *name);
void compare_day(struct vcase *c, const char *name, const json_t *want, int32_t day);
/* Gain for each unit that was there or put in; NAN without any. */
double simple_return(double open, double close, double net);

/* lists.c and lots.c: false when the figure is not theirs. */
bool list_figure(struct vcase *c, const char *name, const json_t *want);
bool lots_figure(struct vcase *c, const char *name, const json_t *want);

#endif
