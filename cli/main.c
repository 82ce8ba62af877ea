/* foliopost, the command line: the table of its commands, and a call. */
#include "cli/cli.h"

int main(int argc, char **argv)
{
    static const struct cli_command *const commands[] = {
        &cli_submit,   &cli_jobs,       &cli_status,       &cli_watch_job, &cli_pause,
        &cli_resume,   &cli_cancel,     &cli_approve,      &cli_report,    &cli_deliveries,
        &cli_history,  &cli_fleet,      &cli_retry,        &cli_resolve,   &cli_resend,
        &cli_erase,    &cli_rates,      &cli_rate,         &cli_audit,     &cli_identities,
        &cli_schedule, &cli_top,        &cli_suppressions, &cli_migrate,   &cli_recover,
        &cli_seed,     &cli_doctor,     &cli_explain,      &cli_preview,   &cli_send_test,
        &cli_template, &cli_completion, &cli_man,          &cli_help,      NULL};
    return cli_main(commands, argc, argv);
}
