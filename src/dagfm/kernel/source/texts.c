/* Texts of Python from bytes and to bytes.
 *
 * Python's lock is held all the time, and none of its code runs, so that what is read stays as it is.
 */
#if defined(__has_include)
#if __has_include(<Python.h>)
#include "text.h"

#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))

static inline PyObject *cell_at(const char *at, int64_t apart, int64_t row) {
    return *(PyObject *const *)(at + row * apart);
}

static inline int is_missing(PyObject *cell, PyObject *null) {
    return !cell || cell == Py_None || cell == null || (PyFloat_Check(cell) && PyFloat_AS_DOUBLE(cell) != PyFloat_AS_DOUBLE(cell));
}

/* An array of objects as Arrow has a column of texts: their bytes, one after the other; None where a cell is neither a
 * text nor missing. Raises for want of memory.
 *
 * `apart` bytes from cell to cell; `offsets` (rows + 1); `valid` has a bit for each row, 0 so far; `null` is missing
 * beside None and NaN.
 */
EXPORT PyObject *dagfm_join_texts(const char *at, int64_t apart, int64_t rows, PyObject *null, int64_t *offsets,
                                  uint8_t *valid) {
    Py_ssize_t room = 8 * rows + 64, count = 0;
    PyObject *joined = PyBytes_FromStringAndSize(NULL, room);
    for (int64_t row = 0; row < rows && joined; row++) {
        PyObject *const cell = cell_at(at, apart, row);
        if (row + AHEAD < rows) fetch_cell(cell_at(at, apart, row + AHEAD));
        offsets[row] = count;
        if (is_missing(cell, null)) continue;
        Py_ssize_t size;
        const char *const text = PyUnicode_Check(cell) ? utf8_of(cell, &size) : NULL;
        if (!text) {
            PyErr_Clear();
            Py_DECREF(joined);
            Py_RETURN_NONE;
        }
        if (count + size > room && _PyBytes_Resize(&joined, room = 2 * (count + size))) break;
        memcpy(PyBytes_AS_STRING(joined) + count, text, (size_t)size);
        count += size;
        valid[row >> 3] |= (uint8_t)(1 << (row & 7));
    }
    offsets[rows] = count;
    if (joined) _PyBytes_Resize(&joined, count);
    return joined;
}

/* A list of so many texts, each behind its size in four bytes, little-endian; None where the bytes hold anything else. */
EXPORT PyObject *dagfm_cut_texts(const uint8_t *at, int64_t size, int64_t count) {
    const uint8_t *const end = at + size;
    PyObject *const list = count <= size / 4 ? PyList_New(count) : NULL;
    int64_t done = 0;
    while (list && done < count && end - at >= 4) {
        const int64_t own = (int64_t)at[0] | (int64_t)at[1] << 8 | (int64_t)at[2] << 16 | (int64_t)at[3] << 24;
        PyObject *const text = own <= end - at - 4 ? PyUnicode_DecodeUTF8((const char *)at + 4, own, NULL) : NULL;
        if (!text) break;
        PyList_SET_ITEM(list, done++, text);
        at += 4 + own;
    }
    if (list && done == count && at == end) return list;
    Py_XDECREF(list);
    PyErr_Clear();
    Py_RETURN_NONE;
}

#endif
#endif
