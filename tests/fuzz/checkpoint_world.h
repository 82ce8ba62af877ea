/* The market that checkpoint_fuzz.c restores states in and checkpoint_seeds.c makes them in: two
 * currencies, a split on either side of the state, and an instrument without any close. */
#ifndef FP_TESTS_CHECKPOINT_WORLD_H
#define FP_TESTS_CHECKPOINT_WORLD_H

#include "lib/performance/testing.h"

#define STATE_DAY "2024-02-29"

enum { IN_EUR, IN_USD, UNPRICED, LISTED_LATER };

static inline struct world *checkpoint_world(void)
{
    struct world *w = world_new("EUR", "2024-03-01", "2024-03-31");

    for (int i = 0; i < 2; i++) {
        int a = world_instrument(w, i ? "USD" : "EUR");

        world_close(w, a, "2023-10-01", "90");
        world_close(w, a, "2024-02-01", "100");
        world_close(w, a, "2024-03-15", "110");
    }
    world_instrument(w, "EUR");
    world_close(w, world_instrument(w, "EUR"), "2024-03-20", "10");
    world_split(w, IN_EUR, "2024-03-10", 2, 1);
    world_split(w, IN_USD, "2024-01-10", 3, 1);
    world_rate(w, "EUR", "USD", "2024-01-01", "1.1");
    return w;
}

#endif
