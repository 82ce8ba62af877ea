/*
 * Reports as mails.
 *
 * GMime finds the part that programs read (message/delivery-status or
 * message/feedback-report); its fields are read here, line by line. Whose mail
 * it was says the token of our envelope sender, wherever in the mail that
 * stands: in Delivered-To for a bounce, in Original-Mail-From or in the
 * headers of the mail itself for a complaint. What the report says of
 * addresses is not believed and not kept.
 */
#include "services/mailer/inbound/dsn.h"

#include <gmime/gmime.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "services/mailer/inbound/report.h"

#define FIELDS_BYTES 65536 /* of a report's machine part */

/* A mailbox that is not there, as in classify.c; other 5.x.x may be the sender's fault. Not 5.1.2: a
 * resolver that errs says "no such domain" of many. Not 5.1.0, which says nothing more exact. */
static const char *const gone[] = {"5.1.1", "5.1.3", "5.1.6", "5.1.10", "5.2.1"};

void dsn_init(void)
{
    g_mime_init();
}

/* --- fields ---------------------------------------------------------------------------- */

/* The value of the first such field from *at on, cut to its first word; false
 * at the end. Moves *at behind it. */
static bool next_field(const char **at, const char *name, char *out, size_t cap)
{
    size_t n = strlen(name);
    for (const char *line = *at; *line != '\0'; line += *line == '\n') {
        size_t length = strcspn(line, "\n");
        if (length > n && line[n] == ':' && g_ascii_strncasecmp(line, name, n) == 0) {
            const char *value = line + n + 1;
            value += strspn(value, " \t");
            snprintf(out, cap, "%.*s", (int)strcspn(value, " \t\r\n;("), value);
            *at = line + length;
            return true;
        }
        line += length;
    }
    return false;
}

/* A mail of ours has one recipient; of several blocks the first that failed counts. */
static int read_status(const char *fields, struct ledger_event *e)
{
    char action[32] = "", status[32] = "";
    const char *at = fields;
    if (!next_field(&at, "Action", action, sizeof action))
        return 1;
    at = fields;
    (void)next_field(&at, "Status", status, sizeof status);
    report_add_detail(e, action);
    report_add_detail(e, status);
    if (g_ascii_strcasecmp(action, "delayed") == 0)
        e->event = EVENT_DELAYED;
    else if (g_ascii_strcasecmp(action, "failed") == 0)
        e->event = EVENT_BOUNCED;
    else
        e->event = EVENT_DELIVERED; /* delivered, relayed, expanded */
    for (size_t i = 0; i < sizeof gone / sizeof gone[0] && e->event == EVENT_BOUNCED; i++)
        if (strcmp(status, gone[i]) == 0)
            e->suppress = SUPPRESSION_HARD_BOUNCE;
    return 0;
}

static int read_feedback(const char *fields, struct ledger_event *e)
{
    char type[32] = "";
    const char *at = fields;
    if (!next_field(&at, "Feedback-Type", type, sizeof type))
        return 1;
    report_add_detail(e, type);
    if (g_ascii_strcasecmp(type, "abuse") == 0 || g_ascii_strcasecmp(type, "fraud") == 0 ||
        g_ascii_strcasecmp(type, "virus") == 0) {
        e->event = EVENT_COMPLAINED;
        e->suppress = SUPPRESSION_COMPLAINT;
        return 0;
    }
    if (g_ascii_strncasecmp(type, "opt-out", 7) != 0)
        return 1; /* not-spam and the like */
    e->event = EVENT_UNSUBSCRIBED;
    e->suppress = SUPPRESSION_UNSUBSCRIBE;
    return 0;
}

/* --- the mail ------------------------------------------------------------------------------ */

struct found {
    GMimeObject *status, *feedback;
};

static void look(GMimeObject *parent, GMimeObject *part, gpointer ctx)
{
    struct found *f = ctx;
    GMimeContentType *type = g_mime_object_get_content_type(part);
    (void)parent;
    if (!f->status && g_mime_content_type_is_type(type, "message", "delivery-status"))
        f->status = part;
    if (!f->feedback && g_mime_content_type_is_type(type, "message", "feedback-report"))
        f->feedback = part;
}

/* The part's text, ended by a NUL; freed by g_free(). NULL: none. */
static char *text_of(GMimeObject *part)
{
    if (!part || !GMIME_IS_PART(part))
        return NULL;
    GMimeDataWrapper *content = g_mime_part_get_content(GMIME_PART(part));
    if (!content)
        return NULL;
    GMimeStream *out = g_mime_stream_mem_new();
    g_mime_data_wrapper_write_to_stream(content, out);
    GByteArray *bytes = g_mime_stream_mem_get_byte_array(GMIME_STREAM_MEM(out));
    char *text = g_strndup((const char *)bytes->data, bytes->len < FIELDS_BYTES ? bytes->len : FIELDS_BYTES);
    g_object_unref(out);
    return text;
}

static int read_report(GMimeMessage *message, struct ledger_event *e)
{
    struct found f = {0};
    int rc = 1;
    g_mime_message_foreach(message, look, &f);
    char *status = text_of(f.status), *feedback = text_of(f.feedback);
    if (feedback) {
        snprintf(e->provider, sizeof e->provider, "arf");
        rc = read_feedback(feedback, e);
    } else if (status) {
        snprintf(e->provider, sizeof e->provider, "dsn");
        rc = read_status(status, e);
    }
    g_free(status);
    g_free(feedback);
    return rc;
}

/* The same mail dropped twice is one event. */
static void make_key(const char *mail, size_t bytes, char out[65])
{
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    (void)EVP_Digest(mail, bytes, md, &n, EVP_sha256(), NULL);
    for (unsigned i = 0; i < 16 && i < n; i++)
        snprintf(out + 2 * i, 3, "%02x", md[i]);
}

int dsn_read(struct token_keys *keys, const char *mail, size_t bytes, struct ledger_event *e,
             struct fp_err *err)
{
    struct token_ids ids;
    int rc = report_find_token(keys, mail, bytes, &ids, err);
    if (rc != 0)
        return rc; /* most of what does not concern us ends here, unparsed */
    *e = (struct ledger_event){.job_id = ids.job_id, .user_id = ids.user_id, .occurred_us = clock_wall_us()};
    make_key(mail, bytes, e->key);
    GMimeStream *stream = g_mime_stream_mem_new_with_buffer(mail, bytes);
    GMimeParser *parser = g_mime_parser_new_with_stream(stream);
    GMimeMessage *message = g_mime_parser_construct_message(parser, NULL);
    rc = message ? read_report(message, e) : 1;
    if (message)
        g_object_unref(message);
    g_object_unref(parser);
    g_object_unref(stream);
    return rc;
}
