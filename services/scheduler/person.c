/*
 * EraseUser and Resend.
 *
 * Erasing begins in the source: a user who is still there would be mailed, and
 * recorded, by the next job. A resend is a job of its own, since a user has one
 * row in each; it has the figures' as_of of the old one and the Date of today.
 */
#include "services/scheduler/person.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/address/address.h"
#include "lib/base/clock.h"
#include "lib/ledger/erase.h"
#include "lib/ledger/suppressions.h"
#include "lib/log/log.h"
#include "services/scheduler/spec.h"

static int look_up(struct fp_source *s, const char *kind, int64_t user_id, struct source_user *u,
                   struct fp_err *err)
{
    if (source_users_by_id(s, kind, &user_id, 1, u, err) < 0)
        return err_prefix(err, "cannot look the user up in the source");
    return 0;
}

/* --- EraseUser ------------------------------------------------------------------------- */

static int check_erase(struct fp_ledger *l, struct fp_source *s, const Foliopost__V1__EraseUserRequest *q,
                       char hash[LEDGER_HASH_BYTES], struct fp_err *err)
{
    struct source_user u;
    char ascii[ADDRESS_BYTES] = ""; /* the form that suppressions have */

    hash[0] = '\0';
    if (q->address[0] && address_to_ascii(q->address, ascii) != ADDRESS_USABLE)
        return err_set(err, FP_INVALID_ARGUMENT, "address: is not a mail address");
    if (look_up(s, "custom", q->user_id, &u, err))
        return -1;
    if (!u.gone)
        return err_set(err, FP_FAILED_PRECONDITION,
                       "user_id: the user is still in portfolio.users, and the next job would mail him: "
                       "delete him there first");
    return q->address[0] ? ledger_address_hash(l, ascii, hash, err) : 0;
}

ProtobufCMessage *person_erase(struct fp_ledger *l, struct fp_source *s,
                               const Foliopost__V1__EraseUserRequest *q, const char *actor, struct convert *c,
                               struct fp_err *err)
{
    char hash[LEDGER_HASH_BYTES];
    struct ledger_erased e;
    Foliopost__V1__EraseUserResponse *r = convert_alloc(c, 1, sizeof *r);

    if (!r)
        return convert_too_large(err);
    if (check_erase(l, s, q, hash, err) || ledger_erase_user(l, q->user_id, hash, actor, &e, err))
        return NULL;
    foliopost__v1__erase_user_response__init(r);
    r->existing = e.existing;
    r->deliveries = e.deliveries;
    r->events = e.events;
    r->checkpoints = e.checkpoints;
    r->suppressions = e.suppressions;
    log_info("", "user erased", "existing=%d deliveries=%" PRId64 " suppressions=%" PRId64, e.existing,
             e.deliveries, e.suppressions);
    return &r->base;
}

/* --- Resend ---------------------------------------------------------------------------- */

static int check_sent(struct fp_ledger *l, const Foliopost__V1__ResendRequest *q, struct fp_err *err)
{
    const struct ledger_delivery_filter f = {.listed = true, .user_ids = &q->user_id, .n_user_ids = 1};
    struct ledger_delivery d;
    bool erased;
    int n = ledger_deliveries_where(l, q->job_id, DELIVERY_UNKNOWN, &f, 0, &d, 1, err);

    if (n < 0 || ledger_is_erased(l, q->user_id, &erased, err))
        return -1;
    if (erased)
        return err_set(err, FP_FAILED_PRECONDITION, "user_id: this user was erased");
    if (n == 0)
        return err_set(err, FP_NOT_FOUND, "user_id: job %" PRId64 " has no such user", q->job_id);
    if (d.state != DELIVERY_SENT)
        return err_set(err, FP_FAILED_PRECONDITION,
                       "user_id: his mail of job %" PRId64 " is %s, not sent: retry or resolve that job",
                       q->job_id, delivery_state_name(d.state));
    return 0;
}

/* He would be skipped: who asks for the mail should hear it now. */
static int check_mailable(struct fp_ledger *l, struct fp_source *s, const char *kind, int64_t user_id,
                          struct fp_err *err)
{
    struct source_user u;
    struct ledger_recipient who = {.user_id = user_id};
    bool suppressed;

    if (look_up(s, kind, user_id, &u, err))
        return -1;
    if (u.gone)
        return err_set(err, FP_FAILED_PRECONDITION, "user_id: this user is not in portfolio.users any more");
    if (ledger_address_hash(l, u.email, who.address_hash, err) ||
        ledger_suppressed(l, kind, &who, 1, &suppressed, err))
        return -1;
    if (suppressed)
        return err_set(
            err, FP_FAILED_PRECONDITION,
            "user_id: this user, or his address, is suppressed: foliopost suppressions list --user");
    if (u.opted_out)
        return err_set(err, FP_FAILED_PRECONDITION, "user_id: this user has opted out of %s mail", kind);
    return 0;
}

void person_resend_hash(const Foliopost__V1__ResendRequest *q, char out[33])
{
    char what[64];

    snprintf(what, sizeof what, "resend %" PRId64 " %" PRId64, q->job_id, q->user_id);
    spec_hash(what, strlen(what), out);
}

static void become_child(struct ledger_job *j, const Foliopost__V1__ResendRequest *q)
{
    mem_free(j->user_ids);
    j->user_ids = mem_array(1, sizeof *j->user_ids);
    j->user_ids[0] = q->user_id;
    j->n_user_ids = 1;
    j->parent_job = q->job_id;
    j->registered_from_us = j->deadline_us = j->mail_date_us = 0;
    j->canary_users = j->canary_wait_ms = 0;
    j->share_ppm = 0;
    j->share_seed = 0;
    j->provider[0] = '\0'; /* how it is sent now is not part of the report */
    j->needs_approval = j->dry_run = false;
    j->rate_limit = 0;
    j->send_window[0] = '\0';
    j->audience_end_us = clock_wall_us();
    j->template_hash[0] = '\0';
    snprintf(j->title, sizeof j->title, "resend of job %" PRId64, q->job_id);
    snprintf(j->request_id, sizeof j->request_id, "%s", q->request_id);
    person_resend_hash(q, j->spec_hash);
}

int person_resend(struct fp_ledger *l, struct fp_source *s, const Foliopost__V1__ResendRequest *q,
                  struct ledger_job *out, struct fp_err *err)
{
    if (ledger_job_get(l, q->job_id, out, err) || check_sent(l, q, err) ||
        check_mailable(l, s, out->kind, q->user_id, err))
        return -1;
    become_child(out, q);
    return 0;
}
