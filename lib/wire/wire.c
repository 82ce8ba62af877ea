/*
 * Packing and unpacking of messages, by protobuf-c's descriptors.
 *
 * Unpacking takes all its memory from the caller's arena, which has a maximum:
 * a mebibyte of empty sub-messages would become 38 MB in the heap, here it is
 * an error. The arena's pieces are never freed one by one, so protobuf-c's
 * clean-up after a failure is a no-op.
 *
 * protobuf-c accepts more than we do; check.c refuses the rest. One thing it
 * hides: a string with a NUL byte inside arrives cut at the NUL, because all
 * of C takes it so. What is checked is exactly what is used, so nothing slips
 * past a check behind a NUL; the cut text may just fail a check of its own.
 * Unknown fields are kept by protobuf-c (in the arena) and looked at by check.c alone.
 */
#include "lib/wire/wire.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "lib/wire/check.h"

/* "foliopost.v1.UserBatch" -> "UserBatch", for error texts. */
static const char *short_name(const ProtobufCMessageDescriptor *d)
{
    return d->short_name != NULL ? d->short_name : "message";
}

int wire_pack(const ProtobufCMessage *m, size_t max_bytes, struct fp_str *out, struct fp_err *err)
{
    size_t bytes = protobuf_c_message_get_packed_size(m);
    if (bytes > max_bytes)
        return err_set(err, FP_RESOURCE_EXHAUSTED, "%s: %zu bytes, at most %zu are allowed",
                       short_name(m->descriptor), bytes, max_bytes);
    char *room = str_room(out, bytes + 1); /* + 1: never a room of nothing */
    if (room == NULL)
        return err_set(err, FP_RESOURCE_EXHAUSTED, "%s: %zu bytes do not fit the buffer of %zu",
                       short_name(m->descriptor), bytes, out->max_bytes);
    size_t packed = protobuf_c_message_pack(m, (uint8_t *)room);
    if (packed != bytes)
        fp_panic("%s: packed %zu bytes, measured %zu", short_name(m->descriptor), packed, bytes);
    str_grew(out, packed);
    return 0;
}

struct taker { /* what protobuf-c's allocator works on */
    struct fp_arena *arena;
    bool exhausted;
};

static void *take(void *data, size_t bytes)
{
    struct taker *t = data;
    void *p = arena_alloc(t->arena, bytes);
    if (p == NULL)
        t->exhausted = true;
    return p;
}

static void give_back(void *data, void *p)
{
    (void)data;
    (void)p; /* dies with the arena */
}

void *wire_unpack(const ProtobufCMessageDescriptor *d, const void *data, size_t bytes, struct fp_arena *arena,
                  struct fp_err *err)
{
    struct taker taker = {.arena = arena};
    ProtobufCAllocator allocator = {.alloc = take, .free = give_back, .allocator_data = &taker};
    if (bytes > WIRE_MAX_RPC_BYTES) {
        err_set(err, FP_INVALID_ARGUMENT, "%s: %zu bytes, at most %d are read", short_name(d), bytes,
                WIRE_MAX_RPC_BYTES);
        return NULL;
    }
    /* An empty message may come with a null pointer, which protobuf-c does not take. */
    const uint8_t *from = data != NULL ? data : (const uint8_t *)"";
    ProtobufCMessage *m = protobuf_c_message_unpack(d, &allocator, bytes, from);
    if (m == NULL) {
        err_set(err, FP_INVALID_ARGUMENT,
                taker.exhausted ? "%s: unpacks to more memory than allowed"
                                : "%s: not a protobuf message of this type",
                short_name(d));
        return NULL;
    }
    return wire_check(m, err) == 0 ? m : NULL;
}

void wire_new_traceparent(char out[56])
{
    uint8_t raw[24]; /* 16 bytes of trace id, 8 of span id */
    if (getrandom(raw, sizeof raw, 0) != (ssize_t)sizeof raw)
        fp_panic("getrandom gave too little");
    raw[0] |= 1; /* ids of only zeros are not valid */
    raw[16] |= 1;
    char hex[49];
    for (size_t i = 0; i < sizeof raw; i++)
        snprintf(hex + 2 * i, 3, "%02x", raw[i]);
    snprintf(out, 56, "00-%.32s-%.16s-01", hex, hex + 32);
}
