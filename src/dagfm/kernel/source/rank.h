/* Where many candidates share a context, what depends on the context alone is computed once; inner messages.
 *
 * Nodes of the context come first, and messages run to later nodes only: so the context's states, their part of the
 * logit, and the part of every candidate node's sums that comes from them do not depend on the candidate.
 */
#ifndef DAGFM_RANK_H
#define DAGFM_RANK_H

#include "gather.h"
#include "inner.h"
#include "ranking.h"

static int64_t candidates_of(const dagfm_ranker *ranker) { return ranker->net.fields - ranker->contexts; }

/* Floats of a vector, filled up with zeros to whole ones. */
static int64_t node_of(const dagfm_ranker *ranker) { return (ranker->net.size + LANES - 1) / LANES * LANES; }

/* Where the packed weights lie: offsets, in floats. */
typedef struct {
    int64_t node;                 /* floats of a vector */
    int64_t c;                    /* of the connect layer, among candidate nodes; first, whatever the messages */
    int64_t own, across, between; /* p among the context, from it to candidate nodes, and among these */
    int64_t end;
} rank_layout;

static rank_layout rank_layout_of(const dagfm_ranker *ranker) {
    const int64_t depth = ranker->net.depth, before = ranker->contexts, after = candidates_of(ranker);
    rank_layout at = {.node = node_of(ranker)};
    at.c = taken(&at.end, pairs_of(after));
    at.own = taken(&at.end, depth * pairs_of(before) * at.node);
    at.across = taken(&at.end, depth * before * after * at.node);
    at.between = taken(&at.end, depth * pairs_of(after) * at.node);
    return at;
}

static void pack_connect(const dagfm_ranker *ranker, float *to) {
    const int64_t before = ranker->contexts;
    for (int64_t s = before; s < ranker->net.fields && ranker->net.connect == CAUSAL_CONNECT; s++)
        memcpy(to + lower(s - before), ranker->net.c + lower(s) + before, (s - before + 1) * sizeof(float));
}

/* Nothing but the logit needs candidates' last states: their weights in the head are multiplied into p. */
static void inner_pack(const dagfm_ranker *ranker, float *to) {
    const dagfm_call *net = &ranker->net;
    const rank_layout at = rank_layout_of(ranker);
    const int64_t fields = net->fields, before = ranker->contexts;
    memset(to, 0, at.end * sizeof(float));
    float *own = to + at.own, *across = to + at.across, *between = to + at.between;
    for (int64_t layer = 0; layer < net->depth; layer++)
        for (int64_t f = 0; f < fields; f++)
            for (int64_t s = f; s < fields; s++) {
                float **const part = s < before ? &own : f < before ? &across : &between;
                const float *p = net->p + (layer * pairs_of(fields) + upper(fields, f) + s) * net->size;
                const float head = layer + 1 == net->depth && f >= before ? net->head[net->depth * fields + s] : 1;
                for (int64_t d = 0; d < net->size; d++) (*part)[d] = p[d] * head;
                *part += at.node;
            }
    pack_connect(ranker, to + at.c);
}

/* What is kept of a context: offsets, in floats. */
typedef struct {
    /* The context's part of A_t, [layer][node], of inner messages' last as the logit needs it, and of H0, [node]. */
    int64_t sums, start;
    int64_t logit;       /* and of the logit */
    int64_t end;
} context_layout;

static context_layout context_layout_of(const dagfm_ranker *ranker) {
    const int64_t vectors = candidates_of(ranker) * node_of(ranker);
    context_layout at = {0};
    at.sums = taken(&at.end, ranker->net.depth * vectors);
    at.start = taken(&at.end, vectors);
    at.logit = taken(&at.end, 1);
    return at;
}

static int64_t context_floats(const dagfm_ranker *ranker) { return context_layout_of(ranker).end; }

/* One side of the graph as if it were all of it. */
INLINE dagfm_call side_of(const dagfm_ranker *ranker, int64_t fields, const float *c) {
    dagfm_call side = ranker->net;
    side.fields = fields;
    side.c = c;
    return side;
}

/* The context's part of candidates' H0, of its vectors x. */
static void start_candidates(const dagfm_ranker *ranker, const float *x, float *to) {
    const int64_t node = node_of(ranker), before = ranker->contexts, after = candidates_of(ranker);
    for (int64_t s = 0; s < after; s++)
        for (int64_t column = 0; column < node; column += LANES) {
            vec start = {0};
            for (int64_t f = 0; f < before && ranker->net.connect == CAUSAL_CONNECT; f++)
                start += load(x + f * node + column) * ranker->net.c[lower(before + s) + f];
            store(to + s * node + column, start);
        }
}

/* What is kept of one context, of vectors x (context fields). */
static void inner_context(const dagfm_ranker *ranker, const float *x, float first, float *to, float *scratch) {
    const dagfm_call *net = &ranker->net;
    const rank_layout at = rank_layout_of(ranker);
    const context_layout kept = context_layout_of(ranker);
    const int64_t before = ranker->contexts, after = candidates_of(ranker);
    const dagfm_call side = side_of(ranker, before, net->c);
    const int causal = net->connect == CAUSAL_CONNECT;
    vec total = {0};
    start_candidates(ranker, x, to + kept.start);
    for (int64_t column = 0; column < at.node; column += LANES) {
        const states from = {x + column, 0, at.node}, mixed = {scratch, 0, LANES};
        if (causal) connect_rows(1, LOWER, &side, from, mixed);
        const states h0 = causal ? mixed : from;
        use what = {.total = &total, .head = net->head};
        start_rows(1, FORWARD, &side, h0, what);
        states h = h0;
        for (int64_t layer = 0; layer < net->depth; layer++) {
            const float *p = ranker->packed + at.across + layer * before * after * at.node + column;
            float *const sums = to + kept.sums + layer * after * at.node + column;
            for (int64_t s = 0; s < after; s++) store(sums + s * at.node, (vec){0});
            for (int64_t f = 0; f < before; f++) {
                const vec state = load(cell(h, 0, f));
                for (int64_t s = 0; s < after; s++, p += at.node)
                    store(sums + s * at.node, load(sums + s * at.node) + load(p) * state);
            }
            if (layer + 1 == net->depth) /* for the logit: with the head's weights of A_L, and of H0 */
                for (int64_t s = 0; s < after; s++) {
                    const float last = net->head[net->depth * net->fields + before + s], start = net->head[before + s];
                    store(sums + s * at.node, load(sums + s * at.node) * last + start);
                }
            const columns in = {.call = &side, .lanes = LANES, .step = at.node};
            what.head += net->fields;
            what.next = (states){scratch + (1 + layer % 2) * before * LANES, 0, LANES};
            layer_rows(1, FORWARD, &in, ranker->packed + at.own + layer * pairs_of(before) * at.node + column, h0, h, what);
            h = what.next;
        }
    }
    to[kept.logit] = *net->bias + sum(total) + first;
}

/* A layer of m candidates: A_t is what candidate nodes send and what the context sent; the last is for the logit alone. */
INLINE void rank_layer(const int m, const int last, int64_t fields, const float *p, int64_t node, const float *sums,
                       states h0, states h, states next, vec total[8], const float *head) {
    vec acc[8][4];
#define NODES(n)                                                                            \
    do {                                                                                    \
        UNROLL for (int j = 0; j < n; j++) {                                                \
            const vec before = load(sums + (s + j) * node);                                 \
            UNROLL for (int r = 0; r < m; r++) acc[r][j] = before;                          \
        }                                                                                   \
        add_gathered(acc, m, n, MESSAGES, fields, p, node, h, s);                           \
        UNROLL for (int j = 0; j < n; j++) UNROLL for (int r = 0; r < m; r++) {             \
            if (last) {                                                                     \
                total[r] += acc[r][j] * load(cell(h0, r, s + j));                           \
            } else {                                                                        \
                acc[r][j] *= load(cell(h0, r, s + j));                                      \
                store(cell(next, r, s + j), acc[r][j]);                                     \
                total[r] += acc[r][j] * all(head[s + j]);                                   \
            }                                                                               \
        }                                                                                   \
    } while (0)
    ALL_NODES(fields);
#undef NODES
}

INLINE void rank_rows(const int m, const dagfm_ranker *ranker, const rank_layout *at, const float *context,
                      const float *candidates, const float *first, float *out, float *scratch) {
    const dagfm_call *net = &ranker->net;
    const context_layout kept = context_layout_of(ranker);
    const int64_t after = candidates_of(ranker), depth = net->depth, size = ROWS * after * LANES;
    vec total[8];
    UNROLL for (int r = 0; r < m; r++) total[r] = (vec){0};
    for (int64_t column = 0; column < at->node; column += LANES) {
        const states given = {candidates + column, after * at->node, at->node}, own = {scratch, after * LANES, LANES};
        const states h0 = net->connect == CAUSAL_CONNECT ? own : given;
        for (int64_t s = 0; s < after && net->connect == CAUSAL_CONNECT; s++) {
            const vec start = load(context + kept.start + s * at->node + column);
            UNROLL for (int r = 0; r < m; r++) store(cell(own, r, s), load(cell(given, r, s)) + start);
        }
        states h = h0;
        const float *p = ranker->packed + at->between + column, *sums = context + kept.sums + column;
        for (int64_t layer = 1; layer < depth; layer++) {
            const states next = {scratch + (1 + layer % 2) * size, after * LANES, LANES};
            const float *head = net->head + layer * net->fields + ranker->contexts;
            rank_layer(m, 0, after, p, at->node, sums, h0, h, next, total, head);
            p += pairs_of(after) * at->node;
            sums += after * at->node;
            h = next;
        }
        rank_layer(m, 1, after, p, at->node, sums, h0, h, h, total, NULL);
    }
    UNROLL for (int r = 0; r < m; r++) out[r] = context[kept.logit] + first[r] + sum(total[r]);
}

/* Logits of candidates in a context. */
static void inner_rank(const dagfm_ranker *ranker, const float *context, const float *candidates, const float *first,
                       int64_t rows, float *out, float *scratch) {
    const rank_layout at = rank_layout_of(ranker);
    const int64_t row = candidates_of(ranker) * at.node;
#define FEW(m) rank_rows(m, ranker, &at, context, candidates + r * row, first + r, out + r, scratch)
    ALL_ROWS(rows);
#undef FEW
}

#endif
