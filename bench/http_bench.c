/*
 * What the transports ses and sendgrid do against a provider that answers after
 * some milliseconds: threads, each with a transport of its own as in the mailer,
 * hand over one mail again and again. The provider is a second process, so that
 * its CPU does not count; it accepts whatever it is sent.
 *
 *   http_bench ses|sendgrid MAILS [THREADS] [LATENCY_MS] [BYTES]
 *
 * Prints seconds, mails a second and CPU microseconds of this process a mail; exit 1
 * when a mail was not accepted.
 */
#define _GNU_SOURCE /* strcasestr */
#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/mailer/transport.h"

#define MAX_THREADS   256
#define HEAD_BYTES    16384
#define LATENCY_MS    20
#define DEFAULT_BYTES 4096

static struct bench {
    const struct transport_ops *ops;
    struct transport_settings settings;
    char url[64], key_file[64], *mail;
    size_t bytes;
    long latency_ms;
    atomic_long left, refused;
} bench;

static void stop(const char *what)
{
    fprintf(stderr, "http_bench: %s\n", what);
    exit(1);
}

/* --- the provider, in its own process --------------------------------------------------------- */

/* Reads one request; false when the client has gone. Nothing comes behind a body before the answer. */
static bool take_request(int fd)
{
    char head[HEAD_BYTES + 1], rest[65536];
    size_t n = 0;
    char *body = NULL;
    while (!body) {
        ssize_t got = n < HEAD_BYTES ? read(fd, head + n, HEAD_BYTES - n) : 0;
        if (got <= 0)
            return false;
        n += (size_t)got;
        head[n] = '\0';
        body = strstr(head, "\r\n\r\n");
    }
    const char *length = strcasestr(head, "\r\ncontent-length:");
    long left = length ? strtol(length + 17, NULL, 10) - (long)(head + n - (body + 4)) : 0;
    while (left > 0) {
        ssize_t got = read(fd, rest, left < (long)sizeof rest ? (size_t)left : sizeof rest);
        if (got <= 0)
            return false;
        left -= got;
    }
    return true;
}

static void *serve(void *arg)
{
    static const char ses[] =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n"
        "{\"MessageId\":\"0100\"}";
    static const char sendgrid[] = "HTTP/1.1 202 Accepted\r\nX-Message-Id: 0100\r\nContent-Length: 0\r\n\r\n";
    int fd = *(int *)arg;
    const char *answer = strcmp(bench.ops->name, "ses") == 0 ? ses : sendgrid;
    const struct timespec latency = {bench.latency_ms / 1000, bench.latency_ms % 1000 * 1000000};
    while (take_request(fd)) {
        nanosleep(&latency, NULL);
        if (write(fd, answer, strlen(answer)) < 0)
            break;
    }
    close(fd);
    mem_free(arg);
    return NULL;
}

static void provide(int listener)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        pthread_t thread;
        int *fd = mem_alloc(sizeof *fd);
        *fd = accept(listener, NULL, NULL);
        if (*fd < 0 || pthread_create(&thread, NULL, serve, fd) != 0)
            _exit(1);
        pthread_detach(thread);
    }
}

static void start_provider(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, len) != 0 || listen(fd, MAX_THREADS) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) != 0)
        stop("no socket to listen on");
    snprintf(bench.url, sizeof bench.url, "http://127.0.0.1:%d", ntohs(a.sin_port));
    pid_t child = fork();
    if (child < 0)
        stop("no second process");
    if (child == 0)
        provide(fd);
    close(fd);
}

/* --- the mailer's side --------------------------------------------------------------------------- */

static void *run(void *arg)
{
    (void)arg;
    struct fp_err err;
    struct transport *t = bench.ops->open(&bench.settings, &err);
    if (!t)
        stop(err.msg);
    while (atomic_fetch_sub(&bench.left, 1) > 0) {
        struct transport_reply reply = {0};
        const struct transport_mail mail = {.sender = "reports@here.example",
                                            .recipient = "anna@there.example",
                                            .data = bench.mail,
                                            .bytes = bench.bytes,
                                            .job_id = 1,
                                            .user_id = 2,
                                            .token = ""};
        bench.ops->send(t, &mail, &reply);
        if (reply.verdict != VERDICT_SENT && atomic_fetch_add(&bench.refused, 1) == 0)
            fprintf(stderr, "http_bench: not accepted: %d %s\n", reply.code, reply.reason);
    }
    bench.ops->close(t);
    return NULL;
}

static void make_mail(size_t bytes)
{
    static const char head[] =
        "From: Foliopost <reports@here.example>\r\nTo: <anna@there.example>\r\n"
        "Subject: Statement\r\nMessage-ID: <1.2.x@here.example>\r\nMIME-Version: 1.0\r\n"
        "Content-Type: multipart/alternative; boundary=\"=_b\"\r\n\r\n--=_b\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\ntext\r\n--=_b\r\n"
        "Content-Type: text/html; charset=utf-8\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n";
    static const char line[] =
        "<td align=3D\"left\" style=3D\"padding:9px 0\">a line of a statement</td>\r\n";
    struct fp_str s;
    str_init(&s, 0);
    str_puts(&s, head);
    while (s.len + sizeof line < bytes)
        str_puts(&s, line);
    str_puts(&s, "--=_b--\r\n");
    bench.bytes = s.len;
    bench.mail = str_take(&s);
}

static void write_key(void)
{
    snprintf(bench.key_file, sizeof bench.key_file, "/tmp/http_bench.XXXXXX");
    int fd = mkstemp(bench.key_file);
    static const char ses[] = "aws_access_key_id = AKIAKEY\naws_secret_access_key = secret\n",
                      sendgrid[] = "SG.key\n";
    const char *text = strcmp(bench.ops->name, "ses") == 0 ? ses : sendgrid;
    if (fd < 0 || write(fd, text, strlen(text)) < 0 || close(fd) != 0)
        stop("no file for the key");
}

static double cpu_us(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

int main(int argc, char **argv)
{
    bench.ops = argc > 2 ? transport_by_name(argv[1]) : NULL;
    if (!bench.ops)
        stop("usage: http_bench ses|sendgrid MAILS [THREADS] [LATENCY_MS] [BYTES]");
    long mails = atol(argv[2]), threads = argc > 3 ? atol(argv[3]) : 64;
    bench.latency_ms = argc > 4 ? atol(argv[4]) : LATENCY_MS;
    make_mail(argc > 5 ? (size_t)atol(argv[5]) : DEFAULT_BYTES);
    threads = threads < 1 ? 1 : threads > MAX_THREADS ? MAX_THREADS : threads;
    write_key();
    start_provider();
    bench.settings = (struct transport_settings){.api_url = bench.url,
                                                 .api_key_file = bench.key_file,
                                                 .api_ca_file = "",
                                                 .ses_region = "eu-west-1",
                                                 .ses_configuration_set = "",
                                                 .connect_timeout_ms = 5000,
                                                 .reply_timeout_ms = 20000,
                                                 .mails_per_connection = 1000};
    atomic_store(&bench.left, mails);
    pthread_t pool[MAX_THREADS];
    int64_t begin_us = clock_mono_us();
    double cpu = cpu_us();
    for (long i = 0; i < threads; i++)
        if (pthread_create(&pool[i], NULL, run, NULL) != 0)
            stop("no thread");
    for (long i = 0; i < threads; i++)
        pthread_join(pool[i], NULL);
    double seconds = (double)(clock_mono_us() - begin_us) / 1e6;
    printf(
        "%s: %ld mails of %zu bytes, %ld connections, %ld ms: %.2f s, %.0f mails/s, %.0f us of CPU a mail\n",
        bench.ops->name, mails, bench.bytes, threads, bench.latency_ms, seconds, (double)mails / seconds,
        (cpu_us() - cpu) / (double)mails);
    unlink(bench.key_file);
    mem_free(bench.mail);
    return atomic_load(&bench.refused) ? 1 : 0;
}
