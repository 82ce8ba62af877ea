/*
 * foliopost preview: one user's mail, as a job would send it, on the screen, in
 * a file or as a picture. Nothing is sent, nothing is written to the ledger.
 *
 * Unlike explain this shows the user's name and figures together: who may read
 * the portfolio's database may see them, and files are made for their owner alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/picture.h"
#include "cli/trial_remote.h"

struct values {
    struct trial_values trial;
    bool html, text, eml, dark, remote;
    char *png, *out, *browser;
    int64_t width;
};

#define AT(field)         offsetof(struct values, field)
#define AT_SUBJECT(field) offsetof(struct values, trial.subject.field)
#define AT_MAILER(field)  offsetof(struct values, trial.mailer.field)
#define AT_TRIAL(field)   offsetof(struct values, trial.field)

static const struct config_setting rows[] = {
    SUBJECT_ROWS(AT_SUBJECT),
    {"text", CONFIG_BOOL, NULL, "false", 0, 0, NULL, "the subject and the text part; the default", AT(text)},
    {"html", CONFIG_BOOL, NULL, "false", 0, 0, NULL, "the HTML part", AT(html)},
    {"eml", CONFIG_BOOL, NULL, "false", 0, 0, NULL, "the whole mail's source: headers and both parts",
     AT(eml)},
    {"png", CONFIG_STRING, NULL, "", 0, 4096, NULL,
     "a picture of the HTML part, into this file; needs a Chromium", AT(png)},
    {"width", CONFIG_INT, "px", "600", 300, 1600, NULL, "of the picture: 600 as on a desk, 360 as on a phone",
     AT(width)},
    {"dark", CONFIG_BOOL, NULL, "false", 0, 0, NULL, "the picture as in dark mode", AT(dark)},
    {"browser", CONFIG_STRING, NULL, "", 0, 4096, NULL,
     "the program that makes pictures; empty: chromium, chromium-browser, google-chrome of PATH",
     AT(browser)},
    {"out", CONFIG_STRING, NULL, "", 0, 4096, NULL, "write to this file and not to the screen", AT(out)},
    TRIAL_ROWS(AT_TRIAL),
    ROW_REMOTE(AT(remote)),
    MAILER_ROWS_LETTER(AT_MAILER),
};

static int check(const struct values *v, struct fp_err *err)
{
    int n = v->html + v->text + v->eml + (v->png[0] != '\0');
    if (n > 1)
        return err_set(err, FP_INVALID_ARGUMENT, "one of --text, --html, --eml and --png at a time");
    if (v->png[0] != '\0' && v->out[0] != '\0')
        return err_set(err, FP_INVALID_ARGUMENT, "--out: the picture's file is named by --png already");
    return 0;
}

static int write_text(const struct values *v, const struct trial *t, const struct letter_trial *as,
                      struct fp_str *out, struct fp_err *err)
{
    const struct mailer_settings *m = &v->trial.mailer;
    str_puts(out, "Subject: ");
    if (letter_part(m, &t->job, t->item, as, RENDER_SUBJECT, out, err) != 0)
        return -1;
    while (out->len > 0 && out->data[out->len - 1] == '\n') /* the template's last line ends */
        out->len--;
    str_puts(out, "\n\n");
    return letter_part(m, &t->job, t->item, as, RENDER_TEXT, out, err);
}

static int write_mail(const struct values *v, const struct trial *t, struct fp_str *out, struct fp_err *err)
{
    static const struct letter_trial as = {.to = "", .test = false};
    const struct mailer_settings *m = &v->trial.mailer;
    struct rendered rendered;
    if (v->eml)
        return letter_mail(m, &t->job, t->item, &as, out, &rendered, err);
    if (v->html || v->png[0] != '\0')
        return letter_part(m, &t->job, t->item, &as, RENDER_HTML, out, err);
    return write_text(v, t, &as, out, err);
}

static void add_field(struct fp_str *out, const char *name, const struct fp_str *text)
{
    str_puts(out, ", ");
    str_json(out, name);
    str_puts(out, ": ");
    str_json(out, text->data ? text->data : "");
}

/* {"user_id", "subject", "text", "html"}, whichever part was asked for, or
 * {"user_id", "source"}: a program takes what it wants. */
static int write_json(const struct values *v, const struct trial *t, struct fp_str *out, struct fp_err *err)
{
    static const struct letter_trial as = {.to = "", .test = false};
    static const struct {
        const char *name;
        enum render_part part;
    } parts[] = {{"subject", RENDER_SUBJECT}, {"text", RENDER_TEXT}, {"html", RENDER_HTML}};
    struct fp_str one;
    int rc = 0;
    str_init(&one, 0);
    str_printf(out, "{\"user_id\": %" PRId64, t->user.id);
    if (v->eml && (rc = write_mail(v, t, &one, err)) == 0)
        add_field(out, "source", &one);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && !v->eml && rc == 0; i++) {
        str_clear(&one);
        rc = letter_part(&v->trial.mailer, &t->job, t->item, &as, parts[i].part, &one, err);
        while (parts[i].part == RENDER_SUBJECT && one.len > 0 && one.data[one.len - 1] == '\n')
            one.data[--one.len] = 0;
        add_field(out, parts[i].name, &one);
    }
    str_puts(out, "}\n");
    str_fini(&one);
    return rc;
}

/* For its owner alone: it holds a person's name and figures. */
static int save(const char *path, const struct fp_str *text, struct fp_err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (f == NULL)
        return err_set(err, FP_INVALID_ARGUMENT, "--out %s: %s", path, strerror(errno));
    bool whole = fwrite(text->data, 1, text->len, f) == text->len;
    if (fclose(f) != 0 || !whole)
        return err_set(err, FP_UNKNOWN, "--out %s: %s", path, strerror(errno));
    return 0;
}

static int show(const struct values *v, const struct fp_str *text, struct fp_err *err)
{
    const struct picture p = {v->browser, v->png, (int)v->width, v->dark};
    if (v->png[0] != '\0')
        return picture_make(&p, text, err);
    if (v->out[0] != '\0')
        return save(v->out, text, err);
    fwrite(text->data, 1, text->len, stdout);
    return 0;
}

/* --- by way of the scheduler -------------------------------------------------------------- */

static void add_bytes(struct fp_str *out, const ProtobufCBinaryData *b)
{
    str_add(out, b->data, b->len);
}

static void pick(const struct values *v, const Foliopost__V1__PreviewEmailResponse *r, struct fp_str *out)
{
    if (v->eml) {
        add_bytes(out, &r->source);
    } else if (v->html || v->png[0] != '\0') {
        add_bytes(out, &r->html);
    } else {
        str_printf(out, "Subject: %s\n\n", r->subject);
        add_bytes(out, &r->text);
    }
}

/* As write_json() does it. */
static void pick_json(const struct values *v, const Foliopost__V1__PreviewEmailResponse *r,
                      struct fp_str *out)
{
    const struct {
        const char *name;
        const ProtobufCBinaryData *bytes;
        bool wanted;
    } parts[] = {{"source", &r->source, v->eml}, {"text", &r->text, !v->eml}, {"html", &r->html, !v->eml}};
    struct fp_str one;
    str_init(&one, 0);
    str_printf(out, "{\"user_id\": %" PRId64, v->trial.subject.user);
    if (!v->eml) {
        str_puts(&one, r->subject);
        add_field(out, "subject", &one);
    }
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (!parts[i].wanted)
            continue;
        str_clear(&one);
        add_bytes(&one, parts[i].bytes);
        add_field(out, parts[i].name, &one);
    }
    str_puts(out, "}\n");
    str_fini(&one);
}

static enum cli_exit run_remote(struct cli *c, const struct values *v)
{
    struct trial_request made;
    struct fp_str text;
    struct fp_err err;
    if (trial_request(&v->trial, &made, &err) != 0)
        return cli_fail(&err);
    const Foliopost__V1__PreviewEmailResponse *r =
        cli_call(c, "PreviewEmail", &made.q.base, &foliopost__v1__preview_email_response__descriptor, &err);
    if (r == NULL)
        return cli_fail(&err);
    str_init(&text, 0);
    if (cli_json(c) && v->png[0] == '\0')
        pick_json(v, r, &text);
    else
        pick(v, r, &text);
    int rc = show(v, &text, &err);
    str_fini(&text);
    if (rc != 0)
        return cli_fail(&err);
    trial_remote_remark(r->remark);
    return CLI_OK;
}

/* --- by the databases ----------------------------------------------------------------------- */

static enum cli_exit run(struct cli *c, void *values, char **args, int n_args)
{
    struct values *v = values;
    struct trial t = {0};
    struct fp_str text;
    struct fp_err err;
    (void)args;
    (void)n_args;
    if (check(v, &err) != 0)
        return cli_fail(&err);
    if (v->remote)
        return run_remote(c, v);
    const bool json = cli_json(c) && v->png[0] == '\0';
    str_init(&text, 0);
    int rc = trial_open(&t, &v->trial, &err);
    if (rc == 0)
        rc = json ? write_json(v, &t, &text, &err) : write_mail(v, &t, &text, &err);
    if (rc == 0)
        rc = show(v, &text, &err);
    if (rc == 0)
        trial_remark(&t);
    str_fini(&text);
    trial_close(&t, &v->trial);
    return rc == 0 ? CLI_OK : cli_fail(&err);
}

const struct cli_command cli_preview = {
    .name = "preview",
    .arguments = "",
    .summary = "Shows one user's mail as a job would send it",
    .details =
        "Reads the portfolio's database, computes with the code of stats and renders with that of the mailer,\n"
        "its settings and its templates. Nothing is sent and nothing recorded; the unsubscribe link leads\n"
        "nowhere. Run it with the mailer's environment (FOLIOPOST_FROM, FOLIOPOST_TEMPLATES, ...).\n\n"
        "With --remote the scheduler is asked, for whom operators and admins may (docs/rpc.md).\n\n"
        "With --json an object: user_id, subject, text and html, or with --eml source.\n\n"
        "  foliopost preview --user 4711 --source-dsn 'host=replica dbname=app'\n"
        "  foliopost preview --user 4711 --period 2026-10 --templates ./ours --locale de --html --out mail.html\n"
        "  foliopost preview --user 4711 --remote --rpc tcp://scheduler:7700\n"
        "  foliopost preview --user 4711 --png mail.png --width 360 --dark\n",
    .rows = rows,
    .n_rows = sizeof rows / sizeof rows[0],
    .values_bytes = sizeof(struct values),
    .run = run,
};
