/* Rows of the embedding table, whose numbers are float32, or half floats or 8-bit integers that are read as they lie. */
#ifndef DAGFM_TABLE_ROWS_H
#define DAGFM_TABLE_ROWS_H

#include "lanes.h"
#include "scoring.h"

typedef int32_t lane_bits __attribute__((vector_size(4 * LANES)));
typedef uint32_t lane_words __attribute__((vector_size(4 * LANES)));
typedef uint16_t half_lanes __attribute__((vector_size(2 * LANES)));
typedef int8_t byte_lanes __attribute__((vector_size(LANES)));

INLINE int64_t number_bytes(const dagfm_model *model) {
    return model->format == FLOAT32 ? 4 : model->format == FLOAT16 ? 2 : 1;
}

/* Finite half floats: their bits in a float's places are the number times 2^-112, subnormal ones too. */
INLINE vec from_halves(half_lanes halves) {
    const lane_words bits = __builtin_convertvector(halves, lane_words);
    const vec size = (vec)((bits & 0x7fff) << 13) * 0x1p112f;
    return (vec)((lane_words)size | (bits & 0x8000) << 16);
}

INLINE float from_half(uint16_t half) {
    const uint32_t bits = (uint32_t)(half & 0x7fff) << 13;
    float size;
    memcpy(&size, &bits, 4);
    return half & 0x8000 ? -(size * 0x1p112f) : size * 0x1p112f;
}

/* One number of a row. */
INLINE float table_number(const dagfm_model *model, int64_t row, int64_t column) {
    const int64_t at = row * model->width + column;
    if (model->format == FLOAT32) return ((const float *)model->table)[at];
    if (model->format == FLOAT16) return from_half(((const uint16_t *)model->table)[at]);
    return (float)((const int8_t *)model->table)[at] * from_half(model->scales[row]);
}

/* LANES columns from `column` on of a row, those past the last zero; `rest` has the lanes of the last columns. */
INLINE vec table_lanes(const dagfm_model *model, int64_t row, int64_t column, lane_bits rest) {
    const int64_t left = model->net.size - column, bytes = number_bytes(model), at = row * model->width + column;
    const uint8_t *from = (const uint8_t *)model->table + at * bytes;
    /* Numbers past the last column are another's; past the end of the table there are none. */
    const int64_t there = at + LANES <= model->table_rows * model->width ? LANES : left;
    vec value;
    if (model->format == FLOAT32) {
        value = there == LANES ? load((const float *)from) : load_part((const float *)from, left);
    } else if (model->format == FLOAT16) {
        half_lanes halves = {0};
        if (there == LANES)
            memcpy(&halves, from, sizeof halves);
        else
            memcpy(&halves, from, (size_t)left * 2);
        value = from_halves(halves);
    } else {
        byte_lanes numbers = {0};
        if (there == LANES)
            memcpy(&numbers, from, sizeof numbers);
        else
            memcpy(&numbers, from, (size_t)left);
        value = __builtin_convertvector(numbers, vec) * from_half(model->scales[row]);
    }
    return left >= LANES ? value : (vec)((lane_bits)value & rest);
}

#endif
