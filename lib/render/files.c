/*
 * The folders of templates: the one that comes with the program, and a
 * company's own laid over it. What has another ending is left alone (a
 * ConfigMap's folder holds links such as "..data").
 */
#include "lib/render/files.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "lib/mustache/mustache.h"
#include "lib/render/digest.h"
#include "lib/render/render.h"

#define MAX_FILES 500

static const char *const endings[FILE_KINDS] = {".subject", ".txt", ".html", ".mustache", ".properties"};

struct files *files_new(void)
{
    return mem_alloc(sizeof(struct files));
}

static void file_fini(struct file *f)
{
    mem_free(f->name);
    mem_free(f->stem);
    mem_free(f->dir);
    mem_free(f->text);
}

void files_free(struct files *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->n; i++)
        file_fini(&f->items[i]);
    mem_free(f->items);
    mem_free(f);
}

static int kind_of(const char *name)
{
    const char *dot = strrchr(name, '.');
    for (int i = 0; dot && dot != name && name[0] != '.' && i < FILE_KINDS; i++)
        if (strcmp(dot, endings[i]) == 0)
            return i;
    return -1;
}

static int is_ours(const struct dirent *entry)
{
    return kind_of(entry->d_name) >= 0;
}

/* The whole file as a text, freed by the caller. */
static char *read_text(const char *dir, const char *name, struct fp_err *err)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, name);
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
        return mem_resize(text, n + 1, 1);
    err_set(err, FP_INVALID_ARGUMENT, "%s: %s", path, wrong);
    mem_free(text);
    return NULL;
}

/* Its place: the one of the same name that it replaces, else a new one behind
 * all that come before it. */
static struct file *place(struct files *f, const char *name, enum file_kind kind)
{
    size_t at = 0;
    while (at < f->n && strcmp(f->items[at].name, name) < 0)
        at++;
    while (at < f->n && strcmp(f->items[at].name, name) == 0) {
        if (kind != FILE_MESSAGES) {
            file_fini(&f->items[at]);
            return &f->items[at];
        }
        at++;
    }
    f->items = mem_resize(f->items, f->n + 1, sizeof f->items[0]);
    memmove(f->items + at + 1, f->items + at, (f->n - at) * sizeof f->items[0]);
    f->n++;
    return &f->items[at];
}

static int add_file(struct files *f, const char *dir, const char *name, struct fp_err *err)
{
    if (f->n == MAX_FILES)
        return err_set(err, FP_RESOURCE_EXHAUSTED, "%s: more than %d files", dir, MAX_FILES);
    int kind = kind_of(name);
    if (kind < 0) /* not one of ours */
        return 0;
    char *text = read_text(dir, name, err);
    if (!text)
        return -1;
    struct file *item = place(f, name, (enum file_kind)kind);
    *item = (struct file){.kind = (enum file_kind)kind,
                          .name = mem_strdup(name),
                          .stem = mem_strdup(name),
                          .dir = mem_strdup(dir),
                          .text = text};
    item->stem[strlen(name) - strlen(endings[kind])] = 0;
    return 0;
}

int files_read(struct files *f, const char *dir, struct fp_err *err)
{
    struct dirent **entries = NULL;
    if (!*dir)
        return 0;
    int n = scandir(dir, &entries, is_ours, alphasort), rc = 0;
    if (n < 0)
        return err_set(err, FP_NOT_FOUND, "%s: the folder of templates cannot be read: %s", dir,
                       strerror(errno));
    for (int i = 0; i < n; i++) {
        if (rc == 0)
            rc = add_file(f, dir, entries[i]->d_name, err);
        free(entries[i]);
    }
    free(entries);
    return rc;
}

bool files_same_folder(const char *a, const char *b)
{
    char real_a[PATH_MAX], real_b[PATH_MAX];
    return realpath(a, real_a) && realpath(b, real_b) && strcmp(real_a, real_b) == 0;
}

void files_hash(const struct files *f, char out[65])
{
    struct digest d;
    digest_init(&d);
    for (size_t i = 0; i < f->n; i++) {
        digest_add(&d, f->items[i].name, strlen(f->items[i].name) + 1);
        digest_add(&d, f->items[i].text, strlen(f->items[i].text) + 1);
    }
    digest_hex(&d, out);
}

bool files_name(const struct files *f, struct fp_err *err)
{
    for (size_t i = f->n; i-- > 0;) { /* backwards: a company's messages stand behind ours */
        size_t n = strlen(f->items[i].name);
        if (strncmp(err->msg, f->items[i].name, n) == 0 && err->msg[n] == ':') {
            err_prefix(err, "%s", f->items[i].dir);
            return true;
        }
    }
    return false;
}

/* Installed beside bin/, or in a source tree three folders up from
 * build/PRESET/bin. */
bool templates_find_base(char *out)
{
    static const char *const places[] = {"../share/foliopost/templates",
                                         "../../../services/mailer/templates"};
    char exe[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n <= 0)
        return false;
    exe[n] = 0;
    char *slash = strrchr(exe, '/');
    if (!slash)
        return false;
    *slash = 0;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        int len = snprintf(out, PATH_MAX, "%s/%s", exe, places[i]);
        if (len > 0 && len < PATH_MAX && access(out, R_OK) == 0)
            return true;
    }
    return false;
}
