/* A stat at each use, a read only of a file that changed. */
#include "services/mailer/secret.h"

#include <string.h>

#include "lib/base/mem.h"
#include "lib/config/config.h"

void secret_init(struct secret *s, const char *path, bool whole)
{
    memset(s, 0, sizeof *s);
    s->path = mem_strdup(path);
    s->whole = whole;
}

void secret_forget(struct secret *s)
{
    if (s->text)
        explicit_bzero(s->text, strlen(s->text));
    mem_free(s->text);
    s->text = NULL;
}

void secret_fini(struct secret *s)
{
    secret_forget(s);
    mem_free(s->path);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

int secret_refresh(struct secret *s, bool *changed, struct fp_err *err)
{
    struct stat now = {0};
    char *text = NULL;
    *changed = false;
    if (stat(s->path, &now) == 0 && s->text && same_file(&now, &s->seen))
        return 0;
    if ((s->whole ? config_secret_text(s->path, &text, err) : config_secret(s->path, &text, err)) != 0)
        return -1;
    *changed = !s->text || !text || strcmp(s->text, text) != 0;
    secret_forget(s);
    s->text = text;
    s->seen = now;
    return 0;
}
