/* Whether a request points where it says. */
#ifndef DAGFM_REQUEST_H
#define DAGFM_REQUEST_H

#include "scoring.h"

/* Whether every sequence lies within the values, and none is empty. */
static inline int request_fits(const dagfm_model *model, const dagfm_request *request) {
    int64_t items = 0;
    for (int64_t i = 0; i < model->sequences; i++) {
        const int64_t *offsets = request->offsets + i * (request->rows + 1);
        if (offsets[0] != 0) return 0;
        for (int64_t r = 0; r < request->rows; r++)
            if (offsets[r + 1] <= offsets[r] || offsets[r + 1] > request->items - items) return 0;
        items += offsets[request->rows];
    }
    return items <= request->items;
}

#endif
