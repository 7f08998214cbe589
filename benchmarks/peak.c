/* The most multiply-adds that one core does: independent ones on registers alone. */
#include <stdint.h>

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX2__)
#define LANES 8
#else
#define LANES 4
#endif
#define SUMS 12

typedef float vec __attribute__((vector_size(4 * LANES)));

/* Runs `rounds` of them and returns how many multiply-adds a round has; `result` keeps the compiler from leaving them out. */
int64_t multiply_add(int64_t rounds, float *result) {
    vec sum[SUMS], factor = (vec){0} + 0.999999f, term = (vec){0} + 1e-9f;
    for (int i = 0; i < SUMS; i++) sum[i] = (vec){0} + (float)i;
    for (int64_t round = 0; round < rounds; round++)
#pragma GCC unroll 12
        for (int i = 0; i < SUMS; i++) sum[i] = sum[i] * factor + term;
    for (int i = 0; i < SUMS; i++) *result += sum[i][0];
    return SUMS * LANES;
}
