/*
 * Replies of mail servers and providers: a verdict always, no control character
 * in the reason, and never "sent" for what nobody accepted. The same bytes make the
 * same replies, however they are cut up.
 */
#include <stdlib.h>
#include <string.h>

#include "services/mailer/classify.h"
#include "services/mailer/smtp_reply.h"
#include "tests/fuzz/fuzz.h"

static void fill(struct bytes *b, char *text, size_t cap)
{
    size_t n = (size_t)pick(b, 120);

    if (n >= cap)
        n = cap - 1;
    for (size_t i = 0; i < n; i++)
        text[i] = (char)byte_of(b);
    text[n] = '\0';
}

static void check(const struct transport_reply *r)
{
    for (const char *p = r->reason; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 127)
            BROKEN();
}

/* What they come to, as one number; `step` bytes at a time. */
static uint64_t read_all(const uint8_t *data, size_t size, size_t step)
{
    struct smtp_reader r = {0};
    uint64_t sum = 0;
    size_t used;

    for (size_t at = 0; at < size; at += used) {
        enum smtp_read read =
            smtp_reader_take(&r, (const char *)data + at, size - at < step ? size - at : step, &used);

        if (used == 0)
            BROKEN();
        if (read == SMTP_READ_GARBAGE)
            return sum * 31 + 1;
        if (read == SMTP_READ_MORE)
            continue;
        if (r.reply.code < 0 || r.reply.code > 999 || atoi(r.reply.last) != r.reply.code)
            BROKEN();
        sum = sum * 31 + (uint64_t)r.reply.code * 1024 + strlen(r.reply.last) + strlen(r.reply.refusal);
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes b = {data, data + size};
    struct transport_reply reply;

    if (pick(&b, 2)) {
        struct smtp_end e = {.stage = (enum send_stage)pick(&b, SMTP_BODY + 1),
                             .result = (CURLcode)pick(&b, 99)};

        fill(&b, e.refusal, sizeof e.refusal);
        fill(&b, e.acceptance, sizeof e.acceptance);
        fill(&b, e.trouble, sizeof e.trouble);
        e.recipient = pick(&b, 2) ? "somebody@example.org" : NULL;
        classify_smtp(&e, &reply);
        if ((reply.verdict == VERDICT_SENT) != (e.result == CURLE_OK))
            BROKEN();
    } else {
        struct http_end e = {.stage = HTTP_CONNECT + (enum send_stage)pick(&b, 4),
                             .result = (CURLcode)pick(&b, 99),
                             .status = (int)number_of(&b),
                             .accepted = pick(&b, 2)};

        fill(&b, e.words, sizeof e.words);
        fill(&b, e.id, sizeof e.id);
        classify_http(&e, &reply);
        if (reply.verdict == VERDICT_SENT && !e.accepted)
            BROKEN();
    }
    check(&reply);
    if (read_all(data, size, size) != read_all(data, size, 1))
        BROKEN();
    return 0;
}
