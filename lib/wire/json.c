/*
 * Messages as JSON, by their descriptors: what `--json` prints.
 *
 * Near protobuf's own JSON, and different where a shell script is better off:
 * the .proto's field names, 64-bit integers as numbers (jq reads them), every
 * field printed even when it is zero, an absent message as null. Of a oneof
 * only the field that is set is printed. Reading JSON is not offered.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/wire/wire.h"

struct printer {
    struct fp_str *out;
    bool pretty;
    int depth;
};

static void print_message(struct printer *p, const ProtobufCMessage *m);

static void new_line(struct printer *p)
{
    if (!p->pretty)
        return;
    str_putc(p->out, '\n');
    for (int i = 0; i < p->depth; i++)
        str_puts(p->out, "  ");
}

static void print_base64(struct fp_str *out, const ProtobufCBinaryData *b)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    str_putc(out, '"');
    for (size_t i = 0; i < b->len; i += 3) {
        size_t left = b->len - i;
        unsigned v = (unsigned)b->data[i] << 16;
        if (left > 1)
            v |= (unsigned)b->data[i + 1] << 8;
        if (left > 2)
            v |= b->data[i + 2];
        str_putc(out, digits[v >> 18]);
        str_putc(out, digits[v >> 12 & 63]);
        str_putc(out, left > 1 ? digits[v >> 6 & 63] : '=');
        str_putc(out, left > 2 ? digits[v & 63] : '=');
    }
    str_putc(out, '"');
}

/* The shortest text that reads back as the same number; JSON has no NaN. */
static void print_double(struct fp_str *out, double v)
{
    if (!isfinite(v)) {
        str_puts(out, "null");
        return;
    }
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    str_puts(out, text);
}

static void print_enum(struct fp_str *out, const ProtobufCEnumDescriptor *d, int v)
{
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(d, v);
    if (value != NULL)
        str_printf(out, "\"%s\"", value->name);
    else
        str_printf(out, "%d", v); /* of a newer schema */
}

/* Prints the value at at and returns its size in bytes. */
static size_t print_value(struct printer *p, const ProtobufCFieldDescriptor *f, const void *at)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        str_printf(p->out, "%" PRId32, *(const int32_t *)at);
        return sizeof(int32_t);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        str_printf(p->out, "%" PRIu32, *(const uint32_t *)at);
        return sizeof(uint32_t);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        str_printf(p->out, "%" PRId64, *(const int64_t *)at);
        return sizeof(int64_t);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        str_printf(p->out, "%" PRIu64, *(const uint64_t *)at);
        return sizeof(uint64_t);
    case PROTOBUF_C_TYPE_FLOAT:
        print_double(p->out, (double)*(const float *)at);
        return sizeof(float);
    case PROTOBUF_C_TYPE_DOUBLE:
        print_double(p->out, *(const double *)at);
        return sizeof(double);
    case PROTOBUF_C_TYPE_BOOL:
        str_puts(p->out, *(const protobuf_c_boolean *)at ? "true" : "false");
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_ENUM:
        print_enum(p->out, f->descriptor, *(const int *)at);
        return sizeof(int);
    case PROTOBUF_C_TYPE_STRING:
        str_json(p->out, *(char *const *)at != NULL ? *(char *const *)at : "");
        return sizeof(char *);
    case PROTOBUF_C_TYPE_BYTES:
        print_base64(p->out, at);
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_MESSAGE:
        print_message(p, *(ProtobufCMessage *const *)at);
        return sizeof(ProtobufCMessage *);
    }
    fp_panic("field %s has type %d", f->name, f->type);
}

static void print_list(struct printer *p, const ProtobufCFieldDescriptor *f, const void *elements, size_t n)
{
    /* Numbers stay on one line; lists of messages get a line for each. */
    bool lines = f->type == PROTOBUF_C_TYPE_MESSAGE;
    const char *at = elements;
    str_putc(p->out, '[');
    p->depth++;
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            str_puts(p->out, p->pretty && !lines ? ", " : ",");
        if (lines)
            new_line(p);
        at += print_value(p, f, at);
    }
    p->depth--;
    if (lines && n > 0)
        new_line(p);
    str_putc(p->out, ']');
}

static void print_message(struct printer *p, const ProtobufCMessage *m)
{
    if (m == NULL) {
        str_puts(p->out, "null");
        return;
    }
    const char *separator = "";
    str_putc(p->out, '{');
    p->depth++;
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        const char *at = (const char *)m + f->offset;
        if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
            *(const uint32_t *)((const char *)m + f->quantifier_offset) != f->id)
            continue;
        str_puts(p->out, separator);
        separator = ",";
        new_line(p);
        str_printf(p->out, p->pretty ? "\"%s\": " : "\"%s\":", f->name);
        if (f->label == PROTOBUF_C_LABEL_REPEATED)
            print_list(p, f, *(void *const *)at, *(const size_t *)((const char *)m + f->quantifier_offset));
        else
            print_value(p, f, at);
    }
    p->depth--;
    if (*separator != '\0')
        new_line(p);
    str_putc(p->out, '}');
}

void wire_print_json(const ProtobufCMessage *m, bool pretty, struct fp_str *out)
{
    struct printer p = {.out = out, .pretty = pretty};
    print_message(&p, m);
}
