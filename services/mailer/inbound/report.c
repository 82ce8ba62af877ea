/* Small things of reports; see report.h. */
#include "services/mailer/inbound/report.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/text.h"

#define MAX_TRIES 64 /* candidates for a token in one text */

const char *report_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

int64_t report_time_us(const char *text)
{
    int64_t now_us = clock_wall_us();
    char day_text[11];
    int32_t day;
    int h, m, s;
    snprintf(day_text, sizeof day_text, "%s", text);
    if (!day_parse(day_text, &day) || sscanf(text + 10, "T%2d:%2d:%2d", &h, &m, &s) != 3 || h < 0 || h > 23 ||
        m < 0 || m > 59 || s < 0 || s > 60)
        return now_us;
    int64_t at_us = day * FP_US_PER_DAY + ((h * 60 + m) * 60 + s) * FP_US_PER_S;
    return at_us > 0 && at_us < now_us ? at_us : now_us;
}

int report_find_token(struct token_keys *keys, const char *text, size_t bytes, struct token_ids *out,
                      struct fp_err *err)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    const char *end = text + bytes;
    int tries = 0;
    for (const char *p = text; (p = memchr(p, '+', (size_t)(end - p))) != NULL && tries < MAX_TRIES;) {
        const char *from = ++p;
        while (p < end && *p != '\0' && strchr(letters, *p) != NULL)
            p++;
        if (p == end || *p != '@' || p - from < 34)
            continue;
        tries++;
        if (token_check(keys, TOKEN_BOUNCE, from, (size_t)(p - from), out, err) == 0)
            return 0;
    }
    return tries == 0 ? 1 : -1;
}

int report_ids(struct token_keys *keys, const struct report_names *n, struct ledger_event *e,
               struct fp_err *err)
{
    struct token_ids ids;
    int rc = report_find_token(keys, n->sender, strlen(n->sender), &ids, err);
    if (rc == 1 && n->token[0] != '\0')
        rc = token_check(keys, TOKEN_BOUNCE, n->token, strlen(n->token), &ids, err);
    if (rc < 0)
        return -1;
    if (rc == 0) {
        e->job_id = ids.job_id;
        e->user_id = ids.user_id;
        return 0;
    }
    return text_parse_i64(n->job, &e->job_id) && text_parse_i64(n->user, &e->user_id) && e->job_id > 0 &&
                   e->user_id > 0
               ? 0
               : 1;
}

void report_add_detail(struct ledger_event *e, const char *word)
{
    size_t n = strlen(e->detail);
    if (word[0] == '\0' || strlen(word) > 64)
        return;
    if (n > 0 && n + 1 < sizeof e->detail)
        e->detail[n++] = ' ';
    for (; *word != '\0' && n + 1 < sizeof e->detail; word++) {
        bool fine = (*word >= '0' && *word <= '9') || (*word >= 'a' && *word <= 'z') ||
                    (*word >= 'A' && *word <= 'Z') || *word == '.' || *word == '-' || *word == '_';
        e->detail[n++] = fine ? *word : ' ';
    }
    e->detail[n] = '\0';
}
