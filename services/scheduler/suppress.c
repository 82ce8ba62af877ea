/*
 * Suppress, Unsuppress, ListSuppressions.
 *
 * An address in a request is checked, hashed and forgotten: it reaches neither
 * the ledger nor a log nor an error's text. One that is not in the form of an
 * address is refused, since nobody would ever be found by it; so is an
 * evidence with an @ in it, which most likely quotes one.
 */
#include "services/scheduler/suppress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/address/address.h"
#include "lib/base/text.h"
#include "lib/log/log.h"

_Static_assert((int)SUPPRESSION_COMPLAINT ==
                   (int)FOLIOPOST__V1__SUPPRESSION_REASON__SUPPRESSION_REASON_COMPLAINT,
               "reasons of suppressions");

static const char *const scopes[] = {"all", "weekly", "monthly", "custom"}; /* by JobKind */
#define N_SCOPES (sizeof scopes / sizeof scopes[0])

/* --- requests ----------------------------------------------------------------------- */

static int check_kind(int kind, struct fp_err *err)
{
    if (kind < 0 || (size_t)kind >= N_SCOPES)
        return err_set(err, FP_INVALID_ARGUMENT,
                       "kind: %d is not weekly (1), monthly (2), custom (3) or 0 for all mail", kind);
    return 0;
}

static int check_reason(int reason, struct fp_err *err)
{
    if (reason < 0 || reason > (int)SUPPRESSION_COMPLAINT)
        return err_set(err, FP_INVALID_ARGUMENT, "reason: %d is not a reason", reason);
    return 0;
}

/* The hash of the address, or the one that is given; "" when neither is. */
static int subject(struct fp_ledger *l, const char *address, const char *hash, char out[LEDGER_HASH_BYTES],
                   struct fp_err *err)
{
    char ascii[ADDRESS_BYTES];
    out[0] = '\0';
    if (address[0] != '\0' && hash[0] != '\0')
        return err_set(err, FP_INVALID_ARGUMENT, "address: give it or address_hash, not both");
    if (hash[0] != '\0' && !text_is_uuid(hash))
        return err_set(err, FP_INVALID_ARGUMENT, "address_hash: is not one, which is a UUID");
    if (address[0] != '\0' && address_to_ascii(address, ascii) != ADDRESS_USABLE)
        return err_set(err, FP_INVALID_ARGUMENT, "address: is not a mail address");
    snprintf(out, LEDGER_HASH_BYTES, "%s", hash);
    return address[0] != '\0' ? ledger_address_hash(l, ascii, out, err) : 0;
}

static int check_entry(const Foliopost__V1__Suppression *m, struct fp_err *err)
{
    if (m->user_id == 0 && m->address[0] == '\0' && m->address_hash[0] == '\0')
        return err_set(err, FP_INVALID_ARGUMENT, "user_id: neither a user nor an address is named");
    if (strchr(m->evidence, '@'))
        return err_set(err, FP_INVALID_ARGUMENT, "evidence: holds an @; no addresses are kept there");
    return check_kind((int)m->kind, err) || check_reason((int)m->reason, err) ? -1 : 0;
}

static int read_entry(struct fp_ledger *l, const Foliopost__V1__Suppression *m, struct ledger_suppression *s,
                      struct fp_err *err)
{
    if (check_entry(m, err) || subject(l, m->address, m->address_hash, s->address_hash, err))
        return -1;
    s->user_id = m->user_id;
    s->reason = m->reason ? (enum suppression_reason)m->reason : SUPPRESSION_MANUAL;
    s->job_id = m->job_id;
    s->first_seen_us = m->first_seen_us;
    s->expires_us = m->expires_us;
    snprintf(s->scope, sizeof s->scope, "%s", scopes[m->kind]);
    snprintf(s->source, sizeof s->source, "%s", m->source[0] ? m->source : "rpc");
    snprintf(s->evidence, sizeof s->evidence, "%s", m->evidence);
    return 0;
}

/* All or nothing: a wrong entry is named by its place. */
static int read_entries(struct fp_ledger *l, const Foliopost__V1__SuppressRequest *q,
                        struct ledger_suppression *s, struct fp_err *err)
{
    if (q->n_suppressions == 0)
        return err_set(err, FP_INVALID_ARGUMENT, "suppressions: none is named");
    for (size_t i = 0; i < q->n_suppressions; i++)
        if (read_entry(l, q->suppressions[i], &s[i], err))
            return err_prefix(err, "suppressions[%zu]", i);
    return 0;
}

/* --- the calls ------------------------------------------------------------------------- */

ProtobufCMessage *suppress_add(struct fp_ledger *l, const Foliopost__V1__SuppressRequest *q,
                               const char *actor, struct convert *c, struct fp_err *err)
{
    Foliopost__V1__SuppressResponse *r = convert_alloc(c, 1, sizeof *r);
    struct ledger_suppression *s = mem_array(q->n_suppressions + 1, sizeof *s);
    int64_t added = 0;

    int failed = read_entries(l, q, s, err) || ledger_suppress(l, s, q->n_suppressions, actor, &added, err);
    mem_free(s);
    if (failed || !r)
        return NULL;
    foliopost__v1__suppress_response__init(r);
    r->added = added;
    r->known = (int64_t)q->n_suppressions - added;
    log_info("", "suppressed", "added=%" PRId64 " known=%" PRId64, r->added, r->known);
    return &r->base;
}

ProtobufCMessage *suppress_remove(struct fp_ledger *l, const Foliopost__V1__UnsuppressRequest *q,
                                  const char *actor, struct convert *c, struct fp_err *err)
{
    Foliopost__V1__UnsuppressResponse *r = convert_alloc(c, 1, sizeof *r);
    char hash[LEDGER_HASH_BYTES];
    int64_t removed = 0;

    if (check_kind((int)q->kind, err) || subject(l, q->address, q->address_hash, hash, err))
        return NULL;
    if (q->user_id == 0 && hash[0] == '\0') {
        err_set(err, FP_INVALID_ARGUMENT, "user_id: neither a user nor an address is named");
        return NULL;
    }
    if (ledger_unsuppress(l, q->user_id, hash, q->kind ? scopes[q->kind] : "", actor, &removed, err) || !r)
        return NULL;
    foliopost__v1__unsuppress_response__init(r);
    r->removed = removed;
    log_info("", "unsuppressed", "removed=%" PRId64, removed);
    return &r->base;
}

static Foliopost__V1__JobKind kind_of(const char *scope)
{
    for (size_t i = 1; i < N_SCOPES; i++)
        if (strcmp(scopes[i], scope) == 0)
            return (Foliopost__V1__JobKind)i;
    return FOLIOPOST__V1__JOB_KIND__JOB_KIND_UNSPECIFIED;
}

static Foliopost__V1__Suppression *convert_suppression(struct convert *c, const struct ledger_suppression *s)
{
    Foliopost__V1__Suppression *m = convert_alloc(c, 1, sizeof *m);

    if (!m)
        return NULL;
    foliopost__v1__suppression__init(m);
    m->id = s->id;
    m->user_id = s->user_id;
    m->address_hash = convert_text(c, s->address_hash);
    m->kind = kind_of(s->scope);
    m->reason = (Foliopost__V1__SuppressionReason)s->reason;
    m->source = convert_text(c, s->source);
    m->evidence = convert_text(c, s->evidence);
    m->job_id = s->job_id;
    m->first_seen_us = s->first_seen_us;
    m->expires_us = s->expires_us;
    return m;
}

static void fill(const struct ledger_suppression *rows, int n, int page, struct convert *c,
                 Foliopost__V1__ListSuppressionsResponse *r)
{
    int shown = n < page ? n : page;

    r->suppressions = convert_alloc(c, (size_t)shown, sizeof *r->suppressions);
    for (int i = 0; i < shown && r->suppressions; i++)
        if ((r->suppressions[i] = convert_suppression(c, &rows[i])))
            r->n_suppressions++;
    if (n > page)
        r->next_after_id = rows[page - 1].id;
}

ProtobufCMessage *suppress_list(struct fp_ledger *l, const Foliopost__V1__ListSuppressionsRequest *q,
                                int page, struct convert *c, struct fp_err *err)
{
    char hash[LEDGER_HASH_BYTES];
    Foliopost__V1__ListSuppressionsResponse *r = convert_alloc(c, 1, sizeof *r);

    if (check_reason((int)q->reason, err) || subject(l, q->address, q->address_hash, hash, err) || !r)
        return NULL;
    foliopost__v1__list_suppressions_response__init(r);
    const struct ledger_suppression_filter f = {.user_id = q->user_id,
                                                .address_hash = hash,
                                                .reason = (enum suppression_reason)q->reason,
                                                .expired_too = q->expired_too};
    struct ledger_suppression *rows =
        mem_array((size_t)page + 1, sizeof *rows); /* one more: are there more? */
    int n = ledger_suppressions(l, &f, q->after_id, rows, page + 1, err);
    if (n >= 0)
        fill(rows, n, page, c, r);
    mem_free(rows);
    return n < 0 ? NULL : &r->base;
}
