/*
 * The transport that writes each mail as a file into a Maildir
 * (https://cr.yp.to/proto/maildir.html): written in tmp/, renamed into new/,
 * both made durable before it is called sent. A reader never sees half a mail,
 * and a crash leaves at most a file in tmp/. Two fsyncs a mail are slow; this
 * is a transport to look at mails with, not to send a million by.
 *
 * A file is called TIME.JOB.USER.UNIQUE: a second delivery to the same user is
 * a second file, easy to find. The disk's faults (full, read-only, gone) are
 * the provider's, never the user's.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/text.h"
#include "services/mailer/transports.h"

struct transport {
    char folder[PATH_MAX / 2];
    int new_fd; /* the folder new/, to be synced */
    uint64_t sent;
    char instance[37]; /* tells this transport's files from those of any other */
};

static int make_folder(const char *path, struct fp_err *err)
{
    struct stat st;
    if (mkdir(path, 0700) == 0)
        return 0;
    if (errno == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return 0;
    return err_set(err, FP_INVALID_ARGUMENT, "maildir: the folder %s cannot be made: %s", path,
                   errno == EEXIST ? "a file is in its place" : strerror(errno));
}

static int maildir_check(const struct transport_settings *s, struct fp_err *err)
{
    static const char *const parts[] = {"", "/tmp", "/new", "/cur"};
    char path[PATH_MAX];
    if (!s->maildir || !*s->maildir || strlen(s->maildir) >= PATH_MAX / 2)
        return err_set(err, FP_INVALID_ARGUMENT,
                       "maildir: name the folder that the transport \"maildir\" writes to");
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        snprintf(path, sizeof path, "%s%s", s->maildir, parts[i]);
        if (make_folder(path, err) != 0)
            return -1;
    }
    if (access(path, W_OK) != 0)
        return err_set(err, FP_INVALID_ARGUMENT, "maildir: %s cannot be written to: %s", path,
                       strerror(errno));
    return 0;
}

static struct transport *maildir_open(const struct transport_settings *s, struct fp_err *err)
{
    if (maildir_check(s, err) != 0)
        return NULL;
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/new", s->maildir);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        err_set(err, FP_INVALID_ARGUMENT, "maildir: %s cannot be opened: %s", path, strerror(errno));
        return NULL;
    }
    struct transport *t = mem_alloc(sizeof *t);
    t->new_fd = fd;
    snprintf(t->folder, sizeof t->folder, "%s", s->maildir);
    text_new_uuid(t->instance);
    return t;
}

/* 0, or errno. */
static int write_all(int fd, const char *data, size_t bytes)
{
    while (bytes > 0) {
        ssize_t n = write(fd, data, bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        data += n;
        bytes -= (size_t)n;
    }
    return fsync(fd) == 0 ? 0 : errno;
}

static int write_file(const char *path, const struct transport_mail *m)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    int rc = write_all(fd, m->data, m->bytes);
    if (close(fd) != 0 && rc == 0)
        rc = errno;
    return rc;
}

static int deliver(const struct transport *t, const char *name, const struct transport_mail *m)
{
    char tmp[PATH_MAX], final[PATH_MAX];
    snprintf(tmp, sizeof tmp, "%s/tmp/%s", t->folder, name);
    snprintf(final, sizeof final, "%s/new/%s", t->folder, name);
    int rc = write_file(tmp, m);
    if (rc == 0 && rename(tmp, final) != 0)
        rc = errno;
    if (rc != 0 && rc != EEXIST)
        unlink(tmp);
    return rc;
}

/* 0, or errno. The name in new/ survives a crash of the machine. */
static int make_durable(const struct transport *t)
{
    return fsync(t->new_fd) == 0 ? 0 : errno;
}

static void maildir_send(struct transport *t, const struct transport_mail *m, struct transport_reply *reply)
{
    *reply = (struct transport_reply){.verdict = VERDICT_SENT};
    snprintf(reply->provider_id, sizeof reply->provider_id, "%lld.%lld.%lld.%.8s%llu",
             (long long)(clock_wall_us() / FP_US_PER_S), (long long)m->job_id, (long long)m->user_id,
             t->instance, (unsigned long long)++t->sent);
    int rc = deliver(t, reply->provider_id, m);
    bool there = rc == 0;
    if (there)
        rc = make_durable(t);
    if (rc == 0)
        return;
    /* A mail in new/ that may be gone after a crash: nobody can know. */
    reply->verdict = there ? VERDICT_AMBIGUOUS : VERDICT_PROVIDER_FAULT;
    reply->provider_id[0] = 0;
    snprintf(reply->reason, sizeof reply->reason, "maildir: %s", strerror(rc));
}

static void maildir_close(struct transport *t)
{
    if (!t)
        return;
    close(t->new_fd);
    mem_free(t);
}

const struct transport_ops transport_maildir = {.name = "maildir",
                                                .check = maildir_check,
                                                .open = maildir_open,
                                                .send = maildir_send,
                                                .close = maildir_close};
