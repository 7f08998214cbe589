/* What Python hands over to score encoded rows: the model, which stays, and a request, which comes and goes. */
#ifndef DAGFM_SCORING_H
#define DAGFM_SCORING_H

#include "call.h"

enum { UNKNOWN_ROW, MISSING_ROW, FIRST_ROW };     /* rows of every field, as schema.py has them */
enum { IDS, POOLED_SUM, POOLED_MEAN, POOLED_MAX, NUMBERS }; /* how encoded rows hold a field */

enum { FLOAT32, FLOAT16, INT8 }; /* format */

/* Where a field's vector comes from. */
typedef struct {
    int64_t kind;
    int64_t start;  /* its first row in the table */
    int64_t column; /* of tokens, of sequences or of floats */
    int64_t width;  /* NUMBERS: how many */
} dagfm_source;

typedef struct {
    dagfm_call net;              /* sizes and weights; rows, strides, x, out and scratch are a request's */
    const void *table;           /* (table_rows, width) */
    int64_t table_rows, width;   /* D, and one more with first-order weights */
    int64_t format;              /* of the table's numbers */
    const uint16_t *scales;      /* INT8: what a row's numbers are multiplied by, (table_rows) half floats */
    const dagfm_source *sources; /* (F) */
    int64_t tokens, floats, sequences; /* how many columns encoded rows have of each */
    float *packed;               /* what dagfm_pack makes of the weights, or NULL where it needs none */
} dagfm_model;

typedef struct {
    int64_t rows, threads;
    const int32_t *tokens;  /* (rows, tokens) */
    const float *floats;    /* (rows, floats), NaN where missing */
    const int64_t *offsets; /* (sequences, rows + 1), each from 0 on */
    const int32_t *values;  /* of one sequence after the other, `items` in all */
    int64_t items;
    float *out;   /* logits (rows), or summed states (rows, F (L + 1)) */
    float *first; /* summed states: the first-order part of the logits (rows); NULL without such weights */
    float *scratch;
} dagfm_request;

/* One version of the scorer; `score` says whether every id was a row of the table. */
typedef struct {
    int64_t (*packed)(const dagfm_model *model); /* floats of them */
    void (*pack)(const dagfm_model *model, float *to);
    int64_t (*scratch)(const dagfm_model *model); /* floats a thread needs */
    int (*score)(const dagfm_model *model, const dagfm_request *request, int64_t first, int64_t rows, float *scratch);
} dagfm_scoring;

#endif
