/*
 * An SMTP server for smtp_test.c and smtp_rows_test.c, which does as its script says: a
 * thread for each connection, replies of one's choice, lost connections, late
 * and slow answers. It keeps what it was told.
 */
#ifndef FP_MAILER_SMTP_SCRIPT_H
#define FP_MAILER_SMTP_SCRIPT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "services/mailer/transport.h"

#define MAX_CONNECTIONS 2048
#define MAX_TIMES       4096
#define HANG_UP         "!" /* instead of a reply */

/* Replies without their line end; NULL: the usual one. */
struct script {
    const char *greeting, *ehlo, *auth, *mail, *rcpt, *data, *body;
    int greeting_ms;            /* before the greeting */
    int body_delay_ms, byte_ms; /* byte_ms: between two bytes of every reply */
    int flood_mb;               /* lines of the reply to the mail before its last */
    int mails_per_connection;   /* then 421 at MAIL; 0: no limit */
    bool hang_up_after_mail, byte_by_byte;
    bool pipelining;      /* offered */
    bool patient;         /* answers MAIL and RCPT only once it has read DATA */
    bool buffers;         /* answers once it has read all that came, as Postfix does */
    bool deaf;            /* waits for the mail even when nobody is to have it */
    const char *unasked;  /* said once more behind the reply to a mail */
    const char *mid_body; /* said after the first lines of a mail, then the end */
};

struct server {
    struct script script;
    int listener, port;
    pthread_t acceptor, workers[MAX_CONNECTIONS];
    int sockets[MAX_CONNECTIONS];
    int connections, mails;
    int64_t came_us[MAX_TIMES]; /* the first mails, by clock_mono_us() */
    struct fp_str log, last_body;
    pthread_mutex_t lock;
};

struct session {
    struct server *server;
    FILE *in;
    int socket, mails;
    bool has_sender, has_recipient, holds_back;
    char held[600]; /* said later */
};

static struct script script_of(struct server *s)
{
    pthread_mutex_lock(&s->lock);
    struct script script = s->script;
    pthread_mutex_unlock(&s->lock);
    return script;
}

static inline void server_change(struct server *s, struct script script)
{
    pthread_mutex_lock(&s->lock);
    s->script = script;
    pthread_mutex_unlock(&s->lock);
}

static inline int count_of(struct server *s, const int *counter)
{
    pthread_mutex_lock(&s->lock);
    int n = *counter;
    pthread_mutex_unlock(&s->lock);
    return n;
}

static inline bool log_holds(struct server *s, const char *text)
{
    pthread_mutex_lock(&s->lock);
    bool holds = strstr(s->log.data, text) != NULL;
    pthread_mutex_unlock(&s->lock);
    return holds;
}

#define connections_of(s) count_of(s, &(s)->connections)
#define mails_of(s)       count_of(s, &(s)->mails)

static void say(struct session *c, const char *reply)
{
    char line[1200];
    if (c->holds_back) {
        strcat(strcat(c->held, reply), "\r\n");
        return;
    }
    int n = snprintf(line, sizeof line, "%s%s\r\n", c->held, reply);
    c->held[0] = 0;
    struct script p = script_of(c->server);
    int step = p.byte_by_byte || p.byte_ms ? 1 : n;
    for (int i = 0; i < n; i += step) {
        if (send(c->socket, line + i, (size_t)step, MSG_NOSIGNAL) < 0)
            return;
        clock_sleep_us(p.byte_ms * INT64_C(1000));
    }
}

/* False: the connection is to be closed. */
static bool answer(struct session *c, const char *scripted, const char *usual)
{
    const char *reply = scripted ? scripted : usual;
    if (strcmp(reply, HANG_UP) == 0)
        return false;
    bool goes_on = strncmp(reply, "421", 3) != 0;
    say(c, reply); /* from then on the text may be gone: who asked has his answer */
    return goes_on;
}

static void note(struct server *s, const char *line)
{
    pthread_mutex_lock(&s->lock);
    str_puts(&s->log, line);
    pthread_mutex_unlock(&s->lock);
}

static bool take_body(struct session *c)
{
    struct server *s = c->server;
    char line[4096];
    struct fp_str body;
    if (script_of(s).mid_body)
        return fgets(line, sizeof line, c->in) && answer(c, script_of(s).mid_body, "") && false;
    str_init(&body, 0);
    bool whole = false;
    while (!whole && fgets(line, sizeof line, c->in)) {
        whole = strcmp(line, ".\r\n") == 0;
        str_puts(&body, whole ? "" : line[0] == '.' ? line + 1 : line);
    }
    if (!whole) {
        str_fini(&body);
        return false;
    }
    pthread_mutex_lock(&s->lock);
    str_fini(&s->last_body);
    s->last_body = body;
    if (s->mails < MAX_TIMES)
        s->came_us[s->mails] = clock_mono_us();
    s->mails++;
    pthread_mutex_unlock(&s->lock);
    c->mails++;
    struct script p = script_of(s);
    if (p.body_delay_ms)
        clock_sleep_us(p.body_delay_ms * INT64_C(1000));
    for (int i = 0; i < p.flood_mb * 10000; i++) {
        char more[101];
        snprintf(more, sizeof more, "250-%094d\r\n", i);
        if (send(c->socket, more, 100, MSG_NOSIGNAL) < 0)
            return false;
    }
    c->has_sender = c->has_recipient = false;
    if (!answer(c, p.body, "250 2.0.0 Ok: queued as 4Bx1") || p.hang_up_after_mail)
        return false;
    return !p.unasked || answer(c, p.unasked, "");
}

static const char *offers(const struct script *p)
{
    if (p->auth)
        return p->pipelining ? "250-here\r\n250-SIZE 1000000\r\n250-PIPELINING\r\n250 AUTH PLAIN"
                             : "250-here\r\n250-SIZE 1000000\r\n250 AUTH PLAIN";
    return p->pipelining ? "250-here\r\n250 PIPELINING" : "250 here";
}

static bool obey_mail(struct session *c, const struct script *p)
{
    if (c->has_sender)
        return answer(c, "503 5.5.1 nested MAIL", "");
    c->has_sender = !p->mail || p->mail[0] == '2';
    return answer(c, p->mail, "250 2.1.0 Ok");
}

static bool obey_rcpt(struct session *c, const struct script *p)
{
    c->has_recipient = !p->rcpt || p->rcpt[0] == '2';
    return answer(c, p->rcpt, "250 2.1.5 Ok");
}

static bool obey_data(struct session *c, const struct script *p)
{
    if (!c->has_recipient && !p->deaf)
        return answer(c, "554 5.5.1 no valid recipients", "");
    if (p->data && strncmp(p->data, "354", 3) != 0)
        return answer(c, p->data, "");
    return answer(c, p->data, "354 go on") && take_body(c);
}

static bool obey(struct session *c, const char *line)
{
    struct script p = script_of(c->server);
    bool more = c->in->_IO_read_ptr < c->in->_IO_read_end;
    c->holds_back = (p.patient || (p.buffers && more)) &&
                    (strncasecmp(line, "MAIL", 4) == 0 || strncasecmp(line, "RCPT", 4) == 0);
    if (strncasecmp(line, "EHLO", 4) == 0)
        return answer(c, p.ehlo, offers(&p));
    if (strncasecmp(line, "AUTH", 4) == 0)
        return answer(c, p.auth, "");
    if (strncasecmp(line, "MAIL", 4) == 0 && p.mails_per_connection && c->mails >= p.mails_per_connection)
        return answer(c, "421 4.7.0 too many mails here", "");
    if (strncasecmp(line, "MAIL", 4) == 0)
        return obey_mail(c, &p);
    if (strncasecmp(line, "RCPT", 4) == 0)
        return obey_rcpt(c, &p);
    if (strncasecmp(line, "DATA", 4) == 0)
        return obey_data(c, &p);
    if (strncasecmp(line, "RSET", 4) == 0) {
        c->has_sender = c->has_recipient = false;
        return answer(c, "250 2.0.0 Ok", "");
    }
    if (strncasecmp(line, "QUIT", 4) == 0) {
        say(c, "221 2.0.0 Bye");
        return false;
    }
    say(c, "500 5.5.2 what?");
    return true;
}

static void *serve(void *arg)
{
    struct session *c = arg;
    char line[4096];
    clock_sleep_us(script_of(c->server).greeting_ms * INT64_C(1000));
    bool on = answer(c, script_of(c->server).greeting, "220 test ESMTP");
    while (on && fgets(line, sizeof line, c->in)) {
        note(c->server, line);
        on = obey(c, line);
    }
    shutdown(c->socket, SHUT_RDWR);
    fclose(c->in);
    mem_free(c);
    return NULL;
}

static void *accept_all(void *arg)
{
    struct server *s = arg;
    int fd, one = 1;
    while ((fd = accept(s->listener, NULL, NULL)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct session *c = mem_alloc(sizeof *c);
        *c = (struct session){.server = s, .in = fdopen(fd, "r"), .socket = fd};
        pthread_mutex_lock(&s->lock);
        int n = s->connections++;
        pthread_mutex_unlock(&s->lock);
        if (n >= MAX_CONNECTIONS)
            abort();
        pthread_create(&s->workers[n], NULL, serve, c);
    }
    return NULL;
}

static struct server *server_start(struct script script)
{
    struct server *s = mem_alloc(sizeof *s);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    s->script = script;
    str_init(&s->log, 0);
    str_init(&s->last_body, 0);
    pthread_mutex_init(&s->lock, NULL);
    s->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(s->listener, 32), 0);
    assert_int_equal(getsockname(s->listener, (struct sockaddr *)&a, &n), 0);
    s->port = ntohs(a.sin_port);
    pthread_create(&s->acceptor, NULL, accept_all, s);
    return s;
}

static void server_stop(struct server *s)
{
    shutdown(s->listener, SHUT_RDWR);
    pthread_join(s->acceptor, NULL);
    close(s->listener);
    for (int i = 0; i < s->connections; i++)
        pthread_join(s->workers[i], NULL);
    str_fini(&s->log);
    str_fini(&s->last_body);
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}

/* Plain, without a login; the URL is the caller's. */
static inline struct transport_settings usual_settings(void)
{
    return (struct transport_settings){.smtp_user = "",
                                       .smtp_password_file = "",
                                       .smtp_tls = "never",
                                       .smtp_ca_file = "",
                                       .helo_name = "mailer.example",
                                       .connect_timeout_ms = 2000,
                                       .reply_timeout_ms = 5000,
                                       .mails_per_connection = 100,
                                       .maildir = ""};
}

#endif
