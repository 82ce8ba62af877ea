/*
 * foliopost send-test: one user's mail to an address of yours, through a
 * provider as it is configured. To see it in a real mail program, and to see
 * whether SPF, DKIM and DMARC pass.
 *
 * The ledger is not asked and not written: no delivery, no suppression, no
 * slice of the rate. One mail, said to be a test in its subject, whose
 * unsubscribe link leads nowhere.
 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/trial_remote.h"
#include "lib/address/address.h"
#include "services/mailer/brands.h"
#include "services/mailer/once.h"
#include "services/mailer/providers.h"

struct values {
    struct trial_values trial;
    char *to, *through;
    bool json, remote;
    char recipient[ADDRESS_BYTES]; /* --to, as SMTP carries it */
};

#define AT(field)         offsetof(struct values, field)
#define AT_SUBJECT(field) offsetof(struct values, trial.subject.field)
#define AT_MAILER(field)  offsetof(struct values, trial.mailer.field)
#define AT_TRIAL(field)   offsetof(struct values, trial.field)

static const struct config_setting rows[] = {
    SUBJECT_ROWS(AT_SUBJECT),
    {"to", CONFIG_STRING, NULL, "", 0, 254, NULL, "the address that gets it", AT(to)},
    {"through", CONFIG_STRING, NULL, "", 0, 64, NULL,
     "which provider of providers-file; empty: the brand's, or the first", AT(through)},
    TRIAL_ROWS(AT_TRIAL),
    ROW_REMOTE(AT(remote)),
    MAILER_ROWS_LETTER(AT_MAILER),
    MAILER_ROWS_ENVELOPE(AT_MAILER),
    MAILER_ROWS_TRANSPORT(AT_MAILER),
    MAILER_ROWS_PROVIDERS(AT_MAILER),
};

static void accepted(const char *provider, const char *transport, const char *id, bool json)
{
    struct fp_str line;
    if (!json) {
        printf("accepted by %s (%s)%s%s\n", provider, transport, id[0] != '\0' ? ": " : "", id);
        return;
    }
    str_init(&line, 0);
    str_puts(&line, "{\"provider\": ");
    str_json(&line, provider);
    str_puts(&line, ", \"transport\": ");
    str_json(&line, transport);
    str_puts(&line, ", \"provider_id\": ");
    str_json(&line, id);
    printf("%s}\n", line.data);
    str_fini(&line);
}

static int hand_over(const struct provider_options *p, const struct transport_mail *m, bool json,
                     struct fp_err *err)
{
    struct transport_reply reply;
    if (once_send(p, m, &reply, err) != 0)
        return -1;
    accepted(p->name, p->transport->name, reply.provider_id, json);
    return 0;
}

static int send_data(struct values *v, const struct trial *t, const struct rendered *r,
                     const struct fp_str *data, struct fp_err *err)
{
    struct desk_options o = {0};
    const struct transport_mail m = {.sender = r->sender,
                                     .recipient = v->recipient,
                                     .data = data->data,
                                     .bytes = data->len,
                                     .user_id = t->user.id};
    providers_to_desk(v->trial.mailer.providers, &o);
    const struct provider_options *p = once_choose(&o, v->through, r->provider, err);
    return p != NULL ? hand_over(p, &m, v->json, err) : err_prefix(err, "--through");
}

static int send_mail(struct values *v, const struct trial *t, struct fp_err *err)
{
    const struct letter_trial as = {.to = v->recipient, .test = true};
    struct rendered rendered;
    struct fp_str data;
    str_init(&data, 0);
    int rc = letter_mail(&v->trial.mailer, &t->job, t->item, &as, &data, &rendered, err);
    if (rc == 0)
        rc = send_data(v, t, &rendered, &data, err);
    str_fini(&data);
    return rc;
}

/* The addressee and the providers; brands are there since trial_open(). */
static int check(struct values *v, struct fp_err *err)
{
    struct mailer_settings *m = &v->trial.mailer;
    if (address_to_ascii(v->to, v->recipient) != ADDRESS_USABLE)
        return err_set(err, FP_INVALID_ARGUMENT, "--to: \"%.80s\" is not one address, as me@example.com",
                       v->to);
    m->providers = providers_load(m, err);
    return m->providers != NULL ? 0 : -1;
}

static enum cli_exit run_remote(struct cli *c, const struct values *v)
{
    Foliopost__V1__SendTestRequest q = FOLIOPOST__V1__SEND_TEST_REQUEST__INIT;
    struct trial_request made;
    struct fp_err err;
    if (trial_request(&v->trial, &made, &err) != 0)
        return cli_fail(&err);
    q.mail = &made.q;
    q.to = v->to;
    q.provider = v->through;
    const Foliopost__V1__SendTestResponse *r =
        cli_call(c, "SendTest", &q.base, &foliopost__v1__send_test_response__descriptor, &err);
    if (r == NULL)
        return cli_fail(&err);
    accepted(r->provider, r->transport, r->provider_id, v->json);
    trial_remote_remark(r->remark);
    return CLI_OK;
}

static enum cli_exit run(struct cli *c, void *values, char **args, int n_args)
{
    struct values *v = values;
    struct trial t = {0};
    struct fp_err err;
    v->json = cli_json(c);
    (void)args;
    (void)n_args;
    if (v->remote)
        return run_remote(c, v);
    int rc = check(v, &err);
    if (rc == 0)
        rc = trial_open(&t, &v->trial, &err);
    if (rc == 0)
        rc = brands_bind(v->trial.mailer.brands, v->trial.mailer.providers, &err);
    if (rc == 0)
        rc = send_mail(v, &t, &err);
    trial_close(&t, &v->trial);
    providers_free(v->trial.mailer.providers);
    return rc == 0 ? CLI_OK : cli_fail(&err);
}

const struct cli_command cli_send_test = {
    .name = "send-test",
    .arguments = "",
    .summary = "Sends one user's mail to an address of yours, as a test",
    .details =
        "As preview makes it, with a subject that says it is a test, through the provider of these\n"
        "settings, which are the mailer's. Not in the ledger; its unsubscribe link leads nowhere.\n"
        "With --remote the scheduler is asked, and a mailer that runs sends it (docs/rpc.md).\n"
        "With --json: provider, transport and provider_id of the accepted mail.\n\n"
        "  foliopost send-test --user 4711 --to me@example.com --smtp-url smtp://relay:587\n"
        "  foliopost send-test --user 4711 --to me@example.com --providers-file p.conf --through ses-eu\n",
    .rows = rows,
    .n_rows = sizeof rows / sizeof rows[0],
    .values_bytes = sizeof(struct values),
    .run = run,
};
