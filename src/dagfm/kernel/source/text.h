/* The UTF-8 of a text of Python. */
#ifndef DAGFM_TEXT_H
#define DAGFM_TEXT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "fetch.h"

#define AHEAD 8 /* cells that are asked for before they are read, one after the other */

static inline void fetch_cell(PyObject *cell) {
    fetch(cell);
    fetch((const char *)cell + sizeof(PyASCIIObject));
}

/* The bytes of a str, which stay as long as it does; raises for half of a surrogate pair. */
static inline const char *utf8_of(PyObject *text, Py_ssize_t *size) {
    if (!PyUnicode_IS_COMPACT_ASCII(text)) return PyUnicode_AsUTF8AndSize(text, size);
    *size = PyUnicode_GET_LENGTH(text);
    return (const char *)PyUnicode_1BYTE_DATA(text);
}

#endif
