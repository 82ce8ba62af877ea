/*
 * Secrets from files, as Kubernetes mounts them.
 *
 * The file is read at each call: a mounted Secret is replaced by a rename, a
 * read costs microseconds, and what is not kept need not be wiped. Messages
 * name the path and never what is in it.
 */
#include "lib/config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/mem.h"

#define SECRET_MAX_BYTES 4096

/* Reads until the buffer is full or the file at its end; -1 with errno. */
static ssize_t read_some(int fd, char *buf, size_t cap)
{
    size_t n = 0;

    while (n < cap) {
        ssize_t got = read(fd, buf + n, cap - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        n += (size_t)got;
    }
    return (ssize_t)n;
}

static int open_secret(const char *path, char *buf, size_t cap, size_t *n, struct fp_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hang the start */
    if (fd < 0)
        return err_set(err, FP_FAILED_PRECONDITION, "secret file %s: %s", path, strerror(errno));
    ssize_t got = read_some(fd, buf, cap - 1);
    int why = errno;
    close(fd);
    if (got < 0)
        return err_set(err, FP_FAILED_PRECONDITION, "secret file %s: %s", path, strerror(why));
    buf[got] = '\0';
    *n = (size_t)got;
    return 0;
}

int config_secret(const char *path, char **out, struct fp_err *err)
{
    char buf[SECRET_MAX_BYTES + 3]; /* the line, CR LF, and one to see that it is longer */
    size_t n;

    *out = NULL;
    if (!*path)
        return 0;
    if (open_secret(path, buf, sizeof buf, &n, err) < 0)
        return -1;
    size_t len = strcspn(buf, "\r\n");
    int rc = 0;
    if (len == 0)
        rc = err_set(err, FP_FAILED_PRECONDITION, "secret file %s: its first line is empty", path);
    else if (len > SECRET_MAX_BYTES)
        rc = err_set(err, FP_FAILED_PRECONDITION, "secret file %s: its first line is longer than %d bytes",
                     path, SECRET_MAX_BYTES);
    else if (len < n && buf[len] == '\0')
        rc = err_set(err, FP_FAILED_PRECONDITION, "secret file %s: holds a NUL byte", path);
    buf[len] = '\0';
    if (rc == 0)
        *out = mem_strdup(buf);
    explicit_bzero(buf, sizeof buf);
    return rc;
}

int config_secret_text(const char *path, char **out, struct fp_err *err)
{
    char buf[SECRET_MAX_BYTES + 2]; /* one to see that it is longer */
    size_t n;

    *out = NULL;
    if (!*path)
        return 0;
    if (open_secret(path, buf, sizeof buf, &n, err) < 0)
        return -1;
    int rc = 0;
    if (n > SECRET_MAX_BYTES)
        rc = err_set(err, FP_FAILED_PRECONDITION, "secret file %s: is longer than %d bytes", path,
                     SECRET_MAX_BYTES);
    else if (strlen(buf) < n)
        rc = err_set(err, FP_FAILED_PRECONDITION, "secret file %s: holds a NUL byte", path);
    if (rc == 0)
        *out = mem_strdup(buf);
    explicit_bzero(buf, sizeof buf);
    return rc;
}
