#include "services/mailer/smtp_reply.h"

#include <stdbool.h>
#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "250 text", "250-text" or "250". */
static bool is_reply_line(const char *line)
{
    for (int i = 0; i < 3; i++)
        if (!is_digit(line[i]))
            return false;
    return line[3] == ' ' || line[3] == '-' || line[3] == '\0';
}

/* All lines of a reply say the same (RFC 5321, 4.2.1). Of "451-later" and "250 taken" nobody
 * could say which one is meant. */
static bool contradicts(const struct smtp_reader *r)
{
    return r->reply.lines > 0 && r->line[0] - '0' != r->reply.code / 100;
}

static enum smtp_read end_line(struct smtp_reader *r)
{
    struct smtp_reply *reply = &r->reply;
    if (r->n > 0 && r->line[r->n - 1] == '\r')
        r->n--;
    r->line[r->n] = '\0';
    r->n = 0;
    if (reply->lines >= SMTP_MAX_LINES || !is_reply_line(r->line) || contradicts(r))
        return SMTP_READ_GARBAGE;
    reply->lines++;
    reply->code = (r->line[0] - '0') * 100 + (r->line[1] - '0') * 10 + (r->line[2] - '0');
    if (r->line[0] != '2' && r->line[0] != '3' && !*reply->refusal)
        memcpy(reply->refusal, r->line, sizeof reply->refusal);
    if (r->line[3] == '-')
        return SMTP_READ_MORE;
    memcpy(reply->last, r->line, sizeof reply->last);
    return SMTP_READ_WHOLE;
}

static void add(struct smtp_reader *r, const char *bytes, size_t n)
{
    size_t room = sizeof r->line - 1 - r->n;
    n = n < room ? n : room;
    memcpy(r->line + r->n, bytes, n);
    r->n += n;
}

enum smtp_read smtp_reader_take(struct smtp_reader *r, const char *bytes, size_t n, size_t *used)
{
    enum smtp_read read = SMTP_READ_MORE;
    if (*r->reply.last)
        r->reply = (struct smtp_reply){0};
    for (*used = 0; *used < n && read == SMTP_READ_MORE;) {
        const char *from = bytes + *used, *end = memchr(from, '\n', n - *used);
        size_t part = end ? (size_t)(end - from) : n - *used;
        add(r, from, part);
        *used += part + (end != NULL);
        if (end)
            read = end_line(r);
    }
    return read;
}
