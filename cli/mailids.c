/* Message-IDs in a file: found by their form, sorted, each once. */
#include "cli/mailids.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/text.h"

#define HASH_CHARS 16 /* lib/render/mail.c */

/* Digits up to something else, as an id; their number, 0 when they are none. */
static size_t parse_id(const char *s, int64_t *out)
{
    char text[20];
    size_t n = strspn(s, "0123456789");

    if (n == 0 || n >= sizeof text)
        return 0;
    memcpy(text, s, n);
    text[n] = '\0';
    return text_parse_i64(text, out) && *out > 0 ? n : 0;
}

/* JOB.USER */
static size_t parse_pair(const char *s, struct mailid *out)
{
    size_t job = parse_id(s, &out->job), user;

    if (job == 0 || s[job] != '.')
        return 0;
    user = parse_id(s + job + 1, &out->user);
    return user > 0 ? job + 1 + user : 0;
}

size_t mailid_parse(const char *s, struct mailid *out)
{
    size_t n = parse_pair(s, out);

    if (n == 0 || s[n] != '.' || strspn(s + n + 1, "0123456789abcdef") != HASH_CHARS)
        return 0;
    n += 1 + HASH_CHARS;
    return s[n] == '@' ? n : 0;
}

static int add(struct mailids *m, size_t *room, const struct mailid *id, struct fp_err *err)
{
    if (m->n == MAILIDS_MAX)
        return err_set(err, FP_RESOURCE_EXHAUSTED, "more than %d Message-IDs: cut the file into several",
                       MAILIDS_MAX);
    if (m->n == *room) {
        *room = *room ? 2 * *room : 4096;
        m->ids = mem_resize(m->ids, *room, sizeof *m->ids);
    }
    m->ids[m->n++] = *id;
    return 0;
}

/* Where a number or a word goes on, no Message-ID begins. */
static bool begins(const char *line, const char *at)
{
    return at == line || !(isalnum((unsigned char)at[-1]) || at[-1] == '.');
}

static int search_line(struct mailids *m, size_t *room, char *line, struct fp_err *err)
{
    struct mailid id;

    line[strcspn(line, "\r\n")] = '\0';
    size_t n = parse_pair(line, &id);
    if (n > 0 && line[n] == '\0')
        return add(m, room, &id, err);
    for (const char *s = line; *s != '\0'; s++) {
        n = isdigit((unsigned char)*s) && begins(line, s) ? mailid_parse(s, &id) : 0;
        if (n > 0 && add(m, room, &id, err) != 0)
            return -1;
        s += n;
    }
    return 0;
}

static int compare(const void *a, const void *b)
{
    const struct mailid *x = a, *y = b;

    if (x->job != y->job)
        return x->job < y->job ? -1 : 1;
    return (x->user > y->user) - (x->user < y->user);
}

static void sort_once(struct mailids *m)
{
    size_t kept = 0;

    if (m->n > 0)
        qsort(m->ids, m->n, sizeof *m->ids, compare);
    for (size_t i = 0; i < m->n; i++)
        if (kept == 0 || compare(&m->ids[kept - 1], &m->ids[i]) != 0)
            m->ids[kept++] = m->ids[i];
    m->n = kept;
}

static int read_lines(FILE *f, const char *path, struct mailids *m, struct fp_err *err)
{
    char *line = mem_alloc(MAILIDS_LINE_BYTES);
    size_t room = 0;
    int rc = 0;

    while (rc == 0 && fgets(line, MAILIDS_LINE_BYTES, f)) {
        m->lines++;
        if (strlen(line) == MAILIDS_LINE_BYTES - 1 && line[MAILIDS_LINE_BYTES - 2] != '\n')
            rc = err_set(err, FP_INVALID_ARGUMENT, "%s: line %lld is longer than %d bytes", path,
                         (long long)m->lines, MAILIDS_LINE_BYTES - 2);
        else
            rc = search_line(m, &room, line, err);
    }
    if (rc == 0 && ferror(f))
        rc = err_set(err, FP_INVALID_ARGUMENT, "%s: %s", path, strerror(errno));
    mem_free(line);
    return rc;
}

int mailids_read(const char *path, struct mailids *out, struct fp_err *err)
{
    bool standard = strcmp(path, "-") == 0;
    FILE *f = standard ? stdin : fopen(path, "re");

    *out = (struct mailids){0};
    if (!f)
        return err_set(err, FP_INVALID_ARGUMENT, "%s: %s", path, strerror(errno));
    int rc = read_lines(f, path, out, err);
    if (!standard)
        fclose(f);
    if (rc != 0) {
        mem_free(out->ids);
        *out = (struct mailids){0};
        return -1;
    }
    sort_once(out);
    return 0;
}

int mailids_rename(struct mailids *m, const char *pairs, struct fp_err *err)
{
    for (const char *s = pairs; *s != '\0'; s += *s == ',') {
        int64_t from = 0, to = 0;
        size_t n = parse_id(s, &from), k = n > 0 && s[n] == '=' ? parse_id(s + n + 1, &to) : 0;

        if (k == 0 || (s[n + 1 + k] != '\0' && s[n + 1 + k] != ','))
            return err_set(err, FP_INVALID_ARGUMENT, "\"%s\" is not OLD=NEW, two job ids", s);
        for (size_t i = 0; i < m->n; i++)
            if (m->ids[i].job == from)
                m->ids[i].job = to;
        s += n + 1 + k;
    }
    sort_once(m);
    return 0;
}
