/* The brands of a mailer; see brands.h. */
#include "services/mailer/brands.h"

#include <string.h>

#include "lib/base/mem.h"
#include "services/mailer/providers.h"
#include "services/mailer/sections.h"

static const char *const keys[] = {"from",
                                   "reply-to",
                                   "message-host",
                                   "postal-address",
                                   "unsubscribe-url",
                                   "unsubscribe-mailto",
                                   "bounce-address",
                                   "bounce-domain",
                                   "list-host",
                                   "feedback-sender",
                                   NULL};
/* Keys without a flag: a flag `provider` is the name of the rate. */
static const struct config_setting more[] = {
    {.name = "template", .type = CONFIG_STRING, .min = 1, .max = 64},
    {.name = "provider", .type = CONFIG_STRING, .min = 1, .max = 64}};
static const struct sections_of sections_of_brands = {.file_setting = "brands-file",
                                                      .what = "brand",
                                                      .keys = keys,
                                                      .more = more,
                                                      .n_more = sizeof more / sizeof more[0],
                                                      .max = BRANDS_MAX};

struct brands {
    struct sections *sections;
    struct brand list[BRANDS_MAX + 1];
    int n;
    bool labels; /* no file: names say nothing */
};

static void add(struct brands *b, const char *name, struct mailer_settings *s, const char *template_name,
                const char *provider)
{
    b->list[b->n++] = (struct brand){.name = name,
                                     .settings = s,
                                     .template_name = template_name,
                                     .provider_name = provider,
                                     .provider = -1};
}

struct brands *brands_load(struct mailer_settings *s, struct fp_err *err)
{
    struct brands *b = mem_alloc(sizeof *b);
    b->sections = sections_new(&sections_of_brands);
    b->labels = !s->brands_file[0];
    if (!b->labels && sections_read(b->sections, s, s->brands_file, err) < 0) {
        brands_free(b);
        return NULL;
    }
    for (int i = 0; i < b->sections->n; i++)
        add(b, b->sections->list[i]->name, &b->sections->list[i]->settings,
            sections_more(b->sections, i, "template"), sections_more(b->sections, i, "provider"));
    if (b->labels || !brands_find(b, BRAND_DEFAULT))
        add(b, BRAND_DEFAULT, s, "", "");
    return b;
}

void brands_free(struct brands *b)
{
    if (b)
        sections_free(b->sections);
    mem_free(b);
}

const struct brand *brands_find(const struct brands *b, const char *name)
{
    for (int i = 0; i < b->n; i++)
        if (b->labels || strcmp(b->list[i].name, name) == 0)
            return &b->list[i];
    return NULL;
}

struct brand *brands_at(struct brands *b, int i)
{
    return i < b->n ? &b->list[i] : NULL;
}

/* Through each provider that its mails may take. */
static int check_sender(const struct brand *b, const struct providers *p, struct fp_err *err)
{
    for (int i = 0; i < providers_count(p); i++) {
        bool takes = b->provider >= 0 ? b->provider == i : !providers_is_dedicated(p, i);
        if (takes && providers_check_sender(p, i, b->settings->from, b->settings->reply_to, err) < 0)
            return strcmp(b->name, BRAND_DEFAULT) == 0 ? -1 : err_prefix(err, "brand %s", b->name);
    }
    return 0;
}

int brands_bind(struct brands *b, struct providers *p, struct fp_err *err)
{
    for (int i = 0; i < b->n; i++) {
        struct brand *at = &b->list[i];
        if (!at->provider_name[0])
            continue;
        at->provider = providers_find(p, at->provider_name);
        if (at->provider < 0)
            return err_set(err, FP_INVALID_ARGUMENT, "brand %s: there is no provider %s", at->name,
                           at->provider_name);
        providers_dedicate(p, at->provider);
    }
    for (int i = 0; i < b->n && !providers_any_free(p); i++)
        if (b->list[i].provider < 0)
            return err_set(err, FP_INVALID_ARGUMENT,
                           "brand %s: every provider is another brand's: name one for it, in [%s]",
                           b->list[i].name, b->list[i].name);
    for (int i = 0; i < b->n; i++)
        if (check_sender(&b->list[i], p, err) < 0)
            return -1;
    return 0;
}
