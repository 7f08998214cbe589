/* The loss of a row's logit and its gradient: cross-entropy of a click and squared distance to a teacher, weighed. */
#ifndef DAGFM_LOSS_H
#define DAGFM_LOSS_H

#include <math.h>

#include "call.h"

/* The loss of so many rows from `row` on, whose logits are in `out`; writes the logits' gradients to `grad`.
 *
 * A row with the weight zero has no label, or no teacher: whatever stands there is not looked at.
 */
static double loss_of_rows(const dagfm_call *call, int64_t row, int64_t rows) {
    double loss = 0;
    for (int64_t r = row; r < row + rows; r++) {
        const float logit = call->out[r];
        float grad = 0;
        if (call->labels && call->of_clicks[r] != 0) {
            const float weight = call->of_clicks[r], label = call->labels[r];
            const float small = expf(-fabsf(logit)), click = (logit < 0 ? small : 1) / (1 + small);
            loss += weight * ((logit > 0 ? logit : 0) - logit * label + log1pf(small));
            grad += weight * (click - label);
        }
        if (call->teacher && call->of_distances[r] != 0) {
            const float weight = call->of_distances[r], apart = logit - call->teacher[r];
            loss += weight * apart * apart;
            grad += 2 * weight * apart;
        }
        call->grad[r] = grad;
    }
    return loss;
}

#endif
