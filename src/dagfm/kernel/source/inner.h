/* Inner messages, p ⊙ h: columns of D never meet before the last sum, so LANES of them are taken at a time. */
#ifndef DAGFM_INNER_H
#define DAGFM_INNER_H

#include "loss.h"
#include "tiles.h"

/* LANES columns of D. */
typedef struct {
    const dagfm_call *call;
    int64_t lanes;  /* how many of them there are; the others are zero */
    const float *p; /* (L, pairs) of vectors */
    float *grad_p;
    int64_t step, layer; /* of p and grad_p, from pair to pair and from layer to layer */
} columns;

/* States in scratch: rows of fields of LANES floats. */
INLINE states in_scratch(const dagfm_call *call, float *at) { return (states){at, call->fields * LANES, LANES}; }

INLINE states from_row(states h, int64_t row) { return (states){h.at + row * h.row, h.row, h.field}; }

INLINE float *cell(states h, int64_t r, int64_t f) { return (float *)h.at + r * h.row + f * h.field; }

/* Run NODES(4) over all nodes s, and NODES of what is left. */
#define ALL_NODES(fields)                             \
    do {                                              \
        int64_t s = 0;                                \
        for (; s + 4 <= (fields); s += 4) NODES(4);   \
        if ((fields) - s == 3) NODES(3);              \
        if ((fields) - s == 2) NODES(2);              \
        if ((fields) - s == 1) NODES(1);              \
    } while (0)

/* Run FEW(ROWS) over all rows r, and FEW(1) over what is left. */
#define ALL_ROWS(rows)                                \
    do {                                              \
        int64_t r = 0;                                \
        for (; r + ROWS <= (rows); r += ROWS) FEW(ROWS); \
        for (; r < (rows); r++) FEW(1);               \
    } while (0)

#define EACH_OF(m) UNROLL for (int i_ = 0; i_ < m; i_++)
#define EACH(m, n) UNROLL for (int r_ = 0; r_ < m; r_++) UNROLL for (int j = 0; j < n; j++)

/* H0 = C E of m rows. */
INLINE void connect_rows(const int m, const enum kind kind, const dagfm_call *call, states x, states h0) {
    vec acc[8][4];
#define NODES(n)                                                             \
    do {                                                                     \
        gathered(acc, m, n, kind, call->fields, call->c, 0, x, s);           \
        EACH(m, n) store(cell(h0, r_, s + j), acc[r_][j]);                   \
    } while (0)
    ALL_NODES(call->fields);
#undef NODES
}

static void connect(const dagfm_call *call, states x, states h0, int64_t rows) {
#define FEW(m)                                                                                   \
    do {                                                                                         \
        if (call->connect == CAUSAL_CONNECT)                                                     \
            connect_rows(m, LOWER, call, from_row(x, r), from_row(h0, r));                       \
        else                                                                                     \
            connect_rows(m, SQUARE, call, from_row(x, r), from_row(h0, r));                      \
    } while (0)
    ALL_ROWS(rows);
#undef FEW
}

/* The gradient of E, C' grad_h0, of m rows. */
INLINE void disconnect_rows(const int m, const enum kind kind, const dagfm_call *call, int64_t lanes, states grad_h0,
                            states grad_x) {
    vec acc[8][4];
#define NODES(n)                                                                              \
    do {                                                                                      \
        spread(acc, m, n, kind, call->fields, call->c, 0, grad_h0, s);                        \
        EACH(m, n) store_part(cell(grad_x, r_, s + j), acc[r_][j], lanes);                    \
    } while (0)
    ALL_NODES(call->fields);
#undef NODES
}

static void disconnect(const dagfm_call *call, int64_t lanes, states grad_h0, states grad_x, int64_t rows) {
#define FEW(m)                                                                                              \
    do {                                                                                                    \
        if (call->connect == CAUSAL_CONNECT)                                                                \
            disconnect_rows(m, LOWER, call, lanes, from_row(grad_h0, r), from_row(grad_x, r));              \
        else                                                                                                \
            disconnect_rows(m, SQUARE, call, lanes, from_row(grad_h0, r), from_row(grad_x, r));             \
    } while (0)
    ALL_ROWS(rows);
#undef FEW
}

/* What a layer's states are for: the result alone; the way back as well, for which they are kept; of the last layer,
 * whose states nothing is made of but their sums, A_t alone is. */
enum purpose { FORWARD, KEPT, LAST };

/* Where it goes. */
typedef struct {
    states next, sums; /* H_t, A_t */
    vec *total;        /* of each row, += head H_t; NULL: no logits are wanted */
    const float *head; /* for logits: of the layer's nodes */
    float *out;        /* FORWARD to summed states: of the layer's nodes, rows `width` apart */
    int64_t width;
} use;

INLINE use use_from_row(use to, int64_t row) {
    to.next = from_row(to.next, row);
    to.sums = from_row(to.sums, row);
    if (to.total) to.total += row;
    return to;
}

INLINE void use_states(const int m, const int n, const enum purpose purpose, vec h[][4], int64_t s, use to) {
    if (purpose == FORWARD && to.out) {
        EACH(m, n) to.out[r_ * to.width + s + j] += sum(h[r_][j]);
    } else if (purpose == FORWARD || to.total) {
        UNROLL for (int j = 0; j < n; j++) {
            const vec head = all(to.head[s + j]);
            UNROLL for (int r = 0; r < m; r++) to.total[r] += h[r][j] * head;
        }
    }
}

/* What H0 itself is for, of m rows. */
INLINE void start_rows(const int m, const enum purpose purpose, const dagfm_call *call, states h0, use to) {
    vec h[8][4];
#define NODES(n)                                                       \
    do {                                                               \
        EACH(m, n) h[r_][j] = load(cell(h0, r_, s + j));               \
        use_states(m, n, purpose, h, s, to);                           \
    } while (0)
    ALL_NODES(call->fields);
#undef NODES
}

/* A layer, H_t = H0 ⊙ A_t, of m rows. */
INLINE void layer_rows(const int m, const enum purpose purpose, const columns *in, const float *p, states h0, states h,
                       use to) {
    vec acc[8][4];
#define NODES(n)                                                                           \
    do {                                                                                   \
        gathered(acc, m, n, MESSAGES, in->call->fields, p, in->step, h, s);                \
        EACH(m, n) {                                                                       \
            if (purpose != FORWARD) store(cell(to.sums, r_, s + j), acc[r_][j]);           \
            acc[r_][j] *= load(cell(h0, r_, s + j));                                       \
            if (purpose != LAST) store(cell(to.next, r_, s + j), acc[r_][j]);              \
        }                                                                                  \
        use_states(m, n, purpose, acc, s, to);                                             \
    } while (0)
    ALL_NODES(in->call->fields);
#undef NODES
}

/* The gradient of the head's weights for the states of a layer: += the sum over rows of grad H_t. */
static void weigh_head(const dagfm_call *call, states h, const float *grad, float *grad_head, int64_t rows) {
    for (int64_t s = 0; s < call->fields; s++) {
        vec weighed = load(grad_head + s * LANES);
        for (int64_t r = 0; r < rows; r++) weighed += load(cell(h, r, s)) * grad[r];
        store(grad_head + s * LANES, weighed);
    }
}

/* The same for the last layer, H_L = H0 ⊙ A_L, and from the gradient of its summed states to those of A_L and H0. */
static void turn_back(const dagfm_call *call, const float *grads, int64_t width, states h0, states sums, states back,
                      states grad_h0, const float *grad, float *grad_head, int64_t rows) {
    for (int64_t s = 0; s < call->fields; s++) {
        vec weighed = {0};
        for (int64_t r = 0; r < rows; r++) {
            const vec of_sums = all(grads[r * width + s]), initial = load(cell(h0, r, s)), last = load(cell(sums, r, s));
            store(cell(back, r, s), of_sums * initial);
            store(cell(grad_h0, r, s), of_sums * last);
            if (grad) weighed += initial * last * grad[r];
        }
        if (grad) store(grad_head + s * LANES, load(grad_head + s * LANES) + weighed);
    }
}

/* What the gradient of H_t is for: the layers below, or, of H0, the gradient of what the states start from. */
enum below { ANOTHER_LAYER, CONNECT, EMBEDDING };

/* From the gradient of A_{t+1} to that of H_t and on, of m rows. */
INLINE void back_rows(const int m, const enum below below, const columns *in, const float *p, states grad_sums,
                      const float *grads, int64_t width, states h0, states sums, states grad_h0, states to) {
    vec acc[8][4];
#define NODES(n)                                                                           \
    do {                                                                                   \
        spread(acc, m, n, MESSAGES, in->call->fields, p, in->step, grad_sums, s);          \
        EACH(m, n) {                                                                       \
            const vec grad = acc[r_][j] + grads[r_ * width + s + j];                       \
            float *const start = cell(grad_h0, r_, s + j);                                 \
            if (below == ANOTHER_LAYER) {                                                  \
                store(start, load(start) + grad * load(cell(sums, r_, s + j)));            \
                store(cell(to, r_, s + j), grad * load(cell(h0, r_, s + j)));              \
            }                                                                              \
            if (below == CONNECT) store(start, load(start) + grad);                        \
            if (below == EMBEDDING) store_part(cell(to, r_, s + j), load(start) + grad, in->lanes); \
        }                                                                                  \
    } while (0)
    ALL_NODES(in->call->fields);
#undef NODES
}

/* What a thread keeps in scratch: offsets, in floats. */
typedef struct {
    int64_t block;              /* rows taken at a time */
    int64_t p, grad_p;          /* the last columns, where they are fewer than LANES, filled up with zeros */
    int64_t x;                  /* of the block, likewise */
    int64_t h0, h, sums;        /* states of the block: one, L - 1 and L of them; forward one and two, and none */
    int64_t back, grad_h0;      /* gradients of A_t, two of them, and of H0 */
    int64_t grads;              /* gradients of the summed states of the block */
    int64_t total;              /* of each row of the block, its logit's parts */
    int64_t grad_c, grad_head;  /* vectors, summed over their lanes at the end */
    int64_t end;
} inner_layout;

INLINE int64_t taken(int64_t *end, int64_t floats) {
    const int64_t start = *end;
    *end += (floats + 15) / 16 * 16;
    return start;
}

#define BLOCK_FLOATS (128 << 10) /* of the states of a block: they stay in the second-level cache beside the weights */

static inner_layout inner_layout_of(const dagfm_call *call, int backward) {
    const int64_t node = call->fields * LANES, depth = call->depth, rest = call->size % LANES;
    const int64_t messages = rest ? depth * pairs_of(call->fields) * LANES : 0;
    inner_layout at = {.block = ROWS};
    if (backward) {
        at.block = BLOCK_FLOATS / ((2 * depth + 3) * node) / ROWS * ROWS;
        if (at.block < ROWS) at.block = ROWS;
        if (at.block > 8 * ROWS) at.block = 8 * ROWS;
    }
    const int64_t size = at.block * node;
    at.p = taken(&at.end, messages);
    at.x = taken(&at.end, rest ? size : 0);
    at.h0 = taken(&at.end, size);
    at.h = taken(&at.end, (depth > 3 && backward ? depth - 1 : 2) * size);
    if (!backward) return at;
    at.grad_p = taken(&at.end, messages);
    at.sums = taken(&at.end, depth * size);
    at.back = taken(&at.end, 2 * size);
    at.grad_h0 = taken(&at.end, size);
    at.grads = taken(&at.end, call->head ? at.block * call->fields * (depth + 1) : 0);
    at.total = taken(&at.end, at.block * LANES);
    at.grad_c = taken(&at.end, connects_of(call) * LANES);
    at.grad_head = taken(&at.end, call->head ? call->fields * (depth + 1) * LANES : 0);
    return at;
}

/* LANES columns from `column` on; `weights` are those of the last ones where they are fewer. */
INLINE columns columns_from(const dagfm_call *call, int64_t column, float *weights, float *grads) {
    const int64_t pairs = pairs_of(call->fields), left = call->size - column;
    if (left >= LANES)
        return (columns){call, LANES, call->p + column, call->grad_p + column, call->size, pairs * call->size};
    return (columns){call, left, weights, grads, LANES, pairs * LANES};
}

/* The embeddings' columns of some rows, which are copied where they are fewer than LANES. */
INLINE states x_columns(const columns *in, const float *x, int64_t rows, float *copy) {
    const dagfm_call *call = in->call;
    const states from = {x, call->row_stride, call->field_stride};
    if (in->lanes == LANES) return from;
    const states to = in_scratch(call, copy);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t f = 0; f < call->fields; f++)
            store(cell(to, r, f), load_part(cell(from, r, f), in->lanes));
    return to;
}

/* The gradient of the embeddings of rows from `row` on and columns from `column` on. */
INLINE states grad_columns(const dagfm_call *call, int64_t row, int64_t column) {
    if (!call->grad_x) return (states){0};
    return (states){call->grad_x + row * call->fields * call->size + column, call->fields * call->size, call->size};
}

/* Copy the last columns of messages' weights, where they are fewer than LANES. */
static void fill_up(const dagfm_call *call, float *to, const float *from) {
    const int64_t rest = call->size % LANES, vectors = call->depth * pairs_of(call->fields);
    for (int64_t i = 0; rest && i < vectors; i++)
        store(to + i * LANES, load_part(from + (i + 1) * call->size - rest, rest));
}

/* The other way. */
static void take_out(const dagfm_call *call, float *to, const float *from) {
    const int64_t rest = call->size % LANES, vectors = call->depth * pairs_of(call->fields);
    for (int64_t i = 0; rest && i < vectors; i++)
        store_part(to + (i + 1) * call->size - rest, load(from + i * LANES), rest);
}

/* Logits, or summed states, of m rows. */
INLINE void inner_few(const int m, const dagfm_call *call, int64_t row, float *scratch, const inner_layout *at) {
    const int64_t fields = call->fields, size = ROWS * fields * LANES, width = fields * (call->depth + 1);
    vec total[8];
    UNROLL for (int r = 0; r < m; r++) total[r] = (vec){0};
    float *out = call->head ? NULL : call->out + row * width;
    if (out) memset(out, 0, m * width * sizeof(float));
    for (int64_t column = 0; column < call->size; column += LANES) {
        const columns in = columns_from(call, column, scratch + at->p, NULL);
        const states x = x_columns(&in, call->x + row * call->row_stride + column, m, scratch + at->x);
        const states h0 = call->connect == NO_CONNECT ? x : in_scratch(call, scratch + at->h0);
        if (call->connect == CAUSAL_CONNECT) connect_rows(m, LOWER, call, x, h0);
        if (call->connect == FULL_CONNECT) connect_rows(m, SQUARE, call, x, h0);
        use to = {.total = total, .head = call->head, .out = out, .width = width};
        start_rows(m, FORWARD, call, h0, to);
        states h = h0;
        for (int64_t layer = 0; layer < call->depth; layer++) {
            if (call->head) to.head += fields;
            if (out) to.out += fields;
            to.next = in_scratch(call, scratch + at->h + (layer % 2) * size);
            layer_rows(m, FORWARD, &in, in.p + layer * in.layer, h0, h, to);
            h = to.next;
        }
    }
    if (!out) UNROLL for (int r = 0; r < m; r++) call->out[row + r] = *call->bias + sum(total[r]);
}

static void inner_forward(const dagfm_call *call, int64_t first, int64_t rows, float *scratch) {
    const inner_layout at = inner_layout_of(call, 0);
    fill_up(call, scratch + at.p, call->p);
#define FEW(m) inner_few(m, call, first + r, scratch, &at)
    ALL_ROWS(rows);
#undef FEW
}

/* The gradients of a block's summed states from those of its logits. */
INLINE void spread_grads(const dagfm_call *call, int64_t row, int64_t rows, float *grads) {
    const int64_t width = call->fields * (call->depth + 1);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < width; i++) grads[r * width + i] = call->grad[row + r] * call->head[i];
}

/* A block's loss from the parts of its logits, and the gradients of its summed states. */
INLINE void judge_block(const dagfm_call *call, int64_t row, int64_t rows, const vec *total, float *grads) {
    for (int64_t r = 0; total && r < rows; r++) call->out[row + r] = *call->bias + sum(total[r]);
    *call->loss += loss_of_rows(call, row, rows);
    spread_grads(call, row, rows, grads);
}

/* The way there and back of a block of rows, LANES columns of it; with `total` their loss is found on the way. */
static void inner_block(const columns *in, int64_t row, int64_t column, int64_t rows, float *grads, vec *total,
                        float *scratch, const inner_layout *at) {
    const dagfm_call *call = in->call;
    const int64_t fields = call->fields, depth = call->depth, size = at->block * fields * LANES;
    const int64_t width = fields * (depth + 1);
    const states x = x_columns(in, call->x + row * call->row_stride + column, rows, scratch + at->x);
    const states h0 = call->connect == NO_CONNECT ? x : in_scratch(call, scratch + at->h0);
    const states grad_h0 = in_scratch(call, scratch + at->grad_h0);
    const states back[2] = {in_scratch(call, scratch + at->back), in_scratch(call, scratch + at->back + size)};
    if (call->connect != NO_CONNECT) connect(call, x, h0, rows);
    use to = {.total = total, .head = call->head, .width = width};
    for (int64_t r = 0; total && r < rows; r++) total[r] = (vec){0};
    if (total) {
#define FEW(m) start_rows(m, KEPT, call, from_row(h0, r), use_from_row(to, r))
        ALL_ROWS(rows);
#undef FEW
    }
#define KEPT_STATES(layer) ((layer) ? in_scratch(call, scratch + at->h + ((layer)-1) * size) : h0)
#define KEPT_SUMS(layer) in_scratch(call, scratch + at->sums + ((layer)-1) * size)
    for (int64_t layer = 1; layer <= depth; layer++) {
        const states h = KEPT_STATES(layer - 1);
        const float *p = in->p + (layer - 1) * in->layer;
        if (total) to.head += fields;
        to.next = layer < depth ? KEPT_STATES(layer) : h;
        to.sums = KEPT_SUMS(layer);
#define FEW(m)                                                                                        \
    do {                                                                                              \
        if (layer < depth)                                                                            \
            layer_rows(m, KEPT, in, p, from_row(h0, r), from_row(h, r), use_from_row(to, r));         \
        else                                                                                          \
            layer_rows(m, LAST, in, p, from_row(h0, r), from_row(h, r), use_from_row(to, r));         \
    } while (0)
        ALL_ROWS(rows);
#undef FEW
    }
    if (total) judge_block(call, row, rows, total, grads);
    const float *grad = call->head ? call->grad + row : NULL;
    float *const grad_head = scratch + at->grad_head;
    for (int64_t layer = 0; grad && layer < depth; layer++)
        weigh_head(call, KEPT_STATES(layer), grad, grad_head + layer * fields * LANES, rows);
    turn_back(call, grads + depth * fields, width, h0, KEPT_SUMS(depth), back[depth % 2], grad_h0, grad,
              grad_head + depth * fields * LANES, rows);
    const states grad_x = grad_columns(call, row, column);
    for (int64_t layer = depth; layer >= 1; layer--) {
        const states from = back[layer % 2];
        const float *p = in->p + (layer - 1) * in->layer, *below = grads + (layer - 1) * fields;
        correlate(MESSAGES, fields, in->grad_p + (layer - 1) * in->layer, in->step, KEPT_STATES(layer - 1), from, rows);
        if (layer > 1) {
            const states sums = KEPT_SUMS(layer - 1), next = back[(layer - 1) % 2];
#define BACK(m, below_, grads_, sums_, to_)                                                              \
    back_rows(m, below_, in, p, from_row(from, r), grads_ + r * width, width, from_row(h0, r), sums_,    \
              from_row(grad_h0, r), to_)
#define FEW(m) BACK(m, ANOTHER_LAYER, below, from_row(sums, r), from_row(next, r))
            ALL_ROWS(rows);
#undef FEW
        } else if (call->connect != NO_CONNECT) {
#define FEW(m) BACK(m, CONNECT, below, grad_h0, grad_h0)
            ALL_ROWS(rows);
#undef FEW
        } else if (call->grad_x) {
#define FEW(m) BACK(m, EMBEDDING, below, grad_h0, from_row(grad_x, r))
            ALL_ROWS(rows);
#undef FEW
        }
    }
    if (call->connect == NO_CONNECT) return;
    correlate(call->connect == CAUSAL_CONNECT ? LOWER : SQUARE, fields, scratch + at->grad_c, LANES, x, grad_h0, rows);
    if (call->grad_x) disconnect(call, in->lanes, grad_h0, grad_x, rows);
}

/* The sums over lanes of vectors. */
INLINE void sum_all(float *to, const float *from, int64_t count) {
    for (int64_t i = 0; i < count; i++) to[i] = sum(load(from + i * LANES));
}

/* The gradients of the connect layer, head and bias, from those kept in lanes. */
static void finish(const dagfm_call *call, int64_t first, int64_t rows, const float *grad_c, const float *grad_head) {
    sum_all(call->grad_c, grad_c, connects_of(call));
    if (!call->head) return;
    sum_all(call->grad_head, grad_head, call->fields * (call->depth + 1));
    double bias = 0;
    for (int64_t row = first; row < first + rows; row++) bias += call->grad[row];
    *call->grad_bias = (float)bias;
}

static void inner_backward(const dagfm_call *call, int64_t first, int64_t rows, float *scratch) {
    const inner_layout at = inner_layout_of(call, 1);
    const int64_t pairs = pairs_of(call->fields), width = call->fields * (call->depth + 1);
    const int64_t rest = call->size % LANES, vectors = call->depth * pairs;
    fill_up(call, scratch + at.p, call->p);
    memset(call->grad_p, 0, vectors * call->size * sizeof(float));
    memset(scratch + at.grad_c, 0, connects_of(call) * LANES * sizeof(float));
    if (rest) memset(scratch + at.grad_p, 0, vectors * LANES * sizeof(float));
    if (call->head) memset(scratch + at.grad_head, 0, width * LANES * sizeof(float));
    for (int64_t row = first; row < first + rows; row += at.block) {
        const int64_t left = first + rows - row, count = left < at.block ? left : at.block;
        float *grads = call->head ? scratch + at.grads : call->grad + row * width;
        vec *total = call->loss && call->size <= LANES ? (vec *)(scratch + at.total) : NULL;
        if (call->loss && !total) { /* the first columns' way back needs the loss, and with it all columns */
#define FEW(m) inner_few(m, call, row + r, scratch, &at)
            ALL_ROWS(count);
#undef FEW
            judge_block(call, row, count, NULL, grads);
        } else if (call->head && !total) {
            spread_grads(call, row, count, grads);
        }
        for (int64_t column = 0; column < call->size; column += LANES) {
            const columns in = columns_from(call, column, scratch + at.p, scratch + at.grad_p);
            inner_block(&in, row, column, count, grads, total, scratch, &at);
        }
    }
    take_out(call, call->grad_p, scratch + at.grad_p);
    finish(call, first, rows, scratch + at.grad_c, scratch + at.grad_head);
}

#endif
