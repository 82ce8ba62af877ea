/*
 * Between the settings and lib/render: who sends, with which templates, which
 * unsubscribe link, and which envelope sender.
 *
 * A user's own brand comes before the job's. A trial's link ends in a word
 * instead of a token: inbound's page says that it does not work, and a click on
 * it in somebody's test mail unsubscribes nobody.
 */
#include "services/mailer/letter.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/crash.h"
#include "lib/base/text.h"
#include "services/mailer/brands.h"
#include "services/mailer/providers.h"
#include "services/mailer/settings.h"

#define URL_BYTES    (TOKEN_TEXT_BYTES + IDENTITY_URL_BYTES + 4)
#define MAILTO_BYTES (TOKEN_TEXT_BYTES + ADDRESS_BYTES + 24)
#define NO_TOKEN     "this-is-a-test"
#define BOUNCE_LOCAL "bounce" /* with "+" and any token it is 64 letters at most */
#define COMMON_NAME  "statement"

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

static struct render_sender sender_of(const struct mailer_settings *s)
{
    return (struct render_sender){
        .from = s->identity.from,
        .reply_to = s->identity.reply_to,
        .message_host = s->identity.message_host,
        .list_host = s->identity.list_host,
        .feedback_sender = s->feedback_sender,
        .postal_address = s->postal_address,
    };
}

static int check_sender(struct mailer_settings *s, struct fp_err *err)
{
    if (identity_fill(&s->identity, s, err) < 0)
        return -1;
    const struct render_sender sender = sender_of(s);
    if (render_check_sender(&sender, err) < 0)
        return err_prefix(err, "from, reply-to, message-host, postal-address");
    return 0;
}

static int check_brand(struct brand *b, struct fp_err *err)
{
    if (check_sender(b->settings, err) < 0)
        return strcmp(b->name, BRAND_DEFAULT) == 0 ? -1 : err_prefix(err, "brand %s", b->name);
    return 0;
}

static int check_templates(const struct mailer_settings *s, struct fp_err *err)
{
    const struct brand *b;
    for (int i = 0; (b = brands_at(s->brands, i)) != NULL; i++)
        if (b->template_name[0] && !templates_has(s->loaded, b->template_name))
            return err_set(err, FP_INVALID_ARGUMENT, "brand %s: there is no template \"%s\"", b->name,
                           b->template_name);
    return 0;
}

int letter_open(struct mailer_settings *s, struct fp_err *err)
{
    struct brand *b;
    s->brands = brands_load(s, err);
    if (!s->brands)
        return -1;
    for (int i = 0; (b = brands_at(s->brands, i)) != NULL; i++)
        if (check_brand(b, err) < 0)
            return -1;
    return load_templates(s, err) < 0 ? -1 : check_templates(s, err);
}

/* A link without a token, or tokens without a use, is a mistake. */
int letter_open_keys(struct mailer_settings *s, struct fp_err *err)
{
    const struct brand *b;
    bool needed = false;
    for (int i = 0; (b = brands_at(s->brands, i)) != NULL; i++)
        needed |= b->settings->unsubscribe_url[0] || b->settings->bounce_domain[0];
    if (!needed && !s->token_key_file[0])
        return 0;
    if (!s->token_key_file[0])
        return err_set(err, FP_INVALID_ARGUMENT, "unsubscribe-url and bounce-domain need token-key-file");
    if (!needed)
        return err_set(err, FP_INVALID_ARGUMENT,
                       "token-key-file is of no use without unsubscribe-url or bounce-domain");
    s->keys = token_keys_open(s->token_key_file, err);
    return s->keys ? 0 : err_prefix(err, "token-key-file");
}

void letter_close(struct mailer_settings *s)
{
    brands_free(s->brands);
    templates_free(s->loaded);
    token_keys_free(s->keys);
    s->brands = NULL;
    s->loaded = NULL;
    s->keys = NULL;
}

/* A brand's own provider carries that brand's mails, all of them and no others:
 * through another one its domain would not be signed for. */
static void cannot_through(const struct mailer_settings *s, const Foliopost__V1__JobContext *job,
                           char out[160])
{
    const struct brand *b = brands_find(s->brands, job->brand[0] ? job->brand : BRAND_DEFAULT);
    int i = providers_find(s->providers, job->provider);
    if (i < 0)
        (void)snprintf(out, 160, "provider \"%.64s\": add it to providers-file", job->provider);
    else if (b && b->provider != i && (b->provider >= 0 || providers_is_dedicated(s->providers, i)))
        (void)snprintf(out, 160, "provider \"%.40s\" for brand \"%.40s\": brands-file says otherwise",
                       job->provider, b->name);
}

void letter_cannot(const struct mailer_settings *s, const Foliopost__V1__JobContext *job, char out[160])
{
    out[0] = '\0';
    if (!templates_has(s->loaded, job->template_name))
        (void)snprintf(out, 160, "template \"%.64s\": add it to their folder", job->template_name);
    else if (job->brand[0] && !brands_find(s->brands, job->brand))
        (void)snprintf(out, 160, "brand \"%.64s\": add it to brands-file", job->brand);
    else if (job->provider[0])
        cannot_through(s, job, out);
}

/* --- one mail ---------------------------------------------------------------------------- */

/* All that one mail is written with. */
struct letter {
    const struct brand *brand;
    Foliopost__V1__JobContext job; /* with the brand's name and template */
    struct render_sender sender;
    struct render_extras extras;
    char url[URL_BYTES], mailto[MAILTO_BYTES], bounce[TOKEN_TEXT_BYTES];
};

static int find_brand(const struct mailer_settings *s, const Foliopost__V1__JobContext *job,
                      const Foliopost__V1__SummaryItem *item, struct letter *l, struct fp_err *err)
{
    const char *name = item->user->brand[0] ? item->user->brand : job->brand[0] ? job->brand : BRAND_DEFAULT;
    l->brand = brands_find(s->brands, name);
    if (!l->brand)
        return err_set(err, FP_FAILED_PRECONDITION, "unknown brand: %.64s", name);
    l->job = *job;
    l->job.brand = (char *)name;
    if (l->brand->template_name[0] && strcmp(job->template_name, COMMON_NAME) == 0)
        l->job.template_name = (char *)l->brand->template_name;
    l->sender = sender_of(l->brand->settings);
    return 0;
}

static void fill_link(struct letter *l, const char *token)
{
    const struct identity *i = &l->brand->settings->identity;
    if (!i->url[0])
        return;
    (void)snprintf(l->url, sizeof(l->url), "%s/u/%s", i->url, token);
    if (i->mailto[0])
        (void)snprintf(l->mailto, sizeof(l->mailto), "mailto:%s?subject=%s", i->mailto, token);
}

/* The page of this user and report alone: what inbound answers under /u/. */
static int sign(const struct mailer_settings *s, const Foliopost__V1__SummaryItem *item, struct letter *l,
                struct fp_err *err)
{
    char token[TOKEN_TEXT_BYTES];
    struct token_ids ids = {.purpose = TOKEN_UNSUBSCRIBE,
                            .kind = token_kind_from_name(l->job.kind),
                            .job_id = l->job.job_id,
                            .user_id = item->user->id};
    if (!s->keys)
        return 0;
    if (token_make(s->keys, &ids, token, err) < 0)
        return -1;
    fill_link(l, token);
    ids.purpose = TOKEN_BOUNCE;
    return token_make(s->keys, &ids, l->bounce, err);
}

static int begin(const struct mailer_settings *s, const Foliopost__V1__JobContext *job,
                 const Foliopost__V1__SummaryItem *item, const struct letter_trial *trial, struct letter *l,
                 struct fp_err *err)
{
    l->url[0] = l->mailto[0] = l->bounce[0] = '\0';
    l->extras = (struct render_extras){.unsubscribe_url = l->url, .unsubscribe_mailto = l->mailto, .to = ""};
    if (find_brand(s, job, item, l, err) < 0)
        return -1;
    if (!trial)
        return sign(s, item, l, err);
    l->extras.to = trial->to;
    l->extras.test = trial->test;
    fill_link(l, NO_TOKEN);
    return 0;
}

/* The brand's own, else the job's, when that is not another brand's own. */
static int provider_of(const struct mailer_settings *s, const struct letter *l)
{
    if (l->brand->provider >= 0 || !l->job.provider[0] || !s->providers)
        return l->brand->provider;
    int i = providers_find(s->providers, l->job.provider);
    return i >= 0 && providers_is_dedicated(s->providers, i) ? -1 : i;
}

static void fill_envelope(const struct mailer_settings *s, const struct letter *l, struct rendered *r)
{
    const struct identity *i = &l->brand->settings->identity;
    r->provider = (int8_t)provider_of(s, l);
    (void)snprintf(r->token, sizeof(r->token), "%s", l->bounce);
    if (l->bounce[0] && i->bounce_domain[0])
        (void)snprintf(r->sender, sizeof(r->sender), BOUNCE_LOCAL "+%s@%s", l->bounce, i->bounce_domain);
    else
        (void)snprintf(r->sender, sizeof(r->sender), "%s", i->bounce);
}

int letter_mail(const struct mailer_settings *s, const Foliopost__V1__JobContext *job,
                const Foliopost__V1__SummaryItem *item, const struct letter_trial *trial, struct fp_str *out,
                struct rendered *rendered, struct fp_err *err)
{
    struct letter l;
    crash_user(item->user->id);
    if (begin(s, job, item, trial, &l, err) < 0)
        return -1;
    fill_envelope(s, &l, rendered);
    return render_mail(s->loaded, &l.sender, &l.extras, &l.job, item, out, &rendered->content, err);
}

int letter_part(const struct mailer_settings *s, const Foliopost__V1__JobContext *job,
                const Foliopost__V1__SummaryItem *item, const struct letter_trial *trial,
                enum render_part part, struct fp_str *out, struct fp_err *err)
{
    struct letter l;
    if (begin(s, job, item, trial, &l, err) < 0)
        return -1;
    return render_part(s->loaded, &l.sender, &l.extras, &l.job, item, part, out, err);
}
