/*
 * Server reflection: the descriptors that protoc made at build time, looked
 * through for each question. v1 and v1alpha have the same bytes on the wire.
 *
 * The descriptor set is our own, so the little reader below trusts its form;
 * only the question comes from outside.
 */
#include <stdio.h>
#include <string.h>

#include "grpc/reflection/v1/reflection.pb-c.h"
#include "lib/grpc/internal.h"

#define ARENA_BYTES  65536
#define MAX_REPLY    65536
#define MAX_SERVICES 8

extern const unsigned char grpc_descriptors[];
extern const size_t grpc_descriptors_bytes;

struct slice {
    const uint8_t *at;
    size_t bytes;
};

static uint64_t varint(struct slice *s)
{
    uint64_t v = 0;
    for (int shift = 0; s->bytes > 0 && shift < 64; shift += 7) {
        uint8_t b = *s->at++;
        s->bytes--;
        v |= (uint64_t)(b & 127) << shift;
        if (b < 128)
            break;
    }
    return v;
}

/* The next field; its number, 0 at the end. Only bytes have a value here. */
static int next_field(struct slice *s, struct slice *value)
{
    *value = (struct slice){(const uint8_t *)"", 0};
    while (s->bytes > 0) {
        uint64_t tag = varint(s);
        size_t skip = 0;
        if ((tag & 7) == 2)
            skip = (size_t)varint(s);
        else if ((tag & 7) == 0)
            (void)varint(s);
        else
            skip = (tag & 7) == 1 ? 8 : 4;
        if (skip > s->bytes)
            return 0;
        if ((tag & 7) == 2)
            *value = (struct slice){s->at, skip};
        s->at += skip;
        s->bytes -= skip;
        if ((tag & 7) == 2)
            return (int)(tag >> 3);
    }
    return 0;
}

static struct slice field(struct slice s, int wanted)
{
    struct slice v;
    for (int no; (no = next_field(&s, &v)) != 0;)
        if (no == wanted)
            return v;
    return (struct slice){(const uint8_t *)"", 0};
}

/* rest: what of the symbol follows the scope. Does `name`, or something in it, match? */
static const char *after_name(struct slice name, const char *rest)
{
    if (strncmp(rest, (const char *)name.at, name.bytes) != 0)
        return NULL;
    return rest + name.bytes;
}

/* m: a DescriptorProto (nested 3, enums 4) or ServiceDescriptorProto (methods 2: 0 nested). */
static bool holds(struct slice m, const char *symbol, bool service, int depth)
{
    struct slice v;
    const char *rest = after_name(field(m, 1), symbol);
    if (rest == NULL || (*rest != '\0' && *rest != '.'))
        return false;
    if (*rest == '\0')
        return true;
    for (int no; (no = next_field(&m, &v)) != 0;)
        if ((no == 2 || (!service && (no == 3 || no == 4))) && depth < 4 &&
            holds(v, rest + 1, service || no == 2, depth + 1))
            return true;
    return false;
}

/* FileDescriptorProto: package 2, messages 4, enums 5, services 6. */
static bool file_has(struct slice file, const char *symbol)
{
    struct slice v;
    const char *rest = after_name(field(file, 2), symbol);
    if (rest == NULL || *rest != '.')
        return false;
    for (int no; (no = next_field(&file, &v)) != 0;)
        if (no >= 4 && no <= 6 && holds(v, rest + 1, no == 6, 0))
            return true;
    return false;
}

static bool is_named(struct slice file, const char *name)
{
    const char *rest = after_name(field(file, 1), name);
    return rest != NULL && *rest == '\0';
}

typedef Grpc__Reflection__V1__ServerReflectionRequest question;
typedef Grpc__Reflection__V1__ServerReflectionResponse answer;

static void answer_error(answer *r, Grpc__Reflection__V1__ErrorResponse *e, enum fp_code code, char *text)
{
    e->error_code = (int)code;
    e->error_message = text;
    r->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE;
    r->error_response = e;
}

static void send_answer(struct grpc_call *c, const question *q, answer *r)
{
    struct fp_str out;
    struct fp_err err;
    str_init(&out, MAX_REPLY + 1);
    r->valid_host = q->host;
    r->original_request = (question *)q;
    if (wire_pack(&r->base, MAX_REPLY, &out, &err) == 0)
        grpc_call_send(c, out.data, out.len);
    else
        grpc_call_end(c, err.code, err.msg);
    str_fini(&out);
}

static void send_file(struct grpc_call *c, const question *q, bool (*is_it)(struct slice, const char *),
                      const char *wanted)
{
    answer r = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
    Grpc__Reflection__V1__FileDescriptorResponse f = GRPC__REFLECTION__V1__FILE_DESCRIPTOR_RESPONSE__INIT;
    Grpc__Reflection__V1__ErrorResponse e = GRPC__REFLECTION__V1__ERROR_RESPONSE__INIT;
    struct slice all = {grpc_descriptors, grpc_descriptors_bytes}, file;
    ProtobufCBinaryData found = {0};
    while (found.data == NULL && next_field(&all, &file) != 0)
        if (is_it(file, wanted))
            found = (ProtobufCBinaryData){file.bytes, (uint8_t *)file.at};
    f.n_file_descriptor_proto = 1;
    f.file_descriptor_proto = &found;
    r.message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE;
    r.file_descriptor_response = &f;
    if (found.data == NULL)
        answer_error(&r, &e, FP_NOT_FOUND, "this server has nothing of that name");
    send_answer(c, q, &r);
}

static void send_services(struct grpc_call *c, const question *q)
{
    answer r = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
    Grpc__Reflection__V1__ListServiceResponse l = GRPC__REFLECTION__V1__LIST_SERVICE_RESPONSE__INIT;
    Grpc__Reflection__V1__ServiceResponse s[MAX_SERVICES], *p[MAX_SERVICES];
    char names[MAX_SERVICES][96];
    struct slice all = {grpc_descriptors, grpc_descriptors_bytes}, file, v;
    l.service = p;
    while (next_field(&all, &file) != 0) {
        struct slice package = field(file, 2), rest = file;
        for (int no; (no = next_field(&rest, &v)) != 0;) {
            if (no != 6 || l.n_service == MAX_SERVICES)
                continue;
            struct slice name = field(v, 1);
            size_t i = l.n_service++;
            grpc__reflection__v1__service_response__init(&s[i]);
            snprintf(names[i], sizeof names[i], "%.*s.%.*s", (int)package.bytes, (const char *)package.at,
                     (int)name.bytes, (const char *)name.at);
            s[i].name = names[i];
            p[i] = &s[i];
        }
    }
    r.message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE;
    r.list_services_response = &l;
    send_answer(c, q, &r);
}

void grpc_reflection_message(struct grpc_call *c, const void *data, size_t bytes)
{
    struct fp_arena *arena = arena_new(ARENA_BYTES);
    struct fp_err err;
    const question *q =
        wire_unpack(&grpc__reflection__v1__server_reflection_request__descriptor, data, bytes, arena, &err);
    answer r = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
    Grpc__Reflection__V1__ErrorResponse e = GRPC__REFLECTION__V1__ERROR_RESPONSE__INIT;
    if (q == NULL) {
        grpc_call_end(c, err.code, err.msg);
        arena_free(arena);
        return;
    }
    switch (q->message_request_case) {
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME:
        send_file(c, q, is_named, q->file_by_filename);
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL:
        send_file(c, q, file_has, q->file_containing_symbol);
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES:
        send_services(c, q);
        break;
    default: /* proto3 without extensions */
        answer_error(&r, &e, FP_NOT_FOUND, "there are no extensions here");
        send_answer(c, q, &r);
        break;
    }
    arena_free(arena);
}
