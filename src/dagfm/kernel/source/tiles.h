/* Sums over fields of states that lie in lanes of D, a tile of rows and nodes at a time, all of it in registers.
 *
 * Three kinds of weights w(f, s) from field f to node s take part: MESSAGES has a vector for each f <= s, packed row by row
 * of the upper triangle and `step` floats apart; LOWER a number for each f <= s, packed by rows s of the lower triangle;
 * SQUARE a number for each pair, [s][f]. The last two are the connect layer.
 */
#ifndef DAGFM_TILES_H
#define DAGFM_TILES_H

#include "lanes.h"

enum kind { MESSAGES, LOWER, SQUARE };

/* Where pair (f, s) of the upper triangle lies, less s. */
INLINE int64_t upper(int64_t fields, int64_t f) { return f * (2 * fields - f - 1) / 2; }

/* Where pair (f, s) of the lower triangle lies, less f. */
INLINE int64_t lower(int64_t s) { return s * (s + 1) / 2; }

typedef struct {
    const float *at;
    int64_t row, field; /* strides, in floats */
} states;

/* Rows by four nodes, and fields by six nodes, whose sums fit into the registers beside what they are made of. */
#if LANES == 16 || defined(__AVX512VL__) || defined(__aarch64__)
#define ROWS 6
#define FIELDS 4
#else
#define ROWS 3
#define FIELDS 2
#endif

/* acc[r][j] += sum over f of w(f, s + j) h[r][f]: m rows, n nodes from s on. */
INLINE void add_gathered(vec acc[][4], const int m, const int n, const enum kind kind, int64_t fields, const float *w,
                         int64_t step, states h, int64_t s) {
    const float *from[4] = {0};
    UNROLL for (int j = 0; j < n; j++)
        from[j] = kind == MESSAGES ? w + (s + j) * step : kind == LOWER ? w + lower(s + j) : w + (s + j) * fields;
    const int64_t full = kind == SQUARE ? fields : s + 1;
    const float *at = h.at, *edge = from[0];
    for (int64_t f = 0; f < full; f++) {
        vec value[8];
        UNROLL for (int r = 0; r < m; r++) value[r] = load(at + r * h.row);
        UNROLL for (int j = 0; j < n; j++) {
            const vec weight = kind == MESSAGES ? load(edge + j * step) : all(from[j][f]);
            UNROLL for (int r = 0; r < m; r++) acc[r][j] += value[r] * weight;
        }
        at += h.field;
        edge += (fields - f - 1) * step;
    }
    if (kind == SQUARE) return;
    UNROLL for (int d = 1; d < n; d++) { /* the triangle's edge: node s + j has sources up to itself */
        vec value[8];
        UNROLL for (int r = 0; r < m; r++) value[r] = load(at + r * h.row);
        UNROLL for (int j = d; j < n; j++) {
            const vec weight = kind == MESSAGES ? load(edge + j * step) : all(from[j][s + d]);
            UNROLL for (int r = 0; r < m; r++) acc[r][j] += value[r] * weight;
        }
        at += h.field;
        edge += (fields - s - d - 1) * step;
    }
}

INLINE void gathered(vec acc[][4], const int m, const int n, const enum kind kind, int64_t fields, const float *w,
                     int64_t step, states h, int64_t s) {
    UNROLL for (int j = 0; j < n; j++) UNROLL for (int r = 0; r < m; r++) acc[r][j] = (vec){0};
    add_gathered(acc, m, n, kind, fields, w, step, h, s);
}

/* acc[r][j] = sum over s of w(f + j, s) g[r][s]: m rows, n fields from f on. */
INLINE void spread(vec acc[][4], const int m, const int n, const enum kind kind, int64_t fields, const float *w,
                   int64_t step, states g, int64_t f) {
    const int64_t start = kind == SQUARE ? 0 : f;
    const float *from[4] = {0};
    UNROLL for (int j = 0; j < n; j++) {
        from[j] = w + (upper(fields, f + j) + start) * step;
        UNROLL for (int r = 0; r < m; r++) acc[r][j] = (vec){0};
    }
    const float *at = g.at + start * g.field;
    const float *row = w + f + (kind == LOWER ? lower(start) : start * fields);
    int64_t s = start, along = 0;
    if (kind != SQUARE)
        UNROLL for (int d = 0; d < n - 1; d++) { /* the triangle's edge: field f + j has nodes from itself on */
            vec value[8];
            UNROLL for (int r = 0; r < m; r++) value[r] = load(at + r * g.row);
            UNROLL for (int j = 0; j <= d; j++) {
                const vec weight = kind == MESSAGES ? load(from[j] + along) : all(row[j]);
                UNROLL for (int r = 0; r < m; r++) acc[r][j] += value[r] * weight;
            }
            along += step;
            row += ++s;
            at += g.field;
        }
    for (; s < fields; s++) {
        vec value[8];
        UNROLL for (int r = 0; r < m; r++) value[r] = load(at + r * g.row);
        UNROLL for (int j = 0; j < n; j++) {
            const vec weight = kind == MESSAGES ? load(from[j] + along) : all(row[j]);
            UNROLL for (int r = 0; r < m; r++) acc[r][j] += value[r] * weight;
        }
        along += step;
        row += kind == LOWER ? s + 1 : fields;
        at += g.field;
    }
}

/* Add the sum over rows of h[r][f + i] g[r][s + j] to the gradients of the pairs, m fields by n nodes; those with
 * f + i <= s + j where only the triangle counts and `edge` says that the tile, whose corner is (s, s), crosses it. */
INLINE void correlated(const int m, const int n, const int edge, const enum kind kind, int64_t fields, float *to,
                       int64_t step, states h, states g, int64_t rows, int64_t f, int64_t s) {
    vec acc[4][6];
    UNROLL for (int i = 0; i < m; i++) UNROLL for (int j = 0; j < n; j++) acc[i][j] = (vec){0};
    const float *ours = h.at + f * h.field, *theirs = g.at + s * g.field;
    for (int64_t r = 0; r < rows; r++) {
        vec value[4];
        UNROLL for (int i = 0; i < m; i++) value[i] = load(ours + i * h.field);
        UNROLL for (int j = 0; j < n; j++) {
            const vec grad = load(theirs + j * g.field);
            UNROLL for (int i = 0; i < m; i++)
                if (!edge || i <= j) acc[i][j] += value[i] * grad;
        }
        ours += h.row;
        theirs += g.row;
    }
    UNROLL for (int i = 0; i < m; i++) UNROLL for (int j = 0; j < n; j++) {
        if (edge && i > j) continue;
        const int64_t pair = kind == SQUARE  ? (s + j) * fields + f + i
                             : kind == LOWER ? lower(s + j) + f + i
                                             : upper(fields, f + i) + s + j;
        float *here = to + pair * step;
        store(here, load(here) + acc[i][j]);
    }
}

INLINE void correlated_column(const int n, const enum kind kind, int64_t fields, float *to, int64_t step, states h,
                              states g, int64_t rows, int64_t s) {
    const int64_t full = kind == SQUARE ? fields : s;
    int64_t f = 0;
    for (; f + FIELDS <= full; f += FIELDS) correlated(FIELDS, n, 0, kind, fields, to, step, h, g, rows, f, s);
    for (; f + 2 <= full; f += 2) correlated(2, n, 0, kind, fields, to, step, h, g, rows, f, s);
    for (; f < full; f++) correlated(1, n, 0, kind, fields, to, step, h, g, rows, f, s);
    if (kind == SQUARE) return;
    correlated(n < 3 ? n : 3, n, 1, kind, fields, to, step, h, g, rows, s, s);
    if (n > 3) correlated(n - 3, n - 3, 1, kind, fields, to, step, h, g, rows, s + 3, s + 3);
}

/* The gradients of all pairs: += sum over rows of h[r][f] g[r][s]. */
static void correlate(const enum kind kind, int64_t fields, float *to, int64_t step, states h, states g, int64_t rows) {
#define COLUMNS(kind)                                                                                   \
    do {                                                                                                \
        int64_t s = 0;                                                                                  \
        for (; s + 6 <= fields; s += 6) correlated_column(6, kind, fields, to, step, h, g, rows, s);    \
        for (; s + 3 <= fields; s += 3) correlated_column(3, kind, fields, to, step, h, g, rows, s);    \
        for (; s < fields; s++) correlated_column(1, kind, fields, to, step, h, g, rows, s);            \
    } while (0)
    if (kind == MESSAGES)
        COLUMNS(MESSAGES);
    else if (kind == LOWER)
        COLUMNS(LOWER);
    else
        COLUMNS(SQUARE);
#undef COLUMNS
}

#endif
