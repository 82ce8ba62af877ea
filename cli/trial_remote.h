/* preview and send-test by way of the scheduler: --remote. */
#ifndef FP_CLI_TRIAL_REMOTE_H
#define FP_CLI_TRIAL_REMOTE_H

#include "cli/cli.h"
#include "cli/trial.h"

/* clang-format off */
#define ROW_REMOTE(field)                                                                                    \
    {"remote", CONFIG_BOOL, NULL, "false", 0, 0, NULL,                                                       \
     "ask the scheduler (--rpc): stats and a mailer that run make the mail, and no database, no setting of the mailer is needed here", \
     field}
/* clang-format on */

/* The request that these settings mean; points into them and into *made. */
struct trial_request {
    Foliopost__V1__PreviewEmailRequest q;
    char start[11], end[11];
};
int trial_request(const struct trial_values *v, struct trial_request *made, struct fp_err *err) FP_MUST_CHECK;
/* On stderr, when there is one. */
void trial_remote_remark(const char *remark);

#endif
