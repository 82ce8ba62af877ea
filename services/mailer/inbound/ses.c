/*
 * Events of SES, by SNS: /ses.
 *
 * SNS posts its own envelope; the event is a text of JSON in its Message. With
 * a configuration set it says eventType, without one notificationType. Only
 * what is final suppresses: a transient bounce is one that SES gave up on, and
 * says nothing of the next mail. Of what the servers said only the enhanced
 * status is kept, because their texts quote addresses.
 */
#include <stdio.h>
#include <string.h>

#include "lib/log/log.h"
#include "services/mailer/inbound/report.h"
#include "services/mailer/inbound/ses.h"

static const struct {
    const char *type;
    enum delivery_event event;
    const char *object; /* of the event's particulars */
} types[] = {
    {"Delivery", EVENT_DELIVERED, "delivery"},    {"DeliveryDelay", EVENT_DELAYED, "deliveryDelay"},
    {"Bounce", EVENT_BOUNCED, "bounce"},          {"Reject", EVENT_BOUNCED, "reject"},
    {"Complaint", EVENT_COMPLAINED, "complaint"},
};

/* "foliopost-job": ["12"] */
static const char *tag(const json_t *mail, const char *name)
{
    const char *text =
        json_string_value(json_array_get(json_object_get(json_object_get(mail, "tags"), name), 0));
    return text ? text : "";
}

static void add_particulars(const json_t *p, struct ledger_event *e)
{
    const json_t *first = json_array_get(json_object_get(p, "bouncedRecipients"), 0);
    report_add_detail(e, report_text(p, "bounceType"));
    report_add_detail(e, report_text(p, "bounceSubType"));
    report_add_detail(e, report_text(p, "delayType"));
    report_add_detail(e, report_text(p, "complaintFeedbackType"));
    report_add_detail(e, report_text(first, "status"));
    e->occurred_us = report_time_us(report_text(p, "timestamp"));
    if (e->event == EVENT_COMPLAINED && strcmp(report_text(p, "complaintFeedbackType"), "not-spam") != 0)
        e->suppress = SUPPRESSION_COMPLAINT;
    if (e->event == EVENT_BOUNCED && strcmp(report_text(p, "bounceType"), "Permanent") == 0)
        e->suppress = SUPPRESSION_HARD_BOUNCE;
}

/* 0 with the event; 1: nothing for us; -1: forged. */
static int read_event(const struct request *q, const json_t *event, const char *key, struct ledger_event *e,
                      struct fp_err *err)
{
    const char *type = report_text(event, "eventType");
    const json_t *mail = json_object_get(event, "mail");
    if (type[0] == '\0')
        type = report_text(event, "notificationType");
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(types[i].type, type) != 0)
            continue;
        *e = (struct ledger_event){.event = types[i].event, .provider = "ses"};
        snprintf(e->key, sizeof e->key, "%s", key);
        add_particulars(json_object_get(event, types[i].object), e);
        const struct report_names names = {report_text(mail, "source"), tag(mail, "foliopost-token"),
                                           tag(mail, "foliopost-job"), tag(mail, "foliopost-user")};
        return report_ids(q->keys, &names, e, err);
    }
    return 1;
}

static void notification(const struct request *q, const json_t *m, struct answer *a)
{
    struct fp_err err;
    struct ledger_event e;
    json_error_t where;
    const char *text = report_text(m, "Message");
    json_t *event = json_loads(text, 0, &where);
    int rc = json_is_object(event) ? read_event(q, event, report_text(m, "MessageId"), &e, &err) : 1;
    if (rc == 1)
        answer_text(a, 200, "ignored", "not for us\n");
    else if (rc < 0)
        answer_error(a, "ses", &err);
    else if (inbound_store(q->in, &e, 1, &err) < 0)
        answer_unstored(a, "ses", &err);
    else
        answer_text(a, 200, "ses", "kept\n");
    json_decref(event);
}

static void confirm(const json_t *m, struct answer *a)
{
    struct fp_err err;
    if (sns_confirm(ses_sns(), m, &err) < 0) {
        log_warn("", "subscription not confirmed", "reason=%s", err.msg);
        answer_error(a, "ses", &err);
        return;
    }
    log_info("", "subscription confirmed", "topic=%s", report_text(m, "TopicArn"));
    answer_text(a, 200, "confirmed", "confirmed\n");
}

void ses_answer(const struct request *q, struct answer *a)
{
    struct fp_err err;
    json_error_t where;
    if (q->set->ses_topics[0] == '\0') {
        answer_text(a, 404, "unknown_path", "no SES here: ses-topics is empty\n");
        return;
    }
    json_t *m = json_loadb(q->body, q->bytes, 0, &where);
    if (!m)
        answer_text(a, 400, "bad", "not JSON\n");
    else if (sns_check(ses_sns(), m, &err) < 0)
        answer_error(a, "ses", &err);
    else if (strcmp(report_text(m, "Type"), "SubscriptionConfirmation") == 0)
        confirm(m, a);
    else if (strcmp(report_text(m, "Type"), "Notification") == 0)
        notification(q, m, a);
    else
        answer_text(a, 200, "ignored", "not for us\n");
    json_decref(m);
}

/* --- the process's one ------------------------------------------------------------------- */

static struct sns *the_sns;

void ses_start(const struct inbound_settings *set)
{
    the_sns = sns_new(set->ses_topics, set->sns_certificate_folder, NULL, NULL);
}

void ses_stop(void)
{
    sns_free(the_sns);
    the_sns = NULL;
}

struct sns *ses_sns(void)
{
    return the_sns;
}
