/*
 * Standing still when the provider is at fault, and slowing down when it asks.
 *
 * A fault stops everything at once; after a wait of a second, doubled up to a
 * minute, one mail is tried, and only its success lets the others go on. Mails
 * that were already out when the fault came change nothing: their failures do
 * not double the wait and their successes do not end it.
 *
 * A throttling reply lowers the common rate once (the replies that follow in
 * the same moment belong to the same complaint) and makes this mailer pause.
 */
#include "services/mailer/hold.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"

#define FAULT_WAIT_MIN_US    FP_US_PER_S        /* a relay restarts within seconds */
#define FAULT_WAIT_MAX_US    (60 * FP_US_PER_S) /* soon enough after a long outage */
#define THROTTLE_WAIT_MIN_US (FP_US_PER_S / 2)
#define THROTTLE_WAIT_MAX_US (30 * FP_US_PER_S)
/* All mails out at one time get the same complaint, and their replies arrive
 * within this. */
#define THROTTLE_SAME_US (2 * FP_US_PER_S)
/* A limit lets some mails pass within this; what does not is no limit. */
#define THROTTLE_ONLY_US (60 * FP_US_PER_S)
#define THROTTLE_ONLY_N  3 /* and not two with an idle hour between them */
/* A provider that worked so long ago works still, unless it stood since. */
#define LATELY_US (600 * FP_US_PER_S)

static int64_t twice(int64_t us, int64_t most)
{
    return us * 2 > most ? most : us * 2;
}

static void not_before(struct hold *h, int64_t us)
{
    if (us > h->until_us)
        h->until_us = us;
}

/* The same mail counts once: tried again it says nothing new of the provider. */
static void add_to_row(struct hold *h, int64_t mail)
{
    for (int i = 0; i < h->in_row; i++)
        if (h->row[i] == mail)
            return;
    if (h->in_row < HOLD_VAGUE)
        h->row[h->in_row++] = mail;
}

bool hold_fault(struct hold *h, const char *reason, int64_t mail, bool probe, enum hold_row row,
                int64_t now_us)
{
    add_to_row(h, mail);
    if (!h->standing && h->in_row < (int)row)
        return false;
    bool news = !h->standing || (probe && strcmp(h->reason, reason) != 0);
    if (news)
        (void)snprintf(h->reason, sizeof(h->reason), "%s", reason);
    if (!h->standing) {
        h->standing = h->stood_since = true;
        h->since_us = now_us;
        h->wait_us = FAULT_WAIT_MIN_US;
        not_before(h, now_us + h->wait_us);
    } else if (probe) {
        h->wait_us = twice(h->wait_us, FAULT_WAIT_MAX_US);
        not_before(h, now_us + h->wait_us);
    }
    if (probe)
        h->probing = false;
    return news;
}

bool hold_throttled(struct hold *h, bool probe, int64_t now_us)
{
    if (probe)
        h->probing = false;
    h->throttles++;
    if (h->throttles_in_row++ == 0)
        h->slow_since_us = now_us;
    if (now_us >= h->until_us || !h->throttle_wait_us) {
        h->throttle_wait_us =
            h->throttle_wait_us ? twice(h->throttle_wait_us, THROTTLE_WAIT_MAX_US) : THROTTLE_WAIT_MIN_US;
        not_before(h, now_us + h->throttle_wait_us);
    }
    if (h->throttled_us && now_us < h->throttled_us + THROTTLE_SAME_US)
        return false;
    h->throttled_us = now_us;
    return true;
}

void hold_asked(struct hold *h, int64_t wait_us, int64_t now_us)
{
    if (wait_us > 0)
        not_before(h, now_us + (wait_us < HOLD_ASKED_MAX_US ? wait_us : HOLD_ASKED_MAX_US));
}

bool hold_only_throttled(const struct hold *h, int64_t now_us)
{
    return h->throttles_in_row >= THROTTLE_ONLY_N && now_us >= h->slow_since_us + THROTTLE_ONLY_US;
}

bool hold_passed_lately(const struct hold *h, int64_t now_us)
{
    return h->passed > 0 && (!h->stood_since || now_us < h->passed_us + LATELY_US);
}

bool hold_passed(struct hold *h, bool probe, int64_t now_us)
{
    h->passed++;
    h->passed_us = now_us;
    h->in_row = h->throttles_in_row = 0;
    h->throttle_wait_us = 0;
    h->stood_since = h->standing && !probe;
    if (!h->standing || !probe)
        return false;
    h->standing = h->probing = false;
    h->until_us = h->wait_us = 0;
    h->reason[0] = '\0';
    return true;
}

void hold_probe_back(struct hold *h)
{
    h->probing = false;
}

size_t hold_allows(const struct hold *h, size_t n, int64_t now_us)
{
    if (now_us < h->until_us)
        return 0;
    if (!h->standing)
        return n;
    return h->probing || n == 0 ? 0 : 1;
}

int64_t hold_next_us(const struct hold *h, int64_t now_us)
{
    return now_us < h->until_us ? h->until_us : INT64_MAX;
}

int64_t hold_standing_us(const struct hold *h, int64_t now_us)
{
    return h->standing ? now_us - h->since_us : 0;
}
