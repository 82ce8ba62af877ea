/*
 * Bounces and complaints that a mail server drops into a Maildir.
 *
 * A report of ours is stored and its file removed, since it quotes addresses
 * and mail. What is no report of ours (replies, spam, mail that is too large)
 * moves to cur/, where a person may look or a cron job may clean up; so does
 * what is forged. While the ledger is away files stay in new/.
 */
#define _GNU_SOURCE /* pthread_setname_np */
#include "services/mailer/inbound/maildir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"
#include "services/mailer/inbound/dsn.h"

#define MAIL_BYTES ((size_t)256 * 1024) /* a report with the whole mail in it */
#define PER_SCAN   1000
#define BEAT       1

struct maildir {
    struct inbound *in;
    const struct inbound_settings *set;
    struct token_keys *keys;
    struct fp_service *service;
    int fd; /* of the folder */
    pthread_t thread;
    atomic_bool stopping;
    long long said_us;
};

/* -1: not a plain file that can be read, or too large. */
static ssize_t read_mail(int dir, const char *name, char *buf, size_t cap)
{
    struct stat st;
    size_t n = 0;
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -1;
    bool fine = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (size_t)st.st_size <= cap;
    while (fine && n < cap) {
        ssize_t got = read(fd, buf + n, cap - n);
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    close(fd);
    return fine ? (ssize_t)n : -1;
}

static void count(const char *what)
{
    char label[64];
    snprintf(label, sizeof label, "what=\"%s\"", what);
    metrics_add("foliopost_inbound_total", label, 1);
}

static void put_aside(const struct maildir *m, const char *name, const char *what)
{
    char from[300], to[300];
    snprintf(from, sizeof from, "new/%s", name);
    snprintf(to, sizeof to, "cur/%s:2,", name);
    if (renameat(m->fd, from, m->fd, to) != 0)
        (void)unlinkat(m->fd, from, 0); /* it would be read for ever */
    count(what);
}

/* False when the ledger does not answer: the rest waits. */
static bool take(struct maildir *m, const char *name, char *buf)
{
    char path[300];
    struct fp_err err;
    struct ledger_event e;
    snprintf(path, sizeof path, "new/%s", name);
    ssize_t n = read_mail(m->fd, path, buf, MAIL_BYTES);
    int rc = n < 0 ? 1 : dsn_read(m->keys, buf, (size_t)n, &e, &err);
    if (rc != 0) {
        put_aside(m, name, rc < 0 ? "forged" : "ignored");
        return true;
    }
    if (inbound_store(m->in, &e, 1, &err) < 0) {
        if (log_limited(&m->said_us, 10000))
            log_warn("", "report not stored", "code=%s reason=%s", err_code_name(err.code), err.msg);
        return false;
    }
    (void)unlinkat(m->fd, path, 0);
    count(e.provider);
    return true;
}

static void scan(struct maildir *m, char *buf)
{
    int fd = openat(m->fd, "new", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *entry;
    if (!dir) {
        if (log_limited(&m->said_us, 60000))
            log_warn("", "maildir not read", "reason=new/: %s", strerror(errno));
        return;
    }
    for (int n = 0; n < PER_SCAN && !atomic_load(&m->stopping) && (entry = readdir(dir)) != NULL; n++)
        if (entry->d_name[0] != '.' && !take(m, entry->d_name, buf))
            break;
    closedir(dir);
}

static void *maildir_main(void *arg)
{
    struct maildir *m = arg;
    char *buf = mem_alloc(MAIL_BYTES);
    pthread_setname_np(pthread_self(), "maildir");
    while (!atomic_load(&m->stopping)) {
        scan(m, buf);
        for (int64_t left_ms = m->set->maildir_poll_ms; left_ms > 0 && !atomic_load(&m->stopping);
             left_ms -= 50) {
            service_beat(m->service, BEAT, "maildir");
            clock_sleep_us(50000);
        }
    }
    mem_free(buf);
    return NULL;
}

struct maildir *maildir_start(struct inbound *in, const struct inbound_settings *set, struct token_keys *keys,
                              struct fp_service *service, struct fp_err *err)
{
    int fd = open(set->maildir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        (void)err_set(err, FP_FAILED_PRECONDITION, "maildir: %s: %s", set->maildir, strerror(errno));
        return NULL;
    }
    struct maildir *m = mem_alloc(sizeof *m);
    *m = (struct maildir){.in = in, .set = set, .keys = keys, .service = service, .fd = fd};
    dsn_init();
    if (pthread_create(&m->thread, NULL, maildir_main, m) != 0)
        fp_panic("cannot start the Maildir's thread");
    return m;
}

void maildir_stop(struct maildir *m)
{
    if (!m)
        return;
    atomic_store(&m->stopping, true);
    pthread_join(m->thread, NULL);
    close(m->fd);
    mem_free(m);
}
