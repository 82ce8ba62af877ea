/*
 * A share of an audience: who of the users belongs to it is decided by
 * arithmetic on his id and a seed alone, so that pages, repeated pages, counts
 * and every PostgreSQL agree. The same seed gives the same users again, of a
 * larger share those of the smaller one too; another seed gives others.
 *
 * x is the id modulo p = 2^31 - 1, a to e follow from the seed:
 *     h = (((a x + b) x + c) x + d + e (id / p)) mod p;   he belongs to it when h < ppm / 10^6 * p.
 * A polynomial of degree 3 over a prime field: any four users are independent
 * of each other, so that shares are as even as drawn by lot. Each product
 * stays within a bigint. Not for secrets: who knows the seed knows the users.
 */
#ifndef FP_SOURCE_SHARE_H
#define FP_SOURCE_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/pg/pg.h"

#define SHARE_ALL_PPM 1000000

struct source_share {
    int32_t ppm; /* parts per million of the audience; 0: all of it */
    int64_t seed;
};

bool source_share_is_part(const struct source_share *s); /* NULL: all */
bool source_share_has(const struct source_share *s, int64_t user_id);
/* Adds the six parameters of SHARE_SQL, which come right behind each other. */
void source_share_args(struct pg_args *a, const struct source_share *s);

/* clang-format off */
#define SHARE_P "2147483647"
#define SHARE_ID(id) "(" id "::bigint & 9223372036854775807)"
#define SHARE_X(id) "(" SHARE_ID(id) " % " SHARE_P ")"
/* The condition, by parameters: a to e, and the bound. */
#define SHARE_SQL(id, a, b, c, d, e, bound) \
    "((((" a "::bigint * " SHARE_X(id) " + " b "::bigint) % " SHARE_P " * " SHARE_X(id) " + " c "::bigint) % " SHARE_P \
    " * " SHARE_X(id) " + " d "::bigint + " e "::bigint * (" SHARE_ID(id) " / " SHARE_P " % " SHARE_P ")) % " SHARE_P \
    " < " bound "::bigint)"
/* clang-format on */

#endif
