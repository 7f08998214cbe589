/* The kernel for one instruction set: compiled once for each, with its flags, LANES and VERSION. */
#include "inner.h"
#ifndef INNER_ALONE
#include "adam.h"
#include "cross.h"
#include "dropout.h"
#include "outer.h"
#include "table.h"
#endif

static int64_t scratch(const dagfm_call *call, int backward) {
#ifndef INNER_ALONE
    if (call->message == OUTER) return outer_layout_of(call, backward).end;
    if (call->message == CROSS) return cross_layout_of(call, backward).end;
#endif
    return inner_layout_of(call, backward).end;
}

static void forward(const dagfm_call *call, int64_t first, int64_t rows, float *scratch) {
#ifndef INNER_ALONE
    if (call->message == OUTER) {
        outer_forward(call, first, rows, scratch);
        return;
    }
    if (call->message == CROSS) {
        cross_forward(call, first, rows, scratch);
        return;
    }
#endif
    inner_forward(call, first, rows, scratch);
}

static void backward(const dagfm_call *call, int64_t first, int64_t rows, float *scratch) {
#ifndef INNER_ALONE
    if (call->message == OUTER) {
        outer_backward(call, first, rows, scratch);
        return;
    }
    if (call->message == CROSS) {
        cross_backward(call, first, rows, scratch);
        return;
    }
#endif
    inner_backward(call, first, rows, scratch);
}

#ifndef INNER_ALONE
const dagfm_version VERSION = {LANES,         scratch,   forward,   backward,    pool_bags, scatter_bags,
                               catch_up_rows, step_rows, adam_step, drop_numbers};
#else
const dagfm_version VERSION = {LANES, scratch, forward, backward, 0, 0, 0, 0, 0, 0};
#endif
