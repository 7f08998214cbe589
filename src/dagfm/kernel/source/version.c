/* The kernel for one instruction set: compiled once for each, with its flags, LANES and VERSION. */
#include "inner.h"
#ifndef INNER_ALONE
#include "outer.h"
#endif

static int64_t scratch(const dagfm_call *call, int backward) {
#ifndef INNER_ALONE
    if (call->message == OUTER) return outer_layout_of(call, backward).end;
#endif
    return inner_layout_of(call, backward).end;
}

static void forward(const dagfm_call *call, int64_t first, int64_t rows, float *scratch) {
#ifndef INNER_ALONE
    if (call->message == OUTER) {
        outer_forward(call, first, rows, scratch);
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
#endif
    inner_backward(call, first, rows, scratch);
}

const dagfm_version VERSION = {LANES, scratch, forward, backward};
