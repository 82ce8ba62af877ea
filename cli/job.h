/* A job in words: shared by status, watch and report. */
#ifndef FP_CLI_JOB_H
#define FP_CLI_JOB_H

#include "cli/cli.h"

const char *job_state_text(const Foliopost__V1__Job *job); /* "IN_PROGRESS" */
bool job_is_over(const Foliopost__V1__Job *job);
bool job_is_unapproved(const Foliopost__V1__Job *job); /* it waits for that */
void job_print_headline(const Foliopost__V1__Job *job, struct fp_str *out);
void job_print_counts(const Foliopost__V1__Counts *c, struct fp_str *out);
/* What a specification has besides its audience, a line each: share, pace. Nothing: no line. */
void job_print_spec(const Foliopost__V1__JobSpec *spec);
/* cli_fail(), and how to ask again without a second job. */
enum cli_exit job_submit_failed(const struct fp_err *err, const char *request_id);
/* --share and --share-seed; "all" and no seed leave what is there. */
int job_set_share(Foliopost__V1__JobSpec *spec, const char *share, int64_t seed,
                  struct fp_err *err) FP_MUST_CHECK;

#endif
