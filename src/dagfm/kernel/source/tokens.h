/* From a cell to the row id of its token: the text is looked up in an index, or hashed. */
#ifndef DAGFM_TOKENS_H
#define DAGFM_TOKENS_H

#include <math.h>

#include "arrow.h"
#include "index.h"

#define EXACT 9007199254740992.0 /* 2^53: floats below are whole numbers exactly */

enum { UNKNOWN, MISSING, FIRST }; /* rows of every field, as schema.py has them */
enum { DONE, NOT_COVERED };

/* What becomes of a token's text. */
typedef struct {
    token_index index; /* without slots: none */
    int64_t hash;      /* without an index: 2 + CRC-32 modulo this */
    /* Of fields with several values. */
    const uint8_t *separator;
    int64_t separator_size; /* 0: none */
    int64_t max_length;     /* 0: any */
    int64_t keep_last;
} dagfm_tokens;

static uint32_t crc_table[256];

__attribute__((constructor)) static void fill_crc_table(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t value = i;
        for (int bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ value >> 1 : value >> 1;
        crc_table[i] = value;
    }
}

static uint32_t crc32_of(const uint8_t *at, int64_t size) {
    uint32_t value = 0xffffffff;
    for (int64_t i = 0; i < size; i++) value = crc_table[(value ^ at[i]) & 255] ^ value >> 8;
    return ~value;
}

/* Texts wait for each other, so that the memory that they need arrives meanwhile: first the slot, then the token's bytes. */
#define STEP 16
#define RING 64 /* more than two steps, and a power of two */

typedef struct {
    const token_index *index;
    const index_slot *slot; /* where its search begins */
    uint64_t hash;
    const uint8_t *at;
    int64_t size;
    int32_t *to;
    uint8_t room[24]; /* of a number's text */
} given_text;

typedef struct {
    int64_t count; /* that were given since the last flush */
    given_text ring[RING];
} waiting;

static inline void find_slot(given_text *in) { in->slot = found_slot(in->index, in->hash, in->size); }

static inline void answer(const given_text *in) {
    const int64_t rank = find_token(in->index, in->slot, in->hash, in->at, in->size);
    *in->to = rank < 0 ? UNKNOWN : (int32_t)(rank + FIRST);
}

static void flush(waiting *in) {
    for (int64_t i = in->count > STEP ? in->count - STEP : 0; i < in->count; i++) find_slot(in->ring + i % RING);
    for (int64_t i = in->count > 2 * STEP ? in->count - 2 * STEP : 0; i < in->count; i++) answer(in->ring + i % RING);
    in->count = 0;
}

/* The row id of a text; `at` must stay until flush. */
static inline void give(waiting *in, const dagfm_tokens *tokens, const uint8_t *at, int64_t size, int32_t *to) {
    if (!size) {
        *to = MISSING;
        return;
    }
    if (!tokens->index.slots) {
        *to = FIRST + (int32_t)(crc32_of(at, size) % (uint64_t)tokens->hash);
        return;
    }
    given_text *const one = in->ring + in->count % RING;
    one->index = &tokens->index;
    one->hash = token_hash(at, size);
    fetch_slot(one->index, one->hash);
    one->at = at;
    one->size = size;
    one->to = to;
    if (in->count >= STEP) find_slot(in->ring + (in->count - STEP) % RING);
    if (in->count >= 2 * STEP) answer(in->ring + (in->count - 2 * STEP) % RING);
    in->count++;
}

/* The text of a whole number, as Python and polars write it. */
static int64_t written(uint64_t size, int negative, uint8_t to[24]) {
    uint8_t digits[24];
    int64_t count = 0, at = 0;
    do digits[count++] = (uint8_t)('0' + size % 10);
    while (size /= 10);
    if (negative) to[at++] = '-';
    while (count) to[at++] = digits[--count];
    return at;
}

static inline void give_integer(waiting *in, const dagfm_tokens *tokens, int64_t value, int above, int32_t *to) {
    uint8_t *room = in->ring[in->count % RING].room;
    const int negative = value < 0 && !above;
    give(in, tokens, room, written(negative ? 0 - (uint64_t)value : (uint64_t)value, negative, room), to);
}

/* A cell of any of Arrow's columns that arrow_open opens. */
static inline int give_cell(waiting *in, const dagfm_tokens *tokens, const arrow_column *column, int64_t row, int32_t *to) {
    if (column->format == 'n' || !arrow_valid(column, row)) {
        *to = MISSING;
        return DONE;
    }
    if (arrow_is_text(column)) {
        const uint8_t *at;
        const int64_t size = arrow_text(column, row, &at);
        give(in, tokens, at, size, to);
        return DONE;
    }
    if (arrow_is_float(column)) {
        const double value = arrow_float(column, row);
        if (value != value) {
            *to = MISSING;
            return DONE;
        }
        if (!(fabs(value) < EXACT) || value != floor(value)) return NOT_COVERED;
        give_integer(in, tokens, (int64_t)value, 0, to);
        return DONE;
    }
    int above;
    const int64_t value = arrow_integer(column, row, &above);
    if (column->format == 'b')
        give(in, tokens, (const uint8_t *)(value ? "true" : "false"), value ? 4 : 5, to);
    else
        give_integer(in, tokens, value, above, to);
    return DONE;
}

/* Row ids of so many rows of a column from `first` on, `apart` int32 from row to row. */
static inline int encode_column(const dagfm_tokens *tokens, const arrow_column *column, int64_t first, int64_t rows,
                                int32_t *to, int64_t apart) {
    waiting in;
    int failed = DONE;
    in.count = 0;
    for (int64_t row = 0; row < rows && failed == DONE; row++)
        failed = give_cell(&in, tokens, column, first + row, to + row * apart);
    flush(&in);
    return failed;
}

#endif
