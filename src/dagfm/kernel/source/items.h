/* From a cell with several values, text or list, to ragged row ids. */
#ifndef DAGFM_ITEMS_H
#define DAGFM_ITEMS_H

#include <stdlib.h>

#include "tokens.h"

/* Bytes of the white space at the start, or at the end, of a text: what Unicode's White_Space has. */
static int64_t space_at(const uint8_t *at, int64_t size) {
    if (size > 0 && (at[0] == ' ' || (at[0] >= 9 && at[0] <= 13))) return 1;
    if (size > 1 && at[0] == 0xc2 && (at[1] == 0x85 || at[1] == 0xa0)) return 2;
    if (size < 3) return 0;
    const uint32_t three = (uint32_t)at[0] << 16 | (uint32_t)at[1] << 8 | at[2];
    return three == 0xe19a80 || (three >= 0xe28080 && three <= 0xe2808a) || three == 0xe280a8 || three == 0xe280a9 ||
                   three == 0xe280af || three == 0xe2819f || three == 0xe38080
               ? 3
               : 0;
}

static int64_t space_before(const uint8_t *end, int64_t size) {
    for (int64_t count = 1; count <= 3 && count <= size; count++)
        if (space_at(end - count, count) == count) return count;
    return 0;
}

/* Values that grow; Python frees them. */
typedef struct {
    int32_t *at;
    int64_t count, room;
} dagfm_values;

/* Items of the cells of a field with several values, as they come. */
typedef struct {
    waiting ids;
    const dagfm_tokens *tokens;
    dagfm_values *values;
    int64_t *offsets; /* of the row that is next */
    int64_t start;    /* of its values */
} items;

static items items_from(const dagfm_tokens *tokens, int64_t *offsets, dagfm_values *values) {
    items in = {.tokens = tokens, .values = values, .offsets = offsets, .start = values->count};
    *offsets = values->count;
    return in;
}

/* Where the next value goes; NULL where there is no memory. */
static inline int32_t *next_value(items *in) {
    dagfm_values *values = in->values;
    if (values->count == values->room) {
        flush(&in->ids);
        const int64_t room = 2 * values->room + 64;
        int32_t *at = realloc(values->at, (size_t)room * sizeof(int32_t));
        if (!at) return NULL;
        values->at = at;
        values->room = room;
    }
    return values->at + values->count;
}

static inline int give_item(items *in, const uint8_t *at, int64_t size) {
    if (!size) return 1;
    int32_t *const to = next_value(in);
    if (!to) return 0;
    in->values->count++;
    give(&in->ids, in->tokens, at, size, to);
    return 1;
}

/* The end of a cell: at most max_length items stay, and one that has none is missing. */
static inline int end_cell(items *in) {
    dagfm_values *values = in->values;
    const int64_t most = in->tokens->max_length, found = values->count - in->start;
    if (most && found > most) {
        flush(&in->ids);
        if (in->tokens->keep_last)
            memmove(values->at + in->start, values->at + values->count - most, (size_t)most * sizeof(int32_t));
        values->count = in->start + most;
    }
    if (!found) {
        int32_t *const to = next_value(in);
        if (!to) return 0;
        *to = MISSING;
        values->count++;
    }
    *++in->offsets = in->start = values->count;
    return 1;
}

/* The items of a text between separators, less the space around them. */
static int cut_cell(items *in, const uint8_t *at, int64_t size) {
    const uint8_t *const end = at + size, *const separator = in->tokens->separator;
    const int64_t width = in->tokens->separator_size;
    while (1) {
        const uint8_t *stop = at;
        while (width && end - stop >= width && (*stop != *separator || memcmp(stop, separator, (size_t)width))) stop++;
        const int last = !width || end - stop < width;
        const uint8_t *from = at, *to = last ? end : stop;
        for (int64_t space; (space = space_at(from, to - from));) from += space;
        for (int64_t space; (space = space_before(to, to - from));) to -= space;
        if (!give_item(in, from, to - from)) return 0;
        if (last) return 1;
        at = stop + width;
    }
}

/* The values of a column of texts or lists; NOT_COVERED where they are something else, or memory is short. */
static inline int encode_items(const dagfm_tokens *tokens, const struct ArrowSchema *schema,
                               const struct ArrowArray *array, int64_t *offsets, dagfm_values *values) {
    items in = items_from(tokens, offsets, values);
    arrow_column column;
    if (strcmp(schema->format, "+L")) {
        if (!arrow_open(schema, array, &column)) return NOT_COVERED;
        if (column.format != 'n' && (!arrow_is_text(&column) || !tokens->separator_size)) return NOT_COVERED;
        for (int64_t row = 0; row < array->length; row++) {
            const uint8_t *at;
            if (column.format != 'n' && arrow_valid(&column, row)) {
                const int64_t size = arrow_text(&column, row, &at);
                if (!cut_cell(&in, at, size)) return NOT_COVERED;
            }
            if (!end_cell(&in)) return NOT_COVERED;
        }
        flush(&in.ids);
        return DONE;
    }
    if (!arrow_open(schema->children[0], array->children[0], &column)) return NOT_COVERED;
    const int64_t *ends = (const int64_t *)array->buffers[1] + array->offset;
    const uint8_t *valid = array->null_count ? array->buffers[0] : NULL;
    for (int64_t row = 0; row < array->length; row++) {
        const int there = !valid || arrow_bit(valid, array->offset + row);
        for (int64_t i = ends[row]; there && i < ends[row + 1]; i++) {
            int32_t *const to = next_value(&in);
            const int64_t waited = in.ids.count;
            if (!to || give_cell(&in.ids, tokens, &column, i, to) != DONE) return NOT_COVERED;
            /* What is missing is no item, and is known at once; what is looked up waits. */
            values->count += in.ids.count != waited || *to != MISSING;
        }
        if (!end_cell(&in)) return NOT_COVERED;
    }
    flush(&in.ids);
    return DONE;
}

#endif
