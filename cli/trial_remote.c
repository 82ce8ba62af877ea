/* The same settings as for the databases, as a request; what only makes sense beside a database is refused.
 */
#include "cli/trial_remote.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"

static int check(const struct trial_values *v, struct fp_err *err)
{
    if (v->subject.user <= 0)
        return err_set(err, FP_INVALID_ARGUMENT, "--user: whose mail? As --user 4711");
    if (v->subject.benchmarks[0] != '\0')
        return err_set(err, FP_INVALID_ARGUMENT, "--benchmarks: with --remote those of stats hold");
    return 0;
}

int trial_request(const struct trial_values *v, struct trial_request *made, struct fp_err *err)
{
    struct portfolio_period p;
    if (check(v, err) != 0 || subject_days(&v->subject, &p, err) != 0)
        return -1;
    foliopost__v1__preview_email_request__init(&made->q);
    made->q.user_id = v->subject.user;
    if (strcmp(v->subject.period, "auto") != 0) {
        day_format(p.start, made->start);
        day_format(p.end, made->end);
        made->q.period_start = made->start;
        made->q.period_end = made->end;
    }
    if (strcmp(v->kind, "auto") != 0)
        made->q.kind = (Foliopost__V1__JobKind)wire_enum_value(&foliopost__v1__job_kind__descriptor, v->kind);
    if (strcmp(v->subject.as_of, "now") != 0)
        made->q.as_of_us = p.as_of_us;
    made->q.template_name = v->template_name;
    made->q.brand = v->brand;
    made->q.locale = v->locale;
    return 0;
}

void trial_remote_remark(const char *remark)
{
    if (remark[0] != '\0')
        fprintf(stderr, "note: %s\n", remark);
}
