/* foliopost rates, foliopost rate: the providers' rates, and an operator's limit. */
#include <inttypes.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/format.h"
#include "lib/base/text.h"

static const char *per_second(double rate, char out[FORMAT_CAP])
{
    if (rate > 0)
        snprintf(out, FORMAT_CAP, "%g/s", rate);
    else
        snprintf(out, FORMAT_CAP, "no limit");
    return out;
}

static const char *quota(const Foliopost__V1__ProviderRate *r, char out[FORMAT_CAP])
{
    if (r->daily_quota > 0)
        snprintf(out, FORMAT_CAP, "%.0f of %.0f", r->used_today, r->daily_quota);
    else
        snprintf(out, FORMAT_CAP, "-");
    return out;
}

static void print_rates(Foliopost__V1__ProviderRate *const *rates, size_t n)
{
    static const char *const headings[] = {"PROVIDER",    ">NOW",       ">LIMIT",        "SET BY",
                                           ">CONFIGURED", "USED TODAY", "LOWERED UNTIL", "FAULT"};
    struct table *t = table_new(headings, 8);
    char cell[FORMAT_CAP];
    for (size_t i = 0; i < n; i++) {
        const Foliopost__V1__ProviderRate *r = rates[i];
        table_add(t, r->provider);
        table_add(t, per_second(r->per_second, cell));
        table_add(t, per_second(r->limit_per_second, cell));
        table_add(t, r->by_operator ? "operator" : "settings");
        table_add(t, per_second(r->configured_per_second, cell));
        table_add(t, quota(r, cell));
        table_add(t, format_time(r->lowered_until_us, cell));
        table_add(t, r->fault);
    }
    table_print(t, stdout);
    table_free(t);
}

static enum cli_exit run_list(struct cli *c, void *values, char **args, int n_args)
{
    Foliopost__V1__ListRatesRequest q = FOLIOPOST__V1__LIST_RATES_REQUEST__INIT;
    struct fp_err err;
    (void)values;
    (void)args;
    (void)n_args;
    const Foliopost__V1__ListRatesResponse *r =
        cli_call(c, "ListRates", &q.base, &foliopost__v1__list_rates_response__descriptor, &err);
    if (r == NULL)
        return cli_fail(&err);
    if (cli_json(c))
        cli_print_json(&r->base, false);
    else
        print_rates(r->rates, r->n_rates);
    return CLI_OK;
}

const struct cli_command cli_rates = {
    .name = "rates",
    .arguments = "",
    .summary = "Lists the rates of providers and domains, and who set them",
    .details = "  foliopost rates\n",
    .run = run_list,
};

struct values {
    char *provider;
    int64_t job;
};

#define AT(field) offsetof(struct values, field)

static const struct config_setting rows[] = {
    {"provider", CONFIG_STRING, NULL, "", 0, 95, NULL,
     "as the mailers name it, or domain:NAME; empty: the only provider", AT(provider)},
    {"job", CONFIG_INT, NULL, "0", 0, 9e15, NULL, "instead of a provider's: the rate of this job alone",
     AT(job)},
};

static int parse_rate(const char *text, Foliopost__V1__SetRateRequest *q, struct fp_err *err)
{
    if (strcmp(text, "reset") == 0)
        q->reset = true;
    else if (strcmp(text, "unlimited") != 0 &&
             (!text_parse_double(text, &q->per_second) || q->per_second <= 0))
        return err_set(err, FP_INVALID_ARGUMENT,
                       "\"%s\" is neither mails a second, as 250, nor unlimited, nor reset", text);
    return 0;
}

static enum cli_exit run_set(struct cli *c, void *values, char **args, int n_args)
{
    Foliopost__V1__SetRateRequest q = FOLIOPOST__V1__SET_RATE_REQUEST__INIT;
    struct fp_err err;
    (void)n_args;
    q.provider = ((const struct values *)values)->provider;
    q.job_id = ((const struct values *)values)->job;
    if (parse_rate(args[0], &q, &err) != 0)
        return cli_fail(&err);
    const Foliopost__V1__ProviderRate *r =
        cli_call(c, "SetRate", &q.base, &foliopost__v1__provider_rate__descriptor, &err);
    if (r == NULL)
        return cli_fail(&err);
    if (cli_json(c))
        cli_print_json(&r->base, false);
    else
        print_rates((Foliopost__V1__ProviderRate *const[]){(Foliopost__V1__ProviderRate *)r}, 1);
    return CLI_OK;
}

const struct cli_command cli_rate = {
    .name = "rate",
    .arguments = "MAILS_A_SECOND|unlimited|reset",
    .summary = "Sets a provider's or a job's rate, now and after restarts",
    .details = "  foliopost rate 250\n"
               "  foliopost rate 20 --provider domain:gmail.com\n"
               "  foliopost rate 10 --job 12  beneath the providers' rates; unlimited: none of its own\n"
               "  foliopost rate reset        as the mailers are configured\n",
    .rows = rows,
    .n_rows = sizeof rows / sizeof rows[0],
    .values_bytes = sizeof(struct values),
    .min_args = 1,
    .max_args = 1,
    .run = run_set,
};
