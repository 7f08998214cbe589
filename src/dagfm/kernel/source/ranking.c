/* What Python calls to rank candidates within a context. */
#include <string.h>

#include "ranking.h"
#include "request.h"

#define EXPORT __attribute__((visibility("default")))

extern const dagfm_ranking dagfm_base_ranking;
#if defined(__x86_64__)
extern const dagfm_ranking dagfm_avx2_ranking, dagfm_avx512_ranking, dagfm_avx512_narrow_ranking;
#endif

static const dagfm_ranking *version_of(const dagfm_ranker *ranker) {
#if defined(__x86_64__)
    if (ranker->net.version == 2)
        return ranker->net.size <= 8 && ranker->net.message == INNER ? &dagfm_avx512_narrow_ranking : &dagfm_avx512_ranking;
    if (ranker->net.version == 1) return &dagfm_avx2_ranking;
#else
    (void)ranker;
#endif
    return &dagfm_base_ranking;
}

EXPORT int64_t dagfm_rank_packed(const dagfm_ranker *ranker) { return version_of(ranker)->packed(ranker); }

EXPORT int64_t dagfm_rank_pack(dagfm_ranker *ranker, float *to) {
    version_of(ranker)->pack(ranker, to);
    ranker->packed = to;
    return 0;
}

EXPORT int64_t dagfm_rank_scratch(const dagfm_ranker *ranker) {
    return version_of(ranker)->scratch(ranker) * (int64_t)sizeof(float);
}

/* Floats that are kept of a context, and of a candidate. */
EXPORT int64_t dagfm_rank_context(const dagfm_ranker *ranker) { return version_of(ranker)->context(ranker); }

EXPORT int64_t dagfm_rank_candidate(const dagfm_ranker *ranker) {
    const int64_t lanes = version_of(ranker)->lanes;
    return (ranker->net.fields - ranker->contexts) * ((ranker->net.size + lanes - 1) / lanes * lanes);
}

/* As dagfm_score: 0; 1 where an id is no row of the table; 2 where sequences are cut wrong. */
EXPORT int64_t dagfm_keep_contexts(const dagfm_ranker *ranker, const dagfm_request *request, float *to) {
    if (!request_fits(&ranker->context, request)) return 2;
    return version_of(ranker)->keep_contexts(ranker, request, to, request->scratch);
}

EXPORT int64_t dagfm_keep_candidates(const dagfm_ranker *ranker, const dagfm_request *request, float *to, float *first) {
    if (!request_fits(&ranker->candidate, request)) return 2;
    return version_of(ranker)->keep_candidates(ranker, request, to, first, request->scratch);
}

/* Logits (contexts, rows) of every candidate in every context. */
EXPORT int64_t dagfm_rank(const dagfm_ranker *ranker, const float *contexts, int64_t count, const float *candidates,
                          const float *first, int64_t rows, float *out, float *scratch) {
    const int64_t kept = version_of(ranker)->context(ranker);
    for (int64_t i = 0; i < count; i++)
        version_of(ranker)->rank(ranker, contexts + i * kept, candidates, first, rows, out + i * rows, scratch);
    return 0;
}

/* The same of candidates that are not kept; as dagfm_keep_candidates. */
EXPORT int64_t dagfm_rank_once(const dagfm_ranker *ranker, const float *contexts, int64_t count,
                               const dagfm_request *request, float *out) {
    if (!request_fits(&ranker->candidate, request)) return 2;
    return version_of(ranker)->rank_once(ranker, contexts, count, request, out, request->scratch);
}

#define DIGITS 4 /* of a key, 8 bits each */

/* A number's place among others as a whole one: the larger the number, the smaller; what is no number comes last. */
static inline uint64_t falling_key(float value) {
    if (value != value) return UINT32_MAX;
    value += 0.0f; /* -0 is 0 */
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits & 0x80000000 ? bits : ~bits & 0x7fffffff;
}

/* Which of fewer than 2^32 numbers comes first, second, ..., the largest first and equal ones as they come; `room` is for
 * twice as many. By digits of their keys, the lowest first. */
EXPORT int64_t dagfm_falling(const float *values, int64_t count, int64_t *places, uint64_t *room) {
    int64_t ends[DIGITS][256] = {{0}};
    uint64_t *from = room, *to = room + count;
    for (int64_t i = 0; i < count; i++) {
        const uint64_t key = falling_key(values[i]);
        from[i] = key << 32 | (uint64_t)i;
        for (int digit = 0; digit < DIGITS; digit++) ends[digit][key >> 8 * digit & 255]++;
    }
    for (int digit = 0; digit < DIGITS; digit++) {
        int64_t before = 0;
        for (int i = 0; i < 256; i++) {
            const int64_t here = ends[digit][i];
            ends[digit][i] = before;
            before += here;
        }
        for (int64_t i = 0; i < count; i++) to[ends[digit][from[i] >> (32 + 8 * digit) & 255]++] = from[i];
        uint64_t *const other = from;
        from = to;
        to = other;
    }
    for (int64_t i = 0; i < count; i++) places[i] = (int64_t)(from[i] & UINT32_MAX);
    return 0;
}
