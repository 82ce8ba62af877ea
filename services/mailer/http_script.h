/*
 * An HTTP server for http_test.c alone, which does as its script says: a
 * thread for each connection, replies of one's choice, lost connections, late,
 * slow and endless answers. It keeps what it was told.
 */
#ifndef FP_MAILER_HTTP_SCRIPT_H
#define FP_MAILER_HTTP_SCRIPT_H

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

#define MAX_CONNECTIONS 64
#define MAX_BODY        200000

struct script {
    int status;                  /* 0: no reply, the connection is closed */
    const char *headers;         /* lines with their ends; NULL: none */
    const char *body;            /* NULL: "" */
    const char *raw;             /* instead of all that */
    int delay_ms;                /* before the reply */
    int byte_ms;                 /* between two bytes of it; 0: all at once */
    size_t padding;              /* bytes behind the body */
    size_t claims;               /* the Content-Length is so much more than what comes */
    bool unread;                 /* hangs up when the headers came, with a reset */
    int requests_before_hang_up; /* then none is answered on that connection; 0: no limit */
};

struct server {
    struct script script;
    int listener, port;
    pthread_t acceptor, workers[MAX_CONNECTIONS];
    int connections, requests;
    struct fp_str last; /* the last request: its head and body */
    pthread_mutex_t lock;
};

struct session {
    struct server *server;
    FILE *in;
    int socket, requests;
};

static struct script script_of(struct server *s)
{
    pthread_mutex_lock(&s->lock);
    struct script script = s->script;
    pthread_mutex_unlock(&s->lock);
    return script;
}

static void server_change(struct server *s, struct script script)
{
    pthread_mutex_lock(&s->lock);
    s->script = script;
    pthread_mutex_unlock(&s->lock);
}

__attribute__((unused)) static int count_of(struct server *s, const int *counter)
{
    pthread_mutex_lock(&s->lock);
    int n = *counter;
    pthread_mutex_unlock(&s->lock);
    return n;
}

#define connections_of(s) count_of(s, &(s)->connections)
#define requests_of(s)    count_of(s, &(s)->requests)

static bool say(int fd, const char *data, size_t bytes, int byte_ms)
{
    size_t step = byte_ms ? 1 : bytes;
    for (size_t i = 0; i < bytes; i += step) {
        if (send(fd, data + i, byte_ms ? 1 : bytes, MSG_NOSIGNAL) < 0)
            return false;
        if (byte_ms)
            clock_sleep_us(byte_ms * INT64_C(1000));
    }
    return true;
}

static bool answer(struct session *c, const struct script *p)
{
    struct fp_str reply;
    const char *body = p->body ? p->body : "";
    if (p->delay_ms)
        clock_sleep_us(p->delay_ms * INT64_C(1000));
    if (!p->status && !p->raw)
        return false;
    str_init(&reply, 0);
    if (p->raw)
        str_puts(&reply, p->raw);
    else
        str_printf(&reply, "HTTP/1.1 %d Said\r\n%sContent-Length: %zu\r\n\r\n%s", p->status,
                   p->headers ? p->headers : "", strlen(body) + p->padding + p->claims, body);
    for (size_t i = 0; i < p->padding; i++)
        str_putc(&reply, ' ');
    bool on = say(c->socket, reply.data, reply.len, p->byte_ms);
    str_fini(&reply);
    return on && !p->claims && !p->raw;
}

static void reset(int fd)
{
    const struct linger now = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

/* Reads one request; false: there is none, or it is not to be read. */
static bool read_request(struct session *c, const struct script *p, struct fp_str *out)
{
    char line[16384];
    size_t bytes = 0;
    for (;;) {
        if (!fgets(line, sizeof line, c->in))
            return false;
        str_puts(out, line);
        if (strncasecmp(line, "Content-Length:", 15) == 0)
            bytes = strtoul(line + 15, NULL, 10);
        if (strcmp(line, "\r\n") == 0)
            break;
    }
    if (p->unread) {
        reset(c->socket);
        return false;
    }
    char *room = str_room(out, bytes);
    if (bytes > MAX_BODY || fread(room, 1, bytes, c->in) != bytes)
        return false;
    str_grew(out, bytes);
    return true;
}

static bool serve_one(struct session *c)
{
    struct server *s = c->server;
    struct fp_str request;
    str_init(&request, 0);
    struct script p = script_of(s);
    if (!read_request(c, &p, &request)) {
        str_fini(&request);
        return false;
    }
    pthread_mutex_lock(&s->lock);
    str_fini(&s->last);
    s->last = request;
    s->requests++;
    pthread_mutex_unlock(&s->lock);
    p = script_of(s);
    if (p.requests_before_hang_up && c->requests >= p.requests_before_hang_up)
        return false;
    c->requests++;
    return answer(c, &p);
}

static void *serve(void *arg)
{
    struct session *c = arg;
    while (serve_one(c))
        ;
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
    str_init(&s->last, 0);
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
    str_fini(&s->last);
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}

#endif
