/* The wall clock of a zone. Private to lib/cron. */
#ifndef FP_CRON_ZONE_H
#define FP_CRON_ZONE_H

#include "lib/cron/cron.h"

/* What the clock on the wall shows, in minutes since 1970-01-01 00:00 on it. */
int zone_wall_minute(struct cron_zone *z, int64_t at_us, int64_t *minute, struct fp_err *err) FP_MUST_CHECK;
/* The moment at which it shows that: the first of two; of one that is left out,
 * the end of the gap. */
int zone_moment(struct cron_zone *z, int64_t minute, int64_t *at_us, struct fp_err *err) FP_MUST_CHECK;

#endif
