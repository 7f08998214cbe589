/* Encoded rows to logits for one instruction set: blocks of rows are looked up and run through the network in cache. */
#pragma GCC diagnostic ignored "-Wunused-function" /* training's half of the headers */
#include "gather.h"
#include "inner.h"
#include "rank_rows.h"
#ifndef INNER_ALONE
#include "row.h"
#endif

#ifdef INNER_ALONE
#define BLOCK_ROWS ROWS
#else
#define BLOCK_ROWS (MANY * LANES)
#define FEW_SINGLE (3 * LANES / 8) /* so many rows cost less one by one than as a block of LANES */
#endif

/* What a thread keeps in scratch: offsets, in floats. */
typedef struct {
    int64_t block, field; /* rows taken at a time, and floats from field to field */
    int64_t x, first;     /* of a block */
    int64_t row, net;     /* of a single row of outer messages, and of the network's own */
    int64_t end;
} scoring_layout;

static int64_t packed(const dagfm_model *model) {
#ifndef INNER_ALONE
    return packed_floats(model);
#else
    (void)model;
    return 0;
#endif
}

static void pack(const dagfm_model *model, float *to) {
#ifndef INNER_ALONE
    pack_weights(model, to);
#else
    (void)model, (void)to;
#endif
}

static scoring_layout layout_of(const dagfm_model *model) {
    const dagfm_call *net = &model->net;
    scoring_layout at = {.block = ROWS, .field = (net->size + LANES - 1) / LANES * LANES};
#ifndef INNER_ALONE
    if (net->message == OUTER) at.block = BLOCK_ROWS;
#endif
    at.x = taken(&at.end, at.block * net->fields * at.field);
    at.first = taken(&at.end, at.block);
#ifndef INNER_ALONE
    at.row = taken(&at.end, net->message == OUTER ? row_floats(net) : 0);
    at.net = taken(&at.end, net->message == OUTER ? outer_layout_of(net, 0).end : inner_layout_of(net, 0).end);
#else
    at.net = taken(&at.end, inner_layout_of(net, 0).end);
#endif
    return at;
}

static int64_t scratch_floats(const dagfm_model *model) { return layout_of(model).end; }

/* Logits or summed states of a block that has been looked up. */
static void run_inner(const dagfm_call *call, float *scratch) {
    const inner_layout at = inner_layout_of(call, 0);
#define FEW(m) inner_few(m, call, r, scratch, &at)
    ALL_ROWS(call->rows);
#undef FEW
}

#ifndef INNER_ALONE
static void run_outer(const dagfm_model *model, const dagfm_call *call, const scoring_layout *at, float *scratch) {
    const outer_layout inside = outer_layout_of(call, 0);
    const int64_t width = call->head ? 1 : call->fields * (call->depth + 1);
    block part = {.call = call, .at = &inside, .scratch = scratch + at->net};
    for (int64_t left = call->rows; left > 0; left -= part.rows, part.row += part.rows) {
        if (left >= BLOCK_ROWS) {
            part.rows = BLOCK_ROWS;
            block_forward(MANY, &part);
        } else if (left > FEW_SINGLE) {
            part.rows = left < LANES ? left : LANES;
            block_forward(1, &part);
        } else {
            part.rows = 1;
            outer_row(model, call->x + part.row * call->row_stride, at->field, call->out + part.row * width,
                      scratch + at->row);
        }
    }
}
#endif

static int score(const dagfm_model *model, const dagfm_request *request, int64_t first, int64_t rows, float *scratch) {
    const scoring_layout at = layout_of(model);
    const int64_t width = model->net.head ? 1 : model->net.fields * (model->net.depth + 1);
    vectors to = {scratch + at.x, scratch + at.first, at.field, at.field * model->net.fields, 0};
    dagfm_call call = model->net;
    call.x = to.x;
    call.row_stride = to.row;
    call.field_stride = to.field;
#ifndef INNER_ALONE
    if (call.message == OUTER && rows > FEW_SINGLE) order_q(&call, scratch + at.net + outer_layout_of(&call, 0).q);
#endif
    if (call.message == INNER) fill_up(&call, scratch + at.net + inner_layout_of(&call, 0).p, call.p);
    fetch_block(model, request, first, rows < at.block ? rows : at.block);
    for (int64_t row = first, end = first + rows; row < end; row += call.rows) {
        const int64_t left = end - row, next = left - at.block;
        call.rows = left < at.block ? left : at.block;
        call.out = request->out + row * width;
        gather_block(model, request, row, call.rows, &to);
        if (next > 0) fetch_block(model, request, row + at.block, next < at.block ? next : at.block);
#ifndef INNER_ALONE
        if (call.message == OUTER)
            run_outer(model, &call, &at, scratch);
        else
#endif
            run_inner(&call, scratch + at.net);
        if (model->width > call.size) {
            float *const sums = call.head ? call.out : request->first + row;
            for (int64_t r = 0; r < call.rows; r++) sums[r] = to.first[r] + (call.head ? sums[r] : 0);
        }
    }
    return to.bad;
}

#define JOINED_(a, b) a##b
#define JOINED(a, b) JOINED_(a, b)
const dagfm_scoring JOINED(VERSION, _scoring) = {packed, pack, scratch_floats, score};
const dagfm_ranking JOINED(VERSION, _ranking) = {rank_packed,    rank_pack,     rank_scratch,    context_floats,
                                                LANES,          keep_contexts, keep_candidates, rank,           rank_once};
