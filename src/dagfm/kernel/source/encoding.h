/* What Python hands over to encode raw cells, and what a field makes of a number. */
#ifndef DAGFM_ENCODING_H
#define DAGFM_ENCODING_H

#include "items.h"

#define FARTHEST 1e4 /* standard deviations, as in scale.py */

enum { IDS, ITEMS, NUMBER, BIN };

/* What a field has learned from training rows. */
typedef struct {
    int64_t kind;
    int64_t column; /* of ids, of sequences or of numbers */
    dagfm_tokens tokens;
    double mean, std;    /* NUMBER */
    const double *edges; /* BIN: ascending */
    int64_t edge_count;
} dagfm_field;

typedef struct {
    int64_t rows, fields;
    const dagfm_field *field;
    const int64_t *children; /* which column of the rows each field is made of; below 0 none: missing */
    int32_t *ids;            /* (rows, ids_apart) */
    float *numbers;          /* (rows, numbers_apart), NaN where missing */
    int64_t ids_apart, numbers_apart;
    int64_t *offsets;     /* (sequences, rows + 1) */
    dagfm_values *values; /* (sequences) */
    int8_t *status;       /* (fields) */
} dagfm_encoding;

static inline float scaled(const dagfm_field *field, double value) {
    const double distance = (value - field->mean) / field->std;
    return (float)(distance > FARTHEST ? FARTHEST : distance < -FARTHEST ? -FARTHEST : distance);
}

static inline int32_t bin_of(const dagfm_field *field, double value) {
    if (value != value) return MISSING;
    int64_t low = 0, high = field->edge_count; /* the first edge above the value */
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (field->edges[middle] > value)
            high = middle;
        else
            low = middle + 1;
    }
    return FIRST + (int32_t)low;
}

/* The number of a row of a field of numbers or bins, NaN where missing. */
static inline void put_number(const dagfm_encoding *in, const dagfm_field *field, int64_t row, double value) {
    if (field->kind == NUMBER)
        in->numbers[row * in->numbers_apart + field->column] = scaled(field, value);
    else
        in->ids[row * in->ids_apart + field->column] = bin_of(field, value);
}

/* The items of a field of several values, of the rows from `row` on. */
static inline items items_at(const dagfm_encoding *in, const dagfm_field *field, int64_t row) {
    return items_from(&field->tokens, in->offsets + field->column * (in->rows + 1) + row, in->values + field->column);
}

/* Rows from `first` on of a field that nothing tells of. */
static inline int put_nothing(const dagfm_encoding *in, const dagfm_field *field, int64_t first, int64_t rows) {
    for (int64_t row = first; row < first + rows; row++) {
        if (field->kind == NUMBER)
            in->numbers[row * in->numbers_apart + field->column] = NAN;
        else if (field->kind != ITEMS)
            in->ids[row * in->ids_apart + field->column] = MISSING;
    }
    if (field->kind != ITEMS) return DONE;
    items to = items_at(in, field, first);
    for (int64_t row = 0; row < rows; row++)
        if (!end_cell(&to)) return NOT_COVERED;
    return DONE;
}

#define NEAR 64 /* rows whose ids stay in the first cache while one field after the other is put there */

/* Rows from `first` on of all fields that have no column. */
static inline int put_absent(const dagfm_encoding *in, int64_t first, int64_t rows) {
    for (int64_t done = 0; done < rows; done += NEAR)
        for (int64_t i = 0; i < in->fields; i++)
            if (in->children[i] < 0 && put_nothing(in, in->field + i, first + done, rows - done < NEAR ? rows - done : NEAR))
                return NOT_COVERED;
    return DONE;
}

#endif
