/*
 * Replies of mail servers and providers: a verdict always, no control character
 * in the reason, and never "sent" for what nobody accepted.
 */
#include "services/mailer/classify.h"
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
    return 0;
}
