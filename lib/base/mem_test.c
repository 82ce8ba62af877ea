/* Memory: zeroes, overflow of products, and the arena's bounds. */
#include <setjmp.h>
#include <signal.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/base/mem.h"

static void memory_is_zeroed_and_zero_bytes_are_fine(void **state)
{
    (void)state;
    unsigned char *p = mem_array(100, 7);
    for (int i = 0; i < 700; i++)
        assert_int_equal(p[i], 0);
    p = mem_resize(p, 3, 3);
    mem_free(p);
    p = mem_alloc(0);
    assert_non_null(p);
    p = mem_resize(p, 0, 8);
    assert_non_null(p);
    mem_free(p);
    mem_free(NULL);
    assert_null(mem_strdup(NULL));
}

/* The exit of a child that runs f(). */
static int status_of(void (*f)(void))
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        signal(SIGABRT, SIG_DFL);
        close(STDERR_FILENO);
        f();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void array_too_big(void)
{
    volatile size_t half = SIZE_MAX / 2;
    mem_free(mem_array(half, 3));
}

static void resize_too_big(void)
{
    volatile size_t half = SIZE_MAX / 2;
    mem_free(mem_resize(NULL, half, 3));
}

static void a_product_that_wraps_is_fatal(void **state)
{
    (void)state;
    assert_int_not_equal(status_of(array_too_big), 0);
    assert_int_not_equal(status_of(resize_too_big), 0);
}

static void arena_memory_is_zeroed_and_aligned(void **state)
{
    (void)state;
    struct fp_arena *a = arena_new(1 << 20);
    for (size_t n = 0; n < 300; n++) {
        unsigned char *p = arena_alloc(a, n);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % alignof(max_align_t), 0);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xff, n);
    }
    arena_reset(a);
    assert_int_equal(arena_used_bytes(a), 0);
    unsigned char *p = arena_alloc(a, 4000); /* of the block that was full of 0xff */
    for (int i = 0; i < 4000; i++)
        assert_int_equal(p[i], 0);
    arena_free(a);
    arena_free(NULL);
}

static void an_arena_says_no_at_its_maximum(void **state)
{
    (void)state;
    struct fp_arena *a = arena_new(1000);
    assert_null(arena_alloc(a, 1001));
    assert_null(arena_alloc(a, SIZE_MAX));
    assert_null(arena_alloc(a, SIZE_MAX - 7));
    assert_non_null(arena_alloc(a, 900));
    assert_null(arena_alloc(a, 200));
    assert_non_null(arena_strdup(a, "small"));
    assert_true(arena_used_bytes(a) <= 1000);
    arena_reset(a);
    assert_non_null(arena_alloc(a, 900));
    arena_free(a);
}

static void an_empty_piece_is_counted(void **state)
{
    (void)state;
    struct fp_arena *a = arena_new(4096);
    int n = 0;
    while (arena_alloc(a, 0)) /* a peer must not get endless pieces for nothing */
        n++;
    assert_true(n > 0 && n <= 4096);
    arena_free(a);
}

static void many_blocks_live_until_reset(void **state)
{
    (void)state;
    struct fp_arena *a = arena_new(4 << 20);
    char *first = arena_strdup(a, "first");
    for (int i = 0; i < 40; i++)
        assert_non_null(arena_alloc(a, 50000));
    assert_non_null(arena_alloc(a, 1 << 20)); /* larger than any block */
    assert_string_equal(first, "first");
    arena_reset(a);
    assert_non_null(arena_alloc(a, 10));
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed_and_zero_bytes_are_fine),
        cmocka_unit_test(a_product_that_wraps_is_fatal),
        cmocka_unit_test(arena_memory_is_zeroed_and_aligned),
        cmocka_unit_test(an_arena_says_no_at_its_maximum),
        cmocka_unit_test(an_empty_piece_is_counted),
        cmocka_unit_test(many_blocks_live_until_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
