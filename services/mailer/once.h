/* One mail of no job, through a provider: for test mails. No slice of the rate is taken. */
#ifndef FP_MAILER_ONCE_H
#define FP_MAILER_ONCE_H

#include "services/mailer/desk.h"

/* The one of that name; name "": the brand's own (its place; -1: it has none), or the
 * first that is nobody's. NULL with INVALID_ARGUMENT. */
const struct provider_options *once_choose(const struct desk_options *o, const char *name, int brands,
                                           struct fp_err *err) FP_MUST_CHECK;
/* 0: accepted. UNKNOWN: it may or may not have been; FAILED_PRECONDITION: refused;
 * UNAVAILABLE: not now. */
int once_send(const struct provider_options *p, const struct transport_mail *m, struct transport_reply *reply,
              struct fp_err *err) FP_MUST_CHECK;

#endif
