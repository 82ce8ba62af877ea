/* The share of an audience, in C as in SQL: share.h. */
#include "lib/source/share.h"

#define P         INT64_C(2147483647)
#define N_FACTORS 5

/* SplitMix64 (https://prng.di.unimi.it/splitmix64.c): seeds that are near each
 * other give factors that are not. The first factor is not 0, so that the degree is 3. */
static void factors(int64_t seed, int64_t k[N_FACTORS])
{
    uint64_t x = (uint64_t)seed;
    for (int i = 0; i < N_FACTORS; i++) {
        uint64_t z = (x += UINT64_C(0x9e3779b97f4a7c15));
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        z ^= z >> 31;
        k[i] = i == 0 ? (int64_t)(z % (uint64_t)(P - 1)) + 1 : (int64_t)(z % (uint64_t)P);
    }
}

static int64_t bound(const struct source_share *s)
{
    return (s->ppm * P + SHARE_ALL_PPM - 1) / SHARE_ALL_PPM;
}

bool source_share_is_part(const struct source_share *s)
{
    return s && s->ppm > 0 && s->ppm < SHARE_ALL_PPM;
}

bool source_share_has(const struct source_share *s, int64_t user_id)
{
    int64_t k[N_FACTORS], id = user_id & INT64_MAX, x = id % P;
    if (!source_share_is_part(s))
        return true;
    factors(s->seed, k);
    return (((k[0] * x + k[1]) % P * x + k[2]) % P * x + k[3] + k[4] * (id / P % P)) % P < bound(s);
}

void source_share_args(struct pg_args *a, const struct source_share *s)
{
    int64_t k[N_FACTORS];
    factors(s->seed, k);
    for (int i = 0; i < N_FACTORS; i++)
        pg_arg_i64(a, k[i]);
    pg_arg_i64(a, bound(s));
}
