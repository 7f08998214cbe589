/* What Python hands over of the embedding table: its rows, their state, and what a batch looks up. Nothing is kept. */
#ifndef DAGFM_TABLE_CALL_H
#define DAGFM_TABLE_CALL_H

#include <stdint.h>

enum { ADAM, ADAGRAD, SGD }; /* rule */

typedef struct {
    int64_t size;                /* D */
    int64_t values, bags, rows;  /* V ids in B F bags; U different rows */
    int64_t threads, version, rule;
    const int64_t *ids;          /* (V) rows of the table */
    const int64_t *offsets;      /* (bags + 1) where each bag starts; NULL: one id each */
    const int64_t *owners;       /* (V) the bag of each id; NULL: its own */
    const float *shares;         /* (V) what a row is multiplied by; NULL: 1 */
    int64_t *row;                /* (U) the different rows */
    int32_t *starts, *places;    /* (U + 1) and (V): where in `ids` each of them stands, in ascending order */
    float *weight;               /* (table rows, D) */
    float *out;                  /* (bags, D) pooled rows; (table rows, D) the gradient of the table */
    const float *grad;           /* (bags, D) of them */
    float *scratch;              /* (threads, D) */
    /* A step of the rows looked up, and what the steps without them did before: see table.h. */
    int64_t step;                /* how many steps there were, this one counted */
    float decay, epsilon;
    float *mean, *square;        /* ADAM (table rows, D) both; ADAGRAD (table rows) the second */
    int32_t *last;               /* (table rows) the step up to which a row and its moments reach */
    const float *rates;          /* (step + 1) the learning rate of every step, from 1 on */
    const double *path;          /* (step + 1) their sums: SGD and ADAGRAD */
    const float *mean_fix, *square_fix; /* (step + 1) ADAM: what corrects moments for their zero start */
    const float *mean_left, *square_left, *mean_run; /* (LONGEST + 1) ADAM: see stretch */
    /* The moving average of the rows. */
    float *average;              /* (table rows, D), or NULL: none is kept */
    int32_t *averaged;           /* (table rows) the step up to which it reaches */
    const float *average_left;   /* (step + 1) what is left of it after so many steps */
} dagfm_table;

#endif
