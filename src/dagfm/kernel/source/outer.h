/* Outer messages, <p, h> q: rows lie in lanes here, so that neither inner products nor logits sum over lanes.
 *
 * In a block of k vectors of rows, states are [node][column of D] and numbers on edges [pair] of k * LANES floats, and
 * everything is a product of a matrix of weights, whose numbers are spread over lanes, with such vectors. Gradients of
 * weights sum over rows: for them states are turned, so that columns of D lie in lanes and rows' numbers are spread.
 */
#ifndef DAGFM_OUTER_H
#define DAGFM_OUTER_H

#include "inner.h"
#include "loss.h"
#include "product.h"

#define MANY 3 /* vectors of rows in a block; the last blocks have one */

/* Numbers by MANY vectors, and numbers by one vector, whose sums fit into the registers. */
#if ROWS == 6
#define WIDE 8
#define TALL 12
#else
#define WIDE 4
#define TALL 8
#endif

/* What a thread keeps in scratch: offsets, in floats. */
typedef struct {
    int64_t q;              /* (L, pairs, D), pairs in the order of the lower triangle */
    int64_t h0, h, sums;    /* states: one, L and L - 1 of them; forward one and one */
    int64_t numbers;        /* <p, h> on edges, pairs of the lower triangle: L of them; forward one */
    int64_t grad_numbers;   /* likewise, of the upper triangle: one */
    int64_t back, grad_h0;  /* gradients of A_t and H0 */
    int64_t node_sums;      /* the states' sums over D, of all layers and nodes */
    int64_t grads;          /* of the summed states */
    int64_t turned, other;  /* LANES columns of all nodes, [row][node] of LANES floats: two of them */
    int64_t few;            /* forward: H0, H_t and A_t of a single row, columns of D in lanes */
    int64_t x, p_rest, q_rest, grad_p, grad_q; /* the last columns, where they are fewer than LANES */
    int64_t grad_c, grad_head;                 /* vectors, summed over their lanes at the end */
    int64_t end;
} outer_layout;

static outer_layout outer_layout_of(const dagfm_call *call, int backward) {
    const int64_t wide = MANY * LANES, fields = call->fields, depth = call->depth, pairs = pairs_of(fields);
    const int64_t size = fields * call->size * wide, rest = call->size % LANES ? depth * pairs * LANES : 0;
    outer_layout at = {0};
    at.q = taken(&at.end, depth * pairs * call->size);
    at.h0 = taken(&at.end, size);
    at.h = taken(&at.end, (backward ? depth : 1) * size);
    at.numbers = taken(&at.end, (backward ? depth : 1) * pairs * wide);
    at.turned = taken(&at.end, fields * LANES * wide);
    at.x = taken(&at.end, rest ? fields * LANES * wide : 0);
    if (!backward) {
        at.p_rest = taken(&at.end, rest);
        at.q_rest = taken(&at.end, rest);
        at.few = taken(&at.end, 3 * fields * (call->size + LANES - 1) / LANES * LANES);
        return at;
    }
    at.sums = taken(&at.end, depth * size);
    at.grad_numbers = taken(&at.end, pairs * wide);
    at.back = taken(&at.end, size);
    at.grad_h0 = taken(&at.end, size);
    at.node_sums = taken(&at.end, call->head ? fields * (depth + 1) * wide : 0);
    at.grads = taken(&at.end, fields * (depth + 1) * wide);
    at.other = taken(&at.end, fields * LANES * wide);
    at.grad_p = taken(&at.end, rest);
    at.grad_q = taken(&at.end, rest);
    at.grad_c = taken(&at.end, connects_of(call) * LANES);
    at.grad_head = taken(&at.end, call->head ? fields * (depth + 1) * LANES : 0);
    return at;
}

/* Run PART(m) over things i, m of them at a time. */
#define ALL_PARTS(most, count)                                       \
    do {                                                             \
        int64_t i = 0;                                               \
        for (; i + most <= (count); i += most) PART(most);           \
        if (most > 4)                                                \
            for (; i + 4 <= (count); i += 4) PART(4);                \
        for (; i < (count); i++) PART(1);                            \
    } while (0)

#define EACH_SUM(m, k) EACH_OF(m) UNROLL for (int v = 0; v < k; v++)

typedef struct {
    const dagfm_call *call;
    const outer_layout *at;
    float *scratch;
    int64_t row, rows; /* of the block: the first, and how many */
    vec total[MANY];   /* their logits, less the bias */
} block;

/* LANES columns of rows into vectors of rows, the rows that are missing zero. */
INLINE void turn_in(const int k, float *to, const float *from, int64_t row, int64_t rows, int64_t columns) {
    UNROLL for (int v = 0; v < k; v++) {
        const int64_t left = rows - v * LANES, here = left < 0 ? 0 : left < LANES ? left : LANES;
        const float *start = from + v * LANES * row;
        if (here == LANES && columns == LANES) {
            transpose(to + v * LANES, k * LANES, start, row);
            continue;
        }
        float part[LANES * LANES] = {0}, turned[LANES * LANES];
        for (int64_t r = 0; r < here; r++) memcpy(part + r * LANES, start + r * row, columns * sizeof(float));
        transpose(turned, LANES, part, LANES);
        for (int64_t c = 0; c < columns; c++) store(to + c * k * LANES + v * LANES, load(turned + c * LANES));
    }
}

/* The other way; the columns that are missing are written as zeros up to `lanes`, none beyond. */
INLINE void turn_out(const int k, float *to, const float *from, int64_t row, int64_t rows, int64_t columns,
                     int64_t lanes) {
    UNROLL for (int v = 0; v < k; v++) {
        const int64_t left = rows - v * LANES, here = left < 0 ? 0 : left < LANES ? left : LANES;
        float *start = to + v * LANES * row;
        if (here == LANES && columns == LANES) {
            transpose(start, row, from + v * LANES, k * LANES);
            continue;
        }
        float part[LANES * LANES] = {0}, turned[LANES * LANES];
        for (int64_t c = 0; c < columns; c++) store(part + c * LANES, load(from + c * k * LANES + v * LANES));
        transpose(turned, LANES, part, LANES);
        for (int64_t r = 0; r < here; r++) memcpy(start + r * row, turned + r * LANES, lanes * sizeof(float));
    }
}

#define AT(name) (in->scratch + in->at->name)

/* H0 of a block. */
INLINE void start_block(const int k, const block *in) {
    const dagfm_call *call = in->call;
    for (int64_t column = 0; column < call->size; column += LANES) {
        const columns part = columns_from(call, column, NULL, NULL);
        const states x =
            x_columns(&part, call->x + in->row * call->row_stride + column, in->rows, AT(x));
        const states h0 = call->connect == NO_CONNECT ? x : in_scratch(call, AT(turned));
        if (call->connect != NO_CONNECT) connect(call, x, h0, in->rows);
        for (int64_t f = 0; f < call->fields; f++)
            turn_in(k, AT(h0) + (f * call->size + column) * k * LANES, cell(h0, 0, f), h0.row, in->rows, part.lanes);
    }
}

/* What becomes of the states' sums over D, of a node of a layer. */
INLINE void use_sums(const int k, const enum purpose purpose, block *in, const vec sums[MANY], int64_t node) {
    const dagfm_call *call = in->call;
    if (call->head) {
        UNROLL for (int v = 0; v < k; v++) in->total[v] += sums[v] * call->head[node];
        if (purpose == FORWARD) return;
        UNROLL for (int v = 0; v < k; v++) store(AT(node_sums) + (node * k + v) * LANES, sums[v]);
    } else if (purpose == FORWARD) {
        float part[MANY * LANES];
        UNROLL for (int v = 0; v < k; v++) store(part + v * LANES, sums[v]);
        float *to = call->out + in->row * call->fields * (call->depth + 1) + node;
        for (int64_t r = 0; r < in->rows; r++) to[r * call->fields * (call->depth + 1)] = part[r];
    }
}

/* What nodes that are not among the call's send to all rows alike: sums of messages, [layer][node], and parts of H0, [node];
 * vectors `node` floats apart. */
typedef struct {
    const float *sums, *start;
    int64_t node;
} received;

/* Every layer of a block; on the way back all states, sums and numbers are kept. */
INLINE void run_block(const int k, const enum purpose purpose, block *in, const received *others) {
    const dagfm_call *call = in->call;
    const int64_t fields = call->fields, size = call->size, pairs = pairs_of(fields), wide = k * LANES;
    const int64_t level = fields * size * MANY * LANES, edges = pairs * MANY * LANES;
    vec acc[TALL][VECTORS];
    for (int64_t s = 0; s < fields; s++) {
        vec whole[MANY] = {{0}};
        for (int64_t d = 0; d < size; d++)
            UNROLL for (int v = 0; v < k; v++) whole[v] += load(AT(h0) + (s * size + d) * wide + v * LANES);
        use_sums(k, purpose, in, whole, s);
    }
    const float *h = AT(h0);
    for (int64_t layer = 0; layer < call->depth; layer++) {
        const int64_t kept = purpose == FORWARD ? 0 : layer;
        const float *p = call->p + layer * pairs * size, *q = AT(q) + layer * pairs * size;
        float *const numbers = AT(numbers) + kept * edges, *const sums = AT(sums) + kept * level;
        float *const next = AT(h) + kept * level;
        for (int64_t f = 0; f < fields; f++) {
            const float *from = p + (upper(fields, f) + f) * size, *state = h + f * size * wide;
#define PART(m)                                                                                       \
    do {                                                                                              \
        product(acc, m, k, from + i * size, size, 1, state, wide, size);                              \
        EACH_SUM(m, k) store(numbers + (lower(f + i + i_) + f) * wide + v * LANES, acc[i_][v]);       \
    } while (0)
            ALL_PARTS(WIDE, fields - f);
#undef PART
        }
        for (int64_t s = 0; s < fields; s++) {
            vec whole[MANY] = {{0}};
#define PART(m)                                                                                        \
    do {                                                                                               \
        product(acc, m, k, q + lower(s) * size + i, 1, size, numbers + lower(s) * wide, wide, s + 1);  \
        EACH_SUM(m, k) {                                                                               \
            const int64_t here = (s * size + i + i_) * wide + v * LANES;                               \
            if (others) acc[i_][v] += all(others->sums[(layer * fields + s) * others->node + i + i_]); \
            if (purpose != FORWARD) store(sums + here, acc[i_][v]);                                    \
            const vec state = acc[i_][v] * load(AT(h0) + here);                                        \
            store(next + here, state);                                                                 \
            whole[v] += state;                                                                         \
        }                                                                                              \
    } while (0)
            ALL_PARTS(WIDE, size);
#undef PART
            use_sums(k, purpose, in, whole, (layer + 1) * fields + s);
        }
        h = next;
    }
}

/* LANES columns of every node of a block, turned. */
INLINE states turned(const int k, const block *in, const float *from, int64_t column, int64_t columns, float *to) {
    const states all = in_scratch(in->call, to);
    for (int64_t f = 0; f < in->call->fields; f++)
        turn_out(k, cell(all, 0, f), from + (f * in->call->size + column) * k * LANES, all.row, in->rows, columns, LANES);
    return all;
}

/* From the gradient of H_t, of a node and a column of D, to those of A_t and H0. */
INLINE void pass(float *grad_sums, float *grad_h0, const float *h0, const float *sums, int64_t here, vec grad) {
    store(grad_h0 + here, load(grad_h0 + here) + grad * load(sums + here));
    store(grad_sums + here, grad * load(h0 + here));
}

/* The gradients of a layer's weights, from that of A_t and of the numbers. */
INLINE void weigh_layer(const int k, const block *in, int64_t layer, const float *h) {
    const dagfm_call *call = in->call;
    const int64_t fields = call->fields, size = call->size, pairs = pairs_of(fields), wide = k * LANES;
    const float *numbers = AT(numbers) + layer * pairs * MANY * LANES, *grad_numbers = AT(grad_numbers);
    vec acc[TALL][VECTORS];
    for (int64_t column = 0; column < size; column += LANES) {
        const int whole = size - column >= LANES;
        const int64_t lanes = whole ? LANES : size - column, step = whole ? size : LANES;
        float *grad_p = whole ? call->grad_p + layer * pairs * size + column : AT(grad_p) + layer * pairs * LANES;
        float *grad_q = whole ? call->grad_q + layer * pairs * size + column : AT(grad_q) + layer * pairs * LANES;
        const states of = turned(k, in, h, column, lanes, AT(turned));
        const states back = turned(k, in, AT(back), column, lanes, AT(other));
        for (int64_t f = 0; f < fields; f++) {
#define PART(m)                                                                                                \
    do {                                                                                                       \
        const int64_t pair = upper(fields, f) + f + i;                                                         \
        product(acc, m, 1, grad_numbers + pair * wide, wide, 1, cell(of, 0, f), of.row, in->rows);             \
        EACH_OF(m) store(grad_p + (pair + i_) * step, load(grad_p + (pair + i_) * step) + acc[i_][0]);         \
    } while (0)
            ALL_PARTS(TALL, fields - f);
#undef PART
        }
        for (int64_t s = 0; s < fields; s++) {
#define PART(m)                                                                                                \
    do {                                                                                                       \
        product(acc, m, 1, numbers + (lower(s) + i) * wide, wide, 1, cell(back, 0, s), back.row, in->rows);    \
        EACH_OF(m) {                                                                                           \
            float *const to = grad_q + (upper(fields, i + i_) + s) * step;                                     \
            store(to, load(to) + acc[i_][0]);                                                                  \
        }                                                                                                      \
    } while (0)
            ALL_PARTS(TALL, s + 1);
#undef PART
        }
    }
}

/* The way back through every layer of a block. */
INLINE void return_block(const int k, const block *in) {
    const dagfm_call *call = in->call;
    const int64_t fields = call->fields, size = call->size, pairs = pairs_of(fields), wide = k * LANES;
    const int64_t level = fields * size * MANY * LANES;
    float *const grads = AT(grads), *const grad_h0 = AT(grad_h0), *const back = AT(back);
    const float *h0 = AT(h0);
    vec acc[TALL][VECTORS];
    memset(grad_h0, 0, fields * size * wide * sizeof(float));
    for (int64_t s = 0; s < fields; s++)
        for (int64_t d = 0; d < size; d++)
            UNROLL for (int v = 0; v < k; v++)
                pass(back, grad_h0, h0, AT(sums) + (call->depth - 1) * level, (s * size + d) * wide + v * LANES,
                     load(grads + (call->depth * fields + s) * wide + v * LANES));
    for (int64_t layer = call->depth - 1; layer >= 0; layer--) {
        const float *p = call->p + layer * pairs * size, *q = AT(q) + layer * pairs * size;
        const float *h = layer ? AT(h) + (layer - 1) * level : h0, *sums = AT(sums) + (layer - 1) * level * (layer > 0);
        float *const grad_numbers = AT(grad_numbers);
        for (int64_t s = 0; s < fields; s++) {
#define PART(m)                                                                                           \
    do {                                                                                                  \
        product(acc, m, k, q + (lower(s) + i) * size, size, 1, back + s * size * wide, wide, size);       \
        EACH_SUM(m, k) store(grad_numbers + (upper(fields, i + i_) + s) * wide + v * LANES, acc[i_][v]);  \
    } while (0)
            ALL_PARTS(WIDE, s + 1);
#undef PART
        }
        weigh_layer(k, in, layer, h);
        if (!layer && !call->grad_x && call->connect == NO_CONNECT) return;
        for (int64_t f = 0; f < fields; f++) {
            const int64_t pair = upper(fields, f) + f;
            vec grad[MANY];
            UNROLL for (int v = 0; v < k; v++) grad[v] = load(grads + (layer * fields + f) * wide + v * LANES);
#define PART(m)                                                                                            \
    do {                                                                                                   \
        product(acc, m, k, p + pair * size + i, 1, size, grad_numbers + pair * wide, wide, fields - f);    \
        EACH_SUM(m, k) {                                                                                   \
            const int64_t here = (f * size + i + i_) * wide + v * LANES;                                   \
            if (layer)                                                                                     \
                pass(back, grad_h0, h0, sums, here, acc[i_][v] + grad[v]);                                 \
            else                                                                                           \
                store(grad_h0 + here, load(grad_h0 + here) + acc[i_][v] + grad[v]);                        \
        }                                                                                                  \
    } while (0)
            ALL_PARTS(WIDE, size);
#undef PART
        }
    }
    for (int64_t column = 0; column < size; column += LANES) {
        const columns part = columns_from(call, column, NULL, NULL);
        const states x = grad_columns(call, in->row, column);
        if (call->connect == NO_CONNECT) {
            for (int64_t f = 0; f < fields; f++)
                turn_out(k, cell(x, 0, f), grad_h0 + (f * size + column) * wide, x.row, in->rows, part.lanes, part.lanes);
            continue;
        }
        const states of = turned(k, in, grad_h0, column, part.lanes, AT(turned));
        correlate(call->connect == CAUSAL_CONNECT ? LOWER : SQUARE, fields, AT(grad_c), LANES,
                  x_columns(&part, call->x + in->row * call->row_stride + column, in->rows, AT(x)), of, in->rows);
        if (call->grad_x) disconnect(call, part.lanes, of, x, in->rows);
    }
}

/* The block's gradients of summed states, its rows in lanes, and of the head. */
INLINE void grads_of(const int k, block *in) {
    const dagfm_call *call = in->call;
    const int64_t width = call->fields * (call->depth + 1);
    float part[MANY * LANES] = {0};
    vec logits[MANY] = {{0}};
    if (call->head) {
        memcpy(part, call->grad + in->row, in->rows * sizeof(float));
        UNROLL for (int v = 0; v < k; v++) logits[v] = load(part + v * LANES);
    }
    for (int64_t node = 0; node < width; node++) {
        if (call->head) {
            float *const weighed = AT(grad_head) + node * LANES;
            vec sum = load(weighed);
            UNROLL for (int v = 0; v < k; v++) {
                sum += load(AT(node_sums) + (node * k + v) * LANES) * logits[v];
                store(AT(grads) + (node * k + v) * LANES, logits[v] * call->head[node]);
            }
            store(weighed, sum);
        } else {
            for (int64_t r = 0; r < in->rows; r++) part[r] = call->grad[(in->row + r) * width + node];
            UNROLL for (int v = 0; v < k; v++) store(AT(grads) + (node * k + v) * LANES, load(part + v * LANES));
        }
    }
}

/* The block's logits, from their parts. */
INLINE void logits_of(const int k, const block *in) {
    float part[MANY * LANES];
    UNROLL for (int v = 0; v < k; v++) store(part + v * LANES, in->total[v] + *in->call->bias);
    memcpy(in->call->out + in->row, part, in->rows * sizeof(float));
}

INLINE void block_forward(const int k, block *in) {
    start_block(k, in);
    UNROLL for (int v = 0; v < k; v++) in->total[v] = (vec){0};
    run_block(k, FORWARD, in, NULL);
    if (in->call->head) logits_of(k, in);
}

/* The same with what other nodes sent. */
INLINE void block_received(const int k, block *in, const received *others) {
    const int64_t size = in->call->size;
    start_block(k, in);
    for (int64_t i = 0; i < in->call->fields * size; i++) {
        const vec start = all(others->start[i / size * others->node + i % size]);
        UNROLL for (int v = 0; v < k; v++) {
            float *const to = AT(h0) + (i * k + v) * LANES;
            store(to, load(to) + start);
        }
    }
    UNROLL for (int v = 0; v < k; v++) in->total[v] = (vec){0};
    run_block(k, FORWARD, in, others);
    logits_of(k, in);
}

INLINE void block_backward(const int k, block *in) {
    start_block(k, in);
    UNROLL for (int v = 0; v < k; v++) in->total[v] = (vec){0};
    run_block(k, KEPT, in, NULL);
    if (in->call->loss) {
        logits_of(k, in);
        *in->call->loss += loss_of_rows(in->call, in->row, in->rows);
    }
    grads_of(k, in);
    return_block(k, in);
}

/* q with its pairs in the order of the lower triangle. */
static void order_q(const dagfm_call *call, float *to) {
    const int64_t size = call->size, pairs = pairs_of(call->fields);
    for (int64_t layer = 0; layer < call->depth; layer++)
        for (int64_t s = 0; s < call->fields; s++)
            for (int64_t f = 0; f <= s; f++)
                memcpy(to + (layer * pairs + lower(s) + f) * size,
                       call->q + (layer * pairs + upper(call->fields, f) + s) * size, size * sizeof(float));
}

/* Run BLOCK(k) over all rows, MANY vectors of them at a time. */
#define ALL_BLOCKS()                                                                         \
    do {                                                                                     \
        block part = {.call = call, .at = &at, .scratch = scratch, .row = first};            \
        for (int64_t left = rows; left > 0; left -= part.rows, part.row += part.rows) {      \
            if (left >= MANY * LANES) {                                                      \
                part.rows = MANY * LANES;                                                    \
                BLOCK(MANY);                                                                 \
            } else {                                                                         \
                part.rows = left < LANES ? left : LANES;                                     \
                BLOCK(1);                                                                    \
            }                                                                                \
        }                                                                                    \
    } while (0)

/* A row by itself, columns of D in lanes: a block would take it for LANES of them. */
static void outer_single(const dagfm_call *call, int64_t row, float *scratch, const outer_layout *at) {
    const int64_t fields = call->fields, size = call->size, pairs = pairs_of(fields), depth = call->depth;
    const int64_t parts = (size + LANES - 1) / LANES, node = parts * LANES;
    float *const h0 = scratch + at->few, *const next = h0 + fields * node, *const sums = next + fields * node;
    float *const out = call->head ? NULL : call->out + row * fields * (depth + 1);
    vec total = {0};
    for (int64_t c = 0; c < parts; c++) {
        const columns part = columns_from(call, c * LANES, NULL, NULL);
        const states x = x_columns(&part, call->x + row * call->row_stride + c * LANES, 1, scratch + at->x);
        const states to = {h0 + c * LANES, 0, node};
        if (call->connect == CAUSAL_CONNECT) connect_rows(1, LOWER, call, x, to);
        if (call->connect == FULL_CONNECT) connect_rows(1, SQUARE, call, x, to);
        for (int64_t f = 0; call->connect == NO_CONNECT && f < fields; f++)
            store(cell(to, 0, f), load(cell(x, 0, f)));
    }
    const float *h = h0;
    for (int64_t layer = 0; layer <= depth; layer++) {
        for (int64_t s = 0; s < fields; s++) {
            vec whole = {0};
            for (int64_t c = 0; c < node; c += LANES) {
                const vec state = layer ? load(sums + s * node + c) * load(h0 + s * node + c) : load(h0 + s * node + c);
                if (layer) store(next + s * node + c, state);
                whole += state;
            }
            if (out)
                out[layer * fields + s] = sum(whole);
            else
                total += whole * call->head[layer * fields + s];
        }
        if (layer == depth) break;
        if (layer) h = next;
        memset(sums, 0, fields * node * sizeof(float));
        for (int64_t f = 0; f < fields; f++)
            for (int64_t s = f; s < fields; s++) {
                const int64_t pair = layer * pairs + upper(fields, f) + s;
                vec number = {0};
                for (int64_t c = 0; c < parts; c++) {
                    const int rest = c * LANES + LANES > size;
                    const float *p = rest ? scratch + at->p_rest + pair * LANES : call->p + pair * size + c * LANES;
                    number += load(p) * load(h + f * node + c * LANES);
                }
                number = sum_everywhere(number);
                for (int64_t c = 0; c < parts; c++) {
                    const int rest = c * LANES + LANES > size;
                    const float *q = rest ? scratch + at->q_rest + pair * LANES : call->q + pair * size + c * LANES;
                    float *const to = sums + s * node + c * LANES;
                    store(to, load(to) + number * load(q));
                }
            }
    }
    if (!out) call->out[row] = *call->bias + sum(total);
}

#define FEW_ROWS 4 /* a block of LANES rows costs as much as five single ones */

static void outer_forward(const dagfm_call *call, int64_t first, int64_t rows, float *scratch) {
    const outer_layout at = outer_layout_of(call, 0);
    if (rows <= FEW_ROWS) {
        fill_up(call, scratch + at.p_rest, call->p);
        fill_up(call, scratch + at.q_rest, call->q);
        for (int64_t row = first; row < first + rows; row++) outer_single(call, row, scratch, &at);
        return;
    }
    order_q(call, scratch + at.q);
#define BLOCK(k) block_forward(k, &part)
    ALL_BLOCKS();
#undef BLOCK
}

static void outer_backward(const dagfm_call *call, int64_t first, int64_t rows, float *scratch) {
    const outer_layout at = outer_layout_of(call, 1);
    const int64_t vectors = call->depth * pairs_of(call->fields), width = call->fields * (call->depth + 1);
    const int64_t rest = call->size % LANES ? vectors * LANES : 0;
    order_q(call, scratch + at.q);
    memset(call->grad_p, 0, vectors * call->size * sizeof(float));
    memset(call->grad_q, 0, vectors * call->size * sizeof(float));
    memset(scratch + at.grad_p, 0, rest * sizeof(float));
    memset(scratch + at.grad_q, 0, rest * sizeof(float));
    memset(scratch + at.grad_c, 0, connects_of(call) * LANES * sizeof(float));
    if (call->head) memset(scratch + at.grad_head, 0, width * LANES * sizeof(float));
#define BLOCK(k) block_backward(k, &part)
    ALL_BLOCKS();
#undef BLOCK
    take_out(call, call->grad_p, scratch + at.grad_p);
    take_out(call, call->grad_q, scratch + at.grad_q);
    finish(call, first, rows, scratch + at.grad_c, scratch + at.grad_head);
}

#endif
