/*
 * A bounded queue of pointers between threads. Pushing waits for room and
 * popping for an item, both with a time limit; closing wakes everybody.
 */
#ifndef FP_BASE_QUEUE_H
#define FP_BASE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fp_queue;

struct fp_queue *queue_new(size_t max_items);
void queue_free(struct fp_queue *q); /* must be empty; NULL is fine */
/* False on time-out or when closed. timeout_ms < 0: wait for ever; 0: do not wait. */
bool queue_push(struct fp_queue *q, void *item, int timeout_ms);
/* NULL on time-out, or when closed and empty. */
void *queue_pop(struct fp_queue *q, int timeout_ms);
void queue_close(struct fp_queue *q); /* no more pushes; what is in can be popped */
bool queue_is_closed(struct fp_queue *q);
size_t queue_len(struct fp_queue *q);

#endif
