/* Inner messages where many candidates share a context: what depends on the context alone is computed once.
 *
 * Nodes of the context come first, and messages run to later nodes only: so the context's states, their part of the
 * logit, and the part of every candidate node's sums that comes from them do not depend on the candidate.
 */
#ifndef DAGFM_RANK_H
#define DAGFM_RANK_H

#include "gather.h"
#include "inner.h"
#include "ranking.h"

/* Where the packed weights lie: offsets, in floats. All vectors are filled up with zeros to whole ones. */
typedef struct {
    int64_t node;                 /* floats of a vector */
    int64_t own, across, between; /* p among the context, from it to candidate nodes, and among these */
    int64_t c;                    /* of the connect layer, among candidate nodes */
    int64_t end;
} rank_layout;

static int64_t candidates_of(const dagfm_ranker *ranker) { return ranker->net.fields - ranker->contexts; }

static rank_layout rank_layout_of(const dagfm_ranker *ranker) {
    const int64_t depth = ranker->net.depth, before = ranker->contexts, after = candidates_of(ranker);
    rank_layout at = {.node = (ranker->net.size + LANES - 1) / LANES * LANES};
    at.own = taken(&at.end, depth * pairs_of(before) * at.node);
    at.across = taken(&at.end, depth * before * after * at.node);
    at.between = taken(&at.end, depth * pairs_of(after) * at.node);
    at.c = taken(&at.end, pairs_of(after));
    return at;
}

static int64_t rank_packed(const dagfm_ranker *ranker) { return rank_layout_of(ranker).end; }

/* Nothing but the logit needs candidates' last states: their weights in the head are multiplied into p. */
static void rank_pack(const dagfm_ranker *ranker, float *to) {
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
    for (int64_t s = before; s < fields && net->connect == CAUSAL_CONNECT; s++)
        memcpy(to + at.c + lower(s - before), net->c + lower(s) + before, (s - before + 1) * sizeof(float));
}

/* What is kept of a context: offsets, in floats. */
typedef struct {
    int64_t sums, start; /* the context's part of A_t, [layer][node], of the last one for the logit, and of H0, [node] */
    int64_t logit;       /* and of the logit */
    int64_t end;
} context_layout;

static context_layout context_layout_of(const dagfm_ranker *ranker) {
    const int64_t vectors = candidates_of(ranker) * rank_layout_of(ranker).node;
    context_layout at = {0};
    at.sums = taken(&at.end, ranker->net.depth * vectors);
    at.start = taken(&at.end, vectors);
    at.logit = taken(&at.end, 1);
    return at;
}

static int64_t context_floats(const dagfm_ranker *ranker) { return context_layout_of(ranker).end; }

static int64_t rank_scratch(const dagfm_ranker *ranker) {
    const int64_t most = ranker->net.fields * rank_layout_of(ranker).node;
    return 4 * ROWS * most + 64;
}

/* One side of the graph as if it were all of it. */
INLINE dagfm_call side_of(const dagfm_ranker *ranker, int64_t fields, const float *c) {
    dagfm_call side = ranker->net;
    side.fields = fields;
    side.c = c;
    return side;
}

/* What is kept of one context, of vectors x (context fields). */
static void context_row(const dagfm_ranker *ranker, const float *x, float first, float *to, float *scratch) {
    const dagfm_call *net = &ranker->net;
    const rank_layout at = rank_layout_of(ranker);
    const context_layout kept = context_layout_of(ranker);
    const int64_t before = ranker->contexts, after = candidates_of(ranker);
    const dagfm_call side = side_of(ranker, before, net->c);
    const int causal = net->connect == CAUSAL_CONNECT;
    vec total = {0};
    for (int64_t column = 0; column < at.node; column += LANES) {
        const states from = {x + column, 0, at.node}, mixed = {scratch, 0, LANES};
        if (causal) connect_rows(1, LOWER, &side, from, mixed);
        const states h0 = causal ? mixed : from;
        for (int64_t s = 0; s < after; s++) {
            vec start = {0};
            for (int64_t f = 0; f < before && causal; f++)
                start += load(cell(from, 0, f)) * net->c[lower(before + s) + f];
            store(to + kept.start + s * at.node + column, start);
        }
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

static int keep_contexts(const dagfm_ranker *ranker, const dagfm_request *request, float *to, float *scratch) {
    const int64_t node = rank_layout_of(ranker).node;
    float *const x = scratch + 3 * ROWS * ranker->net.fields * node;
    float first[1];
    vectors found = {x, first, node, node * ranker->contexts, 0};
    for (int64_t row = 0; row < request->rows; row++) {
        gather_block(&ranker->context, request, row, 1, &found);
        context_row(ranker, x, first[0], to + row * context_floats(ranker), scratch);
    }
    return found.bad;
}

/* Candidates' part of H0, (rows, candidate fields, node), and of first-order weights; whether an id was no row. */
static int candidate_block(const dagfm_ranker *ranker, const dagfm_request *request, int64_t row, int64_t rows, float *to,
                           float *first, float *scratch) {
    const rank_layout at = rank_layout_of(ranker);
    const int64_t after = candidates_of(ranker), next = request->rows - row - rows;
    const dagfm_call side = side_of(ranker, after, ranker->packed + at.c);
    const int causal = ranker->net.connect == CAUSAL_CONNECT;
    vectors found = {causal ? scratch : to, first, at.node, after * at.node, 0};
    if (!row) fetch_block(&ranker->candidate, request, 0, rows);
    if (next > 0) fetch_block(&ranker->candidate, request, row + rows, next < ROWS ? next : ROWS);
    gather_block(&ranker->candidate, request, row, rows, &found);
    for (int64_t column = 0; column < at.node && causal; column += LANES) {
        const states from = {scratch + column, after * at.node, at.node}, mixed = {to + column, after * at.node, at.node};
#define FEW(m) connect_rows(m, LOWER, &side, from_row(from, r), from_row(mixed, r))
        ALL_ROWS(rows);
#undef FEW
    }
    return found.bad;
}

#define EACH_BLOCK(all) for (int64_t row = 0, rows; rows = (all) - row < ROWS ? (all) - row : ROWS, row < (all); row += ROWS)

/* What is kept of candidates. */
static int keep_candidates(const dagfm_ranker *ranker, const dagfm_request *request, float *to, float *first,
                           float *scratch) {
    const int64_t floats = candidates_of(ranker) * rank_layout_of(ranker).node;
    int bad = 0;
    EACH_BLOCK(request->rows) bad |= candidate_block(ranker, request, row, rows, to + row * floats, first + row, scratch);
    return bad;
}

/* A layer of m candidates: A_t is what candidate nodes send and what the context sent; the last is for the logit alone. */
INLINE void rank_layer(const int m, const int last, int64_t fields, const float *p, int64_t node, const float *sums, states h0, states h,
                       states next, vec total[8], const float *head) {
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
            rank_layer(m, 0, after, p, at->node, sums, h0, h, next, total, net->head + layer * net->fields + ranker->contexts);
            p += pairs_of(after) * at->node;
            sums += after * at->node;
            h = next;
        }
        rank_layer(m, 1, after, p, at->node, sums, h0, h, h, total, NULL);
    }
    UNROLL for (int r = 0; r < m; r++) out[r] = context[kept.logit] + first[r] + sum(total[r]);
}

/* Logits of candidates in a context. */
static void rank(const dagfm_ranker *ranker, const float *context, const float *candidates, const float *first,
                 int64_t rows, float *out, float *scratch) {
    const rank_layout at = rank_layout_of(ranker);
    const int64_t row = candidates_of(ranker) * at.node;
#define FEW(m) rank_rows(m, ranker, &at, context, candidates + r * row, first + r, out + r, scratch)
    ALL_ROWS(rows);
#undef FEW
}

/* Logits (contexts, rows) of candidates that are not kept. */
static int rank_once(const dagfm_ranker *ranker, const float *contexts, int64_t count, const dagfm_request *request,
                     float *out, float *scratch) {
    float *const x = scratch + 3 * ROWS * ranker->net.fields * rank_layout_of(ranker).node;
    float first[ROWS];
    int bad = 0;
    EACH_BLOCK(request->rows) {
        bad |= candidate_block(ranker, request, row, rows, x, first, scratch);
        for (int64_t i = 0; i < count; i++)
            rank(ranker, contexts + i * context_floats(ranker), x, first, rows, out + i * request->rows + row, scratch);
    }
    return bad;
}

#endif
