/*
 * The walk over a message that checks each field: what every message has in
 * common stands here, what one message demands in rules.c.
 *
 * In common: strings are valid UTF-8 without control characters and not
 * endless, lists are not endless, and in what decides about work (pipelines
 * and requests) an enum has only values that we know. A reply may carry a
 * newer one: an old client shows it as a number. What a client asks for has no
 * field that we do not know, wherever in it: he meant something by it.
 *
 * The schema has no recursive message (wire_test.c proves it), so the depth is
 * the schema's; the bound here is for the day when somebody changes that.
 */
#include "lib/wire/check.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/text.h"

#define MAX_DEPTH 8 /* the deepest today is 5: SummaryBatch.items[].summary.spans[].twr */

/* --- rules by descriptor ------------------------------------------------------------- */

/* The table of rules names fields. A batch has some ten thousand of them, so the
 * names are looked up once, and a message's rules are found by its descriptor's
 * address: open addressing in a table that stays more than half empty. */
#define BOUND_SLOTS 256 /* a power of two */
#define MAX_FIELDS  64

struct bound {
    const struct wire_rules *rules;              /* NULL: a free slot, or a message without */
    const struct wire_limit *limits[MAX_FIELDS]; /* by place in the descriptor; NULL: none */
};

static struct bound slots[BOUND_SLOTS];
static pthread_once_t slots_once = PTHREAD_ONCE_INIT;

static struct bound *slot_of(const ProtobufCMessageDescriptor *d)
{
    size_t i = ((uintptr_t)d >> 4) * UINT32_C(2654435761) >> 8; /* Knuth's */
    while (slots[i % BOUND_SLOTS].rules != NULL && slots[i % BOUND_SLOTS].rules->message != d)
        i++;
    return &slots[i % BOUND_SLOTS];
}

static void bind_limits(struct bound *b, const struct wire_rules *r)
{
    const ProtobufCMessageDescriptor *d = r->message;
    if (d->n_fields > MAX_FIELDS)
        fp_panic("%s has more than %d fields", d->name, MAX_FIELDS);
    b->rules = r;
    for (size_t i = 0; i < sizeof r->limits / sizeof r->limits[0] && r->limits[i].field != NULL; i++) {
        const ProtobufCFieldDescriptor *f =
            protobuf_c_message_descriptor_get_field_by_name(d, r->limits[i].field);
        if (f == NULL)
            fp_panic("a rule for %s.%s, which is no field", d->name, r->limits[i].field);
        b->limits[f - d->fields] = &r->limits[i];
    }
}

static void bind_all(void)
{
    size_t n;
    const struct wire_rules *all = wire_rules(&n);
    if (n > BOUND_SLOTS / 2)
        fp_panic("%zu rules: more slots are needed", n);
    for (size_t i = 0; i < n; i++)
        bind_limits(slot_of(all[i].message), &all[i]);
}

/* --- where ----------------------------------------------------------------------------- */

static void print_path(const struct wire_at *at, struct fp_str *out)
{
    if (at->up != NULL) {
        print_path(at->up, out);
        str_putc(out, '.');
    }
    str_puts(out, at->field);
    if (at->index >= 0)
        str_printf(out, "[%ld]", at->index);
}

int wire_fail(const struct wire_at *at, struct fp_err *err, const char *fmt, ...)
{
    struct fp_str path;
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    str_init(&path, 512);
    print_path(at, &path);
    err_set(err, FP_INVALID_ARGUMENT, "%s: %s", path.data, text);
    str_fini(&path);
    return -1;
}

static int check_message(const ProtobufCMessage *m, enum wire_root root, const struct wire_at *at, int depth,
                         struct fp_err *err);

static int check_string(const char *s, const struct wire_limit *l, const struct wire_at *at,
                        struct fp_err *err)
{
    if (s == NULL)
        s = "";
    size_t max = l != NULL ? (size_t)l->max : WIRE_DEFAULT_STRING;
    size_t bytes = strnlen(s, max + 1);
    if (bytes > max)
        return wire_fail(at, err, "longer than %zu bytes", max);
    if (l != NULL && (int64_t)bytes < l->min)
        return wire_fail(at, err, bytes == 0 ? "empty" : "shorter than %" PRId64 " bytes", l->min);
    if (!text_is_utf8(s, bytes))
        return wire_fail(at, err, "not valid UTF-8");
    if (!text_is_clean(s))
        return wire_fail(at, err, "control character");
    return 0;
}

static int check_number(int64_t v, const struct wire_limit *l, const struct wire_at *at, struct fp_err *err)
{
    if (l == NULL || (v >= l->min && v <= l->max))
        return 0;
    if (l->max == INT64_MAX)
        return wire_fail(at, err, "%" PRId64 " is below %" PRId64, v, l->min);
    return wire_fail(at, err, "%" PRId64 " is not in %" PRId64 "..%" PRId64, v, l->min, l->max);
}

static int check_enum(int v, const ProtobufCFieldDescriptor *f, enum wire_root root,
                      const struct wire_limit *l, const struct wire_at *at, struct fp_err *err)
{
    if (root != WIRE_ANY && protobuf_c_enum_descriptor_get_value(f->descriptor, v) == NULL)
        return wire_fail(at, err, "%d is not a value of the enum", v);
    return check_number(v, l, at, err);
}

/* One value (or element) of a field. */
static int check_value(const void *p, const ProtobufCFieldDescriptor *f, enum wire_root root,
                       const struct wire_limit *l, const struct wire_at *at, int depth, struct fp_err *err)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING:
        return check_string(*(char *const *)p, l, at, err);
    case PROTOBUF_C_TYPE_ENUM:
        return check_enum(*(const int *)p, f, root, l, at, err);
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return check_number(*(const int32_t *)p, l, at, err);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return check_number(*(const int64_t *)p, l, at, err);
    case PROTOBUF_C_TYPE_MESSAGE:
        if (*(ProtobufCMessage *const *)p != NULL)
            return check_message(*(ProtobufCMessage *const *)p, root, at, depth + 1, err);
        return l != NULL || f->label == PROTOBUF_C_LABEL_REPEATED ? wire_fail(at, err, "missing") : 0;
    default: /* bool, double, bytes, unsigned: any value is one */
        return 0;
    }
}

static size_t element_bytes(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return sizeof(int64_t);
    case PROTOBUF_C_TYPE_ENUM:
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return sizeof(int32_t);
    default:
        return 0; /* no list of these in the schema; nothing in them to check */
    }
}

static int check_list(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, enum wire_root root,
                      const struct wire_limit *l, const struct wire_at *at, int depth, struct fp_err *err)
{
    size_t n = *(const size_t *)((const char *)m + f->quantifier_offset);
    const char *elements = *(char *const *)((const char *)m + f->offset);
    size_t max = l != NULL && l->count > 0 ? l->count : WIRE_DEFAULT_COUNT;
    if (n > max)
        return wire_fail(at, err, "%zu elements, at most %zu are allowed", n, max);
    size_t bytes = element_bytes(f->type);
    for (size_t i = 0; bytes > 0 && i < n; i++) {
        struct wire_at here = {.up = at->up, .field = f->name, .index = (long)i};
        if (check_value(elements + i * bytes, f, root, l, &here, depth, err) != 0)
            return -1;
    }
    return 0;
}

/* Fields of a newer version are kept, but in what a client asks for: he would get
 * something else, such as mails instead of a dry run. Number 0 is none, though
 * protobuf-c reads it: what it packs again it could not read. */
static int check_unknown(const ProtobufCMessage *m, enum wire_root root, const struct wire_at *at,
                         struct fp_err *err)
{
    for (unsigned i = 0; i < m->n_unknown_fields; i++)
        if (m->unknown_fields[i].tag == 0)
            return wire_fail(at, err, "a field of number 0");
    if (root != WIRE_REQUEST || m->n_unknown_fields == 0)
        return 0;
    wire_fail(at, err, "field %" PRIu32 " is not known to this version: call again after the rollout",
              m->unknown_fields[0].tag);
    if (err != NULL)
        err->code = FP_FAILED_PRECONDITION; /* nothing is wrong with it: it comes too early */
    return -1;
}

static int check_message(const ProtobufCMessage *m, enum wire_root root, const struct wire_at *at, int depth,
                         struct fp_err *err)
{
    if (depth > MAX_DEPTH)
        return wire_fail(at, err, "nested deeper than %d messages", MAX_DEPTH);
    if (check_unknown(m, root, at, err) != 0)
        return -1;
    const struct bound *bound = slot_of(m->descriptor);
    const struct wire_rules *rules = bound->rules;
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        const struct wire_limit *l = rules != NULL ? bound->limits[i] : NULL;
        struct wire_at here = {.up = at, .field = f->name, .index = -1};
        if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            if (check_list(m, f, root, l, &here, depth, err) != 0)
                return -1;
            continue;
        }
        if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
            *(const uint32_t *)((const char *)m + f->quantifier_offset) != f->id)
            continue; /* another one of the group is set */
        if (check_value((const char *)m + f->offset, f, root, l, &here, depth, err) != 0)
            return -1;
    }
    return rules != NULL && rules->check != NULL ? rules->check(m, at, err) : 0;
}

int wire_check(const ProtobufCMessage *m, struct fp_err *err)
{
    pthread_once(&slots_once, bind_all);
    const struct wire_rules *rules = slot_of(m->descriptor)->rules;
    struct wire_at at = {.field = m->descriptor->short_name, .index = -1};
    return check_message(m, rules != NULL ? rules->root : WIRE_ANY, &at, 0, err);
}

int wire_check_request(const ProtobufCMessage *m, struct fp_err *err)
{
    pthread_once(&slots_once, bind_all);
    struct wire_at at = {.field = m->descriptor->short_name, .index = -1};
    return check_message(m, WIRE_REQUEST, &at, 0, err);
}
