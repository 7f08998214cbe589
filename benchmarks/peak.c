/* The most multiply-adds that one core does: independent ones on registers alone. */
#include <pthread.h>
#include <stddef.h>
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

typedef struct {
    int64_t rounds;
    float result;
} half;

static void *work(void *argument) {
    half *mine = argument;
    multiply_add(mine->rounds, &mine->result);
    return NULL;
}

/* The same number of them, half in a thread of their own that lives for the call, as the kernel's do. */
void multiply_add_in_two(int64_t rounds, float *result) {
    half halves[2] = {{rounds / 2, 0}, {rounds / 2, 0}};
    pthread_t other;
    const int started = pthread_create(&other, NULL, work, &halves[1]) == 0;
    work(&halves[0]);
    if (started)
        pthread_join(other, NULL);
    else
        work(&halves[1]);
    *result = halves[0].result + halves[1].result;
}
