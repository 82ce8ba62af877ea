/* The picture of a job that `foliopost watch` draws: text for the terminal as wide as it is. */
#ifndef FP_CLI_LIVE_H
#define FP_CLI_LIVE_H

#include "cli/job.h"
#include "cli/progress.h"
#include "cli/screen.h"

/* Parts that are asked for less often than the job itself, as text. */
struct live {
    struct fp_str intervals, failures, fleet;
};

void live_init(struct live *v);
void live_fini(struct live *v);
/* Of a job that was asked for with details: intervals and failures. */
void live_take_details(struct live *v, const Foliopost__V1__Job *job);
void live_take_fleet(struct live *v, const Foliopost__V1__GetFleetResponse *fleet);
/* Mails and users a second, and the time to the end. */
void live_add_rates(struct flow *f, const struct progress_view *p);
bool live_moves(const Foliopost__V1__Job *job); /* one that is paused has no rate and no end */
bool live_tells_response(const Foliopost__V1__Job *job);
/* The whole picture. What matters most stands first, since a low terminal shows the first lines. */
void live_picture(const struct live *v, const Foliopost__V1__Job *job, const struct progress_view *p,
                  struct fp_str *out);

#endif
