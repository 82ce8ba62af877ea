/* Where an audience ends, how many users a share of it is, and whether it is a large one. */
#include "services/scheduler/audience.h"

/* A replica of the source may not have what was committed a moment ago: the
 * audience ends where it certainly has everything (P1). */
static int cut(struct fp_source *source, const struct scheduler_settings *set, struct ledger_job *j,
               struct fp_err *err)
{
    int64_t replayed_us;

    if (j->n_user_ids > 0)
        return 0;
    if (source_replayed_us(source, &replayed_us, err))
        return err_prefix(err, "cannot ask the source database how far it has come");
    replayed_us -= set->audience_margin_ms * 1000;
    if (replayed_us < j->audience_end_us)
        j->audience_end_us = replayed_us;
    return 0;
}

/* A share of the audience becomes a number now, and stays that; and whether it
 * is so large that somebody must approve it is known now. */
static int count(struct fp_source *source, const struct scheduler_settings *set,
                 const Foliopost__V1__JobSpec *s, struct ledger_job *j, struct fp_err *err)
{
    const struct source_share share = {j->share_ppm, j->share_seed};
    int64_t users = (int64_t)j->n_user_ids;

    if (j->dry_run) { /* nobody is mailed: nothing to approve, nobody to go first */
        j->canary_users = j->canary_wait_ms = 0;
        return 0;
    }
    if (s->canary_ppm == 0 && set->approval_above == 0)
        return 0;
    if (users == 0 &&
        source_count_users(source, j->registered_from_us, j->audience_end_us, &share, &users, err))
        return err_prefix(err, "cannot count the audience, for spec.canary_ppm or approval-above");
    if (s->canary_ppm > 0)
        j->canary_users = (users * s->canary_ppm + 999999) / 1000000;
    if (set->approval_above > 0 && users > set->approval_above)
        j->needs_approval = true;
    return 0;
}

int audience_freeze(struct fp_source *source, const struct scheduler_settings *set,
                    const Foliopost__V1__JobSpec *spec, struct ledger_job *j, struct fp_err *err)
{
    return cut(source, set, j, err) || count(source, set, spec, j, err) ? -1 : 0;
}
