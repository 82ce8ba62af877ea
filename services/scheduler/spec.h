/*
 * A client's specification, checked and resolved into a job of the ledger.
 *
 * Pure: no clock, no database. What is wrong is INVALID_ARGUMENT with the
 * field's name as it stands in the .proto, the value and what is allowed.
 */
#ifndef FP_SCHEDULER_SPEC_H
#define FP_SCHEDULER_SPEC_H

#include "lib/ledger/jobs.h"
#include "lib/wire/wire.h"
#include "services/scheduler/settings.h"

/* Fills *out: period, sizes, policy and list of users resolved; audience_end_us
 * is the client's registered_to_us or now; as_of and mail_date stay 0, which is
 * the ledger's now. *out is finished by ledger_job_fini(), also after an error. */
int spec_resolve(const Foliopost__V1__SubmitJobRequest *request, const struct scheduler_settings *set,
                 int64_t now_us, struct ledger_job *out, struct fp_err *err) FP_MUST_CHECK;

/* The same on a day that need not be now's in UTC: a schedule's period goes by
 * the calendar of its time zone. */
int spec_resolve_on(const Foliopost__V1__SubmitJobRequest *request, const struct scheduler_settings *set,
                    int32_t today, int64_t now_us, struct ledger_job *out, struct fp_err *err) FP_MUST_CHECK;

/* Of a specification as it was submitted, so that last month's default and a deadline counted from
 * the submission are still the same request tomorrow; only the order of the users does not matter.
 * It needs no more than a message that was checked. */
int spec_request_hash(const Foliopost__V1__JobSpec *s, char out[33], struct fp_err *err) FP_MUST_CHECK;

/* 128-bit FNV-1a as 32 hex digits. It tells a repeated request from another
 * one under the same id; a collision, which nobody has a reason to make, would
 * only answer with the first job. */
void spec_hash(const void *data, size_t bytes, char out[33]);

#endif
