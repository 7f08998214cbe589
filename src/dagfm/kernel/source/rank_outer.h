/* Outer messages where many candidates share a context, see rank.h: candidates lie in lanes, as rows do in outer.h. */
#ifndef DAGFM_RANK_OUTER_H
#define DAGFM_RANK_OUTER_H

#include "outer.h"
#include "rank.h"

/* Where the packed weights lie: offsets, in floats. */
typedef struct {
    int64_t c;              /* as in rank_layout */
    int64_t p_from, q_from; /* vectors from the context's nodes to all later ones, [layer][f][s] */
    int64_t p, q, head;     /* among candidate nodes, as dagfm_call has them; q as order_q makes it */
    int64_t end;
} outer_rank_layout;

static outer_rank_layout outer_rank_layout_of(const dagfm_ranker *ranker) {
    const int64_t depth = ranker->net.depth, before = ranker->contexts, after = candidates_of(ranker);
    const int64_t from = depth * (pairs_of(before) + before * after) * node_of(ranker);
    const int64_t between = depth * pairs_of(after) * ranker->net.size;
    outer_rank_layout at = {0};
    at.c = taken(&at.end, pairs_of(after));
    at.p_from = taken(&at.end, from);
    at.q_from = taken(&at.end, from);
    at.p = taken(&at.end, between);
    at.q = taken(&at.end, between);
    at.head = taken(&at.end, (depth + 1) * after);
    return at;
}

/* Candidates' side of the graph as if it were all of it. */
static dagfm_call candidate_side(const dagfm_ranker *ranker) {
    const outer_rank_layout at = outer_rank_layout_of(ranker);
    dagfm_call side = ranker->net;
    side.fields = candidates_of(ranker);
    side.connect = NO_CONNECT;
    side.p = ranker->packed + at.p;
    side.q = ranker->packed + at.q;
    side.head = ranker->packed + at.head;
    side.row_stride = side.fields * node_of(ranker);
    side.field_stride = node_of(ranker);
    return side;
}

static void outer_pack(const dagfm_ranker *ranker, float *to) {
    const dagfm_call *net = &ranker->net;
    const outer_rank_layout at = outer_rank_layout_of(ranker);
    const int64_t fields = net->fields, size = net->size, before = ranker->contexts, after = fields - before;
    const int64_t pairs = pairs_of(fields), later = pairs_of(after);
    memset(to, 0, at.end * sizeof(float));
    pack_connect(ranker, to + at.c);
    float *p = to + at.p_from, *q = to + at.q_from;
    for (int64_t layer = 0; layer < net->depth; layer++)
        for (int64_t f = 0; f < fields; f++)
            for (int64_t s = f; s < fields; s++) {
                const int64_t pair = (layer * pairs + upper(fields, f) + s) * size, own_f = f - before, own_s = s - before;
                float *const p_to = f < before ? p : to + at.p + (layer * later + upper(after, own_f) + own_s) * size;
                float *const q_to = f < before ? q : to + at.q + (layer * later + lower(own_s) + own_f) * size;
                memcpy(p_to, net->p + pair, size * sizeof(float));
                memcpy(q_to, net->q + pair, size * sizeof(float));
                if (f >= before) continue;
                p += node_of(ranker);
                q += node_of(ranker);
            }
    for (int64_t layer = 0; layer <= net->depth; layer++)
        memcpy(to + at.head + layer * after, net->head + layer * fields + before, after * sizeof(float));
}

/* What is kept of one context, of vectors x (context fields). */
static void outer_context(const dagfm_ranker *ranker, const float *x, float first, float *to, float *scratch) {
    const dagfm_call *net = &ranker->net;
    const outer_rank_layout at = outer_rank_layout_of(ranker);
    const context_layout kept = context_layout_of(ranker);
    const int64_t node = node_of(ranker), fields = net->fields, before = ranker->contexts, level = before * node;
    const dagfm_call side = side_of(ranker, before, net->c);
    float *const mixed = scratch, *const sums = scratch + level, *const next = sums + level;
    const float *h0 = x, *h, *p = ranker->packed + at.p_from, *q = ranker->packed + at.q_from;
    vec total = {0};
    start_candidates(ranker, x, to + kept.start);
    for (int64_t column = 0; column < node && net->connect == CAUSAL_CONNECT; column += LANES) {
        const states from = {x + column, 0, node}, mixed_to = {mixed + column, 0, node};
        connect_rows(1, LOWER, &side, from, mixed_to);
        h0 = mixed;
    }
    for (int64_t i = 0; i < level; i += LANES) total += load(h0 + i) * net->head[i / node];
    h = h0;
    for (int64_t layer = 0; layer < net->depth; layer++) {
        float *const across = to + kept.sums + layer * (fields - before) * node;
        memset(sums, 0, level * sizeof(float));
        memset(across, 0, (fields - before) * node * sizeof(float));
        for (int64_t f = 0; f < before; f++)
            for (int64_t s = f; s < fields; s++, p += node, q += node) {
                float *const sent = s < before ? sums + s * node : across + (s - before) * node;
                vec product = {0};
                for (int64_t c = 0; c < node; c += LANES) product += load(p + c) * load(h + f * node + c);
                const vec number = sum_everywhere(product);
                for (int64_t c = 0; c < node; c += LANES) store(sent + c, load(sent + c) + load(q + c) * number);
            }
        for (int64_t i = 0; i < level; i += LANES) {
            const vec state = load(sums + i) * load(h0 + i);
            total += state * net->head[(layer + 1) * fields + i / node];
            store(next + i, state);
        }
        h = next;
    }
    to[kept.logit] = *net->bias + sum(total) + first;
}

/* Logits of candidates in a context. */
static void outer_rank(const dagfm_ranker *ranker, const float *context, const float *candidates, const float *first,
                       int64_t rows, float *out, float *scratch) {
    const context_layout kept = context_layout_of(ranker);
    dagfm_call side = candidate_side(ranker);
    const outer_layout at = outer_layout_of(&side, 0);
    const received sent = {context + kept.sums, context + kept.start, node_of(ranker)};
    side.x = candidates;
    side.bias = context + kept.logit;
    side.out = out;
    memcpy(scratch + at.q, side.q, side.depth * pairs_of(side.fields) * side.size * sizeof(float));
    block part = {.call = &side, .at = &at, .scratch = scratch};
    for (int64_t left = rows; left > 0; left -= part.rows, part.row += part.rows) {
        if (left >= MANY * LANES) {
            part.rows = MANY * LANES;
            block_received(MANY, &part, &sent);
        } else {
            part.rows = left < LANES ? left : LANES;
            block_received(1, &part, &sent);
        }
    }
    for (int64_t r = 0; r < rows; r++) out[r] += first[r];
}

#endif
