/*
 * Ties the parts together: keys, connections to the ledger, the door, the
 * Maildir. There is one inbound in a process.
 */
#include "services/mailer/inbound/inbound.h"

#include <curl/curl.h>
#include <pthread.h>

#include "lib/log/log.h"
#include "lib/metrics/metrics.h"
#include "services/mailer/inbound/door.h"
#include "services/mailer/inbound/maildir.h"
#include "services/mailer/inbound/ses.h"

#define MAX_LEDGERS 65
#define PAGE        500  /* events in one statement */
#define PATIENCE_MS 5000 /* a provider asks again by itself; a browser does not wait for ever */

struct inbound {
    struct token_keys *keys;
    struct door *door;
    struct maildir *maildir;
    pthread_mutex_t lock;
    struct fp_ledger *free[MAX_LEDGERS]; /* as many as there are callers at once */
    int n_free;
};
static struct inbound the = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* --- the ledger -------------------------------------------------------------------------- */

static struct fp_ledger *borrow(struct inbound *in)
{
    pthread_mutex_lock(&in->lock);
    struct fp_ledger *l = in->n_free > 0 ? in->free[--in->n_free] : NULL;
    pthread_mutex_unlock(&in->lock);
    return l;
}

static void give_back(struct inbound *in, struct fp_ledger *l)
{
    pthread_mutex_lock(&in->lock);
    in->free[in->n_free++] = l;
    pthread_mutex_unlock(&in->lock);
}

static int store(struct fp_ledger *l, const struct ledger_event *e, size_t n, struct fp_err *err)
{
    for (size_t i = 0; i < n; i += PAGE) {
        size_t some = n - i < PAGE ? n - i : PAGE;
        int64_t stored;
        if (ledger_events(l, e + i, some, &stored, err) < 0)
            return -1;
        metrics_add("foliopost_inbound_events_total", "new=\"true\"", (double)stored);
        metrics_add("foliopost_inbound_events_total", "new=\"false\"", (double)some - (double)stored);
    }
    return 0;
}

int inbound_store(struct inbound *in, const struct ledger_event *e, size_t n, struct fp_err *err)
{
    struct fp_ledger *l = borrow(in);
    if (!l)
        return err_set(err, FP_UNAVAILABLE, "no connection to the ledger is free");
    int rc = store(l, e, n, err);
    give_back(in, l);
    return rc;
}

/* --- life ---------------------------------------------------------------------------------- */

static int open_ledgers(struct inbound *in, struct fp_service *s, int n, struct fp_err *err)
{
    struct pg_options o;
    service_ledger_options(s, &o);
    if (o.query_timeout_ms > PATIENCE_MS)
        o.query_timeout_ms = PATIENCE_MS;
    if (o.connect_timeout_ms > PATIENCE_MS)
        o.connect_timeout_ms = PATIENCE_MS;
    for (int i = 0; i < n; i++) {
        struct fp_ledger *l = ledger_open(&o, err);
        if (!l)
            return -1;
        give_back(in, l);
    }
    return 0;
}

/* A failure here ends the process; the operating system takes back the rest. */
int inbound_start(struct fp_service *s, void *values, struct fp_err *err)
{
    const struct inbound_settings *set = values;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    the.keys = token_keys_open(set->token_key_file, err);
    if (!the.keys)
        return err_prefix(err, "token-key-file");
    if (open_ledgers(&the, s, (int)set->threads + 1, err) < 0)
        return -1;
    ses_start(set);
    the.door = door_start(&the, set, the.keys, err);
    if (!the.door)
        return -1;
    if (set->maildir[0] != '\0' && !(the.maildir = maildir_start(&the, set, the.keys, s, err)))
        return -1;
    log_info("", "inbound started", "port=%d ses=%s sendgrid=%s maildir=%s", door_port(the.door),
             set->ses_topics[0] ? "yes" : "no", set->sendgrid_key_file[0] ? "yes" : "no",
             set->maildir[0] ? "yes" : "no");
    return 0;
}

void inbound_tick(struct fp_service *s, void *values)
{
    (void)s;
    (void)values;
    door_tick(the.door);
}

void inbound_drain(struct fp_service *s, void *values)
{
    (void)s;
    (void)values;
    door_close(the.door);
}

/* Ends a slow connection too, since tick() is not called any more. */
bool inbound_drained(struct fp_service *s, void *values)
{
    (void)s;
    (void)values;
    door_tick(the.door);
    return door_open_now(the.door) == 0;
}

void inbound_stop(struct fp_service *s, void *values)
{
    (void)s;
    (void)values;
    door_stop(the.door);
    maildir_stop(the.maildir);
    ses_stop();
    while (the.n_free > 0)
        ledger_close(the.free[--the.n_free]);
    token_keys_free(the.keys);
    curl_global_cleanup();
}

bool inbound_ready(struct fp_service *s, void *values, struct fp_str *why_not)
{
    (void)values;
    if (service_lease_held(s))
        return true;
    str_puts(why_not, "the ledger cannot be reached");
    return false;
}
