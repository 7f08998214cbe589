/* Texts of Python in an array of objects, as Arrow has a column of them: one after the other, in UTF-8.
 *
 * Python's lock is held all the time, and none of its code runs, so that the array stays as it is.
 */
#if defined(__has_include)
#if __has_include(<Python.h>)
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

#include "fetch.h"

#define EXPORT __attribute__((visibility("default")))
#define AHEAD 8 /* cells that are asked for before they are read */

static inline PyObject *cell_at(const char *at, int64_t apart, int64_t row) {
    return *(PyObject *const *)(at + row * apart);
}

static inline int is_missing(PyObject *cell, PyObject *null) {
    return !cell || cell == Py_None || cell == null || (PyFloat_Check(cell) && PyFloat_AS_DOUBLE(cell) != PyFloat_AS_DOUBLE(cell));
}

/* The bytes of a text; NULL where it is none, or holds half of a surrogate pair. */
static inline const char *utf8_of(PyObject *cell, Py_ssize_t *size) {
    if (!PyUnicode_Check(cell)) return NULL;
    if (PyUnicode_IS_COMPACT_ASCII(cell)) {
        *size = PyUnicode_GET_LENGTH(cell);
        return (const char *)PyUnicode_1BYTE_DATA(cell);
    }
    const char *found = PyUnicode_AsUTF8AndSize(cell, size);
    if (!found) PyErr_Clear();
    return found;
}

/* The bytes of all texts, None where a cell is neither a text nor missing; raises for want of memory.
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
        if (row + AHEAD < rows) fetch(cell_at(at, apart, row + AHEAD));
        offsets[row] = count;
        if (is_missing(cell, null)) continue;
        Py_ssize_t size;
        const char *const text = utf8_of(cell, &size);
        if (!text) {
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

#endif
#endif
