/* Adam (Kingma and Ba, ICLR 2015): one step of numbers that lie beside each other. */
#ifndef DAGFM_ADAM_H
#define DAGFM_ADAM_H

#include "adam_call.h"
#include "lanes.h"

INLINE vec root(vec value) {
    UNROLL for (int i = 0; i < LANES; i++) value[i] = __builtin_sqrtf(value[i]);
    return value;
}

/* Run PART(lanes) over the columns of D from `d` on. */
#define ALL_COLUMNS(size)                                        \
    do {                                                         \
        int64_t d = 0;                                           \
        for (; d + LANES <= (size); d += LANES) PART(LANES);     \
        if (d < (size)) PART((size) - d);                        \
    } while (0)

#define GET(at) (lanes == LANES ? load(at) : load_part(at, lanes))

/* A step of LANES weights against their gradient, decay included; the moments move with them. */
INLINE vec adam(const adam_rule *rule, vec weight, vec grad, vec *mean, vec *square) {
    *mean = *mean * rule->mean_left + grad * (1 - rule->mean_left);
    *square = *square * rule->square_left + grad * grad * (1 - rule->square_left);
    return weight - rule->rate * *mean / (root(*square * rule->square_fix) + rule->epsilon);
}

/* A step of `count` weights. */
static void adam_step(const adam_rule *rule, int64_t count, float decay, float *weight, const float *grad, float *mean,
                      float *square) {
#define PART(lanes_)                                                                        \
    do {                                                                                    \
        const int64_t lanes = lanes_;                                                       \
        const vec before = GET(weight + d);                                                 \
        vec first = GET(mean + d), second = GET(square + d);                                \
        const vec moved = adam(rule, before, GET(grad + d) + decay * before, &first, &second); \
        store_part(weight + d, moved, lanes);                                               \
        store_part(mean + d, first, lanes);                                                 \
        store_part(square + d, second, lanes);                                              \
    } while (0)
    ALL_COLUMNS(count);
#undef PART
}

#endif
