/*
 * What a rollout must have ended for.
 *
 * Services of the version before go on while the new ones come, each with what it
 * knows. Most of what a migration adds they carry on unaware of and well. Some
 * jobs they would carry out wrongly: so nobody is let into these (no page is
 * granted, no retry made) while a live process is too old, and the job says
 * which. A process tells with its lease what its program knows (migration 0021);
 * one that tells nothing is older than that. It cannot come later: a program older
 * than the schema does not start. A dry run's batch is refused to such a mailer by
 * the ledger besides, should it have been away just then.
 *
 * A job's own rate is not here: with an old userstream it is only faster.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "services/scheduler/leader.h"

enum { MAILER, USERSTREAM };
static const char *const services[LEADER_OLDEST] = {"mailer", "userstream"};

static bool is_dry_run(const struct ledger_job *j)
{
    return j->dry_run;
}

static bool has_share(const struct ledger_job *j)
{
    return j->share_ppm > 0;
}

static const struct {
    bool (*is_such)(const struct ledger_job *j);
    int service, schema_version;
    const char *what;
} needs[] = {
    {is_dry_run, MAILER, 17, "a dry run"},
    {has_share, USERSTREAM, 14, "a job for a share"},
};

void rollout_look(struct leader *l, const struct ledger_instance *live, int n)
{
    for (int s = 0; s < LEADER_OLDEST; s++)
        l->oldest[s] = (struct leader_oldest){.schema_version = INT_MAX};
    for (int i = 0; i < n; i++)
        for (int s = 0; s < LEADER_OLDEST; s++) {
            struct leader_oldest *o = &l->oldest[s];
            if (strcmp(live[i].service, services[s]) != 0 || live[i].schema_version >= o->schema_version)
                continue;
            o->schema_version = live[i].schema_version;
            snprintf(o->address, sizeof o->address, "%.40s", live[i].address);
            snprintf(o->version, sizeof o->version, "%s", live[i].version);
        }
}

bool rollout_holds(const struct leader *l, const struct ledger_job *j, char out[160])
{
    for (size_t i = 0; i < sizeof needs / sizeof needs[0]; i++) {
        const struct leader_oldest *o = &l->oldest[needs[i].service];
        if (!needs[i].is_such(j) || o->schema_version >= needs[i].schema_version)
            continue;
        snprintf(out, 160, "%s waits for the end of the rollout: %s %s (version %s) does not know such jobs",
                 needs[i].what, services[needs[i].service], o->address, o->version);
        return true;
    }
    out[0] = '\0';
    return false;
}
