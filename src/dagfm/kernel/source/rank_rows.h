/* What is kept of contexts and candidates, and candidates ranked, whatever the messages. */
#ifndef DAGFM_RANK_ROWS_H
#define DAGFM_RANK_ROWS_H

#include "rank.h"
#ifndef INNER_ALONE
#include "rank_outer.h"
#endif

#ifdef INNER_ALONE
#define MOST_ROWS ROWS
#else
#define MOST_ROWS (MANY * LANES)
#endif

static int is_outer(const dagfm_ranker *ranker) {
#ifdef INNER_ALONE
    (void)ranker;
    return 0;
#else
    return ranker->net.message == OUTER;
#endif
}

/* Candidates that are taken at a time. */
static int64_t block_of(const dagfm_ranker *ranker) { return is_outer(ranker) ? MOST_ROWS : ROWS; }

static int64_t rank_packed(const dagfm_ranker *ranker) {
#ifndef INNER_ALONE
    if (is_outer(ranker)) return outer_rank_layout_of(ranker).end;
#endif
    return rank_layout_of(ranker).end;
}

static void rank_pack(const dagfm_ranker *ranker, float *to) {
#ifndef INNER_ALONE
    if (is_outer(ranker)) {
        outer_pack(ranker, to);
        return;
    }
#endif
    inner_pack(ranker, to);
}

/* Where scratch has things: offsets, in floats. */
typedef struct {
    int64_t x, raw; /* vectors of a block of candidates, or of a context, and candidates' before they are connected */
    int64_t net;    /* the network's own */
    int64_t end;
} rank_room;

static rank_room rank_room_of(const dagfm_ranker *ranker) {
    const int64_t node = node_of(ranker), before = ranker->contexts, after = candidates_of(ranker);
    const int64_t vectors = block_of(ranker) * after * node;
    int64_t net = 3 * ROWS * (before > after ? before : after) * node;
#ifndef INNER_ALONE
    if (is_outer(ranker)) {
        const dagfm_call side = candidate_side(ranker);
        const int64_t wanted = outer_layout_of(&side, 0).end;
        net = net < wanted ? wanted : net;
    }
#endif
    rank_room at = {0};
    at.x = taken(&at.end, vectors > before * node ? vectors : before * node);
    at.raw = taken(&at.end, vectors);
    at.net = taken(&at.end, net);
    return at;
}

static int64_t rank_scratch(const dagfm_ranker *ranker) { return rank_room_of(ranker).end; }

static int keep_contexts(const dagfm_ranker *ranker, const dagfm_request *request, float *to, float *scratch) {
    const rank_room room = rank_room_of(ranker);
    const int64_t node = node_of(ranker);
    float *const x = scratch + room.x, *const own = scratch + room.net;
    float first[1];
    vectors found = {x, first, node, node * ranker->contexts, 0};
    for (int64_t row = 0; row < request->rows; row++, to += context_floats(ranker)) {
        gather_block(&ranker->context, request, row, 1, &found);
#ifndef INNER_ALONE
        if (is_outer(ranker)) {
            outer_context(ranker, x, first[0], to, own);
            continue;
        }
#endif
        inner_context(ranker, x, first[0], to, own);
    }
    return found.bad;
}

/* Candidates' part of H0, (rows, candidate fields, node), and of first-order weights; whether an id was no row. */
static int candidate_block(const dagfm_ranker *ranker, const dagfm_request *request, int64_t row, int64_t rows, float *to,
                           float *first, float *raw) {
    const int64_t node = node_of(ranker), after = candidates_of(ranker), most = block_of(ranker);
    const int64_t next = request->rows - row - rows;
    const dagfm_call side = side_of(ranker, after, ranker->packed); /* where c lies */
    const int causal = ranker->net.connect == CAUSAL_CONNECT;
    vectors found = {causal ? raw : to, first, node, after * node, 0};
    if (!row) fetch_block(&ranker->candidate, request, 0, rows);
    if (next > 0) fetch_block(&ranker->candidate, request, row + rows, next < most ? next : most);
    gather_block(&ranker->candidate, request, row, rows, &found);
    for (int64_t column = 0; column < node && causal; column += LANES) {
        const states from = {raw + column, after * node, node}, mixed = {to + column, after * node, node};
#define FEW(m) connect_rows(m, LOWER, &side, from_row(from, r), from_row(mixed, r))
        ALL_ROWS(rows);
#undef FEW
    }
    return found.bad;
}

#define EACH_BLOCK(most, all) \
    for (int64_t row = 0, rows; rows = (all) - row < (most) ? (all) - row : (most), row < (all); row += rows)

/* What is kept of candidates. */
static int keep_candidates(const dagfm_ranker *ranker, const dagfm_request *request, float *to, float *first,
                           float *scratch) {
    const int64_t floats = candidates_of(ranker) * node_of(ranker);
    float *const raw = scratch + rank_room_of(ranker).raw;
    int bad = 0;
    EACH_BLOCK(block_of(ranker), request->rows)
        bad |= candidate_block(ranker, request, row, rows, to + row * floats, first + row, raw);
    return bad;
}

/* Logits of candidates in a context. */
static void rank(const dagfm_ranker *ranker, const float *context, const float *candidates, const float *first,
                 int64_t rows, float *out, float *scratch) {
    float *const own = scratch + rank_room_of(ranker).net;
#ifndef INNER_ALONE
    if (is_outer(ranker)) {
        outer_rank(ranker, context, candidates, first, rows, out, own);
        return;
    }
#endif
    inner_rank(ranker, context, candidates, first, rows, out, own);
}

/* Logits (contexts, rows) of candidates that are not kept. */
static int rank_once(const dagfm_ranker *ranker, const float *contexts, int64_t count, const dagfm_request *request,
                     float *out, float *scratch) {
    const rank_room room = rank_room_of(ranker);
    float *const x = scratch + room.x;
    float first[MOST_ROWS];
    int bad = 0;
    EACH_BLOCK(block_of(ranker), request->rows) {
        bad |= candidate_block(ranker, request, row, rows, x, first, scratch + room.raw);
        for (int64_t i = 0; i < count; i++)
            rank(ranker, contexts + i * context_floats(ranker), x, first, rows, out + i * request->rows + row, scratch);
    }
    return bad;
}

#endif
