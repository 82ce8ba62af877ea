/*
 * Parameters of a statement.
 *
 * Numbers and text go as text, so that a prepared statement whose type was
 * inferred from a cast takes them whatever their width. Times, arrays and
 * bytes go in the binary form: exact, without quoting, and an array of 100
 * ids costs no parsing. Each piece lives in the arena until pg_args_fini();
 * past its maximum the arguments remember that they overflowed, and pg_run()
 * refuses them.
 */
#include "lib/pg/pg_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"

/* A job's list of 1 million ids is 12 MB; nothing else comes near. */
#define ARGS_MAX_BYTES ((size_t)64 << 20)

/* PostgreSQL: src/include/catalog/pg_type.dat */
enum {
    OID_BOOL = 16,
    OID_BYTEA = 17,
    OID_INT8 = 20,
    OID_INT4 = 23,
    OID_TEXT = 25,
    OID_FLOAT8 = 701,
    OID_BYTEA_ARRAY = 1001,
    OID_INT4_ARRAY = 1007,
    OID_TEXT_ARRAY = 1009,
    OID_INT8_ARRAY = 1016,
    OID_DATE = 1082,
    OID_TIMESTAMPTZ = 1184,
    OID_TIMESTAMPTZ_ARRAY = 1185,
};

void pg_args_init(struct pg_args *a)
{
    memset(a, 0, sizeof *a);
    a->arena = arena_new(ARGS_MAX_BYTES);
}

void pg_args_fini(struct pg_args *a)
{
    arena_free(a->arena);
    a->arena = NULL;
}

/* The next parameter, with room for `bytes`; NULL on overflow. */
static char *add(struct pg_args *a, unsigned type, int format, size_t bytes)
{
    if (a->n == (int)(sizeof a->values / sizeof a->values[0]))
        fp_panic("more than %d parameters", a->n);
    char *p = bytes <= ARGS_MAX_BYTES ? arena_alloc(a->arena, bytes > 0 ? bytes : 1) : NULL;
    if (p == NULL) {
        a->overflow = true;
        return NULL;
    }
    a->values[a->n] = p;
    a->lengths[a->n] = (int)bytes;
    a->formats[a->n] = format;
    a->types[a->n] = type;
    a->n++;
    return p;
}

static char *put_u32(char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (char)(v >> (24 - 8 * i));
    return p + 4;
}

static char *put_u64(char *p, uint64_t v)
{
    return put_u32(put_u32(p, (uint32_t)(v >> 32)), (uint32_t)v);
}

void pg_arg_i64(struct pg_args *a, int64_t v)
{
    char *p = add(a, OID_INT8, 0, 24);
    if (p != NULL)
        snprintf(p, 24, "%" PRId64, v);
}

void pg_arg_f64(struct pg_args *a, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    char *p = add(a, OID_FLOAT8, 1, 8);
    if (p != NULL)
        put_u64(p, bits);
}

void pg_arg_bool(struct pg_args *a, bool v)
{
    char *p = add(a, OID_BOOL, 0, 2);
    if (p != NULL)
        p[0] = v ? 't' : 'f';
}

void pg_arg_text(struct pg_args *a, const char *s)
{
    if (s == NULL) {
        pg_arg_null(a);
        return;
    }
    size_t bytes = strlen(s);
    char *p = add(a, 0, 0, bytes + 1);
    if (p != NULL)
        memcpy(p, s, bytes + 1);
}

void pg_arg_null(struct pg_args *a)
{
    if (add(a, 0, 0, 0) != NULL)
        a->values[a->n - 1] = NULL;
}

/* INT64_MAX and INT64_MIN are infinity in both counts; the rest is moved. */
static uint64_t pg_time(int64_t us)
{
    int64_t v = us;
    if (us != INT64_MAX && us != INT64_MIN && __builtin_sub_overflow(us, PG_EPOCH_US, &v))
        v = INT64_MIN;
    return (uint64_t)v;
}

void pg_arg_time_us(struct pg_args *a, int64_t us)
{
    char *p = add(a, OID_TIMESTAMPTZ, 1, 8);
    if (p != NULL)
        put_u64(p, pg_time(us));
}

void pg_arg_day(struct pg_args *a, int32_t day)
{
    int32_t v;
    if (__builtin_sub_overflow(day, PG_EPOCH_DAY, &v))
        v = INT32_MIN;
    char *p = add(a, OID_DATE, 1, 4);
    if (p != NULL)
        put_u32(p, (uint32_t)v);
}

#define ARRAY_HEAD_BYTES 20

/* A one-dimensional array from 1; an empty one has no dimension. */
static char *add_array(struct pg_args *a, unsigned type, unsigned element, bool nulls, size_t n, size_t bytes)
{
    if (n > INT32_MAX) {
        a->overflow = true;
        return NULL;
    }
    char *p = add(a, type, 1, n == 0 ? 12 : ARRAY_HEAD_BYTES + bytes);
    if (p == NULL)
        return NULL;
    p = put_u32(p, n == 0 ? 0 : 1);
    p = put_u32(p, nulls ? 1 : 0);
    p = put_u32(p, element);
    if (n > 0) {
        p = put_u32(p, (uint32_t)n);
        p = put_u32(p, 1);
    }
    return p;
}

void pg_arg_i64s(struct pg_args *a, const int64_t *v, size_t n)
{
    char *p = add_array(a, OID_INT8_ARRAY, OID_INT8, false, n, n * 12);
    for (size_t i = 0; p != NULL && i < n; i++)
        p = put_u64(put_u32(p, 8), (uint64_t)v[i]);
}

void pg_arg_i32s(struct pg_args *a, const int32_t *v, size_t n)
{
    char *p = add_array(a, OID_INT4_ARRAY, OID_INT4, false, n, n * 8);
    for (size_t i = 0; p != NULL && i < n; i++)
        p = put_u32(put_u32(p, 4), (uint32_t)v[i]);
}

void pg_arg_times_us(struct pg_args *a, const int64_t *us, size_t n)
{
    char *p = add_array(a, OID_TIMESTAMPTZ_ARRAY, OID_TIMESTAMPTZ, false, n, n * 12);
    for (size_t i = 0; p != NULL && i < n; i++)
        p = put_u64(put_u32(p, 8), pg_time(us[i]));
}

void pg_arg_texts(struct pg_args *a, const char *const *v, size_t n)
{
    size_t bytes = 0;
    bool nulls = false;
    for (size_t i = 0; i < n; i++) {
        bytes += 4 + (v[i] != NULL ? strlen(v[i]) : 0);
        nulls = nulls || v[i] == NULL;
    }
    char *p = add_array(a, OID_TEXT_ARRAY, OID_TEXT, nulls, n, bytes);
    for (size_t i = 0; p != NULL && i < n; i++) {
        size_t len = v[i] != NULL ? strlen(v[i]) : 0;
        p = put_u32(p, v[i] != NULL ? (uint32_t)len : UINT32_MAX);
        if (len > 0) {
            memcpy(p, v[i], len);
            p += len;
        }
    }
}

void pg_arg_bytes(struct pg_args *a, const void *data, size_t bytes)
{
    char *p = add(a, OID_BYTEA, 1, bytes);
    if (p != NULL && bytes > 0)
        memcpy(p, data, bytes);
}

void pg_arg_bytes_list(struct pg_args *a, const struct pg_bytes *v, size_t n)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += 4 + v[i].n;
    char *p = add_array(a, OID_BYTEA_ARRAY, OID_BYTEA, false, n, bytes);
    for (size_t i = 0; p != NULL && i < n; i++) {
        p = put_u32(p, (uint32_t)v[i].n);
        if (v[i].n > 0)
            memcpy(p, v[i].data, v[i].n);
        p += v[i].n;
    }
}
