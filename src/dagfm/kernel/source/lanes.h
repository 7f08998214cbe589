/* Vectors of LANES floats, in the compiler's own vector extensions: one source for every instruction set. */
#ifndef DAGFM_LANES_H
#define DAGFM_LANES_H

#include <stdint.h>
#include <string.h>

/* Loops over a tile, whose bounds are constants: unrolled, its sums are registers. Sanitizers take minutes over that. */
#ifdef ROLLED
#define UNROLL
#define INLINE static inline
#else
#define UNROLL _Pragma("GCC unroll 16")
#define INLINE static inline __attribute__((always_inline))
#endif

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef float unaligned_vec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

INLINE vec load(const float *from) { return *(const unaligned_vec *)from; }

INLINE void store(float *to, vec value) { *(unaligned_vec *)to = value; }

INLINE vec all(float value) { return value - (vec){0}; }

/* The first few lanes alone; the others count as zero. */
INLINE vec load_part(const float *from, int64_t lanes) {
    vec value = {0};
    memcpy(&value, from, lanes * sizeof(float));
    return value;
}

/* Out of line: a vector whose address is taken is kept in memory, and with it a whole tile. */
static __attribute__((noinline)) void copy_part(float *to, const float *from, int64_t lanes) {
    for (int64_t i = 0; i < lanes; i++) to[i] = from[i];
}

INLINE void store_part(float *to, vec value, int64_t lanes) {
    if (lanes == LANES) {
        store(to, value);
        return;
    }
    float part[LANES];
    store(part, value);
    copy_part(to, part, lanes);
}

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define HAS_SHUFFLEVECTOR
#endif
#endif

#define LOW(n) n, n + LANES
#define HALF(n) n + LANES / 2, n + LANES / 2 + LANES
#if LANES == 16
#define EVERY(of) of(0), of(1), of(2), of(3), of(4), of(5), of(6), of(7)
#elif LANES == 8
#define EVERY(of) of(0), of(1), of(2), of(3)
#else
#define EVERY(of) of(0), of(1)
#endif

/* The lower, or upper, halves of two vectors, lane by lane in turns. */
#ifdef HAS_SHUFFLEVECTOR
INLINE vec lower_turns(vec a, vec b) { return __builtin_shufflevector(a, b, EVERY(LOW)); }
INLINE vec upper_turns(vec a, vec b) { return __builtin_shufflevector(a, b, EVERY(HALF)); }
#else
typedef int32_t lane_numbers __attribute__((vector_size(4 * LANES)));
INLINE vec lower_turns(vec a, vec b) { return __builtin_shuffle(a, b, (lane_numbers){EVERY(LOW)}); }
INLINE vec upper_turns(vec a, vec b) { return __builtin_shuffle(a, b, (lane_numbers){EVERY(HALF)}); }
#endif

/* The sum over lanes, in every lane. */
INLINE vec sum_everywhere(vec value) {
    UNROLL for (int turn = 1; turn < LANES; turn *= 2) value = lower_turns(value, value) + upper_turns(value, value);
    return value;
}

INLINE float sum(vec value) { return sum_everywhere(value)[0]; }

/* Turn LANES vectors of LANES floats, which lie so many floats apart, around their diagonal. */
INLINE void transpose(float *to, int64_t apart_to, const float *from, int64_t apart) {
    vec a[LANES], b[LANES];
    UNROLL for (int i = 0; i < LANES; i++) a[i] = load(from + i * apart);
    UNROLL for (int turn = 1; turn < LANES; turn *= 2) {
        UNROLL for (int i = 0; i < LANES / 2; i++) {
            b[2 * i] = lower_turns(a[i], a[i + LANES / 2]);
            b[2 * i + 1] = upper_turns(a[i], a[i + LANES / 2]);
        }
        UNROLL for (int i = 0; i < LANES; i++) a[i] = b[i];
    }
    UNROLL for (int i = 0; i < LANES; i++) store(to + i * apart_to, a[i]);
}

#endif
