/* What Python hands over to rank candidates within a context. */
#ifndef DAGFM_RANKING_H
#define DAGFM_RANKING_H

#include "scoring.h"

typedef struct {
    dagfm_model context, candidate; /* look-up of either side: its fields alone, of rows with the columns of both */
    dagfm_call net;                 /* inner or outer messages, no connect layer or a causal one, a linear head */
    int64_t contexts;               /* fields of the context, which come first */
    float *packed;                  /* what dagfm_rank_pack makes of the weights */
} dagfm_ranker;

/* One version of the ranker; contexts and candidates are kept as vectors of its own. */
typedef struct {
    int64_t (*packed)(const dagfm_ranker *ranker); /* floats of them */
    void (*pack)(const dagfm_ranker *ranker, float *to);
    int64_t (*scratch)(const dagfm_ranker *ranker);   /* floats */
    int64_t (*context)(const dagfm_ranker *ranker);   /* floats that are kept of a context */
    int64_t lanes;                                    /* a candidate field's vector is filled up to a multiple */
    int (*keep_contexts)(const dagfm_ranker *ranker, const dagfm_request *request, float *to, float *scratch);
    int (*keep_candidates)(const dagfm_ranker *ranker, const dagfm_request *request, float *to, float *first,
                           float *scratch);
    void (*rank)(const dagfm_ranker *ranker, const float *context, const float *candidates, const float *first,
                 int64_t rows, float *out, float *scratch);
    int (*rank_once)(const dagfm_ranker *ranker, const float *contexts, int64_t count, const dagfm_request *request,
                     float *out, float *scratch);
} dagfm_ranking;

#endif
