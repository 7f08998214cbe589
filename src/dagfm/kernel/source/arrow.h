/* Apache Arrow's C data and stream interfaces: https://arrow.apache.org/docs/format/CDataInterface.html */
#ifndef DAGFM_ARROW_H
#define DAGFM_ARROW_H

#include <stdint.h>
#include <string.h>

struct ArrowSchema {
    const char *format, *name, *metadata;
    int64_t flags, n_children;
    struct ArrowSchema **children, *dictionary;
    void (*release)(struct ArrowSchema *);
    void *private_data;
};

struct ArrowArray {
    int64_t length, null_count, offset, n_buffers, n_children;
    const void **buffers;
    struct ArrowArray **children, *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};

struct ArrowArrayStream {
    int (*get_schema)(struct ArrowArrayStream *, struct ArrowSchema *out);
    int (*get_next)(struct ArrowArrayStream *, struct ArrowArray *out);
    const char *(*get_last_error)(struct ArrowArrayStream *);
    void (*release)(struct ArrowArrayStream *);
    void *private_data;
};

/* A column of one value a row, or the values of lists. */
typedef struct {
    char format; /* of Arrow; 'v' string views, 'u' and 'U' strings by offsets, 'n' nulls, numbers and 'b' */
    const struct ArrowArray *array;
    const uint8_t *valid; /* NULL: all of them */
} arrow_column;

static inline int arrow_bit(const uint8_t *bits, int64_t i) { return bits[i >> 3] >> (i & 7) & 1; }

static inline int arrow_valid(const arrow_column *in, int64_t row) {
    return !in->valid || arrow_bit(in->valid, in->array->offset + row);
}

/* The values of a column, or its codes where it has a dictionary; 0 where they are of another type than these. */
static inline int arrow_open_codes(const struct ArrowSchema *schema, const struct ArrowArray *array, arrow_column *out) {
    const char *format = schema->format;
    if (!strcmp(format, "vu"))
        out->format = 'v';
    else if (strlen(format) == 1 && strchr("uUnbcCsSiIlLfg", *format))
        out->format = *format;
    else
        return 0;
    out->array = array;
    out->valid = out->format == 'n' || !array->null_count ? NULL : array->buffers[0];
    return 1;
}

/* The values of a column without a dictionary. */
static inline int arrow_open(const struct ArrowSchema *schema, const struct ArrowArray *array, arrow_column *out) {
    return !schema->dictionary && arrow_open_codes(schema, array, out);
}

/* The bytes of a string, which is not null. */
static inline int64_t arrow_text(const arrow_column *in, int64_t row, const uint8_t **at) {
    const int64_t i = in->array->offset + row;
    if (in->format == 'v') { /* 16 bytes: size, then the bytes themselves, or 4 of them, the buffer and the place */
        const uint8_t *view = (const uint8_t *)in->array->buffers[1] + 16 * i;
        int32_t part[4];
        memcpy(part, view, 16);
        *at = part[0] <= 12 ? view + 4 : (const uint8_t *)in->array->buffers[2 + part[2]] + part[3];
        return part[0];
    }
    if (in->format == 'u') {
        const int32_t *offsets = (const int32_t *)in->array->buffers[1] + i;
        *at = (const uint8_t *)in->array->buffers[2] + offsets[0];
        return offsets[1] - offsets[0];
    }
    const int64_t *offsets = (const int64_t *)in->array->buffers[1] + i;
    *at = (const uint8_t *)in->array->buffers[2] + offsets[0];
    return offsets[1] - offsets[0];
}

static inline int arrow_is_text(const arrow_column *in) {
    return in->format == 'v' || in->format == 'u' || in->format == 'U';
}

static inline int arrow_is_float(const arrow_column *in) { return in->format == 'f' || in->format == 'g'; }

/* The number of a cell that is not null, of a column of floats. */
static inline double arrow_float(const arrow_column *in, int64_t row) {
    const int64_t i = in->array->offset + row;
    return in->format == 'f' ? (double)((const float *)in->array->buffers[1])[i]
                             : ((const double *)in->array->buffers[1])[i];
}

/* The number of a cell that is not null, of a column of integers or truths; *above: it is 2^63 and more. */
static inline int64_t arrow_integer(const arrow_column *in, int64_t row, int *above) {
    const int64_t i = in->array->offset + row;
    const void *data = in->array->buffers[1];
    *above = 0;
    switch (in->format) {
    case 'b': return arrow_bit(data, i);
    case 'c': return ((const int8_t *)data)[i];
    case 'C': return ((const uint8_t *)data)[i];
    case 's': return ((const int16_t *)data)[i];
    case 'S': return ((const uint16_t *)data)[i];
    case 'i': return ((const int32_t *)data)[i];
    case 'I': return ((const uint32_t *)data)[i];
    case 'L': *above = ((const int64_t *)data)[i] < 0; return ((const int64_t *)data)[i];
    default: return ((const int64_t *)data)[i];
    }
}

#endif
