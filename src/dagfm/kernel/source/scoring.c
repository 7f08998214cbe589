/* What Python calls to score encoded rows: checks what is pointed at and divides the rows among threads. */
#include <stddef.h>

#include "request.h"
#include "threads.h"

#define EXPORT __attribute__((visibility("default")))
#define LEAST_WORK (4 << 20) /* multiply-adds that are worth a thread */

extern const dagfm_scoring dagfm_base_scoring;
#if defined(__x86_64__)
extern const dagfm_scoring dagfm_avx2_scoring, dagfm_avx512_scoring, dagfm_avx512_narrow_scoring;
#endif

static const dagfm_scoring *version_of(const dagfm_call *net) {
#if defined(__x86_64__)
    if (net->version == 2)
        return net->size <= 8 && net->message == INNER ? &dagfm_avx512_narrow_scoring : &dagfm_avx512_scoring;
    if (net->version == 1) return &dagfm_avx2_scoring;
#else
    (void)net;
#endif
    return &dagfm_base_scoring;
}

static int64_t rounded(int64_t floats) { return (floats + 15) / 16 * 16; }

static int64_t threads_of(const dagfm_call *net, int64_t rows, int64_t most) {
    const int64_t pairs = pairs_of(net->fields), message = net->message == OUTER ? 2 : 1;
    const int64_t work = (net->depth * pairs * message + connects_of(net)) * net->size;
    const int64_t worth = 1 + rows * work / LEAST_WORK;
    int64_t threads = most < worth ? most : worth;
    if (threads > MOST_THREADS) threads = MOST_THREADS;
    return threads < 1 ? 1 : threads;
}

/* Floats of a model's packed weights, and how they are made of the others. */
EXPORT int64_t dagfm_packed(const dagfm_model *model) { return version_of(&model->net)->packed(model); }

EXPORT int64_t dagfm_pack(dagfm_model *model, float *to) {
    version_of(&model->net)->pack(model, to);
    model->packed = to;
    return 0;
}

/* Bytes of scratch that a request of so many rows needs. */
EXPORT int64_t dagfm_score_scratch(const dagfm_model *model, int64_t rows, int64_t threads) {
    const int64_t own = rounded(version_of(&model->net)->scratch(model));
    return threads_of(&model->net, rows, threads) * own * (int64_t)sizeof(float);
}

typedef struct {
    const dagfm_model *model;
    const dagfm_request *request;
    int64_t first, rows;
    float *scratch;
    int bad;
} share;

static void *work(void *argument) {
    share *mine = argument;
    mine->bad = version_of(&mine->model->net)->score(mine->model, mine->request, mine->first, mine->rows, mine->scratch);
    return NULL;
}

/* 0; 1 where an id is no row of the table; 2 where sequences are cut wrong. */
EXPORT int64_t dagfm_score(const dagfm_model *model, const dagfm_request *request) {
    const int64_t threads = threads_of(&model->net, request->rows, request->threads);
    if (!request_fits(model, request)) return 2;
    if (threads == 1) return version_of(&model->net)->score(model, request, 0, request->rows, request->scratch);
    const int64_t own = rounded(version_of(&model->net)->scratch(model));
    share shares[MOST_THREADS];
    int bad = 0;
    for (int64_t t = 0; t < threads; t++) {
        const int64_t first = request->rows * t / threads, end = request->rows * (t + 1) / threads;
        shares[t] = (share){model, request, first, end - first, request->scratch + t * own, 0};
    }
    in_threads(work, shares, sizeof(share), threads);
    for (int64_t t = 0; t < threads; t++) bad |= shares[t].bad;
    return bad;
}
