/*
 * Between the settings and lib/render: who sends, with which templates, and
 * which unsubscribe link.
 *
 * A trial's link ends in a word instead of a token: inbound's page says that it
 * does not work, and a click on it in somebody's test mail unsubscribes nobody.
 */
#include "services/mailer/letter.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/text.h"
#include "services/mailer/settings.h"

#define URL_BYTES (TOKEN_TEXT_BYTES + 256)
#define NO_TOKEN  "this-is-a-test"

/* --- what is checked at start ---------------------------------------------------------- */

static int load_templates(struct mailer_settings *s, struct fp_err *err)
{
    char base[PATH_MAX];
    if (!templates_find_base(base))
        return err_set(err, FP_NOT_FOUND,
                       "templates: those that come with the program are not in share/foliopost/templates "
                       "beside its folder");
    const struct templates_from from = {base, s->templates, s->locales, s->default_locale};
    s->loaded = templates_load(&from, err);
    return s->loaded ? 0 : err_prefix(err, "templates");
}

/* "Name <address>" or "address". */
static void split_from(struct mailer_settings *s)
{
    const char *open = strrchr(s->from, '<');
    const char *start = open ? open + 1 : s->from;
    size_t len = strcspn(start, ">");
    (void)snprintf(s->from_address, sizeof(s->from_address), "%.*s", (int)len, start);
    const char *at = strchr(s->from_address, '@');
    (void)snprintf(s->from_host, sizeof(s->from_host), "%s", at ? at + 1 : "");
}

static struct render_sender sender_of(const struct mailer_settings *s)
{
    return (struct render_sender){
        .from = s->from,
        .reply_to = s->reply_to,
        .message_host = s->message_host[0] ? s->message_host : s->from_host,
        .postal_address = s->postal_address,
    };
}

static int check_sender(struct mailer_settings *s, struct fp_err *err)
{
    split_from(s);
    if (!text_is_address(s->from_address))
        return err_set(err, FP_INVALID_ARGUMENT, "from: \"%s\" holds no usable address", s->from);
    const struct render_sender sender = sender_of(s);
    if (render_check_sender(&sender, err) < 0)
        return err_prefix(err, "from, reply-to, message-host, postal-address");
    return 0;
}

static int check_link(const struct mailer_settings *s, struct fp_err *err)
{
    size_t n = strlen(s->unsubscribe_url);
    if (n == 0)
        return 0;
    if (strncmp(s->unsubscribe_url, "https://", 8) != 0 || n < 12 || s->unsubscribe_url[n - 1] == '/' ||
        strcspn(s->unsubscribe_url, " <>,\"") != n || !text_is_clean(s->unsubscribe_url))
        return err_set(
            err, FP_INVALID_ARGUMENT,
            "unsubscribe-url: \"%s\" is not like https://unsubscribe.example.com (mailbox providers "
            "ask for https)",
            s->unsubscribe_url);
    return 0;
}

int letter_open(struct mailer_settings *s, struct fp_err *err)
{
    if (check_sender(s, err) < 0 || check_link(s, err) < 0)
        return -1;
    return load_templates(s, err);
}

/* A link without a token, or tokens without a link, is a mistake. */
int letter_open_keys(struct mailer_settings *s, struct fp_err *err)
{
    if (!s->unsubscribe_url[0] && !s->token_key_file[0])
        return 0;
    if (!s->unsubscribe_url[0] || !s->token_key_file[0])
        return err_set(err, FP_INVALID_ARGUMENT,
                       "unsubscribe-url needs token-key-file, and the other way round");
    s->keys = token_keys_open(s->token_key_file, err);
    return s->keys ? 0 : err_prefix(err, "token-key-file");
}

void letter_close(struct mailer_settings *s)
{
    templates_free(s->loaded);
    token_keys_free(s->keys);
    s->loaded = NULL;
    s->keys = NULL;
}

/* --- one mail ---------------------------------------------------------------------------- */

/* The page of this user and report alone: what inbound answers under /u/. */
static int signed_url(const struct mailer_settings *s, const Foliopost__V1__JobContext *job,
                      const Foliopost__V1__SummaryItem *item, char out[URL_BYTES], struct fp_err *err)
{
    char token[TOKEN_TEXT_BYTES];
    if (!s->keys)
        return 0;
    const struct token_ids ids = {.purpose = TOKEN_UNSUBSCRIBE,
                                  .kind = token_kind_from_name(job->kind),
                                  .job_id = job->job_id,
                                  .user_id = item->user->id};
    if (token_make(s->keys, &ids, token, err) < 0)
        return -1;
    (void)snprintf(out, URL_BYTES, "%s/u/%s", s->unsubscribe_url, token);
    return 0;
}

static int fill_extras(const struct mailer_settings *s, const Foliopost__V1__JobContext *job,
                       const Foliopost__V1__SummaryItem *item, const struct letter_trial *trial,
                       char url[URL_BYTES], struct render_extras *extras, struct fp_err *err)
{
    url[0] = '\0';
    *extras = (struct render_extras){.unsubscribe_url = url, .unsubscribe_mailto = "", .to = ""};
    if (!trial)
        return signed_url(s, job, item, url, err);
    extras->to = trial->to;
    extras->test = trial->test;
    if (s->unsubscribe_url[0])
        (void)snprintf(url, URL_BYTES, "%s/u/" NO_TOKEN, s->unsubscribe_url);
    return 0;
}

int letter_mail(const struct mailer_settings *s, const Foliopost__V1__JobContext *job,
                const Foliopost__V1__SummaryItem *item, const struct letter_trial *trial, struct fp_str *out,
                struct render_info *info, struct fp_err *err)
{
    char url[URL_BYTES];
    struct render_extras extras;
    const struct render_sender sender = sender_of(s);
    if (fill_extras(s, job, item, trial, url, &extras, err) < 0)
        return -1;
    return render_mail(s->loaded, &sender, &extras, job, item, out, info, err);
}

int letter_part(const struct mailer_settings *s, const Foliopost__V1__JobContext *job,
                const Foliopost__V1__SummaryItem *item, const struct letter_trial *trial,
                enum render_part part, struct fp_str *out, struct fp_err *err)
{
    char url[URL_BYTES];
    struct render_extras extras;
    const struct render_sender sender = sender_of(s);
    if (fill_extras(s, job, item, trial, url, &extras, err) < 0)
        return -1;
    return render_part(s->loaded, &sender, &extras, job, item, part, out, err);
}
