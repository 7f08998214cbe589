/* Cells of Python: read as texts and numbers, which takes Python's lock, then encoded without it.
 *
 * No code of Python runs while they are read: what a cell of a rarer type has for a text is asked once all are.
 */
#ifndef DAGFM_CELLS_H
#define DAGFM_CELLS_H

#include "text.h"

#include "encoding.h"

enum { TEXT, NUMERIC, SEVERAL }; /* what a column's cells are read as */

/* Which columns rows have; a key is there twice where its cells are read in two ways. */
typedef struct {
    int64_t count;
    PyObject *keys;    /* (count) a tuple */
    const int8_t *ways; /* (count) */
    PyObject *spelled; /* from a cell of a rarer type to its text; raises for those that are none */
    PyObject *integer, *real; /* types that are numbers beside Python's own */
} dagfm_columns;

/* Bytes of the text that was copied; of several values, the first of `pieces` and how many, ONE for a text to be cut,
 * the first one NOWHERE where the cell is missing. */
typedef struct {
    int32_t at, size;
} piece;

#define ONE (-1)
#define NOWHERE (-1)

typedef union {
    piece text;
    double number;
} cell;

/* A cell whose text Python writes, once all rows are read. */
typedef struct {
    PyObject *value;
    int64_t place; /* of cells, or, one less and negative, of pieces */
} waiting_cell;

/* What was read of all rows. */
typedef struct {
    const dagfm_columns *columns;
    int64_t rows;
    cell *cells; /* (columns, rows) */
    uint8_t *text;
    piece *pieces;
    waiting_cell *later;
    int64_t size, count, waits;          /* of text, pieces and later */
    int64_t room, pieces_room, waits_room;
} reading;

/* Room for so many more; 0 where there is none, or too many for a piece. */
static inline int grow(void **at, int64_t count, int64_t more, int64_t *room, size_t width) {
    if (count + more <= *room) return 1;
    if (count + more > INT32_MAX / 2) return 0;
    const int64_t wanted = 2 * (count + more) + 64;
    void *grown = realloc(*at, (size_t)wanted * width);
    if (!grown) return 0;
    *at = grown;
    *room = wanted;
    return 1;
}

/* Copy a text; DONE, or NOT_COVERED where there is no room. */
static inline int put_text(reading *in, const void *at, int64_t size, piece *to) {
    if (!grow((void **)&in->text, in->size, size, &in->room, 1)) return NOT_COVERED;
    memcpy(in->text + in->size, at, (size_t)size);
    *to = (piece){(int32_t)in->size, (int32_t)size};
    in->size += size;
    return DONE;
}

static inline int put_string(reading *in, PyObject *value, piece *to) {
    Py_ssize_t size;
    const char *text = utf8_of(value, &size);
    return text ? put_text(in, text, size, to) : NOT_COVERED;
}

static int put_integer(reading *in, int64_t value, piece *to) {
    uint8_t digits[24];
    return put_text(in, digits, written(value < 0 ? 0 - (uint64_t)value : (uint64_t)value, value < 0, digits), to);
}

static int put_later(reading *in, PyObject *value, int64_t place) {
    if (!grow((void **)&in->later, in->waits, 1, &in->waits_room, sizeof(waiting_cell))) return NOT_COVERED;
    in->later[in->waits++] = (waiting_cell){Py_NewRef(value), place};
    return DONE;
}

/* The token text of a cell as values.py has it, none where missing. A call for each cell would be a twentieth more. */
static inline __attribute__((always_inline)) int read_text(reading *in, PyObject *value, piece *to, int64_t place) {
    *to = (piece){0, 0};
    if (PyUnicode_Check(value)) return put_string(in, value, to);
    if (value == Py_None) return DONE;
    if (value == Py_True) return put_text(in, "true", 4, to);
    if (value == Py_False) return put_text(in, "false", 5, to);
    if (PyLong_CheckExact(value)) {
        int above;
        const long long number = PyLong_AsLongLongAndOverflow(value, &above);
        if (!above) return put_integer(in, number, to);
    } else if (PyFloat_CheckExact(value)) {
        const double number = PyFloat_AS_DOUBLE(value);
        if (number != number) return DONE;
        if (fabs(number) < EXACT && number == floor(number)) return put_integer(in, (int64_t)number, to);
    }
    return put_later(in, value, place);
}

/* The number of a cell, NaN where missing. */
static int read_number(const reading *in, PyObject *value, double *to) {
    PyObject *const type = (PyObject *)Py_TYPE(value);
    if (PyFloat_CheckExact(value) || type == in->columns->real) {
        *to = PyFloat_AS_DOUBLE(value);
    } else if (value == Py_None) {
        *to = NAN;
    } else if (PyLong_CheckExact(value) || type == in->columns->integer) {
        *to = PyFloat_AsDouble(value);
        if (*to == -1 && PyErr_Occurred()) {
            PyErr_Clear(); /* too large */
            return NOT_COVERED;
        }
    } else {
        return NOT_COVERED;
    }
    return isinf(*to) ? NOT_COVERED : DONE;
}

/* The values of a list or tuple, or a text to be cut. */
static int read_several(reading *in, PyObject *value, piece *to) {
    const int tuple = PyTuple_Check(value), list = tuple || PyList_Check(value);
    const int64_t count = tuple ? PyTuple_GET_SIZE(value) : list ? PyList_GET_SIZE(value) : value != Py_None;
    *to = (piece){list || count ? (int32_t)in->count : NOWHERE, list || !count ? (int32_t)count : ONE};
    if (!grow((void **)&in->pieces, in->count, count, &in->pieces_room, sizeof(piece))) return NOT_COVERED;
    for (int64_t i = 0; i < count; i++, in->count++) {
        PyObject *const one = tuple ? PyTuple_GET_ITEM(value, i) : list ? PyList_GET_ITEM(value, i) : value;
        if (read_text(in, one, in->pieces + in->count, -1 - in->count) != DONE) return NOT_COVERED;
    }
    return DONE;
}

static inline __attribute__((always_inline)) int read_cell(reading *in, int64_t column, int64_t row, PyObject *value) {
    const int64_t place = column * in->rows + row;
    cell *const to = in->cells + place;
    const int way = in->columns->ways[column];
    return way == TEXT      ? read_text(in, value, &to->text, place)
           : way == NUMERIC ? read_number(in, value, &to->number)
                            : read_several(in, value, &to->text);
}

static int read_cells(reading *in, int64_t row, PyObject *const *values) {
    for (int64_t i = 0; i < in->columns->count; i++)
        if (read_cell(in, i, row, values[i]) != DONE) return NOT_COVERED;
    return DONE;
}

static int write_later(reading *in) {
    for (int64_t i = 0; i < in->waits; i++) {
        const int64_t place = in->later[i].place;
        PyObject *const text = PyObject_CallOneArg(in->columns->spelled, in->later[i].value);
        const int failed = !text || put_string(in, text, place < 0 ? in->pieces - 1 - place : &in->cells[place].text);
        Py_XDECREF(text);
        if (failed) return NOT_COVERED;
    }
    return DONE;
}

static void encode_ids(const dagfm_encoding *in, const dagfm_field *field, const reading *from, const cell *cells) {
    waiting ids;
    ids.count = 0;
    int32_t *to = in->ids + field->column;
    for (int64_t row = 0; row < in->rows; row++, to += in->ids_apart)
        give(&ids, &field->tokens, from->text + cells[row].text.at, cells[row].text.size, to);
    flush(&ids);
}

/* All cells texts, which a separator cuts, or all lists. */
static int encode_several(const dagfm_encoding *in, const dagfm_field *field, const reading *from, const cell *cells) {
    items to = items_at(in, field, 0);
    int texts = 0, lists = 0;
    for (int64_t row = 0; row < in->rows; row++) {
        const piece own = cells[row].text;
        if (own.size == ONE) {
            const piece text = from->pieces[own.at];
            texts = 1;
            if (!cut_cell(&to, from->text + text.at, text.size)) return NOT_COVERED;
        }
        lists |= own.size != ONE && own.at != NOWHERE;
        for (int64_t i = 0; i < own.size; i++) {
            const piece text = from->pieces[own.at + i];
            if (!give_item(&to, from->text + text.at, text.size)) return NOT_COVERED;
        }
        if (!end_cell(&to)) return NOT_COVERED;
    }
    flush(&to.ids);
    return texts && (lists || !field->tokens.separator_size) ? NOT_COVERED : DONE;
}

static int encode_cells(const dagfm_encoding *in, const reading *from) {
    if (put_absent(in, 0, in->rows) != DONE) return NOT_COVERED;
    for (int64_t i = 0; i < in->fields; i++) {
        if (in->children[i] < 0) continue;
        const dagfm_field *const field = in->field + i;
        const cell *const cells = from->cells + in->children[i] * in->rows;
        int failed = DONE;
        if (field->kind == IDS)
            encode_ids(in, field, from, cells);
        else if (field->kind == ITEMS)
            failed = encode_several(in, field, from, cells);
        else
            for (int64_t row = 0; row < in->rows; row++) put_number(in, field, row, cells[row].number);
        if (failed != DONE) return NOT_COVERED;
    }
    return DONE;
}

#endif
