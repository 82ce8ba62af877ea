/* The lines are gathered in memory and written once for each round of the loop. */
#define _GNU_SOURCE /* memmem */
#include "tests/tools/sink/record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "tests/tools/sink/cues.h"

#define KEEP_ONE_IN 997 /* past the first N, this share is kept at random, up to N more */

static const char *record_path, *keep_dir;
static int64_t keep, kept, accepted;
static int record_fd = -1;
static struct fp_str record;

void record_open(const char *path, const char *dir, int64_t n)
{
    str_init(&record, 0);
    record_path = path;
    keep_dir = dir;
    keep = n;
    if (path)
        record_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (path && record_fd < 0)
        die("cannot open %s: %s", path, strerror(errno));
    if (dir && mkdir(dir, 0755) < 0 && errno != EEXIST)
        die("cannot make %s: %s", dir, strerror(errno));
}

void record_close(void)
{
    str_fini(&record);
}

int64_t record_count(void)
{
    return accepted;
}

void record_write(void)
{
    size_t done = 0;
    while (record_fd >= 0 && done < record.len) {
        ssize_t n = write(record_fd, record.data + done, record.len - done);
        if (n < 0 && errno != EINTR)
            die("cannot write %s: %s", record_path, strerror(errno));
        done += n > 0 ? (size_t)n : 0;
    }
    str_clear(&record);
}

/* The value of the header's first line, without blanks around it; "-": none. */
static void find_message_id(const struct fp_str *body, char out[256])
{
    static const char name[] = "Message-ID:";
    const char *end = memmem(body->data, body->len, "\r\n\r\n", 4);
    const char *stop = end ? end : body->data + body->len;
    memcpy(out, "-", sizeof "-");
    for (const char *line = body->data; line < stop;) {
        const char *next = memmem(line, (size_t)(stop - line), "\r\n", 2);
        size_t len = (size_t)((next ? next : stop) - line);
        if (len >= sizeof(name) - 1 && strncasecmp(line, name, sizeof(name) - 1) == 0) {
            const char *v = line + sizeof(name) - 1;
            size_t blanks = strspn(v, " \t");
            size_t n = len - (sizeof(name) - 1) - blanks;
            (void)snprintf(out, 256, "%.*s", (int)(n < 255 ? n : 255), v + blanks);
            return;
        }
        line = next ? next + 2 : stop;
    }
}

static void keep_mail(const struct fp_str *body)
{
    char path[4096];
    if (!keep_dir || keep == 0 || kept >= 2 * keep)
        return;
    if (kept >= keep && !cues_dice(100.0 / KEEP_ONE_IN))
        return;
    kept++;
    (void)snprintf(path, sizeof(path), "%s/%06" PRId64 ".eml", keep_dir, accepted);
    FILE *f = fopen(path, "we");
    if (!f || fwrite(body->data, 1, body->len, f) != body->len || fclose(f) != 0)
        die("cannot write %s: %s", path, strerror(errno));
}

void record_mail(const struct fp_str *body, const char *rcpt)
{
    char id[256];
    find_message_id(body, id);
    accepted++;
    str_printf(&record, "%" PRId64 "\t%s\t%s\n", clock_wall_us(), id, rcpt);
    keep_mail(body);
}
