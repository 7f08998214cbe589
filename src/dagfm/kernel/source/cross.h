/* CrossNet: x <- x0 * (W x + b) + x, layer by layer, then a linear unit. A block of rows goes all the way there and back
 * in cache, so that neither its states nor their gradients are ever written to memory.
 *
 * Of the call, p is W (L, F D, F D), q is b (L, F D), and the head has F D weights.
 */
#ifndef DAGFM_CROSS_H
#define DAGFM_CROSS_H

#include "loss.h"
#include "product.h"
#include "tiles.h"

#define CROSS_BLOCK (192 << 10) /* bytes of a block's states and gradients */

INLINE int64_t cross_width(const dagfm_call *call) { return call->fields * call->size; }

/* Where things lie in scratch, in floats; rows have `padded` of them, those past the width zero. */
typedef struct {
    int64_t width, padded, block;
    int64_t turned, straight;      /* W with its axes turned, and as it is: (L, width, padded) */
    int64_t b, head;               /* (L, padded), (padded) */
    int64_t grad_w, grad_b, grad_head; /* as W straight, b and head */
    int64_t states, mixed;         /* x_0 to x_L and W x + b of every layer, (block, padded) each */
    int64_t grad, grad_x0, of_mixed; /* (block, padded) each */
    int64_t end;
} cross_layout;

static cross_layout cross_layout_of(const dagfm_call *call, int backward) {
    const int64_t depth = call->depth, width = cross_width(call), padded = (width + LANES - 1) / LANES * LANES;
    const int64_t kept = backward ? 2 * depth + 4 : depth + 2;
    const int64_t fit = CROSS_BLOCK / (int64_t)sizeof(float) / (kept * padded) / ROWS * ROWS;
    cross_layout at = {width, padded, fit > ROWS ? fit : ROWS};
    const int64_t matrices = depth * width * padded, part = at.block * padded;
    int64_t end = 0;
#define TAKE(name, floats) (at.name = end, end += ((floats) + 15) / 16 * 16)
    TAKE(turned, matrices);
    TAKE(b, depth * padded);
    TAKE(head, padded);
    TAKE(states, (depth + 1) * part);
    TAKE(mixed, (backward ? depth : 1) * part);
    if (backward) {
        TAKE(straight, width < padded ? matrices : 0);
        TAKE(grad_w, width < padded ? matrices : 0);
        TAKE(grad_b, depth * padded);
        TAKE(grad_head, padded);
        TAKE(grad, part);
        TAKE(grad_x0, part);
        TAKE(of_mixed, part);
    }
#undef TAKE
    at.end = end;
    return at;
}

/* Rows of `width` numbers, so many floats apart, put `padded` apart with zeros in between. */
static void put_apart(float *to, const float *from, int64_t rows, int64_t width, int64_t padded) {
    for (int64_t r = 0; r < rows; r++) {
        memcpy(to + r * padded, from + r * width, width * sizeof(float));
        memset(to + r * padded + width, 0, (padded - width) * sizeof(float));
    }
}

static void put_together(float *to, const float *from, int64_t rows, int64_t width, int64_t padded) {
    for (int64_t r = 0; r < rows; r++) memcpy(to + r * width, from + r * padded, width * sizeof(float));
}

/* What becomes of sums: they are added to what stands there, or a layer is made of them. */
enum use_of_sums { ADDED, LAYER };

/* Sums over n of a(r, n) b(n, .), rows of `padded`: a(r, n) stands at a[r * apart + n * along], b(n, .) at b + n padded.
 *
 * ADDED: `to` gets them added. LAYER: `to` gets them with the bias, `next` what the layer makes of that, x0 and x.
 */
typedef struct {
    const float *a;
    int64_t apart, along, count;
    const float *b;
    float *to;
    int64_t padded;
    const float *bias, *x0, *x;
    float *next;
} sums_of_rows;

INLINE void cross_tile(const int m, const int k, const enum use_of_sums use, const sums_of_rows *in, int64_t row,
                       int64_t column) {
    vec acc[ROWS][VECTORS];
    product(acc, m, k, in->a + row * in->apart, in->apart, in->along, in->b + column, in->padded, in->count);
    UNROLL for (int v = 0; v < k; v++) {
        const vec bias = use == LAYER ? load(in->bias + column + v * LANES) : (vec){0};
        UNROLL for (int i = 0; i < m; i++) {
            const int64_t here = (row + i) * in->padded + column + v * LANES;
            if (use == ADDED) {
                store(in->to + here, load(in->to + here) + acc[i][v]);
            } else {
                const vec mixed = acc[i][v] + bias;
                store(in->to + here, mixed);
                store(in->next + here, load(in->x + here) + load(in->x0 + here) * mixed);
            }
        }
    }
}

/* Some columns of all rows: what b has of them stays in the first cache. */
INLINE void cross_panel(const int k, const enum use_of_sums use, const sums_of_rows *in, int64_t rows, int64_t column) {
    int64_t row = 0;
    for (; row + ROWS <= rows; row += ROWS) cross_tile(ROWS, k, use, in, row, column);
    for (; row + 2 <= rows; row += 2) cross_tile(2, k, use, in, row, column);
    for (; row < rows; row++) cross_tile(1, k, use, in, row, column);
}

INLINE void multiply(const enum use_of_sums use, const sums_of_rows *in, int64_t rows) {
    int64_t column = 0;
    for (; column + 4 * LANES <= in->padded; column += 4 * LANES) cross_panel(4, use, in, rows, column);
    if (in->padded - column == 3 * LANES) cross_panel(3, use, in, rows, column);
    if (in->padded - column == 2 * LANES) cross_panel(2, use, in, rows, column);
    if (in->padded - column == LANES) cross_panel(1, use, in, rows, column);
}

/* Out of line, once for each use. */
static __attribute__((noinline)) void add_product(const sums_of_rows *in, int64_t rows) { multiply(ADDED, in, rows); }

static __attribute__((noinline)) void make_layer(const sums_of_rows *in, int64_t rows) { multiply(LAYER, in, rows); }

/* W with its axes turned, b and the head, each row of them padded. */
static void cross_open(const dagfm_call *call, float *scratch, const cross_layout *at) {
    const int64_t width = at->width, padded = at->padded;
    for (int64_t layer = 0; layer < call->depth; layer++) {
        const float *from = call->p + layer * width * width;
        float *to = scratch + at->turned + layer * width * padded;
        for (int64_t k = 0; k < width; k++) {
            for (int64_t j = 0; j < width; j++) to[k * padded + j] = from[j * width + k];
            for (int64_t j = width; j < padded; j++) to[k * padded + j] = 0;
        }
    }
    put_apart(scratch + at->b, call->q, call->depth, width, padded);
    put_apart(scratch + at->head, call->head, 1, width, padded);
}

/* A block's states and logits; with `backward` each layer's W x + b is kept, too. */
static void cross_there(const dagfm_call *call, int64_t row, int64_t rows, float *scratch, const cross_layout *at,
                        int backward) {
    const int64_t part = at->block * at->padded, size = call->size;
    float *x = scratch + at->states;
    for (int64_t r = 0; r < rows; r++) {
        const float *from = call->x + (row + r) * call->row_stride;
        float *to = x + r * at->padded;
        for (int64_t f = 0; f < call->fields; f++) memcpy(to + f * size, from + f * call->field_stride, size * sizeof(float));
        memset(to + at->width, 0, (at->padded - at->width) * sizeof(float));
    }
    for (int64_t layer = 0; layer < call->depth; layer++, x += part) {
        const sums_of_rows of_layer = {.a = x,
                                       .apart = at->padded,
                                       .along = 1,
                                       .count = at->width,
                                       .b = scratch + at->turned + layer * at->width * at->padded,
                                       .to = scratch + at->mixed + (backward ? layer * part : 0),
                                       .padded = at->padded,
                                       .bias = scratch + at->b + layer * at->padded,
                                       .x0 = scratch + at->states,
                                       .x = x,
                                       .next = x + part};
        make_layer(&of_layer, rows);
    }
    const float *head = scratch + at->head;
    for (int64_t r = 0; call->out && r < rows; r++) { /* the way back from given gradients has no use for logits */
        vec total = {0};
        for (int64_t d = 0; d < at->padded; d += LANES) total += load(x + r * at->padded + d) * load(head + d);
        call->out[row + r] = *call->bias + sum(total);
    }
}

static void cross_forward(const dagfm_call *call, int64_t first, int64_t rows, float *scratch) {
    const cross_layout at = cross_layout_of(call, 0);
    cross_open(call, scratch, &at);
    for (int64_t row = 0; row < rows; row += at.block)
        cross_there(call, first + row, rows - row < at.block ? rows - row : at.block, scratch, &at, 0);
}

/* Through x <- x0 * mixed + x: the gradient of `mixed`, of b, and what comes to x0 from its factor. */
static void cross_turn(const float *x0, const float *mixed, const float *grad, float *grad_x0, float *of_mixed, float *grad_b,
                       int64_t rows, int64_t padded) {
    for (int64_t d = 0; d < padded; d += LANES) {
        vec total = load(grad_b + d);
        for (int64_t here = d; here < rows * padded; here += padded) {
            const vec given = load(grad + here), found = given * load(x0 + here);
            store(grad_x0 + here, load(grad_x0 + here) + given * load(mixed + here));
            store(of_mixed + here, found);
            total += found;
        }
        store(grad_b + d, total);
    }
}

static void cross_back(const dagfm_call *call, const float *w, float *grad_w, int64_t row, int64_t rows, float *scratch,
                       const cross_layout *at) {
    const int64_t part = at->block * at->padded, padded = at->padded, matrix = at->width * padded;
    const float *x0 = scratch + at->states, *last = x0 + call->depth * part, *head = scratch + at->head;
    float *grad = scratch + at->grad, *grad_x0 = scratch + at->grad_x0, *of_mixed = scratch + at->of_mixed;
    float *grad_head = scratch + at->grad_head;
    memset(grad_x0, 0, rows * padded * sizeof(float));
    for (int64_t r = 0; r < rows; r++) {
        const vec given = all(call->grad[row + r]);
        for (int64_t d = 0; d < padded; d += LANES) {
            store(grad + r * padded + d, given * load(head + d));
            store(grad_head + d, load(grad_head + d) + given * load(last + r * padded + d));
        }
    }
    for (int64_t layer = call->depth - 1; layer >= 0; layer--) {
        const float *x = x0 + layer * part, *mixed = scratch + at->mixed + layer * part;
        cross_turn(x0, mixed, grad, grad_x0, of_mixed, scratch + at->grad_b + layer * padded, rows, padded);
        const sums_of_rows of_w = {of_mixed, 1, padded, rows, x, grad_w + layer * matrix, padded, 0, 0, 0, 0};
        add_product(&of_w, at->width);
        const sums_of_rows of_x = {of_mixed, padded, 1, at->width, w + layer * matrix, grad, padded, 0, 0, 0, 0};
        add_product(&of_x, rows);
    }
    for (int64_t r = 0; call->grad_x && r < rows; r++) {
        float *to = call->grad_x + (row + r) * at->width;
        for (int64_t d = 0; d < at->width; d += LANES) {
            const int64_t left = at->width - d;
            const vec total = load(grad + r * padded + d) + load(grad_x0 + r * padded + d);
            store_part(to + d, total, left < LANES ? left : LANES);
        }
    }
}

static void cross_backward(const dagfm_call *call, int64_t first, int64_t rows, float *scratch) {
    const cross_layout at = cross_layout_of(call, 1);
    const int64_t depth = call->depth, matrices = depth * at.width * at.padded, even = at.width == at.padded;
    const float *w = even ? call->p : scratch + at.straight;
    float *grad_w = even ? call->grad_p : scratch + at.grad_w;
    cross_open(call, scratch, &at);
    if (!even) put_apart(scratch + at.straight, call->p, depth * at.width, at.width, at.padded);
    memset(grad_w, 0, matrices * sizeof(float));
    memset(scratch + at.grad_b, 0, depth * at.padded * sizeof(float));
    memset(scratch + at.grad_head, 0, at.padded * sizeof(float));
    double bias = 0;
    for (int64_t row = first; row < first + rows; row += at.block) {
        const int64_t left = first + rows - row, count = left < at.block ? left : at.block;
        cross_there(call, row, count, scratch, &at, 1);
        if (call->loss) *call->loss += loss_of_rows(call, row, count);
        cross_back(call, w, grad_w, row, count, scratch, &at);
        for (int64_t r = row; r < row + count; r++) bias += call->grad[r];
    }
    if (!even) put_together(call->grad_p, grad_w, depth * at.width, at.width, at.padded);
    put_together(call->grad_q, scratch + at.grad_b, depth, at.width, at.padded);
    put_together(call->grad_head, scratch + at.grad_head, 1, at.width, at.padded);
    *call->grad_bias = (float)bias;
}

#endif
