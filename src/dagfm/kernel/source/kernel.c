/* What Python calls: chooses the version for this processor and divides the rows among threads.
 *
 * Threads live for one call: making one costs some 20 microseconds, which only calls of milliseconds pay, and nothing
 * is left behind for a fork to break. Which rows a thread gets depends on the number of threads alone, and gradients
 * are added up in the order of the threads, so that a number of threads always gives the same bytes.
 */
#include <stddef.h>
#include <string.h>

#include "call.h"
#include "threads.h"

#define EXPORT __attribute__((visibility("default")))
#define LEAST_WORK (4 << 20) /* multiply-adds that are worth a thread */

extern const dagfm_version dagfm_base;
#if defined(__x86_64__)
extern const dagfm_version dagfm_avx2, dagfm_avx512, dagfm_avx512_narrow;
#endif

enum { BASE, AVX2, AVX512 };

/* The sources that this was built from: see library.py. */
EXPORT uint64_t dagfm_sources(void) { return SOURCES; }

/* The best version that this processor has. */
EXPORT int64_t dagfm_best_version(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return BASE;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq"))
        return AVX512;
    return AVX2;
#else
    return BASE;
#endif
}

const dagfm_version *version_at(int64_t number) {
#if defined(__x86_64__)
    if (number == AVX512) return &dagfm_avx512;
    if (number == AVX2) return &dagfm_avx2;
#else
    (void)number;
#endif
    return &dagfm_base;
}

static const dagfm_version *version_of(const dagfm_call *call) {
#if defined(__x86_64__)
    if (call->version == AVX512 && call->size <= 8 && call->message == INNER) return &dagfm_avx512_narrow;
#endif
    return version_at(call->version);
}

EXPORT void dagfm_drop(float *to, const float *from, int64_t count, uint64_t seed, uint32_t limit, float scale,
                       int64_t version) {
    version_at(version)->drop(to, from, count, seed, limit, scale);
}

EXPORT void dagfm_adam(const adam_rule *rule, int64_t count, float decay, float *weight, const float *grad, float *mean,
                       float *square, int64_t version) {
    version_at(version)->adam(rule, count, decay, weight, grad, mean, square);
}

static int64_t rounded(int64_t floats) { return (floats + 15) / 16 * 16; }

/* Numbers of p of a layer. */
static int64_t messages_of(const dagfm_call *call) {
    return call->message == CROSS ? sums_of(call) * sums_of(call) : pairs_of(call->fields) * call->size;
}

static int64_t threads_of(const dagfm_call *call) {
    const int64_t message = call->message == OUTER ? 2 : 1;
    const int64_t work = call->depth * messages_of(call) * message + connects_of(call) * call->size;
    const int64_t worth = 1 + (call->rows * work) / LEAST_WORK;
    int64_t threads = call->threads < worth ? call->threads : worth;
    if (threads > call->rows) threads = call->rows;
    if (threads > MOST_THREADS) threads = MOST_THREADS;
    return threads < 1 ? 1 : threads;
}

/* The gradients of parameters, each thread's own. */
enum { PARTS = 5 };

typedef struct {
    float **at;
    int64_t size;
} part;

static void parts_of(dagfm_call *call, part parts[PARTS]) {
    const int64_t messages = call->depth * messages_of(call), biases = call->depth * sums_of(call);
    parts[0] = (part){&call->grad_p, messages};
    parts[1] = (part){&call->grad_q, call->message == OUTER ? messages : call->message == CROSS ? biases : 0};
    parts[2] = (part){&call->grad_c, connects_of(call)};
    parts[3] = (part){&call->grad_head, call->head ? sums_of(call) : 0};
    parts[4] = (part){&call->grad_bias, call->head ? 1 : 0};
}

static int64_t gradients_of(const dagfm_call *call) {
    dagfm_call copy = *call;
    part parts[PARTS];
    int64_t floats = 0;
    parts_of(&copy, parts);
    for (int i = 0; i < PARTS; i++) floats += rounded(parts[i].size);
    return floats;
}

/* Bytes of scratch that a call needs. */
EXPORT int64_t dagfm_scratch(const dagfm_call *call, int64_t backward) {
    const int64_t threads = threads_of(call), own = rounded(version_of(call)->scratch(call, backward));
    return sizeof(float) * (threads * own + (backward ? (threads - 1) * gradients_of(call) : 0));
}

typedef struct {
    dagfm_call call;
    const dagfm_version *version;
    int64_t first, rows;
    float *scratch;
    int backward;
    double loss;
} share;

static void *work(void *argument) {
    const share *mine = argument;
    (mine->backward ? mine->version->backward : mine->version->forward)(&mine->call, mine->first, mine->rows,
                                                                        mine->scratch);
    return NULL;
}

static void run(const dagfm_call *call, int backward) {
    const int64_t threads = threads_of(call);
    const dagfm_version *version = version_of(call);
    share shares[MOST_THREADS];
    const int64_t own = rounded(version->scratch(call, backward));
    float *gradients = call->scratch + threads * own;
    for (int64_t t = 0; t < threads; t++) {
        const int64_t first = call->rows * t / threads, end = call->rows * (t + 1) / threads;
        shares[t] = (share){*call, version, first, end - first, call->scratch + t * own, backward, 0};
        if (backward && t > 0) {
            part parts[PARTS];
            parts_of(&shares[t].call, parts);
            for (int i = 0; i < PARTS; i++) {
                *parts[i].at = gradients;
                gradients += rounded(parts[i].size);
            }
        }
        if (call->loss) shares[t].call.loss = &shares[t].loss;
    }
    in_threads(work, shares, sizeof(share), threads);
    if (call->loss) *call->loss = shares[0].loss;
    for (int64_t t = 1; t < threads; t++) {
        if (call->loss) *call->loss += shares[t].loss;
        if (!backward) continue;
        part sums[PARTS], parts[PARTS];
        parts_of(&shares[0].call, sums);
        parts_of(&shares[t].call, parts);
        for (int i = 0; i < PARTS; i++)
            for (int64_t n = 0; n < sums[i].size; n++) (*sums[i].at)[n] += (*parts[i].at)[n];
    }
}

EXPORT void dagfm_forward(const dagfm_call *call) { run(call, 0); }

/* All gradients, set rather than added to; with a loss, logits and loss, too. */
EXPORT void dagfm_backward(const dagfm_call *call) { run(call, 1); }
