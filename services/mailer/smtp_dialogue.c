/*
 * Straight-line and blocking. libcurl's own SMTP sends one command at a time, and
 * each mail's way through its multi interface costs more than the mail: connect-only
 * handles (CURLOPT_CONNECT_ONLY) leave the transaction to us.
 *
 * No reply may ever answer another mail. So nothing is read ahead: bytes beyond the
 * reply that is due, a reply of another kind than can be due, a line that is no reply
 * and a time-out each end the connection. With PIPELINING all three commands are out
 * before the first answer. Who is refused at MAIL or RCPT has DATA under way then, and
 * must not end a mail should the server say 354 to it: the connection is cut instead.
 */
#define _GNU_SOURCE /* memmem */
#include "services/mailer/smtp_dialogue.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "services/mailer/smtp_reply.h"

#define CLOSE_TIMEOUT_S 2                  /* for the answer to QUIT when nothing more is to be sent */
#define LAST_WORDS_US   (FP_US_PER_S / 10) /* for what a server said before it hung up: it is here, or lost */
#define IN_BYTES        1024
#define OUT_MAX_BYTES   ((size_t)64 << 20) /* a mail has some 50 kB */

struct smtp_dialogue {
    CURL *curl;
    curl_socket_t socket;
    bool pipelining, size; /* what the server offers */
    bool encrypted;
    bool in_step;
    struct smtp_end *end; /* of what is in hand */
    int64_t deadline_us;
    struct smtp_reader reader;
    char in[IN_BYTES];
    size_t in_first, in_end; /* what has come and was not yet taken */
    struct fp_str out;
};

/* --- connecting: libcurl's part ----------------------------------------------------- */

static bool begins(const char *data, size_t bytes, const char *with)
{
    size_t n = strlen(with);
    return bytes >= n && strncasecmp(data, with, n) == 0;
}

static int on_command(CURL *curl, curl_infotype type, char *data, size_t bytes, void *ctx)
{
    struct smtp_dialogue *d = ctx;
    (void)curl;
    if (type != CURLINFO_HEADER_OUT || !d->end)
        return 0;
    if (begins(data, bytes, "QUIT")) {
        d->end = NULL; /* what is answered from here on concerns nobody */
        return 0;
    }
    if (begins(data, bytes, "EHLO"))
        d->pipelining = d->size = false; /* told anew behind STARTTLS */
    if (begins(data, bytes, "AUTH "))
        d->end->stage = SMTP_AUTH;
    d->end->refusal[0] = 0; /* whatever was refused before (EHLO, STARTTLS), libcurl went on */
    return 0;
}

static void keep_line(char *out, size_t cap, const char *line, size_t bytes)
{
    snprintf(out, cap, "%.*s", (int)(bytes < cap ? bytes : cap - 1), line);
    out[strcspn(out, "\r\n")] = 0;
}

static bool is_keyword(const char *line, size_t bytes, const char *keyword)
{
    size_t n = strlen(keyword);
    return bytes > 4 + n && begins(line + 4, bytes - 4, keyword) && strchr(" \r\n", line[4 + n]);
}

static size_t on_reply(char *line, size_t size, size_t count, void *ctx)
{
    struct smtp_dialogue *d = ctx;
    size_t bytes = size * count;
    if (!d->end || bytes == 0)
        return bytes;
    if (begins(line, bytes, "250")) {
        d->pipelining |= is_keyword(line, bytes, "PIPELINING");
        d->size |= is_keyword(line, bytes, "SIZE");
    }
    if (line[0] >= '0' && line[0] <= '9' && line[0] != '2' && line[0] != '3' && !*d->end->refusal)
        keep_line(d->end->refusal, sizeof d->end->refusal, line, bytes);
    return bytes;
}

static void set_options(struct smtp_dialogue *d, const struct smtp_dialogue_options *o, int64_t left_ms)
{
    CURL *c = d->curl;
    curl_easy_setopt(c, CURLOPT_URL, o->url);
    curl_easy_setopt(c, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(c, CURLOPT_PROXY, ""); /* not what the environment says */
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_USE_SSL, o->use_ssl);
    if (*o->ca_file)
        curl_easy_setopt(c, CURLOPT_CAINFO, o->ca_file);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)o->connect_timeout_ms);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)left_ms);
    curl_easy_setopt(c, CURLOPT_SERVER_RESPONSE_TIMEOUT, (long)((left_ms + 999) / 1000));
    curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(c, CURLOPT_VERBOSE, 1L); /* what makes on_command() be called */
    curl_easy_setopt(c, CURLOPT_DEBUGFUNCTION, on_command);
    curl_easy_setopt(c, CURLOPT_DEBUGDATA, d);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_reply);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, d);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, d->end->trouble);
    if (*o->user) {
        curl_easy_setopt(c, CURLOPT_USERNAME, o->user);
        curl_easy_setopt(c, CURLOPT_PASSWORD, o->password);
        curl_easy_setopt(c, CURLOPT_SASL_IR, 1L); /* a round trip less */
    }
}

static int64_t left_ms(const struct smtp_dialogue *d)
{
    int64_t us = d->deadline_us - clock_mono_us();
    return us > 0 ? (us + 999) / 1000 : 0;
}

static bool is_encrypted(CURL *curl)
{
    struct curl_tlssessioninfo *tls = NULL;
    return curl_easy_getinfo(curl, CURLINFO_TLS_SSL_PTR, &tls) == CURLE_OK && tls && tls->internals;
}

struct smtp_dialogue *smtp_dialogue_open(const struct smtp_dialogue_options *o, int64_t deadline_us,
                                         struct smtp_end *end)
{
    struct smtp_dialogue *d = mem_alloc(sizeof *d);
    *end = (struct smtp_end){.stage = SMTP_CONNECT};
    *d = (struct smtp_dialogue){.end = end, .deadline_us = deadline_us, .socket = CURL_SOCKET_BAD};
    str_init(&d->out, OUT_MAX_BYTES);
    d->curl = curl_easy_init();
    if (!d->curl)
        fp_panic("libcurl gives no handle");
    int64_t ms = left_ms(d);
    set_options(d, o, ms > 0 ? ms : 1); /* to libcurl 0 is for ever */
    end->result = curl_easy_perform(d->curl);
    d->in_step = end->result == CURLE_OK &&
                 curl_easy_getinfo(d->curl, CURLINFO_ACTIVESOCKET, &d->socket) == CURLE_OK &&
                 d->socket != CURL_SOCKET_BAD;
    d->encrypted = d->in_step && is_encrypted(d->curl);
    if (!d->in_step && end->result == CURLE_OK)
        end->result = CURLE_COULDNT_CONNECT; /* OK is for a mail that was accepted */
    d->end = NULL;
    curl_easy_setopt(d->curl, CURLOPT_ERRORBUFFER, NULL);
    if (d->in_step)
        return d;
    smtp_dialogue_close(d);
    return NULL;
}

bool smtp_dialogue_in_step(const struct smtp_dialogue *d)
{
    return d->in_step;
}

void smtp_dialogue_close(struct smtp_dialogue *d)
{
    if (!d)
        return;
    if (d->in_step)
        curl_easy_setopt(d->curl, CURLOPT_SERVER_RESPONSE_TIMEOUT, (long)CLOSE_TIMEOUT_S);
    else if (d->socket != CURL_SOCKET_BAD)
        shutdown(d->socket, SHUT_RDWR); /* so that no QUIT waits for an answer */
    curl_easy_cleanup(d->curl);
    str_fini(&d->out);
    mem_free(d);
}

/* --- bytes ---------------------------------------------------------------------------- */

/* False when the time is over. An error of the socket shows in the next call. */
static bool wait_for(struct smtp_dialogue *d, short events)
{
    struct pollfd p = {.fd = d->socket, .events = events};
    for (;;) {
        int64_t ms = left_ms(d);
        if (ms == 0)
            return false;
        if (poll(&p, 1, (int)(ms < INT32_MAX ? ms : INT32_MAX)) > 0)
            return true;
    }
}

static CURLcode put(struct smtp_dialogue *d, const char *data, size_t bytes)
{
    while (bytes > 0) {
        size_t n = 0;
        CURLcode rc = curl_easy_send(d->curl, data, bytes, &n);
        if (rc != CURLE_OK && rc != CURLE_AGAIN)
            return rc;
        data += n;
        bytes -= n;
        if (n == 0 && !wait_for(d, POLLOUT))
            return CURLE_OPERATION_TIMEDOUT;
    }
    return CURLE_OK;
}

/* Encrypted bytes can be with libcurl while the socket has none: then it is asked
 * first. Else a first look would nearly always be for nothing. The time counts also
 * for a server that always has some more to say. */
static CURLcode more(struct smtp_dialogue *d)
{
    for (bool wait = !d->encrypted;; wait = true) {
        size_t n = 0;
        if (left_ms(d) == 0 || (wait && !wait_for(d, POLLIN)))
            return CURLE_OPERATION_TIMEDOUT;
        CURLcode rc = curl_easy_recv(d->curl, d->in, sizeof d->in, &n);
        d->in_first = 0;
        d->in_end = n;
        if (rc == CURLE_OK)
            return n > 0 ? CURLE_OK : CURLE_RECV_ERROR; /* the end */
        if (rc != CURLE_AGAIN)
            return rc;
    }
}

/* The next whole reply is in d->reader.reply. */
static CURLcode get(struct smtp_dialogue *d)
{
    for (;;) {
        size_t used;
        enum smtp_read read =
            smtp_reader_take(&d->reader, d->in + d->in_first, d->in_end - d->in_first, &used);
        d->in_first += used;
        if (read != SMTP_READ_MORE)
            return read == SMTP_READ_WHOLE ? CURLE_OK : CURLE_WEIRD_SERVER_REPLY;
        CURLcode rc = more(d);
        if (rc != CURLE_OK)
            return rc;
    }
}

/* --- what is said of it ------------------------------------------------------------------ */

/* No whole reply: where both sides are is not known any more. */
static void broke(struct smtp_dialogue *d, CURLcode rc)
{
    const char *trouble = rc == CURLE_RECV_ERROR           ? "the connection is lost"
                          : rc == CURLE_WEIRD_SERVER_REPLY ? "what came is no reply of SMTP"
                          : rc == CURLE_OPERATION_TIMEDOUT ? "the time is over"
                                                           : curl_easy_strerror(rc);
    d->in_step = false;
    d->end->result = rc;
    snprintf(d->end->trouble, sizeof d->end->trouble, "%s", trouble);
}

static void out_of_place(struct smtp_dialogue *d)
{
    d->in_step = false;
    d->end->result = CURLE_WEIRD_SERVER_REPLY;
    snprintf(d->end->trouble, sizeof d->end->trouble, "a reply out of place");
}

static bool is_refusal(const struct smtp_reply *r)
{
    return r->code < 200 || r->code >= 400;
}

static void refused(struct smtp_dialogue *d, CURLcode rc)
{
    const struct smtp_reply *r = &d->reader.reply;
    d->end->result = rc;
    snprintf(d->end->refusal, sizeof d->end->refusal, "%s", *r->refusal ? r->refusal : r->last);
    if (r->code == 421)
        d->in_step = false; /* it closes now */
}

/* --- a mail ------------------------------------------------------------------------------- */

struct command {
    enum send_stage stage;
    int class;           /* of the reply that lets us go on */
    size_t first, bytes; /* in d->out */
};

#define N_COMMANDS 3

static void add_command(struct smtp_dialogue *d, struct command *c, enum send_stage stage, const char *text)
{
    size_t first = d->out.len;
    str_puts(&d->out, text);
    *c = (struct command){stage, stage == SMTP_DATA ? 3 : 2, first, d->out.len - first};
}

static void make_commands(struct smtp_dialogue *d, const struct transport_mail *m,
                          struct command c[N_COMMANDS])
{
    char line[320], size[40] = ""; /* an address has at most 254 bytes */
    str_clear(&d->out);
    if (d->size)
        snprintf(size, sizeof size, " SIZE=%zu", m->bytes);
    snprintf(line, sizeof line, "MAIL FROM:<%s>%s\r\n", m->sender, size);
    add_command(d, &c[0], SMTP_MAIL, line);
    snprintf(line, sizeof line, "RCPT TO:<%s>\r\n", m->recipient);
    add_command(d, &c[1], SMTP_RCPT, line);
    add_command(d, &c[2], SMTP_DATA, "DATA\r\n");
}

/* True: go on. */
static bool answered(struct smtp_dialogue *d, const struct command *c)
{
    const struct smtp_reply *r = &d->reader.reply;
    d->end->stage = c->stage;
    CURLcode rc = get(d);
    if (rc != CURLE_OK)
        broke(d, rc);
    else if (r->code / 100 == c->class)
        return true;
    else if (is_refusal(r))
        refused(d, CURLE_SEND_ERROR);
    else
        out_of_place(d);
    return false;
}

/* The answers to what was out already, and a fresh start. Only whether the
 * connection can be kept comes of it. */
static void start_over(struct smtp_dialogue *d, int answers_due)
{
    static const char reset[] = "RSET\r\n";
    const struct smtp_reply *r = &d->reader.reply;
    bool good = d->in_step;
    while (good && answers_due-- > 0)
        good = get(d) == CURLE_OK && is_refusal(r) && r->code != 421;
    good = good && put(d, reset, sizeof reset - 1) == CURLE_OK;
    d->in_step = good && get(d) == CURLE_OK && r->code == 250 && d->in_first == d->in_end;
}

/* True: the server waits for the mail. */
static bool announce(struct smtp_dialogue *d, const struct transport_mail *m, bool one_by_one)
{
    struct command c[N_COMMANDS];
    bool at_once = d->pipelining && !one_by_one;
    make_commands(d, m, c);
    for (int i = 0; i < N_COMMANDS; i++) {
        CURLcode rc = CURLE_OK;
        if (at_once && i == 0)
            rc = put(d, d->out.data, d->out.len);
        else if (!at_once)
            rc = put(d, d->out.data + c[i].first, c[i].bytes);
        d->end->stage = c[i].stage;
        if (rc != CURLE_OK) {
            broke(d, rc);
            return false;
        }
        if (!answered(d, &c[i])) {
            start_over(d, at_once ? N_COMMANDS - 1 - i : 0);
            return false;
        }
    }
    if (d->in_first < d->in_end)
        out_of_place(d);
    return d->in_step;
}

/* Lines that begin with a dot get another one, and a dot alone ends it all
 * (RFC 5321, 4.5.2). */
static void make_body(struct fp_str *out, const char *data, size_t bytes)
{
    const char *from = data, *end = data + bytes, *at;
    str_clear(out);
    if (bytes > 0 && *data == '.')
        str_putc(out, '.');
    while ((at = memmem(from, (size_t)(end - from), "\n.", 2)) != NULL) {
        str_add(out, from, (size_t)(at + 1 - from));
        str_putc(out, '.');
        from = at + 1;
    }
    str_add(out, from, (size_t)(end - from));
    str_puts(out, bytes > 1 && memcmp(end - 2, "\r\n", 2) == 0 ? ".\r\n" : "\r\n.\r\n");
}

/* The lease may have ended while the server took its time. It waits for a mail now,
 * and is left without a word. */
static bool may_still_go(struct smtp_dialogue *d, const struct transport_mail *m)
{
    if (!m->lease_holds || m->lease_holds(m->ctx))
        return true;
    d->in_step = false;
    d->end->result = CURLE_ABORTED_BY_CALLBACK;
    return false;
}

/* What the server may have said before it hung up. */
static void last_words(struct smtp_dialogue *d, CURLcode rc)
{
    d->deadline_us = clock_mono_us() + LAST_WORDS_US;
    if (get(d) == CURLE_OK && is_refusal(&d->reader.reply))
        refused(d, CURLE_WEIRD_SERVER_REPLY);
    else
        broke(d, rc);
    d->in_step = false;
}

/* A refusal with an acceptance behind it: one of them answers something else. */
static bool accepts_as_well(const struct smtp_dialogue *d)
{
    return begins(d->in + d->in_first, d->in_end - d->in_first, "250");
}

static void hand_over(struct smtp_dialogue *d, const struct transport_mail *m)
{
    const struct smtp_reply *r = &d->reader.reply;
    make_body(&d->out, m->data, m->bytes);
    if (d->out.overflow) { /* not a byte of it is out */
        broke(d, CURLE_OUT_OF_MEMORY);
        return;
    }
    d->end->stage = SMTP_BODY;
    CURLcode rc = put(d, d->out.data, d->out.len);
    if (rc != CURLE_OK) {
        last_words(d, rc);
        return;
    }
    rc = get(d);
    if (rc != CURLE_OK)
        broke(d, rc);
    else if (r->code == 250)
        snprintf(d->end->acceptance, sizeof d->end->acceptance, "%s", r->last);
    else if (is_refusal(r) && !accepts_as_well(d))
        refused(d, CURLE_WEIRD_SERVER_REPLY);
    else
        out_of_place(d);
    d->in_step = d->in_step && d->in_first == d->in_end;
}

void smtp_dialogue_mail(struct smtp_dialogue *d, const struct transport_mail *m, bool one_by_one,
                        int64_t deadline_us, struct smtp_end *end)
{
    *end = (struct smtp_end){.stage = SMTP_MAIL, .result = CURLE_OK};
    d->end = end;
    d->deadline_us = deadline_us;
    if (announce(d, m, one_by_one) && may_still_go(d, m))
        hand_over(d, m);
    d->end = NULL;
}
