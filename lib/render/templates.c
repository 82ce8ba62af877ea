/*
 * The folder of templates: read, compiled and checked once, at start.
 *
 * A mistake in a template is a mistake in a million mails, so everything that
 * can be found before the first one is: syntax, missing partials, a template
 * without one of its three parts, names that no statement has. Files with
 * other endings are left alone.
 */
#include "lib/render/templates.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/render/digest.h"
#include "lib/render/statement.h"

struct fp_templates {
    struct fp_mustache_set *set;
    struct template_mail *mails;
    size_t n_mails;
    char hash[65];
};

static const char *ending(const char *file)
{
    const char *dot = strrchr(file, '.');
    return dot ? dot : "";
}

static int is_template(const struct dirent *entry)
{
    const char *e = ending(entry->d_name);
    return entry->d_name[0] != '.' && (strcmp(e, ".subject") == 0 || strcmp(e, ".txt") == 0 ||
                                       strcmp(e, ".html") == 0 || strcmp(e, ".mustache") == 0);
}

/* The whole file as a text, freed by the caller. */
static char *read_file(const char *dir, const char *file, struct fp_err *err)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, file);
    FILE *f = fopen(path, "re");
    if (!f) {
        err_set(err, FP_NOT_FOUND, "%s: %s", path, strerror(errno));
        return NULL;
    }
    const size_t max = MUSTACHE_MAX_TEMPLATE_BYTES + 1; /* one more: the compiler says it is too large */
    char *text = mem_alloc(max + 1);
    size_t n = fread(text, 1, max, f);
    const char *wrong = ferror(f) ? strerror(errno) : memchr(text, 0, n) ? "holds a NUL byte" : NULL;
    fclose(f);
    if (!wrong)
        return text;
    err_set(err, FP_INVALID_ARGUMENT, "%s: %s", path, wrong);
    mem_free(text);
    return NULL;
}

static int load_file(struct fp_templates *t, const char *dir, const char *file, struct digest *digest,
                     struct fp_err *err)
{
    char *text = read_file(dir, file, err);
    if (!text)
        return -1;
    digest_add(digest, file, strlen(file) + 1);
    digest_add(digest, text, strlen(text) + 1);
    int rc = mustache_set_add(t->set, file, text, strcmp(ending(file), ".html") == 0, err);
    mem_free(text);
    return rc;
}

static int load_files(struct fp_templates *t, const char *dir, struct fp_err *err)
{
    struct dirent **entries = NULL;
    int n = scandir(dir, &entries, is_template, alphasort);
    if (n < 0)
        return err_set(err, FP_NOT_FOUND, "the folder of templates cannot be read: %s", strerror(errno));
    struct digest digest;
    digest_init(&digest);
    int rc = 0;
    for (int i = 0; i < n; i++) {
        if (rc == 0)
            rc = load_file(t, dir, entries[i]->d_name, &digest, err);
        free(entries[i]);
    }
    free(entries);
    digest_hex(&digest, t->hash);
    return rc;
}

static const struct fp_mustache *part(const struct fp_templates *t, const char *name, const char *end)
{
    char file[NAME_MAX + 1];
    snprintf(file, sizeof file, "%s%s", name, end);
    return mustache_set_get(t->set, file);
}

/* NAME.html makes a mail of NAME.subject, NAME.txt and NAME.html. */
static int add_mail(struct fp_templates *t, const char *file, struct fp_err *err)
{
    struct template_mail m = {.name = mem_strdup(file)};
    m.name[strlen(file) - strlen(ending(file))] = 0;
    m.subject = part(t, m.name, ".subject");
    m.text = part(t, m.name, ".txt");
    m.html = part(t, m.name, ".html");
    if (!m.subject || !m.text || !m.html) {
        err_set(err, FP_INVALID_ARGUMENT, "the template \"%s\" needs %s.subject, %s.txt and %s.html", m.name,
                m.name, m.name, m.name);
        mem_free(m.name);
        return -1;
    }
    t->mails = mem_resize(t->mails, t->n_mails + 1, sizeof t->mails[0]);
    t->mails[t->n_mails++] = m;
    return 0;
}

struct unknown {
    bool found;
    struct fp_err *err;
};

static void check_use(void *ctx, const struct mustache_use *use)
{
    struct unknown *u = ctx;
    if (u->found || statement_offers(use))
        return;
    u->found = true;
    err_set(u->err, FP_INVALID_ARGUMENT, "%s:%d:%d: a statement has no \"%s\"%s%s", use->template_name,
            use->line, use->column, use->name, use->depth ? " inside " : "",
            use->depth ? use->inside[use->depth - 1] : "");
}

static int check_mail(const struct template_mail *m, struct fp_err *err)
{
    struct unknown u = {false, err};
    mustache_names(m->subject, check_use, &u);
    mustache_names(m->text, check_use, &u);
    mustache_names(m->html, check_use, &u);
    return u.found ? -1 : 0;
}

static int collect_mails(struct fp_templates *t, const char *dir, struct fp_err *err)
{
    struct dirent **entries = NULL;
    int n = scandir(dir, &entries, is_template, alphasort), rc = 0;
    for (int i = 0; i < n; i++) {
        const char *file = entries[i]->d_name, *e = ending(file);
        char name[NAME_MAX + 1];
        snprintf(name, sizeof name, "%.*s", (int)(e - file), file);
        if (rc == 0 && strcmp(e, ".mustache") != 0 && !templates_find(t, name))
            rc = add_mail(t, file, err);
        free(entries[i]);
    }
    free(entries);
    if (rc == 0 && t->n_mails == 0)
        rc = err_set(err, FP_NOT_FOUND,
                     "no template is in it: at least statement.subject, statement.txt and "
                     "statement.html are needed");
    return rc;
}

static int load_all(struct fp_templates *t, const char *dir, struct fp_err *err)
{
    if (load_files(t, dir, err) != 0 || mustache_check_partials(t->set, err) != 0 ||
        collect_mails(t, dir, err) != 0)
        return -1;
    for (size_t i = 0; i < t->n_mails; i++)
        if (check_mail(&t->mails[i], err) != 0)
            return -1;
    return 0;
}

struct fp_templates *templates_load(const char *dir, struct fp_err *err)
{
    struct fp_templates *t = mem_alloc(sizeof *t);
    t->set = mustache_set_new();
    if (load_all(t, dir, err) == 0)
        return t;
    err_prefix(err, "%s", dir);
    templates_free(t);
    return NULL;
}

void templates_free(struct fp_templates *t)
{
    if (!t)
        return;
    mustache_set_free(t->set);
    for (size_t i = 0; i < t->n_mails; i++)
        mem_free(t->mails[i].name);
    mem_free(t->mails);
    mem_free(t);
}

const struct template_mail *templates_find(const struct fp_templates *t, const char *name)
{
    for (size_t i = 0; i < t->n_mails; i++)
        if (strcmp(t->mails[i].name, name) == 0)
            return &t->mails[i];
    return NULL;
}

bool templates_has(const struct fp_templates *t, const char *name)
{
    return templates_find(t, name) != NULL;
}

const char *templates_hash(const struct fp_templates *t)
{
    return t->hash;
}

const struct fp_mustache_set *templates_set(const struct fp_templates *t)
{
    return t->set;
}
