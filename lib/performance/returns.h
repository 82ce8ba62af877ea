/*
 * Formulas on numbers, without portfolio or calendar: money-weighted and
 * time-weighted rates, risk, shares of a whole. Pure functions; nothing is kept.
 *
 * Only + - * / and sqrt are used, which IEEE 754 rounds the same way on every
 * machine; powers are products, so that the same input gives the same bytes.
 * No function returns a figure that is not finite: it is undefined then.
 */
#ifndef FP_PERFORMANCE_RETURNS_H
#define FP_PERFORMANCE_RETURNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RETURNS_YEAR_DAYS    365 /* act/365F: Excel, Portfolio Performance, pyxirr */
#define RETURNS_TRADING_DAYS 252 /* a year, for annualised volatility */
#define RETURNS_MIN_SAMPLE   20  /* daily returns; below it a volatility says nothing */

/* --- money-weighted ---------------------------------------------------------- */

struct returns_flow {
    int32_t day;
    double amount; /* as the investor's purse sees it: negative when he pays in */
};

struct returns_mwr {
    bool defined;
    bool several;  /* more than one rate solves it; the one nearest +10 % a year is given */
    double annual; /* (1 + annual)^(days / 365) = 1 + period */
    double period; /* days: from the first day whose flows are not zero to the last such day */
};

/* Internal rate of return of dated flows in any order (XIRR): r with
 * sum of amount / (1 + r)^((day - first) / 365) = 0. Undefined when all flows
 * are of one sign or one day, when no rate solves it, and when the rate of a
 * year is beyond a double (a day with +1000 %). A total loss (the last flow
 * given is exactly 0, all others are payments in) is -1. O(n log n); up to 512
 * flows nothing is allocated. */
struct returns_mwr returns_xirr(const struct returns_flow *flows, size_t n);
/* The same for flows that are in order of their days; allocates nothing. Some
 * five passes over the flows in the usual case, hundreds where several rates
 * could solve it. Undefined when a day is before the one in front of it. */
struct returns_mwr returns_xirr_sorted(const struct returns_flow *flows, size_t n);

/* --- time-weighted ------------------------------------------------------------- */

/* A flow into (positive) or out of the portfolio, on day 1..days of the
 * sub-period; inflows work from the start of their day, outflows to its end. */
struct returns_dietz_flow {
    int32_t day;
    double amount;
    bool end_of_day; /* as GIPS has it: weight (days - day) / days also for an inflow */
};

/* Modified Dietz: (close - open - sum F) / (open + sum w F). False when the
 * average capital is not above zero. *average may be NULL. */
bool returns_dietz(double open, double close, int32_t days, const struct returns_dietz_flow *flows, size_t n,
                   double *rate, double *average);

/* (1 + rate)^(365 / days) - 1. False for a rate below -1 or days < 1. Whether it
 * may be printed (GIPS: not below one year) is the caller's to decide. */
bool returns_annualise(double rate, int32_t days, double *annual);
/* (1 + annual)^(days / 365) - 1. */
bool returns_for_days(double annual, int32_t days, double *rate);

/* --- risk ---------------------------------------------------------------------- */

/* Running sample of daily returns (Welford); all zero at first. */
struct returns_sample {
    int32_t n;
    double mean, m2;
};
void returns_sample_add(struct returns_sample *s, double r);
/* Sample standard deviation (n - 1) x sqrt(252). False below RETURNS_MIN_SAMPLE. */
bool returns_volatility(const struct returns_sample *s, double *annual);

/* Running maximum drawdown of a wealth index. Begin with
 * {.peak = 1.0, .peak_day = the day before the first}. */
struct returns_drawdown {
    double peak;
    int32_t peak_day;
    double max;                           /* (peak - wealth) / peak, 0 at first */
    int32_t max_peak_day, max_trough_day; /* of max */
};
void returns_drawdown_add(struct returns_drawdown *d, int32_t day, double wealth);

/* As Portfolio Performance has them, for comparison: of n simple returns, log
 * returns' sample variance times n (not annualised); deviations below the
 * mean only. False below two returns or at a total loss. */
bool returns_volatility_of_period(const double *r, size_t n, double *volatility, double *semi);

/* --- shares of a whole ---------------------------------------------------------- */

/* Hundredths of a percent of each positive value, by largest remainder, so that
 * they add up to exactly 10000; what is not positive gets 0. All 0 when nothing
 * is positive. Ties go to the earlier one. */
void returns_shares(const int64_t *values, size_t n, int32_t *percent_e2);

#endif
