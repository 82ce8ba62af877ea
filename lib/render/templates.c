/*
 * The templates: read, translated, compiled and checked once, at start.
 *
 * A mistake in a template is a mistake in a million mails, so everything that
 * can be found before the first one is: syntax, missing partials, a template
 * without one of its three parts, partials that include themselves, names that
 * no statement has, messages that a catalogue lacks, mails that are too long
 * (rehearse.c). files.c reads the folders.
 *
 * Each language has compiled templates of its own, with its messages as
 * literal text in them: some 100 kB for each, and nothing to look up later.
 */
#include "lib/render/templates.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/render/files.h"
#include "lib/render/mime.h"
#include "lib/render/rehearse.h"
#include "lib/render/statement.h"
#include "lib/render/translate.h"

struct fp_templates {
    struct files *files;
    struct language *languages;
    size_t n_languages;
    char default_tag[INTL_TAG_BYTES];
    char hash[65];
};

/* --- finding ------------------------------------------------------------------------------ */

static const struct language *find_language(const struct fp_templates *t, const char *locale,
                                            char tag[INTL_TAG_BYTES])
{
    char parent[INTL_TAG_BYTES];
    if (!intl_tag(locale, tag))
        return NULL;
    memcpy(parent, tag, sizeof parent);
    do
        for (size_t i = 0; i < t->n_languages; i++)
            if (strcmp(catalogue_tag(t->languages[i].messages), parent) == 0)
                return &t->languages[i];
    while (intl_parent(parent));
    return NULL;
}

const struct language *templates_language(const struct fp_templates *t, const char *locale,
                                          char tag[INTL_TAG_BYTES])
{
    const struct language *l = find_language(t, locale, tag);
    return l ? l : find_language(t, t->default_tag, tag);
}

const struct template_mail *templates_find(const struct language *l, const char *name)
{
    for (size_t i = 0; i < l->n_mails; i++)
        if (strcmp(l->mails[i].name, name) == 0)
            return &l->mails[i];
    return NULL;
}

bool templates_has(const struct fp_templates *t, const char *name)
{
    return templates_find(&t->languages[0], name) != NULL;
}

const char *templates_hash(const struct fp_templates *t)
{
    return t->hash;
}

void templates_version(const struct fp_templates *t, unsigned char out[RENDER_VERSION_BYTES])
{
    for (int i = 0; i < RENDER_VERSION_BYTES; i++) {
        char byte[3] = {t->hash[2 * i], t->hash[2 * i + 1], '\0'};
        out[i] = (unsigned char)strtoul(byte, NULL, 16);
    }
}

size_t templates_languages(const struct fp_templates *t)
{
    return t->n_languages;
}

const char *templates_language_tag(const struct fp_templates *t, size_t i)
{
    return catalogue_tag(t->languages[i].messages);
}

const char *templates_name(const struct fp_templates *t, size_t i)
{
    return i < t->languages[0].n_mails ? t->languages[0].mails[i].name : NULL;
}

/* --- names ---------------------------------------------------------------------------------- */

struct uses {
    unsigned parts;
    bool unknown;
    struct fp_err *err;
};

static void look_at_use(void *ctx, const struct mustache_use *use)
{
    struct uses *u = ctx;
    u->parts |= statement_parts(use);
    if (u->unknown || strncmp(use->name, "t.", 2) == 0 || statement_offers(use))
        return;
    u->unknown = true;
    err_set(u->err, FP_INVALID_ARGUMENT, "%s:%d:%d: a statement has no \"%s\"%s%s", use->template_name,
            use->line, use->column, use->name, use->depth ? " inside " : "",
            use->depth ? use->inside[use->depth - 1] : "");
}

static int look_at_mails(struct language *l, struct fp_err *err)
{
    for (size_t i = 0; i < l->n_mails; i++) {
        struct template_mail *m = &l->mails[i];
        struct uses u = {0, false, err};
        bool whole = mustache_names(m->subject, look_at_use, &u);
        whole &= mustache_names(m->text, look_at_use, &u);
        whole &= mustache_names(m->html, look_at_use, &u);
        if (u.unknown)
            return -1;
        m->parts = whole ? u.parts : STATEMENT_ALL;
    }
    return 0;
}

/* --- one language ------------------------------------------------------------------------------ */

static int add_file(struct fp_mustache_set *set, const struct file *f, const struct catalogue *c, bool html,
                    struct fp_err *err)
{
    if (!c)
        return mustache_set_add(set, f->name, f->text, html, err);
    char *text = translate(c, f->name, f->text, html, err);
    if (!text)
        return -1;
    int rc = mustache_set_add(set, f->name, text, html, err);
    mem_free(text);
    return rc;
}

/* messages NULL: as the files stand, to check them with the right columns. */
static int add_files(struct language *l, const struct files *files, struct fp_err *err)
{
    l->html = mustache_set_new();
    l->text = mustache_set_new();
    for (size_t i = 0; i < files->n; i++) {
        const struct file *f = &files->items[i];
        bool html = f->kind == FILE_HTML || f->kind == FILE_PARTIAL;
        bool text = f->kind == FILE_TEXT || f->kind == FILE_SUBJECT || f->kind == FILE_PARTIAL;
        if (html && add_file(l->html, f, l->messages, true, err) != 0)
            return -1;
        if (text && add_file(l->text, f, l->messages, false, err) != 0)
            return -1;
    }
    if (mustache_check_partials(l->html, err) != 0 || mustache_check_partials(l->text, err) != 0 ||
        mustache_check_nesting(l->html, err) != 0 || mustache_check_nesting(l->text, err) != 0)
        return -1;
    /* the HTML part is quoted-printable from the start: nearly all of it is the template's */
    mustache_set_bind(l->html, &(struct mustache_bind){statement_number, mime_quote});
    mustache_set_bind(l->text, &(struct mustache_bind){statement_number, NULL});
    return 0;
}

static const struct fp_mustache *part(const struct fp_mustache_set *set, const char *name, const char *end)
{
    char file[NAME_MAX + 1];
    snprintf(file, sizeof file, "%s%s", name, end);
    return mustache_set_get(set, file);
}

/* NAME.html makes a mail of NAME.subject, NAME.txt and NAME.html. */
static int add_mail(struct language *l, const struct file *f, struct fp_err *err)
{
    struct template_mail m = {.name = f->stem,
                              .subject = part(l->text, f->stem, ".subject"),
                              .text = part(l->text, f->stem, ".txt"),
                              .html = part(l->html, f->stem, ".html")};
    if (!m.subject || !m.text || !m.html)
        return err_set(err, FP_INVALID_ARGUMENT, "the template \"%s\" needs %s.subject, %s.txt and %s.html",
                       m.name, m.name, m.name, m.name);
    l->mails = mem_resize(l->mails, l->n_mails + 1, sizeof l->mails[0]);
    l->mails[l->n_mails++] = m;
    return 0;
}

static int compile_language(struct language *l, const struct files *files, struct fp_err *err)
{
    if (add_files(l, files, err) != 0)
        return -1;
    for (size_t i = 0; i < files->n; i++) {
        const struct file *f = &files->items[i];
        bool makes = f->kind == FILE_HTML || f->kind == FILE_TEXT || f->kind == FILE_SUBJECT;
        if (makes && !templates_find(l, f->stem) && add_mail(l, f, err) != 0)
            return -1;
    }
    if (l->n_mails == 0)
        return err_set(err, FP_NOT_FOUND,
                       "no template is in it: at least statement.subject, statement.txt and "
                       "statement.html are needed");
    return look_at_mails(l, err);
}

static void language_fini(struct language *l)
{
    catalogue_free(l->messages);
    mustache_set_free(l->html);
    mustache_set_free(l->text);
    mem_free(l->mails);
}

/* --- all of them --------------------------------------------------------------------------------- */

/* The files as they stand: syntax and names, with exact columns. */
static int check_files(const struct fp_templates *t, struct fp_err *err)
{
    struct language plain = {0};
    int rc = compile_language(&plain, t->files, err);
    language_fini(&plain);
    return rc;
}

static int add_language(struct fp_templates *t, const char *tag, struct fp_err *err)
{
    t->languages = mem_resize(t->languages, t->n_languages + 1, sizeof t->languages[0]);
    struct language *l = &t->languages[t->n_languages++];
    *l = (struct language){.messages = catalogue_new(tag), .right_to_left = intl_is_right_to_left(tag)};
    for (size_t i = 0; i < t->files->n; i++) {
        const struct file *f = &t->files->items[i];
        char path[PATH_MAX]; /* which of two files of one name */
        snprintf(path, sizeof path, "%s/%s", f->dir, f->name);
        if (f->kind == FILE_MESSAGES && strcmp(f->stem, tag) == 0 &&
            catalogue_add(l->messages, path, f->text, err) != 0)
            return -1;
    }
    if (catalogue_words(l->messages, &l->words, err) != 0 || compile_language(l, t->files, err) != 0)
        return -1;
    struct fp_err ignored; /* ICU must know it: said here and not in the first mail */
    struct intl *probe = intl_open(tag, &ignored);
    intl_close(probe);
    return probe ? 0 : err_set(err, ignored.code, "%s.properties: %s", tag, ignored.msg);
}

static bool is_wanted(const char *locales, const char *tag)
{
    size_t n = strlen(tag);
    if (!*locales)
        return true;
    for (const char *p = locales; *p;) {
        p += strspn(p, ", ");
        size_t word = strcspn(p, ", ");
        if (word == n && strncmp(p, tag, n) == 0)
            return true;
        p += word;
    }
    return false;
}

static bool has_language(const struct fp_templates *t, const char *tag)
{
    for (size_t i = 0; i < t->n_languages; i++)
        if (strcmp(catalogue_tag(t->languages[i].messages), tag) == 0)
            return true;
    return false;
}

static int add_languages(struct fp_templates *t, const struct templates_from *from, struct fp_err *err)
{
    for (size_t i = 0; i < t->files->n; i++) {
        const struct file *f = &t->files->items[i];
        char tag[INTL_TAG_BYTES];
        if (f->kind != FILE_MESSAGES)
            continue;
        if (!intl_tag(f->stem, tag) || strcmp(tag, f->stem) != 0)
            return err_set(err, FP_INVALID_ARGUMENT,
                           "%s: not named like a language: de.properties, "
                           "pt-BR.properties",
                           f->name);
        if (is_wanted(from->locales, tag) && !has_language(t, tag) && add_language(t, tag, err) != 0)
            return -1;
    }
    char tag[INTL_TAG_BYTES];
    if (!find_language(t, t->default_tag, tag))
        return err_set(err, FP_NOT_FOUND, "there is no catalogue for the default locale: %s.properties",
                       t->default_tag);
    return 0;
}

static int load_all(struct fp_templates *t, const struct templates_from *from, struct fp_err *err)
{
    if (!intl_tag(from->default_locale, t->default_tag))
        return err_set(err, FP_INVALID_ARGUMENT,
                       "the default locale \"%.40s\" is not like \"en\" or \"de-AT\"", from->default_locale);
    if (files_read(t->files, from->base, err) != 0)
        return -1;
    if (!files_same_folder(from->base, from->own) && files_read(t->files, from->own, err) != 0)
        return -1;
    files_hash(t->files, t->hash);
    if (check_files(t, err) != 0 || add_languages(t, from, err) != 0 || rehearse(t, err) != 0) {
        if (!files_name(t->files, err))
            err_prefix(err, "%s", *from->own ? from->own : from->base);
        return -1;
    }
    return 0;
}

struct fp_templates *templates_load(const struct templates_from *from, struct fp_err *err)
{
    struct fp_templates *t = mem_alloc(sizeof *t);
    t->files = files_new();
    if (load_all(t, from, err) == 0)
        return t;
    templates_free(t);
    return NULL;
}

void templates_free(struct fp_templates *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->n_languages; i++)
        language_fini(&t->languages[i]);
    mem_free(t->languages);
    files_free(t->files);
    mem_free(t);
}
