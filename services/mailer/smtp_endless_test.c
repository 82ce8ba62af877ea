/*
 * A server that always has more to say: libcurl's recv, replaced, never has
 * nothing. With TLS the socket is not asked first, so only the clock can end it.
 */
#define _GNU_SOURCE /* memmem, of what is included */
#include <curl/curl.h>

static CURLcode endless_recv(CURL *curl, void *data, size_t bytes, size_t *got);
#undef curl_easy_recv
#define curl_easy_recv endless_recv
#include "services/mailer/smtp_dialogue.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static int64_t calls, stop_us;

static CURLcode endless_recv(CURL *curl, void *data, size_t bytes, size_t *got)
{
    (void)curl;
    calls++;
    if (clock_mono_us() > stop_us)
        return CURLE_RECV_ERROR; /* so that the test ends */
    memset(data, 'x', bytes);
    if (calls == 1)
        memcpy(data, "250 ", 4);
    *got = bytes;
    return CURLE_OK;
}

static void an_endless_reply_ends_with_its_time(void **state)
{
    (void)state;
    int64_t since_us = clock_mono_us();
    struct smtp_dialogue *d = mem_alloc(sizeof *d);
    d->encrypted = true;
    d->socket = CURL_SOCKET_BAD;
    d->deadline_us = since_us + FP_US_PER_S / 5;
    stop_us = since_us + 3 * FP_US_PER_S;
    assert_int_equal(get(d), CURLE_OPERATION_TIMEDOUT);
    assert_in_range(clock_mono_us() - since_us, FP_US_PER_S / 5, 2 * FP_US_PER_S);
    assert_true(calls > 1);
    mem_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(an_endless_reply_ends_with_its_time)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
