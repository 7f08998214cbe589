/* Outer messages of a single row, columns of D in lanes: the weights are packed once so that nothing sums over lanes.
 *
 * p lies with sources' columns along: [layer][f][d] and then a vector for every LANES nodes s from f on, so that a
 * product with the numbers of h_f gives <p, h_f> of LANES pairs at a time. q lies by nodes, [layer][s][f][columns].
 */
#ifndef DAGFM_ROW_H
#define DAGFM_ROW_H

#include "outer.h"
#include "scoring.h"

INLINE int64_t whole(int64_t size) { return (size + LANES - 1) / LANES * LANES; }

/* Floats of packed p before source f of a layer; for f = fields those of the layer. */
static int64_t packed_before(const dagfm_call *net, int64_t f) {
    int64_t floats = 0;
    for (int64_t i = 0; i < f; i++) floats += whole(net->fields - i) * net->size;
    return floats;
}

static int64_t packed_floats(const dagfm_model *model) {
    const dagfm_call *net = &model->net;
    if (net->message != OUTER) return 0;
    return net->depth * (packed_before(net, net->fields) + pairs_of(net->fields) * whole(net->size));
}

static void pack_weights(const dagfm_model *model, float *to) {
    const dagfm_call *net = &model->net;
    const int64_t fields = net->fields, size = net->size, pairs = pairs_of(fields), node = whole(size);
    if (net->message != OUTER) return;
    memset(to, 0, packed_floats(model) * sizeof(float));
    for (int64_t layer = 0; layer < net->depth; layer++)
        for (int64_t f = 0; f < fields; f++) {
            for (int64_t s = f; s < fields; s++)
                for (int64_t d = 0; d < size; d++)
                    to[d * whole(fields - f) + s - f] = net->p[(layer * pairs + upper(fields, f) + s) * size + d];
            to += whole(fields - f) * size;
        }
    for (int64_t layer = 0; layer < net->depth; layer++)
        for (int64_t s = 0; s < fields; s++)
            for (int64_t f = 0; f <= s; f++, to += node)
                memcpy(to, net->q + (layer * pairs + upper(fields, f) + s) * size, size * sizeof(float));
}

/* Numbers of a row's pairs lie by sources, so far apart: the last vector of a source reaches past the last node. */
INLINE int64_t numbers_apart(const dagfm_call *net) { return net->fields + LANES; }

static int64_t row_floats(const dagfm_call *net) {
    return 3 * net->fields * whole(net->size) + net->fields * numbers_apart(net) + 16;
}

/* <p, h_f> of n vectors of nodes; the columns by turns, as one sum of them would wait for itself. */
INLINE void row_numbers(const int n, const float *p, int64_t apart, const float *h, int64_t size, float *to) {
    vec even[4], odd[4];
    UNROLL for (int v = 0; v < n; v++) even[v] = odd[v] = (vec){0};
    int64_t d = 0;
    for (; d + 2 <= size; d += 2, p += 2 * apart) {
        const vec one = all(h[d]), other = all(h[d + 1]);
        UNROLL for (int v = 0; v < n; v++) {
            even[v] += load(p + v * LANES) * one;
            odd[v] += load(p + apart + v * LANES) * other;
        }
    }
    if (d < size) UNROLL for (int v = 0; v < n; v++) even[v] += load(p + v * LANES) * all(h[d]);
    UNROLL for (int v = 0; v < n; v++) store(to + v * LANES, even[v] + odd[v]);
}

/* H_t of n nodes from s on, LANES columns; adds up what they are for. */
INLINE void row_nodes(const int n, const float *q, int64_t node, const float *numbers, int64_t apart, const float *h0,
                      float *h, int64_t s, vec sums[4]) {
    vec acc[4];
    UNROLL for (int j = 0; j < n; j++) acc[j] = (vec){0};
    for (int64_t f = 0; f <= s; f++)
        UNROLL for (int j = 0; j < n; j++)
            acc[j] += load(q + (lower(s + j) + f) * node) * all(numbers[f * apart + s + j - f]);
    UNROLL for (int d = 1; d < n; d++) UNROLL for (int j = d; j < n; j++)
        acc[j] += load(q + (lower(s + j) + s + d) * node) * all(numbers[(s + d) * apart + j - d]);
    UNROLL for (int j = 0; j < n; j++) {
        acc[j] *= load(h0 + (s + j) * node);
        store(h + (s + j) * node, acc[j]);
        sums[j] += acc[j];
    }
}

/* The logit, or the summed states, of one row of vectors `field` floats apart, filled up with zeros. */
static void outer_row(const dagfm_model *model, const float *x, int64_t field, float *out, float *scratch) {
    const dagfm_call *net = &model->net;
    const int64_t fields = net->fields, node = whole(net->size), apart = numbers_apart(net);
    float *const mixed = scratch, *const states_[2] = {mixed + fields * node, mixed + 2 * fields * node};
    float *const numbers = mixed + 3 * fields * node;
    const float *h0 = x, *p = model->packed, *q = p + net->depth * packed_before(net, fields);
    for (int64_t c = 0; c < node && net->connect != NO_CONNECT; c += LANES) {
        const states from = {x + c, 0, field}, to = {mixed + c, 0, node};
        if (net->connect == CAUSAL_CONNECT)
            connect_rows(1, LOWER, net, from, to);
        else
            connect_rows(1, SQUARE, net, from, to);
        h0 = mixed;
    }
    vec total = {0};
    for (int64_t s = 0; s < fields; s++) {
        vec sums = {0};
        for (int64_t c = 0; c < node; c += LANES) sums += load(h0 + s * node + c);
        if (net->head)
            total += sums * net->head[s];
        else
            out[s] = sum(sums);
    }
    const float *h = h0;
    for (int64_t layer = 0; layer < net->depth; layer++) {
        float *const next = states_[layer % 2];
        for (int64_t f = 0; f < fields; f++) {
            const int64_t along = whole(fields - f);
            for (int64_t v = 0; v < along; v += 4 * LANES) {
                float *const to = numbers + f * apart + v;
                const float *const state = h + f * node;
                if (along - v >= 4 * LANES)
                    row_numbers(4, p + v, along, state, net->size, to);
                else if (along - v == 3 * LANES)
                    row_numbers(3, p + v, along, state, net->size, to);
                else if (along - v == 2 * LANES)
                    row_numbers(2, p + v, along, state, net->size, to);
                else
                    row_numbers(1, p + v, along, state, net->size, to);
            }
            p += along * net->size;
        }
#define NODES(n)                                                                                    \
    do {                                                                                            \
        vec sums[4] = {{0}};                                                                        \
        for (int64_t c = 0; c < node; c += LANES)                                                   \
            row_nodes(n, q + c, node, numbers, apart, h0 + c, next + c, s, sums);                   \
        UNROLL for (int j = 0; j < n; j++) {                                                        \
            const int64_t state = (layer + 1) * fields + s + j;                                     \
            if (net->head)                                                                          \
                total += sums[j] * net->head[state];                                                \
            else                                                                                    \
                out[state] = sum(sums[j]);                                                          \
        }                                                                                           \
    } while (0)
        ALL_NODES(fields);
#undef NODES
        q += pairs_of(fields) * node;
        h = next;
    }
    if (net->head) *out = *net->bias + sum(total);
}

#endif
