/* The queue: order, bounds, time limits, closing, and many threads at once. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/base/queue.h"

static int items[1000];

static void it_is_first_in_first_out_and_bounded(void **state)
{
    (void)state;
    struct fp_queue *q = queue_new(3);
    for (int round = 0; round < 5; round++) { /* wraps around the ring */
        assert_true(queue_push(q, &items[0], 0));
        assert_true(queue_push(q, &items[1], 0));
        assert_true(queue_push(q, &items[2], 0));
        assert_false(queue_push(q, &items[3], 0));
        assert_int_equal(queue_len(q), 3);
        assert_ptr_equal(queue_pop(q, 0), &items[0]);
        assert_true(queue_push(q, &items[3], 0));
        for (int i = 1; i <= 3; i++)
            assert_ptr_equal(queue_pop(q, 0), &items[i]);
        assert_null(queue_pop(q, 0));
    }
    queue_free(q);
    queue_free(NULL);
}

static void waits_end_with_their_time(void **state)
{
    (void)state;
    struct fp_queue *q = queue_new(1);
    int64_t t = clock_mono_us();
    assert_null(queue_pop(q, 30));
    assert_true(queue_push(q, items, 30));
    assert_false(queue_push(q, items, 30));
    int64_t took_us = clock_mono_us() - t;
    assert_true(took_us >= 60000 && took_us < 5000000);
    assert_ptr_equal(queue_pop(q, -1), items);
    queue_free(q);
}

static void *pop_for_ever(void *arg)
{
    return queue_pop(arg, -1);
}

static void *push_for_ever(void *arg)
{
    return queue_push(arg, items, -1) ? items : NULL;
}

static void closing_wakes_everybody(void **state)
{
    pthread_t t[2];
    void *got;

    (void)state;
    struct fp_queue *empty = queue_new(1), *full = queue_new(1);
    assert_true(queue_push(full, items, 0));
    pthread_create(&t[0], NULL, pop_for_ever, empty);
    pthread_create(&t[1], NULL, push_for_ever, full);
    clock_sleep_us(20000);
    queue_close(empty);
    queue_close(full);
    queue_close(full); /* twice is fine */
    for (int i = 0; i < 2; i++) {
        pthread_join(t[i], &got);
        assert_null(got);
    }
    assert_true(queue_is_closed(full));
    assert_false(queue_push(full, items, 0));
    assert_ptr_equal(queue_pop(full, -1), items); /* what was in can be popped */
    assert_null(queue_pop(full, -1));             /* and then it does not wait */
    queue_free(empty);
    queue_free(full);
}

/* Each of the threads must have one item at the same time: all are woken, though pushes come faster. */
struct together {
    struct fp_queue *queue;
    pthread_barrier_t all;
};

static void *pop_and_meet(void *arg)
{
    struct together *t = arg;
    void *item = queue_pop(t->queue, -1);

    pthread_barrier_wait(&t->all);
    return item;
}

static void as_many_wake_as_items_wait(void **state)
{
    enum { N = 8 };
    pthread_t threads[N];
    struct together t = {.queue = queue_new(N)};
    void *got;

    (void)state;
    pthread_barrier_init(&t.all, NULL, N);
    for (int i = 0; i < N; i++)
        pthread_create(&threads[i], NULL, pop_and_meet, &t);
    clock_sleep_us(20000);
    for (int i = 0; i < N; i++)
        assert_true(queue_push(t.queue, &items[i], 0));
    for (int i = 0; i < N; i++) {
        pthread_join(threads[i], &got);
        assert_non_null(got);
    }
    pthread_barrier_destroy(&t.all);
    queue_free(t.queue);
}

#define THREADS 4
#define EACH    2000

static void *push_many(void *arg)
{
    for (int i = 0; i < EACH; i++)
        queue_push(arg, &items[i % 1000], -1);
    return NULL;
}

static void *pop_many(void *arg)
{
    intptr_t n = 0;

    while (queue_pop(arg, -1))
        n++;
    return (void *)n;
}

static void nothing_is_lost_between_threads(void **state)
{
    pthread_t in[THREADS], out[THREADS];
    intptr_t total = 0;
    void *n;

    (void)state;
    struct fp_queue *q = queue_new(7);
    for (int i = 0; i < THREADS; i++) {
        pthread_create(&in[i], NULL, push_many, q);
        pthread_create(&out[i], NULL, pop_many, q);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(in[i], NULL);
    queue_close(q);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(out[i], &n);
        total += (intptr_t)n;
    }
    assert_int_equal(total, THREADS * EACH);
    queue_free(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_first_in_first_out_and_bounded),
        cmocka_unit_test(waits_end_with_their_time),
        cmocka_unit_test(closing_wakes_everybody),
        cmocka_unit_test(as_many_wake_as_items_wait),
        cmocka_unit_test(nothing_is_lost_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
