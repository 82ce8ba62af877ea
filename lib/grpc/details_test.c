/* grpc-status-details-bin, by its bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "lib/grpc/details.h"

/* The packed Status of a message; its length. */
static size_t decoded(const char *message, unsigned char out[GRPC_MAX_DETAILS])
{
    char text[GRPC_MAX_DETAILS + 4];
    size_t n = grpc_status_details(text, FP_INVALID_ARGUMENT, message), padded = n;
    if (n == 0)
        return 0;
    assert_int_equal(strlen(text), n);
    while (padded % 4 != 0)
        text[padded++] = '=';
    int bytes = EVP_DecodeBlock(out, (const unsigned char *)text, (int)padded);
    assert_true(bytes > 0);
    return (size_t)bytes - (padded - n);
}

static void a_field_and_its_fault_are_told_apart(void **state)
{
    static const char wanted[] = "\x08\x03\x12\x19GetJobRequest.job_id: bad"
                                 "\x1a\x3c\x0a\x29type.googleapis.com/google.rpc.BadRequest"
                                 "\x12\x0f\x0a\x0d\x0a\x06job_id\x12\x03"
                                 "bad";
    unsigned char got[GRPC_MAX_DETAILS];
    (void)state;
    assert_int_equal(decoded("GetJobRequest.job_id: bad", got), sizeof wanted - 1);
    assert_memory_equal(got, wanted, sizeof wanted - 1);
    assert_true(decoded("job_id: bad", got) > 0);
}

static void long_messages_fit_and_others_say_nothing(void **state)
{
    char text[GRPC_MAX_DETAILS], message[512] = "spec.user_ids[17]: ";
    unsigned char got[GRPC_MAX_DETAILS];
    (void)state;
    size_t at = strlen(message);
    memset(message + at, 'x', sizeof message - 1 - at);
    message[sizeof message - 1] = '\0';
    size_t n = decoded(message, got);
    assert_true(n > 1000);
    assert_memory_equal(got + n - 100, message + 411, 100);
    static const char *const none[] = {"",    "the call has no request message", "Job: gone", "a b: c", ": x",
                                       "1: x"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        assert_int_equal(grpc_status_details(text, FP_INVALID_ARGUMENT, none[i]), 0);
    assert_int_equal(grpc_status_details(text, FP_NOT_FOUND, "job_id: none"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_field_and_its_fault_are_told_apart),
        cmocka_unit_test(long_messages_fit_and_others_say_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
