/*
 * The brands that a mailer sends for: the flags are the brand "default", a file
 * has the others, a section for each; what one does not say is as the flags say.
 *
 *     # brands.conf
 *     [acme]
 *     from = Acme Invest <reports@acme.example>
 *     postal-address = Acme Ltd, 1 Street, Town
 *     unsubscribe-url = https://unsubscribe.acme.example
 *     template = acme
 *     provider = ses-acme
 *
 * A user of a brand that is not there gets no mail: he would get it from
 * somebody whom he does not know, with another's postal address, through a
 * domain that does not sign for it. A provider that a brand names carries the
 * mails of the brands that name it and no others.
 */
#ifndef FP_MAILER_BRANDS_H
#define FP_MAILER_BRANDS_H

#include <stdbool.h>

#include "lib/base/err.h"

#define BRANDS_MAX    64
#define BRAND_DEFAULT "default"

struct mailer_settings;
struct providers;
struct brands;

struct brand {
    const char *name;
    struct mailer_settings *settings; /* from, reply-to, ... as this brand has them */
    const char *template_name;        /* in the place of "statement"; "": that */
    const char *provider_name;        /* "": any that no brand names */
    int provider;                     /* its place, after brands_bind(); -1: any */
};

/* From brands-file. The settings must live as long. */
struct brands *brands_load(struct mailer_settings *s, struct fp_err *err) FP_MUST_CHECK;
void brands_free(struct brands *b);
/* Without a file every name is the flags' brand: a label for Feedback-ID. NULL: unknown. */
const struct brand *brands_find(const struct brands *b, const char *name);
struct brand *brands_at(struct brands *b, int i); /* NULL behind the last */
/* Finds the providers that brands name, and keeps others off them. */
int brands_bind(struct brands *b, struct providers *p, struct fp_err *err) FP_MUST_CHECK;

#endif
