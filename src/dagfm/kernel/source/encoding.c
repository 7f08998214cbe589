/* Raw cells to row ids and numbers, from Arrow's columns.
 *
 * Cells that are not of the kinds known here are said to be NOT_COVERED: Python encodes that field in its own way, so
 * that both always agree.
 */
#include "encoding.h"
#include "codes.h"

#define EXPORT __attribute__((visibility("default")))

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

/* Rows of a chunk of a table, of which `before` rows are done. */
typedef struct {
    int64_t before, first, rows;
} chunk;

static int encode_numbers(const dagfm_encoding *in, const dagfm_field *field, const arrow_column *column, chunk part) {
    for (int64_t row = part.first; row < part.first + part.rows; row++) {
        double value;
        if (!number_of(column, row, &value)) return NOT_COVERED;
        put_number(in, field, part.before + row, value);
    }
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
            if (in->status[i] != DONE || child < 0 || field->kind == ITEMS) continue;
            in->status[i] = (int8_t)encode_field(in, field, schema->children[child], array->children[child], coded + i,
                                                 part);
        }
    }
    const int absent = put_absent(in, before, array->length);
    for (int64_t i = 0; i < in->fields; i++) {
        const int64_t child = in->children[i], column = in->field[i].column;
        free(coded[i].ids);
        if (child < 0) in->status[i] = (int8_t)(in->status[i] | absent);
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

EXPORT int64_t dagfm_release_values(dagfm_values *values) {
    free(values->at);
    *values = (dagfm_values){0};
    return 0;
}
