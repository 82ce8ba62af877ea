/*
 * A provider's log, in which `foliopost recover` looks for our Message-IDs: whoever it
 * finds counts as sent, so what it finds must stand there, each once.
 */
#define _GNU_SOURCE /* memfd_create, memmem */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/mailids.h"
#include "lib/base/mem.h"
#include "tests/fuzz/fuzz.h"

static int file_of(const uint8_t *data, size_t size)
{
    int fd = memfd_create("mailids", MFD_CLOEXEC);

    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        BROKEN();
    return fd;
}

/* "7.9", "007.9": somewhere in the file, as numbers of that value. */
static void check_stands_there(const struct mailid *id, const uint8_t *data, size_t size)
{
    char text[48];
    int n = snprintf(text, sizeof text, "%" PRId64 ".", id->job);

    if (id->job <= 0 || id->user <= 0 || memmem(data, size, text, (size_t)n) == NULL)
        BROKEN();
    n = snprintf(text, sizeof text, "%" PRId64, id->user);
    if (memmem(data, size, text, (size_t)n) == NULL)
        BROKEN();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mailids m;
    struct fp_err err;
    char path[40];
    int fd = file_of(data, size);

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (mailids_read(path, &m, &err) == 0) {
        for (size_t i = 0; i < m.n; i++) {
            check_stands_there(&m.ids[i], data, size);
            if (i > 0 && m.ids[i].job == m.ids[i - 1].job && m.ids[i].user <= m.ids[i - 1].user)
                BROKEN();
        }
        if (mailids_rename(&m, "1=2,7=1", &err) != 0)
            BROKEN();
    }
    mem_free(m.ids);
    close(fd);
    return 0;
}
