/* foliopost fleet: the processes that live, and what they have in hand. */
#include <inttypes.h>

#include "cli/cli.h"
#include "cli/format.h"

static void print_fleet(const Foliopost__V1__GetFleetResponse *r)
{
    static const char *const headings[] = {"SERVICE", "ADDRESS",  "VERSION", "STARTED",
                                           "HEARD",   ">BATCHES", ">SLOTS",  "NOTE"};
    struct table *t = table_new(headings, 8);
    char cell[FORMAT_CAP];
    for (size_t i = 0; i < r->n_instances; i++) {
        const Foliopost__V1__Instance *m = r->instances[i];
        snprintf(cell, sizeof cell, "%s%s", m->service, m->leads ? " (leads)" : "");
        table_add(t, cell);
        table_add(t, m->address);
        table_add(t, m->version);
        table_add(t, format_time(m->started_us, cell));
        table_add(t, format_time(m->heard_us, cell)); /* each renews its lease every few seconds */
        table_add(t, format_count(m->batches, cell));
        table_add(t, format_count(m->slots, cell));
        table_add(t, m->note);
    }
    table_print(t, stdout);
    table_free(t);
}

static enum cli_exit run(struct cli *c, void *values, char **args, int n_args)
{
    Foliopost__V1__GetFleetRequest q = FOLIOPOST__V1__GET_FLEET_REQUEST__INIT;
    struct fp_err err;
    (void)values;
    (void)args;
    (void)n_args;
    const Foliopost__V1__GetFleetResponse *r =
        cli_call(c, "GetFleet", &q.base, &foliopost__v1__get_fleet_response__descriptor, &err);
    if (r == NULL)
        return cli_fail(&err);
    if (cli_json(c))
        cli_print_json(&r->base, false);
    else
        print_fleet(r);
    return CLI_OK;
}

const struct cli_command cli_fleet = {
    .name = "fleet",
    .arguments = "",
    .summary = "Lists the processes that live, and what they have in hand",
    .details = "  foliopost fleet\n",
    .run = run,
};
