/* The embedding table: rows of a batch pooled, caught up with steps they were not in, and moved by one. */
#ifndef DAGFM_TABLE_H
#define DAGFM_TABLE_H

#include <math.h>

#include "adam.h"
#include "lanes.h"
#include "table_call.h"

#define AHEAD 12 /* rows that are asked for before they are needed: a miss takes as long as so many rows */

INLINE void ask_for(const float *row, int64_t size) {
    for (int64_t d = 0; d < size; d += 16) __builtin_prefetch(row + d, 1);
}

/* Bags first .. end - 1: the sums of their rows. */
static void pool_bags(const dagfm_table *in, int64_t first, int64_t end, float *scratch) {
    (void)scratch;
    const int64_t size = in->size;
    for (int64_t bag = first; bag < end; bag++) {
        const int64_t value = in->offsets ? in->offsets[bag] : bag;
        const int64_t until = in->offsets ? in->offsets[bag + 1] : bag + 1;
        if (value + AHEAD < in->values) ask_for(in->weight + in->ids[value + AHEAD] * size, size);
        float *out = in->out + bag * size;
#define PART(lanes_)                                                                      \
    do {                                                                                  \
        const int64_t lanes = lanes_;                                                     \
        vec total = {0};                                                                  \
        for (int64_t v = value; v < until; v++) {                                         \
            const vec row = GET(in->weight + in->ids[v] * size + d);                      \
            total += in->shares ? row * in->shares[v] : row;                              \
        }                                                                                 \
        store_part(out + d, total, lanes);                                                \
    } while (0)
        ALL_COLUMNS(size);
#undef PART
    }
}

/* Ids first .. end - 1: the gradient of each one's bag, added to that of its row in `out` (table rows, D). */
static void scatter_bags(const dagfm_table *in, int64_t first, int64_t end, float *scratch) {
    (void)scratch;
    const int64_t size = in->size;
    for (int64_t value = first; value < end; value++) {
        if (value + AHEAD < end) ask_for(in->out + in->ids[value + AHEAD] * size, size);
        const float *from = in->grad + (in->owners ? in->owners[value] : value) * size;
        float *to = in->out + in->ids[value] * size;
        const float share = in->shares ? in->shares[value] : 1;
#define PART(lanes_)                                                                \
    do {                                                                            \
        const int64_t lanes = lanes_;                                               \
        store_part(to + d, GET(to + d) + GET(from + d) * share, lanes);             \
    } while (0)
        ALL_COLUMNS(size);
#undef PART
    }
}

#define LONGEST 256 /* idle steps taken at once */
#define FIRST 4

/* So many idle steps of ADAM from step `then` on, taken at once. Their gradient is decay times the weight. Moments are
 * what they would be if the weight stood still; the weight moves by the sum of the means, over the root of the square in
 * the middle. Its own part of that sum, which draws it to zero, is taken as a flow: it never goes beyond.
 */
INLINE void stretch(const dagfm_table *in, int64_t at, int64_t then, int64_t steps) {
    const int64_t middle = then + (steps + 1) / 2, size = in->size;
    const float mean_left = in->mean_left[steps], square_left = in->square_left[steps];
    const float rate = in->rates[middle] * in->mean_fix[middle], fix = in->square_fix[middle];
    const float run = in->mean_run[steps], pull = in->decay * (steps - run);
#define PART(lanes_)                                                                                   \
    do {                                                                                               \
        const int64_t lanes = lanes_;                                                                  \
        const vec mean = GET(in->mean + at + d), square = GET(in->square + at + d);                    \
        vec weight = GET(in->weight + at + d), grad = weight * in->decay;                              \
        const vec after = square * square_left + grad * grad * (1 - square_left);                      \
        const vec each = rate / (root((square + after) * (fix / 2)) + in->epsilon), drawn = each * pull; \
        weight = (weight - each * run * mean) / (1 + drawn + drawn * drawn / 2);                       \
        store_part(in->weight + at + d, weight, lanes);                                                \
        store_part(in->mean + at + d, mean * mean_left + weight * (in->decay * (1 - mean_left)), lanes); \
        store_part(in->square + at + d, after, lanes);                                                 \
    } while (0)
    ALL_COLUMNS(size);
#undef PART
}

/* Idle steps of SGD, and of ADAGRAD, whose square does not take part in decay: a row without one stands still. */
INLINE void shrink(const dagfm_table *in, int64_t row, int64_t then) {
    if (in->rule == ADAGRAD && in->square[row] == 0) return;
    double path = (in->path[in->step] - in->path[then]) * in->decay;
    if (in->rule == ADAGRAD) path /= sqrtf(in->square[row]) + in->epsilon;
    const float left = (float)exp(-path);
    for (int64_t d = 0; d < in->size; d++) in->weight[row * in->size + d] *= left;
}

/* Looked-up rows first .. end - 1 as the steps without them leave them, up to `step`. */
static void catch_up_rows(const dagfm_table *in, int64_t first, int64_t end, float *scratch) {
    (void)scratch;
    const int64_t size = in->size;
    for (int64_t u = first; u < end; u++) {
        if (u + AHEAD < end) {
            const int64_t next = in->row[u + AHEAD];
            __builtin_prefetch(in->last + next, 1);
            ask_for(in->weight + next * size, size);
            if (in->rule == ADAM) ask_for(in->mean + next * size, size);
            if (in->rule == ADAM) ask_for(in->square + next * size, size);
            if (in->rule == ADAGRAD) __builtin_prefetch(in->square + next, 1);
        }
        const int64_t row = in->row[u];
        int64_t then = in->last[row], longest = FIRST;
        in->last[row] = (int32_t)in->step;
        if (in->rule != ADAM) {
            if (then < in->step && in->decay != 0) shrink(in, row, then);
            continue;
        }
        while (then < in->step) {
            const int64_t left = in->step - then, steps = left < longest ? left : longest;
            stretch(in, row * size, then, steps);
            then += steps;
            longest = longest * 4 < LONGEST ? longest * 4 : LONGEST;
        }
    }
}

/* The gradient of a looked-up row. */
INLINE void row_gradient(const dagfm_table *in, int64_t u, float *sum) {
    const int64_t size = in->size;
    const int32_t first = in->starts[u], end = in->starts[u + 1];
    for (int32_t n = first + AHEAD; n < end + AHEAD && n < in->values; n++) {
        const int32_t next = in->places[n];
        ask_for(in->grad + (in->owners ? in->owners[next] : next) * size, size);
    }
#define PART(lanes_)                                                                     \
    do {                                                                                 \
        const int64_t lanes = lanes_;                                                    \
        vec total = {0};                                                                 \
        for (int32_t n = first; n < end; n++) {                                          \
            const int32_t value = in->places[n];                                         \
            const float *from = in->grad + (in->owners ? in->owners[value] : value) * size; \
            total += in->shares ? GET(from + d) * in->shares[value] : GET(from + d);     \
        }                                                                                \
        store_part(sum + d, total, lanes);                                               \
    } while (0)
    ALL_COLUMNS(size);
#undef PART
}

/* Columns of a row moved to `now`, and its average with them. */
INLINE void put(const dagfm_table *in, int64_t row, int64_t d, int64_t lanes, vec before, vec now) {
    const int64_t at = row * in->size + d;
    store_part(in->weight + at, now, lanes);
    if (!in->average) return;
    const int64_t stood = in->step - 1 - in->averaged[row];
    const float left = in->average_left[stood], once = in->average_left[1];
    const vec kept = GET(in->average + at) * left + before * (1 - left);
    store_part(in->average + at, kept * once + now * (1 - once), lanes);
}

/* A step of the looked-up rows first .. end - 1, against their gradients. */
static void step_rows(const dagfm_table *in, int64_t first, int64_t end, float *grad_of_row) {
    const int64_t size = in->size;
    adam_rule once = {0};
    if (in->rule == ADAM)
        once = (adam_rule){in->rates[in->step] * in->mean_fix[in->step], in->mean_left[1], in->square_left[1],
                           in->square_fix[in->step], in->epsilon};
    for (int64_t u = first; u < end; u++) {
        if (u + AHEAD < end) {
            const int64_t next = in->row[u + AHEAD];
            ask_for(in->weight + next * size, size);
            if (in->average) ask_for(in->average + next * size, size);
            if (in->average) __builtin_prefetch(in->averaged + next, 1);
            if (in->rule == ADAM) ask_for(in->mean + next * size, size);
            if (in->rule == ADAM) ask_for(in->square + next * size, size);
            if (in->rule == ADAGRAD) __builtin_prefetch(in->square + next, 1);
        }
        const int64_t row = in->row[u], at = row * size;
        float rate = in->rates[in->step];
        row_gradient(in, u, grad_of_row);
        if (in->rule == ADAGRAD) {
            vec squares = {0};
#define PART(lanes_)                                                                            \
    do {                                                                                        \
        const int64_t lanes = lanes_;                                                           \
        const vec grad = GET(grad_of_row + d);                                                  \
        squares += grad * grad;                                                                 \
    } while (0)
            ALL_COLUMNS(size);
#undef PART
            in->square[row] += sum(squares) / size;
            rate = in->square[row] > 0 ? rate / (__builtin_sqrtf(in->square[row]) + in->epsilon) : 0;
        }
#define PART(lanes_)                                                                            \
    do {                                                                                        \
        const int64_t lanes = lanes_;                                                           \
        const vec before = GET(in->weight + at + d);                                            \
        const vec grad = GET(grad_of_row + d) + in->decay * before;                             \
        if (in->rule != ADAM) {                                                                          \
            put(in, row, d, lanes, before, before - rate * grad);                               \
        } else {                                                                                \
            vec mean = GET(in->mean + at + d), square = GET(in->square + at + d);               \
            const vec moved = adam(&once, before, grad, &mean, &square);                        \
            store_part(in->mean + at + d, mean, lanes);                                         \
            store_part(in->square + at + d, square, lanes);                                     \
            put(in, row, d, lanes, before, moved);                                              \
        }                                                                                       \
    } while (0)
        ALL_COLUMNS(size);
#undef PART
        in->last[row] = (int32_t)in->step;
        if (in->average) in->averaged[row] = (int32_t)in->step;
    }
}

#endif
