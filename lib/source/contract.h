/* The check of a database against the data contract, for `foliopost doctor`.
 * docs/data-contract.md says what is asked and why. */
#ifndef FP_SOURCE_CONTRACT_H
#define FP_SOURCE_CONTRACT_H

#include "lib/source/source.h"

enum contract_severity {
    CONTRACT_OK,
    CONTRACT_WARN, /* works; slower, or some users get no mail */
    CONTRACT_FAIL, /* a job would fail, be far too slow, or miss users */
};
const char *contract_severity_name(enum contract_severity s); /* "ok", "warn", "FAIL" */

/* what: "portfolio.users"; finding: what was seen; remedy: the statement to run
 * or what to do, "" when well. Texts live until the call returns. */
typedef void contract_found(void *ctx, enum contract_severity severity, const char *what, const char *finding,
                            const char *remedy);

/* Calls found() for each thing looked at, in the order of the contract. Only
 * reads, and of large tables only samples and index ranges. -1 when the
 * database cannot be asked; a database that does not fit is no error. */
int source_check_contract(struct fp_source *s, contract_found *found, void *ctx,
                          struct fp_err *err) FP_MUST_CHECK;

#endif
