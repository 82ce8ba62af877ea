/*
 * The three messages are small and fixed, so they are written by hand, the
 * inner ones first:
 *
 *   Status     { int32 code = 1; string message = 2; repeated Any details = 3; }
 *   Any        { string type_url = 1; bytes value = 2; }
 *   BadRequest { repeated FieldViolation field_violations = 1; }
 *   FieldViolation { string field = 1; string description = 2; }
 */
#include "lib/grpc/details.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <string.h>

#include "lib/base/str.h"

#define TYPE      "type.googleapis.com/google.rpc.BadRequest"
#define MAX_BYTES 1500 /* three quarters of GRPC_MAX_DETAILS are 1536 */

/* The field's length in the message, 0 when it names none. A message of the
 * wire's check begins with the request's own name, which is not in the path. */
static size_t find_field(const char **message)
{
    const char *s = *message;
    size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.[]");
    if (n == 0 || strncmp(s + n, ": ", 2) != 0)
        return 0;
    const char *dot = memchr(s, '.', n);
    if (isupper((unsigned char)s[0])) {
        if (dot == NULL)
            return 0;
        n -= (size_t)(dot + 1 - s);
        *message = dot + 1;
    }
    return islower((unsigned char)**message) ? n : 0;
}

static void put_bytes(struct fp_str *out, int field, const void *data, size_t bytes)
{
    str_putc(out, (char)(field << 3 | 2));
    if (bytes >= 128)
        str_putc(out, (char)(bytes | 128));
    str_putc(out, (char)(bytes >= 128 ? bytes >> 7 : bytes)); /* below 16384 */
    if (bytes > 0)
        str_add(out, data, bytes);
}

static void pack(struct fp_str *out, enum fp_code code, const char *message, const char *field, size_t bytes)
{
    struct fp_str violation, bad, any;
    const char *why = field + bytes + 2;
    str_init(&violation, MAX_BYTES);
    str_init(&bad, MAX_BYTES);
    str_init(&any, MAX_BYTES);
    put_bytes(&violation, 1, field, bytes);
    put_bytes(&violation, 2, why, strlen(why));
    put_bytes(&bad, 1, violation.data, violation.len);
    put_bytes(&any, 1, TYPE, sizeof TYPE - 1);
    put_bytes(&any, 2, bad.data, bad.len);
    str_putc(out, 1 << 3);
    str_putc(out, (char)code);
    put_bytes(out, 2, message, strlen(message));
    put_bytes(out, 3, any.data, any.len);
    str_fini(&violation);
    str_fini(&bad);
    str_fini(&any);
}

size_t grpc_status_details(char out[GRPC_MAX_DETAILS], enum fp_code code, const char *message)
{
    struct fp_str packed;
    const char *field = message;
    size_t bytes = code == FP_INVALID_ARGUMENT ? find_field(&field) : 0;
    if (bytes == 0 || strlen(message) >= sizeof((struct fp_err *)0)->msg)
        return 0;
    str_init(&packed, MAX_BYTES);
    pack(&packed, code, message, field, bytes);
    int n = EVP_EncodeBlock((unsigned char *)out, (const unsigned char *)packed.data, (int)packed.len);
    str_fini(&packed);
    while (n > 0 && out[n - 1] == '=')
        n--;
    out[n] = '\0';
    return (size_t)n;
}
