/* Raw cells to row ids and numbers, from Arrow's columns or from texts that Python joined.
 *
 * Cells that are not of the kinds known here are said to be NOT_COVERED: Python encodes that field in its own way, so
 * that both always agree.
 */
#include "codes.h"

#define EXPORT __attribute__((visibility("default")))
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
    const int64_t *children; /* which column of the table each field is made of; below 0 none: missing */
    int32_t *ids;            /* (rows, ids_apart) */
    float *numbers;          /* (rows, numbers_apart), NaN where missing */
    int64_t ids_apart, numbers_apart;
    int64_t *offsets;     /* (sequences, rows + 1) */
    dagfm_values *values; /* (sequences) */
    int8_t *status;       /* (fields) */
} dagfm_encoding;

/* The number of a cell, NaN where missing; 0 where it is infinite, or text. */
static inline int number_of(const arrow_column *column, int64_t row, double *to) {
    *to = NAN;
    if (column->format == 'n' || !arrow_valid(column, row)) return 1;
    if (arrow_is_text(column)) return 0;
    if (arrow_is_float(column)) {
        *to = arrow_float(column, row);
        return !isinf(*to);
    }
    int above;
    const int64_t value = arrow_integer(column, row, &above);
    *to = above ? (double)(uint64_t)value : (double)value;
    return 1;
}

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

/* Rows of a chunk of a table, of which `before` rows are done. */
typedef struct {
    int64_t before, first, rows;
} chunk;

static int encode_numbers(const dagfm_encoding *in, const dagfm_field *field, const arrow_column *column, chunk part) {
    for (int64_t row = part.first; row < part.first + part.rows; row++) {
        double value;
        if (!number_of(column, row, &value)) return NOT_COVERED;
        if (field->kind == NUMBER)
            in->numbers[(part.before + row) * in->numbers_apart + field->column] = scaled(field, value);
        else
            in->ids[(part.before + row) * in->ids_apart + field->column] = bin_of(field, value);
    }
    return DONE;
}

/* A field that the table lacks. */
static int encode_nothing(const dagfm_encoding *in, const dagfm_field *field, chunk part) {
    for (int64_t row = part.before + part.first; row < part.before + part.first + part.rows; row++) {
        if (field->kind == NUMBER)
            in->numbers[row * in->numbers_apart + field->column] = NAN;
        else if (field->kind != ITEMS)
            in->ids[row * in->ids_apart + field->column] = MISSING;
    }
    if (field->kind != ITEMS) return DONE;
    items to = items_from(&field->tokens, in->offsets + field->column * (in->rows + 1) + part.before + part.first,
                          in->values + field->column);
    for (int64_t row = 0; row < part.rows; row++)
        if (!end_cell(&to)) return NOT_COVERED;
    return DONE;
}

static int encode_field(const dagfm_encoding *in, const dagfm_field *field, const struct ArrowSchema *schema,
                        const struct ArrowArray *array, const coded_column *coded, chunk part) {
    arrow_column cells;
    int32_t *to = in->ids + (part.before + part.first) * in->ids_apart + field->column;
    if (field->kind == IDS && schema->dictionary)
        return encode_coded(&field->tokens, coded, part.first, part.rows, to, in->ids_apart);
    if (!arrow_open(schema, array, &cells)) return NOT_COVERED;
    if (field->kind != IDS) return encode_numbers(in, field, &cells, part);
    return encode_column(&field->tokens, &cells, part.first, part.rows, to, in->ids_apart);
}

#define BLOCK 4096 /* rows whose ids stay in cache; fewer would find an index in cache less often */

static void encode_chunk(const dagfm_encoding *in, const struct ArrowSchema *schema, const struct ArrowArray *array,
                         int64_t before, coded_column *coded) {
    for (int64_t i = 0; i < in->fields; i++) {
        const int64_t child = in->children[i];
        coded[i].ids = NULL;
        if (in->status[i] == DONE && child >= 0 && in->field[i].kind == IDS && schema->children[child]->dictionary)
            in->status[i] =
                (int8_t)open_coded(&in->field[i].tokens, schema->children[child], array->children[child], coded + i);
    }
    for (int64_t first = 0; first < array->length; first += BLOCK) {
        const int64_t left = array->length - first;
        const chunk part = {before, first, left < BLOCK ? left : BLOCK};
        for (int64_t i = 0; i < in->fields; i++) {
            const int64_t child = in->children[i];
            const dagfm_field *field = in->field + i;
            if (in->status[i] != DONE || (child >= 0 && field->kind == ITEMS)) continue;
            in->status[i] = (int8_t)(child < 0 ? encode_nothing(in, field, part)
                                               : encode_field(in, field, schema->children[child],
                                                              array->children[child], coded + i, part));
        }
    }
    for (int64_t i = 0; i < in->fields; i++) {
        const int64_t child = in->children[i], column = in->field[i].column;
        free(coded[i].ids);
        if (in->status[i] != DONE || child < 0 || in->field[i].kind != ITEMS) continue;
        int (*const encode)(const dagfm_tokens *, const struct ArrowSchema *, const struct ArrowArray *, int64_t *,
                            dagfm_values *) = schema->children[child]->dictionary ? encode_coded_items : encode_items;
        in->status[i] = (int8_t)encode(&in->field[i].tokens, schema->children[child], array->children[child],
                                       in->offsets + column * (in->rows + 1) + before, in->values + column);
    }
}

/* Every field of a table; 0 where the table could be read and has the rows that were announced. */
EXPORT int64_t dagfm_encode_table(const dagfm_encoding *in, struct ArrowArrayStream *stream) {
    struct ArrowSchema schema;
    if (stream->get_schema(stream, &schema)) return 1;
    coded_column *coded = malloc((size_t)(in->fields + 1) * sizeof(coded_column));
    int64_t before = 0, failed = !coded;
    while (!failed) {
        struct ArrowArray array;
        if (stream->get_next(stream, &array)) {
            failed = 1;
            break;
        }
        if (!array.release) break;
        failed = before + array.length > in->rows || array.offset;
        if (!failed) encode_chunk(in, &schema, &array, before, coded);
        before += array.length;
        array.release(&array);
    }
    free(coded);
    schema.release(&schema);
    return failed || before != in->rows;
}

/* Fields of one id a cell from their texts, row after row, with a zero byte between them; 1 where there are not as many. */
EXPORT int64_t dagfm_encode_texts(const dagfm_encoding *in, const char *text, int64_t size) {
    const uint8_t *at = (const uint8_t *)text, *const end = at + size;
    waiting ids;
    ids.count = 0;
    const int64_t cells = in->rows * in->fields;
    int64_t cell = 0;
    for (int64_t row = 0; row < in->rows; row++)
        for (int64_t i = 0; i < in->fields; i++) {
            const uint8_t *stop = ++cell == cells ? end : memchr(at, 0, (size_t)(end - at));
            if (!stop || (cell == cells && memchr(at, 0, (size_t)(end - at)))) return 1;
            give(&ids, &in->field[i].tokens, at, stop - at, in->ids + row * in->ids_apart + in->field[i].column);
            at = stop + 1;
        }
    flush(&ids);
    return 0;
}

/* A field of several values a cell from texts with a zero byte between them, likewise: cells to cut, or, with counts
 * (rows), the values themselves. */
EXPORT int64_t dagfm_encode_items(const dagfm_encoding *in, int64_t i, const char *text, int64_t size,
                                  const int32_t *counts) {
    const dagfm_field *field = in->field + i;
    const uint8_t *at = (const uint8_t *)text, *const end = at + size;
    items to = items_from(&field->tokens, in->offsets + field->column * (in->rows + 1), in->values + field->column);
    int64_t pieces = counts ? 0 : in->rows, piece = 0;
    for (int64_t row = 0; counts && row < in->rows; row++) pieces += counts[row];
    for (int64_t row = 0; row < in->rows; row++) {
        for (int64_t left = counts ? counts[row] : 1; left > 0; left--) {
            const uint8_t *stop = ++piece == pieces ? end : memchr(at, 0, (size_t)(end - at));
            if (!stop || (piece == pieces && memchr(at, 0, (size_t)(end - at)))) return 1;
            if (!(counts ? give_item(&to, at, stop - at) : cut_cell(&to, at, stop - at))) return 1;
            at = stop + 1;
        }
        if (!end_cell(&to)) return 1;
    }
    flush(&to.ids);
    return 0;
}

/* Fields of numbers and bins from their numbers (rows, fields), NaN where missing; 1 where one is infinite. */
EXPORT int64_t dagfm_encode_numbers(const dagfm_encoding *in, const char *bytes) {
    for (int64_t row = 0; row < in->rows; row++)
        for (int64_t i = 0; i < in->fields; i++, bytes += sizeof(double)) {
            const dagfm_field *field = in->field + i;
            double value;
            memcpy(&value, bytes, sizeof value);
            if (isinf(value)) return 1;
            if (field->kind == NUMBER)
                in->numbers[row * in->numbers_apart + field->column] = scaled(field, value);
            else
                in->ids[row * in->ids_apart + field->column] = bin_of(field, value);
        }
    return 0;
}

EXPORT int64_t dagfm_release_values(dagfm_values *values) {
    free(values->at);
    *values = (dagfm_values){0};
    return 0;
}
