/* The rules of each message, as a table: for check.c, and nobody else. */
#ifndef FP_WIRE_CHECK_H
#define FP_WIRE_CHECK_H

#include "lib/wire/wire.h"

/* Where in a message we are, for error texts: "UserBatch.users[3].email". */
struct wire_at {
    const struct wire_at *up; /* NULL: the root, whose field is the message's name */
    const char *field;
    long index; /* -1: not repeated */
};

/* Fills *err with INVALID_ARGUMENT, the path and the text. Returns -1. */
int wire_fail(const struct wire_at *at, struct fp_err *err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* What one field must keep. Numbers: the value (of each element) in min..max.
 * Strings: bytes in min..max. Messages: min 1 means that it must be there. */
struct wire_limit {
    const char *field;
    int64_t min, max;
    size_t count; /* repeated: at most so many elements; 0: WIRE_DEFAULT_COUNT */
};

#define WIRE_DEFAULT_COUNT  100
#define WIRE_DEFAULT_STRING 4096

/* What a message is where it is the root, and so what all of it must keep besides. */
enum wire_root {
    WIRE_ANY,    /* a reply, or no root: what a newer version says is kept */
    WIRE_WORK,   /* values that an enum does not have are refused */
    WIRE_REQUEST /* so are fields that we do not know: what a client asks for is not left out unsaid */
};

struct wire_rules {
    const ProtobufCMessageDescriptor *message;
    enum wire_root root;
    struct wire_limit limits[16];
    /* What no limit can say; may be NULL. The fields were checked already. */
    int (*check)(const ProtobufCMessage *m, const struct wire_at *at, struct fp_err *err);
};

/* All rules. */
const struct wire_rules *wire_rules(size_t *n);

#endif
