/* From encoded rows to the vectors of their fields: look-up, pooling and the scaling by numbers, a block at a time. */
#ifndef DAGFM_GATHER_H
#define DAGFM_GATHER_H

#include "fetch.h"
#include "lanes.h"
#include "table_rows.h"

/* Where rows of the block lie: fields `field` floats apart, filled up with zeros to whole vectors. */
typedef struct {
    float *x;     /* [row][field] */
    float *first; /* [row]: the sum of first-order weights */
    int64_t field, row;
    int bad; /* an id was no row of the table */
} vectors;

/* The places in the table that one cell's vector is made of. */
typedef struct {
    const dagfm_model *model;
    vectors *to;
    lane_bits rest; /* the last columns, where they are fewer than LANES */
} look_up;

/* The row of the table, the first where it has no such one. */
INLINE int64_t table_row(const look_up *in, int64_t row) {
    const int out = (uint64_t)row >= (uint64_t)in->model->table_rows;
    in->to->bad |= out;
    return out ? 0 : row;
}

INLINE vec row_lanes(const look_up *in, int64_t row, int64_t column) {
    return table_lanes(in->model, row, column, in->rest);
}

#define EACH_COLUMN for (int64_t column = 0; column < in->model->net.size; column += LANES)

INLINE void take_row(const look_up *in, int64_t row, float *x, float *first) {
    EACH_COLUMN store(x + column, row_lanes(in, row, column));
    if (first) *first += table_number(in->model, row, in->model->net.size);
}

/* The sum, mean or maximum of table rows. */
static void pool_rows(const look_up *in, const dagfm_source *source, const int32_t *ids, int64_t count, float *x,
                      float *first) {
    const float share = source->kind == POOLED_MEAN ? 1.0f / (float)count : 1.0f;
    const int maximum = source->kind == POOLED_MAX;
    EACH_COLUMN {
        vec pooled = row_lanes(in, table_row(in, source->start + ids[0]), column);
        for (int64_t i = 1; i < count; i++) {
            const vec value = row_lanes(in, table_row(in, source->start + ids[i]), column);
            pooled = maximum ? (vec)(((lane_bits)pooled & (pooled > value)) | ((lane_bits)value & ~(pooled > value)))
                             : pooled + value;
        }
        store(x + column, pooled * share);
    }
    if (!first) return;
    const int64_t size = in->model->net.size;
    float pooled = table_number(in->model, table_row(in, source->start + ids[0]), size);
    for (int64_t i = 1; i < count; i++) {
        const float value = table_number(in->model, table_row(in, source->start + ids[i]), size);
        pooled = !maximum ? pooled + value : pooled > value ? pooled : value;
    }
    *first += pooled * share;
}

/* Numbers times their vectors; the row of what is missing where none is there. */
static void scale_rows(const look_up *in, const dagfm_source *source, const float *numbers, float *x, float *first) {
    int64_t there = 0;
    for (int64_t i = 0; i < source->width; i++) there += numbers[i] == numbers[i];
    if (!there) {
        take_row(in, table_row(in, source->start + MISSING_ROW), x, first);
        return;
    }
    EACH_COLUMN {
        vec total = {0};
        for (int64_t i = 0; i < source->width; i++)
            if (numbers[i] == numbers[i])
                total += row_lanes(in, table_row(in, source->start + FIRST_ROW + i), column) * numbers[i];
        store(x + column, total);
    }
    for (int64_t i = 0; first && i < source->width; i++)
        if (numbers[i] == numbers[i])
            *first += numbers[i] *
                      table_number(in->model, table_row(in, source->start + FIRST_ROW + i), in->model->net.size);
}

/* Where each sequence's values start. */
INLINE const int32_t *values_of(const dagfm_model *model, const dagfm_request *request, int64_t sequence) {
    const int32_t *values = request->values;
    (void)model;
    for (int64_t i = 0; i < sequence; i++) values += request->offsets[i * (request->rows + 1) + request->rows];
    return values;
}

/* Ask for the table rows of a block's tokens, which a large table has far away. Inline: a compiler sees no effect in a
 * call of it, and leaves calls without effect out. */
INLINE void fetch_block(const dagfm_model *model, const dagfm_request *request, int64_t first, int64_t rows) {
    const int64_t bytes = model->width * number_bytes(model);
    for (int64_t f = 0; f < model->net.fields; f++) {
        const dagfm_source *source = model->sources + f;
        if (source->kind != IDS) continue;
        const int32_t *id = request->tokens + first * model->tokens + source->column;
        for (int64_t r = 0; r < rows; r++, id += model->tokens) {
            /* An address is not read here: that the id is a row is checked when it is. */
            const uintptr_t at = (uintptr_t)model->table + (uintptr_t)((source->start + *id) * bytes);
            fetch((const void *)at);
            if (bytes > 64) fetch((const void *)(at + 64));
            if (at % 64 + (uintptr_t)bytes > 64) fetch((const void *)(at + (uintptr_t)bytes - 1));
        }
    }
}

/* The vectors of every field of rows first .. first + rows - 1. */
static void gather_block(const dagfm_model *model, const dagfm_request *request, int64_t first, int64_t rows,
                         vectors *to) {
    look_up at = {.model = model, .to = to}, *const in = &at;
    for (int64_t i = 0; i < LANES; i++) at.rest[i] = i < model->net.size % LANES ? -1 : 0;
    const int has_first = model->width > model->net.size;
    for (int64_t r = 0; r < rows; r++) to->first[r] = 0;
    for (int64_t f = 0; f < model->net.fields; f++) {
        const dagfm_source *source = model->sources + f;
        const int64_t *offsets = NULL;
        const int32_t *values = NULL;
        if (source->kind != IDS && source->kind != NUMBERS) {
            offsets = request->offsets + source->column * (request->rows + 1) + first;
            values = values_of(model, request, source->column);
        }
        for (int64_t r = 0; r < rows; r++) {
            float *const x = to->x + r * to->row + f * to->field, *const sum = has_first ? to->first + r : NULL;
            if (source->kind == IDS) {
                const int64_t id = request->tokens[(first + r) * model->tokens + source->column];
                take_row(in, table_row(in, source->start + id), x, sum);
            } else if (source->kind == NUMBERS) {
                scale_rows(in, source, request->floats + (first + r) * model->floats + source->column, x, sum);
            } else {
                pool_rows(in, source, values + offsets[r], offsets[r + 1] - offsets[r], x, sum);
            }
        }
    }
}

#endif
