/* What Python hands over: shapes, strides and pointers. Nothing here is owned or kept by the kernel. */
#ifndef DAGFM_CALL_H
#define DAGFM_CALL_H

#include <stdint.h>

#include "adam_call.h"
#include "table_call.h"

enum { INNER, OUTER, CROSS }; /* message; CROSS is no DAGFM: see cross.h */
enum { NO_CONNECT, CAUSAL_CONNECT, FULL_CONNECT }; /* connect */

typedef struct {
    int64_t rows, fields, size, depth; /* B, F, D, L */
    int64_t message, connect;
    int64_t threads, version; /* at most so many; which one: see dagfm_best_version */
    int64_t row_stride, field_stride; /* of x, in floats; the last axis is contiguous */
    const float *x;                   /* (B, F, D) */
    const float *p, *q;               /* (L, pairs, D); q of outer messages only */
    const float *c;                   /* pairs of the lower triangle, or (F, F), or NULL */
    const float *head, *bias;         /* (F (L + 1)) and (1); NULL: the summed states are wanted, not logits */
    float *out;                       /* logits (B), or summed states (B, F (L + 1)) */
    /* Backward only. */
    float *grad;                               /* of out, of its shape, contiguous; with a loss the result, else given */
    float *grad_x, *grad_p, *grad_q, *grad_c;  /* of the shapes above, contiguous; grad_x may be NULL: not wanted */
    float *grad_head, *grad_bias;
    /* A loss of each row's logit, of whose sum the gradients then are; NULL: `grad` is given. See loss.h. */
    double *loss;                          /* the sum */
    const float *labels, *of_clicks;       /* (B) each, or NULL: no clicks */
    const float *teacher, *of_distances;   /* (B) each, or NULL: no teacher */
    float *scratch; /* as many bytes as dagfm_scratch says, aligned to 64 */
} dagfm_call;

/* One version of the kernel: what a thread does to rows first .. first + rows - 1. */
typedef struct {
    int64_t lanes;
    int64_t (*scratch)(const dagfm_call *call, int backward); /* floats a thread needs */
    void (*forward)(const dagfm_call *call, int64_t first, int64_t rows, float *scratch);
    void (*backward)(const dagfm_call *call, int64_t first, int64_t rows, float *scratch);
    /* Of the embedding table: see table.h. */
    void (*pool)(const dagfm_table *call, int64_t first, int64_t end, float *scratch);
    void (*scatter)(const dagfm_table *call, int64_t first, int64_t end, float *scratch);
    void (*catch_up)(const dagfm_table *call, int64_t first, int64_t end, float *scratch);
    void (*step)(const dagfm_table *call, int64_t first, int64_t end, float *scratch); /* D floats */
    /* See adam.h. */
    void (*adam)(const adam_rule *rule, int64_t count, float decay, float *weight, const float *grad, float *mean,
                 float *square);
    /* See dropout.h. */
    void (*drop)(float *to, const float *from, int64_t count, uint64_t seed, uint32_t limit, float scale);
} dagfm_version;

/* By number: base, AVX2, AVX-512. */
const dagfm_version *version_at(int64_t number);

static inline int64_t pairs_of(int64_t fields) { return fields * (fields + 1) / 2; }

/* Numbers that head weighs. */
static inline int64_t sums_of(const dagfm_call *call) {
    return call->message == CROSS ? call->fields * call->size : call->fields * (call->depth + 1);
}

static inline int64_t connects_of(const dagfm_call *call) {
    if (call->connect == NO_CONNECT) return 0;
    return call->connect == FULL_CONNECT ? call->fields * call->fields : pairs_of(call->fields);
}

#endif
