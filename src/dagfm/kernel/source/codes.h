/* Columns of codes into a dictionary, as Parquet holds texts: a text is looked up once for all rows that hold it. */
#ifndef DAGFM_CODES_H
#define DAGFM_CODES_H

#include "items.h"

/* A column with a dictionary, and what its tokens are. */
typedef struct {
    arrow_column codes, cells;
    int32_t *ids; /* of every cell of the dictionary; NULL where it has more of them than the column has rows */
} coded_column;

/* NOT_COVERED where the codes, or the cells, are of a type that is not known here. Its ids are the caller's to free. */
static int open_coded(const dagfm_tokens *tokens, const struct ArrowSchema *schema, const struct ArrowArray *array,
                      coded_column *to) {
    const struct ArrowArray *dictionary = array->dictionary;
    to->ids = NULL;
    if (!arrow_open_codes(schema, array, &to->codes) || !arrow_open(schema->dictionary, dictionary, &to->cells))
        return NOT_COVERED;
    if (dictionary->length > array->length) return DONE;
    to->ids = malloc((size_t)(dictionary->length + 1) * sizeof(int32_t));
    return to->ids ? encode_column(tokens, &to->cells, 0, dictionary->length, to->ids, 1) : DONE;
}

/* As encode_column. */
static int encode_coded(const dagfm_tokens *tokens, const coded_column *in, int64_t first, int64_t rows, int32_t *to,
                        int64_t apart) {
    waiting ids;
    int failed = DONE, above;
    ids.count = 0;
    for (int64_t row = 0; row < rows && failed == DONE; row++, to += apart) {
        if (!arrow_valid(&in->codes, first + row)) {
            *to = MISSING;
            continue;
        }
        const int64_t code = arrow_integer(&in->codes, first + row, &above);
        if (in->ids)
            *to = in->ids[code];
        else
            failed = give_cell(&ids, tokens, &in->cells, code, to);
    }
    flush(&ids);
    return failed;
}

/* The items of texts that are cut, of a column with a dictionary; as encode_items. */
static int encode_coded_items(const dagfm_tokens *tokens, const struct ArrowSchema *schema, const struct ArrowArray *array,
                              int64_t *offsets, dagfm_values *values) {
    const struct ArrowArray *dictionary = array->dictionary;
    items in = items_from(tokens, offsets, values);
    arrow_column codes, texts;
    if (!arrow_open_codes(schema, array, &codes) || !arrow_open(schema->dictionary, dictionary, &texts) ||
        !arrow_is_text(&texts) || !tokens->separator_size)
        return NOT_COVERED;
    int64_t *known = NULL;
    dagfm_values ids = {0};
    int failed = DONE, above;
    if (dictionary->length <= array->length) {
        known = malloc((size_t)(dictionary->length + 1) * sizeof(int64_t));
        failed = known ? encode_items(tokens, schema->dictionary, dictionary, known, &ids) : NOT_COVERED;
    }
    for (int64_t row = 0; row < array->length && failed == DONE; row++) {
        const int64_t code = arrow_valid(&codes, row) ? arrow_integer(&codes, row, &above) : -1;
        if (code >= 0 && known) {
            for (int64_t i = known[code]; i < known[code + 1] && failed == DONE; i++) {
                int32_t *const to = next_value(&in);
                if (to) {
                    *to = ids.at[i];
                    values->count++;
                } else {
                    failed = NOT_COVERED;
                }
            }
        } else if (code >= 0 && arrow_valid(&texts, code)) {
            const uint8_t *at;
            const int64_t size = arrow_text(&texts, code, &at);
            if (!cut_cell(&in, at, size)) failed = NOT_COVERED;
        }
        if (!end_cell(&in)) failed = NOT_COVERED;
    }
    flush(&in.ids);
    free(known);
    free(ids.at);
    return failed;
}

#endif
