/* The figures of previews (lib/ledger/previews.h): a thread of its own, so that neither
 * waits for the other: batches for a preview, a preview for mailers that stand. */
#ifndef FP_STATS_PREVIEWS_H
#define FP_STATS_PREVIEWS_H

#include "lib/service/service.h"
#include "services/stats/cache.h"
#include "services/stats/settings.h"

struct previews;

/* The cache is shared with the workers. s, set and cache must outlive it. */
struct previews *previews_start(struct fp_service *s, const struct stats_settings *set,
                                struct fp_cache *cache, struct fp_err *err) FP_MUST_CHECK;
void previews_drain(struct previews *p);
bool previews_drained(struct previews *p);
void previews_stop(struct previews *p); /* once drained; NULL is fine */

#endif
