/* Rows of Python, as a list of dicts or a dict of lists, to row ids and numbers.
 *
 * Their cells are copied first, which takes Python's lock; then they are encoded without it. No code of Python runs while
 * rows are read, but for rows that are no dicts. Where its headers were missing there is nothing here, and Python makes a
 * table of the rows.
 */
#if defined(__has_include)
#if __has_include(<Python.h>)
#include "cells.h"

#define EXPORT __attribute__((visibility("default")))
#define FEW_ROWS 64 /* take less time than others would wait for Python's lock */

/* The cells of a row that is no dict are its own to make: they are kept until they are read. */
static int read_mapping(reading *in, int64_t row, PyObject *mapping, PyObject **values) {
    const int64_t count = in->columns->count;
    int64_t there = 0;
    while (there < count && (values[there] = PyObject_GetItem(mapping, PyTuple_GET_ITEM(in->columns->keys, there)))) there++;
    const int failed = there == count ? read_cells(in, row, values) : NOT_COVERED;
    while (there) Py_DECREF(values[--there]);
    return failed;
}

static int read_dict(reading *in, int64_t row, PyObject *dict, PyObject **values) {
    for (int64_t i = 0; i < in->columns->count; i++) {
        values[i] = PyDict_GetItemWithError(dict, PyTuple_GET_ITEM(in->columns->keys, i));
        if (!values[i]) return NOT_COVERED;
        fetch_cell(values[i]);
    }
    return read_cells(in, row, values);
}

static int read_rows(reading *in, PyObject *rows, PyObject **values) {
    for (int64_t row = 0; row < in->rows; row++) {
        if (row >= PyList_GET_SIZE(rows)) return NOT_COVERED; /* a row's own code took rows out */
        PyObject *const one = PyList_GET_ITEM(rows, row);
        Py_INCREF(one);
        const int failed = PyDict_CheckExact(one) ? read_dict(in, row, one, values) : read_mapping(in, row, one, values);
        Py_DECREF(one);
        if (failed != DONE) return NOT_COVERED;
    }
    return DONE;
}

/* Of a dict of columns, each a list of as many cells as there are rows; others may have the lock between long ones. */
static int read_lists(reading *in, PyObject *lists) {
    for (int64_t i = 0; i < in->columns->count; i++) {
        if (in->rows > FEW_ROWS) {
            Py_BEGIN_ALLOW_THREADS;
            Py_END_ALLOW_THREADS;
        }
        PyObject *const list = PyDict_GetItemWithError(lists, PyTuple_GET_ITEM(in->columns->keys, i));
        if (!list || !PyList_CheckExact(list) || PyList_GET_SIZE(list) != in->rows) return NOT_COVERED;
        for (int64_t row = 0; row < in->rows; row++) {
            if (row + AHEAD < in->rows) fetch_cell(PyList_GET_ITEM(list, row + AHEAD));
            if (read_cell(in, i, row, PyList_GET_ITEM(list, row)) != DONE) return NOT_COVERED;
        }
    }
    return DONE;
}

/* As many rows as `told` says, of a list, or of a dict of columns; 1 where they hold what only Python knows. What a row's
 * code raises is raised. */
EXPORT int64_t dagfm_encode_dicts(const dagfm_encoding *told, const dagfm_columns *columns, PyObject *rows) {
    const dagfm_encoding own = *told, *const in = &own; /* a row's code may encode others meanwhile */
    reading from = {.columns = columns, .rows = in->rows, .room = 8 * (columns->count * in->rows + 8)};
    from.text = malloc((size_t)from.room);
    PyObject **values = malloc((size_t)(columns->count + 1) * sizeof(PyObject *));
    from.cells = malloc((size_t)(columns->count * in->rows + 1) * sizeof(cell));
    int failed = !values || !from.cells || !from.text ? NOT_COVERED
                 : PyDict_CheckExact(rows)                   ? read_lists(&from, rows)
                                                             : read_rows(&from, rows, values);
    if (failed == DONE) failed = write_later(&from);
    for (int64_t i = 0; i < from.waits; i++) Py_DECREF(from.later[i].value);
    if (failed == DONE && in->rows <= FEW_ROWS) {
        failed = encode_cells(in, &from);
    } else if (failed == DONE) {
        Py_BEGIN_ALLOW_THREADS;
        failed = encode_cells(in, &from);
        Py_END_ALLOW_THREADS;
    }
    free(values);
    free(from.cells);
    free(from.text);
    free(from.pieces);
    free(from.later);
    return failed != DONE;
}

#endif
#endif
