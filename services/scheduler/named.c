/*
 * A row of provider_rates stays when its provider leaves the mailers' files. So
 * this refuses what was never there, a mistyped name; what is gone since pauses
 * the job at its first batch (services/mailer/letter.c).
 */
#include "services/scheduler/named.h"

#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/ledger/rates.h"

#define MAX_ROWS 1000

static bool is_provider(const struct ledger_rate *r)
{
    return strncmp(r->provider, RATE_DOMAIN, strlen(RATE_DOMAIN)) != 0;
}

static int judge(const struct ledger_rate *rates, int n, const char *field, const char *provider,
                 struct fp_err *err)
{
    struct fp_str names;
    int n_providers = 0;

    for (int i = 0; i < n; i++)
        if (strcmp(rates[i].provider, provider) == 0)
            return 0;
    str_init(&names, 300);
    for (int i = 0; i < n; i++)
        if (is_provider(&rates[i]))
            str_printf(&names, "%s%s", n_providers++ ? ", " : "", rates[i].provider);
    int failed = n_providers == 0
                     ? 0
                     : err_set(err, FP_INVALID_ARGUMENT, "%s: the mailers have no provider %s; they have: %s",
                               field, provider, names.overflow ? "others" : names.data);
    str_fini(&names);
    return failed;
}

int named_check(struct fp_ledger *l, const char *field, const char *provider, struct fp_err *err)
{
    if (!provider || !provider[0])
        return 0;
    struct ledger_rate *rates = mem_array(MAX_ROWS, sizeof *rates);
    int n = ledger_rates(l, rates, MAX_ROWS, err);
    int failed = n < 0 ? -1 : judge(rates, n, field, provider, err);
    mem_free(rates);
    return failed;
}
