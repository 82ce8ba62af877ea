/*
 * foliopost-scheduler: takes jobs, cuts them into intervals, grants pages, and
 * sees to it that nothing is lost on the way. DESIGN.md says how.
 */
#include "services/scheduler/scheduler.h"

int main(int argc, char **argv)
{
    struct scheduler *s = scheduler_instance();
    const struct service_def def = {
        .name = "scheduler",
        .summary =
            "starts jobs, grants pages, repeats what was lost, proves what is complete; answers JobService",
        .settings = settings_rows,
        .n_settings = settings_n_rows,
        .values = s,
        .validate = scheduler_validate,
        .start = scheduler_start,
        .drain = scheduler_drain,
        .drained = scheduler_drained,
        .stop = scheduler_stop,
    };

    return service_run(&def, argc, argv);
}
