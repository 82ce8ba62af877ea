/* foliopost recover: the ledger after a restore of its database from a backup. */
#include <inttypes.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/database.h"
#include "cli/format.h"
#include "cli/mailids.h"
#include "lib/base/mem.h"
#include "lib/ledger/recover.h"

struct values {
    char *ledger_dsn, *to, *message_ids, *lost_job;
    bool dry_run;
};

#define AT(field) offsetof(struct values, field)

static const struct config_setting rows[] = {
    {"to", CONFIG_STRING, NULL, "", 0, 64, NULL,
     "the restored time, as recovery_target_time had it; in the server's zone where it names none", AT(to)},
    {"message-ids", CONFIG_STRING, NULL, "", 0, 4096, NULL,
     "file with Message-IDs of mails that went out, a provider's log; -: standard input", AT(message_ids)},
    {"lost-job", CONFIG_STRING, NULL, "", 0, 4096, NULL,
     "OLD=NEW,...: Message-IDs of a job that the restore lost count for the one that took its place",
     AT(lost_job)},
    {"dry-run", CONFIG_BOOL, NULL, "false", 0, 0, NULL, "says what would be done, and does nothing",
     AT(dry_run)},
    ROW_LEDGER_DSN(AT(ledger_dsn)),
};

/* For the audit: whoever is logged in here. */
static void make_actor(char *out, size_t cap)
{
    const struct passwd *p = getpwuid(geteuid());

    if (p != NULL)
        snprintf(out, cap, "%s", p->pw_name);
    else
        snprintf(out, cap, "uid %ld", (long)geteuid());
}

/* --- the restored time ------------------------------------------------------------------- */

static void print_recovered(const struct ledger_recovered *r, const char *to, bool dry_run)
{
    char at[FORMAT_CAP], users[FORMAT_CAP];

    printf("%s; the ledger had last been told something at %s UTC\n",
           r->existing ? "was recovered before, as follows"
           : dry_run   ? "would be done; nothing is changed"
                       : "recovered",
           format_time(r->newest_us, at));
    printf("%d open jobs paused\n", r->jobs);
    printf(
        "%s users ambiguous, in %d batches and among who was refused for now: they may have been sent since %s\n",
        format_count(r->users, users), r->batches, to);
    printf("%d intervals and jobs not read to their end: those users become ambiguous when they are paged\n",
           r->intervals);
    printf("%d schedules were due since: each makes a job that is paused\n", r->firings);
    if (!dry_run)
        printf("next: --message-ids FILE, if the provider can list what it took; then start the services, "
               "foliopost resume JOB, foliopost resolve JOB resend|accept\n");
}

static void json_recovered(const struct ledger_recovered *r)
{
    printf("{\"existing\": %s, \"newest_us\": %" PRId64 ", \"jobs\": %d, \"batches\": %d, \"users\": %" PRId64
           ", \"intervals\": %d, \"firings\": %d}\n",
           r->existing ? "true" : "false", r->newest_us, r->jobs, r->batches, r->users, r->intervals,
           r->firings);
}

/* --- Message-IDs --------------------------------------------------------------------------- */

static const char *remark(const struct ledger_told *t)
{
    if (!t->known)
        return "not in the ledger: submitted since? see --lost-job";
    return t->open ? "" : "not a job that was recovered and is paused: left as it is";
}

static void add_cell(struct table *t, int64_t n)
{
    char cell[FORMAT_CAP];
    table_add(t, format_count(n, cell));
}

static void json_told(int64_t job, int64_t listed, const struct ledger_told *t)
{
    printf("{\"job\": %" PRId64 ", \"listed\": %" PRId64
           ", \"known\": %s, \"open\": %s, \"recovered\": %" PRId64 ", \"already\": %" PRId64
           ", \"later\": %" PRId64 ", \"others\": %" PRId64 "}\n",
           job, listed, t->known ? "true" : "false", t->open ? "true" : "false", t->recovered, t->already,
           t->later, t->others);
}

static void row_told(struct table *t, int64_t job, int64_t listed, const struct ledger_told *told)
{
    char cell[FORMAT_CAP];
    snprintf(cell, sizeof cell, "%" PRId64, job);
    table_add(t, cell);
    add_cell(t, listed);
    add_cell(t, told->recovered);
    add_cell(t, told->already);
    add_cell(t, told->later);
    add_cell(t, told->others);
    table_add(t, remark(told));
}

/* The users ids[0..n) of one job, some thousand at once. */
static int tell_job(struct fp_ledger *l, const struct mailid *ids, size_t n, const char *actor,
                    struct ledger_told *sum, struct fp_err *err)
{
    int64_t *users = mem_array(LEDGER_TOLD_MAX, sizeof *users);
    int rc = 0;

    *sum = (struct ledger_told){0};
    for (size_t at = 0; at < n && rc == 0; at += LEDGER_TOLD_MAX) {
        struct ledger_told t;
        size_t k = n - at < LEDGER_TOLD_MAX ? n - at : LEDGER_TOLD_MAX;
        for (size_t i = 0; i < k; i++)
            users[i] = ids[at + i].user;
        rc = ledger_recover_told(l, ids[at].job, users, k, actor, &t, err);
        if (rc == 0)
            *sum = (struct ledger_told){.known = t.known,
                                        .open = t.open,
                                        .recovered = sum->recovered + t.recovered,
                                        .already = sum->already + t.already,
                                        .later = sum->later + t.later,
                                        .others = sum->others + t.others};
    }
    mem_free(users);
    return rc;
}

static int tell(struct fp_ledger *l, const struct mailids *m, const char *actor, bool json,
                struct fp_err *err)
{
    static const char *const headings[] = {">JOB",     ">LISTED",    ">NOW SENT", ">WERE SENT",
                                           ">TO PAGE", ">OTHERWISE", "REMARK"};
    struct table *t = table_new(headings, 7);
    int rc = 0;

    for (size_t from = 0, to = 0; from < m->n && rc == 0; from = to) {
        struct ledger_told sum;
        while (to < m->n && m->ids[to].job == m->ids[from].job)
            to++;
        rc = tell_job(l, m->ids + from, to - from, actor, &sum, err);
        if (rc == 0)
            json ? json_told(m->ids[from].job, (int64_t)(to - from), &sum)
                 : row_told(t, m->ids[from].job, (int64_t)(to - from), &sum);
    }
    if (rc == 0 && !json)
        table_print(t, stdout);
    table_free(t);
    return rc;
}

/* --- the command ------------------------------------------------------------------------------ */

static int check(const struct values *v, struct fp_err *err)
{
    if (v->ledger_dsn[0] == '\0')
        return err_set(err, FP_INVALID_ARGUMENT, "no database: give --ledger-dsn or FOLIOPOST_LEDGER_DSN");
    if (v->to[0] == '\0' && v->message_ids[0] == '\0')
        return err_set(err, FP_INVALID_ARGUMENT, "give --to TIME, --message-ids FILE, or both");
    if (v->lost_job[0] != '\0' && v->message_ids[0] == '\0')
        return err_set(err, FP_INVALID_ARGUMENT, "--lost-job is about the Message-IDs of --message-ids");
    if (v->dry_run && v->to[0] == '\0')
        return err_set(err, FP_INVALID_ARGUMENT, "--dry-run is about --to");
    return 0;
}

static int recover(struct fp_ledger *l, const struct values *v, bool json, struct fp_err *err)
{
    struct ledger_recovered r;
    struct mailids m = {0};
    char actor[128];
    int rc = -1;

    make_actor(actor, sizeof actor);
    /* the file first: what cannot be read stops it before anything is done */
    if (v->message_ids[0] != '\0' &&
        (mailids_read(v->message_ids, &m, err) != 0 || mailids_rename(&m, v->lost_job, err) != 0))
        goto out;
    if (v->to[0] != '\0') {
        if (ledger_recover(l, v->to, v->dry_run, actor, &r, err) != 0)
            goto out;
        json ? json_recovered(&r) : print_recovered(&r, v->to, v->dry_run);
    }
    rc = v->message_ids[0] != '\0' && !v->dry_run ? tell(l, &m, actor, json, err) : 0;
out:
    mem_free(m.ids);
    return rc;
}

static enum cli_exit run(struct cli *c, void *values, char **args, int n_args)
{
    const struct values *v = values;
    struct pg_options o = database_options(v->ledger_dsn);
    struct fp_ledger *l = NULL;
    struct fp_err err;
    int rc = -1;
    (void)args;
    (void)n_args;

    if (check(v, &err) == 0 && (l = ledger_open(&o, &err)) != NULL && ledger_check_schema(l, &err) == 0)
        rc = recover(l, v, cli_json(c), &err);
    ledger_close(l);
    return rc == 0 ? CLI_OK : cli_fail(&err);
}

const struct cli_command cli_recover = {
    .name = "recover",
    .arguments = "",
    .summary = "After a restore from a backup: pauses what was open, marks what may have gone out since",
    .details =
        "Stop every service before the restore, and start none before this. Whoever may have got his mail\n"
        "since is ambiguous, and is not mailed again unless you say so; whose Message-ID is listed, is sent.\n"
        "docs/operations.md has every step.\n\n"
        "  foliopost recover --to '2026-11-27 18:00:00+00' --dry-run\n"
        "  foliopost recover --to '2026-11-27 18:00:00+00'\n"
        "  foliopost recover --message-ids relay.log\n"
        "  foliopost resume 12; foliopost resolve 12 resend\n",
    .rows = rows,
    .n_rows = sizeof rows / sizeof rows[0],
    .values_bytes = sizeof(struct values),
    .run = run,
};
