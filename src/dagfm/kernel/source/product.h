/* A tile of a matrix product, whose sums are registers: numbers, spread over lanes, by vectors. */
#ifndef DAGFM_PRODUCT_H
#define DAGFM_PRODUCT_H

#include "lanes.h"

#define VECTORS 4 /* at most in a tile */

/* acc[i][v] = sum over n of a[i * apart + n * along] b[n * next + v * LANES]: m numbers by k vectors. */
INLINE void product(vec acc[][VECTORS], const int m, const int k, const float *a, int64_t apart, int64_t along,
                    const float *b, int64_t next, int64_t count) {
    UNROLL for (int i = 0; i < m; i++) UNROLL for (int v = 0; v < k; v++) acc[i][v] = (vec){0};
    for (int64_t n = 0; n < count; n++) {
        vec value[VECTORS];
        UNROLL for (int v = 0; v < k; v++) value[v] = load(b + v * LANES);
        UNROLL for (int i = 0; i < m; i++) {
            const vec number = all(a[i * apart]);
            UNROLL for (int v = 0; v < k; v++) acc[i][v] += number * value[v];
        }
        a += along;
        b += next;
    }
}

#endif
