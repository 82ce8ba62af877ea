/* Keys for targets that read tokens. */
#ifndef FP_TESTS_FUZZ_KEYS_H
#define FP_TESTS_FUZZ_KEYS_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/token/token.h"

static inline struct token_keys *fuzz_keys(void)
{
    static struct token_keys *keys;
    static const char line[] = "1:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
    char path[] = "/tmp/foliopost-fuzz-keys.XXXXXX";
    struct fp_err err = {.code = 0};
    int fd;

    if (keys)
        return keys;
    fd = mkstemp(path);
    if (fd < 0 || write(fd, line, sizeof line - 1) < 0 || !(keys = token_keys_open(path, &err))) {
        fprintf(stderr, "%s: %s\n", path, err.msg);
        exit(1);
    }
    close(fd); /* the file stays: it is looked at again when its time changes */
    return keys;
}

#endif
