/*
 * What libcurl alone does over SMTP: threads, each with an easy handle and its
 * connection kept, hand over one mail of a given size again and again. With
 * "transport" at the end the mailer's own transport does it instead, with nothing
 * of the mailer around it.
 *
 *   smtp_bench HOST:PORT MAILS BYTES [THREADS] [MAILS_PER_CONNECTION] [transport]
 *
 * Prints seconds, mails a second and CPU microseconds of this process a mail.
 * script/bench runs both, and the mailer, against one sink.
 */
#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/mailer/transport.h"

#define MAX_THREADS 64
#define HELO        "bench.example.com"
#define SENDER      "reports@example.com"
#define RECIPIENT   "someone@example.com"

static struct bench {
    char url[256];
    char *mail;
    size_t bytes;
    long per_connection;
    atomic_long left;
    atomic_long failed;
} bench;

struct upload {
    size_t at;
};

static size_t read_mail(char *to, size_t size, size_t n, void *arg)
{
    struct upload *u = arg;
    size_t take = bench.bytes - u->at < size * n ? bench.bytes - u->at : size * n;
    memcpy(to, bench.mail + u->at, take);
    u->at += take;
    return take;
}

/* Lines of 72 letters, as a mail has them. */
static void make_mail(size_t bytes)
{
    bench.bytes = bytes;
    bench.mail = mem_alloc(bytes + 1);
    memset(bench.mail, 'x', bytes);
    for (size_t i = 73; i < bytes; i += 74) {
        bench.mail[i - 1] = '\r';
        bench.mail[i] = '\n';
    }
}

static void *send_mails(void *arg)
{
    CURL *curl = curl_easy_init();
    struct curl_slist to = {.data = (char *)RECIPIENT};
    struct upload upload;
    long done = 0;
    (void)arg;
    curl_easy_setopt(curl, CURLOPT_URL, bench.url);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(curl, CURLOPT_MAIL_FROM, SENDER);
    curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, &to);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, read_mail);
    curl_easy_setopt(curl, CURLOPT_READDATA, &upload);
    curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)bench.bytes);
    while (atomic_fetch_sub(&bench.left, 1) > 0) {
        upload.at = 0;
        curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, ++done % bench.per_connection == 0 ? 1L : 0L);
        if (curl_easy_perform(curl) != CURLE_OK)
            atomic_fetch_add(&bench.failed, 1);
    }
    curl_easy_cleanup(curl);
    return NULL;
}

static void *send_by_transport(void *arg)
{
    const struct transport_settings settings = {.smtp_url = bench.url,
                                                .smtp_user = "",
                                                .smtp_password_file = "",
                                                .smtp_tls = "never",
                                                .smtp_ca_file = "",
                                                .helo_name = HELO,
                                                .connect_timeout_ms = 10000,
                                                .reply_timeout_ms = 60000,
                                                .mails_per_connection = bench.per_connection};
    const struct transport_mail mail = {.sender = SENDER,
                                        .recipient = RECIPIENT,
                                        .data = bench.mail,
                                        .bytes = bench.bytes};
    const struct transport_ops *ops = transport_by_name("smtp");
    struct transport_reply reply;
    struct fp_err err;
    struct transport *t = ops->open(&settings, &err);
    (void)arg;
    if (!t)
        fp_panic("%s", err.msg);
    while (atomic_fetch_sub(&bench.left, 1) > 0) {
        ops->send(t, &mail, &reply);
        if (reply.verdict != VERDICT_SENT)
            atomic_fetch_add(&bench.failed, 1);
    }
    ops->close(t);
    return NULL;
}

static double cpu_us(void)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1e6 +
           (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
}

int main(int argc, char **argv)
{
    pthread_t threads[MAX_THREADS];
    long mails = argc > 2 ? atol(argv[2]) : 0, bytes = argc > 3 ? atol(argv[3]) : 0;
    int n = argc > 4 ? atoi(argv[4]) : 16;
    bench.per_connection = argc > 5 ? atol(argv[5]) : 100;
    bool own = argc > 6 && strcmp(argv[6], "transport") == 0;
    if (mails < 1 || bytes < 1 || n < 1 || n > MAX_THREADS || bench.per_connection < 1 ||
        (argc > 6 && !own)) {
        fprintf(stderr,
                "usage: smtp_bench HOST:PORT MAILS BYTES [THREADS] [MAILS_PER_CONNECTION] [transport]\n");
        return 2;
    }
    snprintf(bench.url, sizeof bench.url, own ? "smtp://%s" : "smtp://%s/" HELO, argv[1]);
    make_mail((size_t)bytes);
    atomic_store(&bench.left, mails);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    int64_t begin_us = clock_mono_us();
    for (int i = 0; i < n; i++)
        if (pthread_create(&threads[i], NULL, own ? send_by_transport : send_mails, NULL) != 0)
            return 1;
    for (int i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    double s = (double)(clock_mono_us() - begin_us) / 1e6;
    printf("%ld mails of %ld bytes in %.3f s: %.0f mails a second, %.1f us of CPU a mail, %ld failed\n",
           mails, bytes, s, (double)mails / s, cpu_us() / (double)mails, atomic_load(&bench.failed));
    mem_free(bench.mail);
    return atomic_load(&bench.failed) > 0;
}
