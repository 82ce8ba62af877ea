/*
 * Numbers of providers.
 *
 * A sequence would lose a number with each mailer that starts, and they are
 * smallints: the next free one is taken instead. Two mailers that take the same
 * at once meet at the key; the one that got none asks again.
 */
#include "lib/ledger/providers.h"

#include "lib/ledger/ledger_internal.h"

#define TRIES 10 /* mailers that bring new names at the same moment */

/* clang-format off */
static const char number_sql[] =
    "WITH found AS (SELECT no FROM foliopost.providers WHERE name = $1::text),"
    " made AS ("
    "  INSERT INTO foliopost.providers (no, name)"
    "  SELECT (SELECT coalesce(max(no), 0) + 1 FROM foliopost.providers), $1::text"
    "  WHERE NOT EXISTS (SELECT FROM found)"
    "  ON CONFLICT DO NOTHING RETURNING no)"
    " SELECT no FROM found UNION ALL SELECT no FROM made";
static const char names_sql[] =
    "SELECT coalesce((SELECT no FROM foliopost.providers WHERE name = $1::text), 0),"
    "  coalesce((SELECT string_agg(name, ', ') FROM"
    "   (SELECT name FROM foliopost.providers ORDER BY name LIMIT 10) n), 'none')";
/* clang-format on */

static int number(struct fp_ledger *l, const char *name, int16_t *no, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_text(&a, name);
    if (ledger_step(l, "provider_number", number_sql, &a, &rows, err) != 0)
        return -1;
    *no = pg_rows_count(rows) > 0 ? (int16_t)pg_i64(rows, 0, 0) : 0;
    pg_rows_free(rows);
    return 0;
}

int ledger_provider_number(struct fp_ledger *l, const char *name, int16_t *no, struct fp_err *err)
{
    *no = 0;
    for (int i = 0; i < TRIES && *no == 0; i++)
        if (number(l, name, no, err) != 0)
            return -1;
    return *no > 0 ? 0 : err_set(err, FP_ABORTED, "provider %s: got no number of %d tries", name, TRIES);
}

int ledger_provider_find(struct fp_ledger *l, const char *name, int16_t *no, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    char known[400];
    pg_args_init(&a);
    pg_arg_text(&a, name);
    if (ledger_step(l, "provider_find", names_sql, &a, &rows, err) != 0)
        return -1;
    *no = (int16_t)pg_i64(rows, 0, 0);
    ledger_text(known, sizeof known, rows, 0, 1);
    pg_rows_free(rows);
    return *no > 0 ? 0
                   : err_set(err, FP_NOT_FOUND, "no mailer ever had a provider \"%s\"; those known: %s", name,
                             known);
}
