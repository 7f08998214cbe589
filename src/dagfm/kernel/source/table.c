/* What Python calls for the embedding table: which rows a batch looks up, and the work on them divided among threads.
 *
 * Every bag and every row belongs to one thread, and a row's gradients are added up in the order of its ids: the bytes
 * are the same for any number of threads.
 */
#include <string.h>

#include "call.h"
#include "threads.h"

#define EXPORT __attribute__((visibility("default")))
#define LEAST_ROWS 4096 /* that are worth a thread */
#define HASH_AHEAD 24

static inline uint64_t slot_of(int64_t id, int64_t bits) {
    return (uint64_t)id * 0x9E3779B97F4A7C15ull >> (64 - bits);
}

/* The different rows among the ids, in the order in which they first come, and the places of each: see table_call.h.
 *
 * `slots` has 2^bits numbers, at least twice as many as there are ids, `of` one for each id. Returns how many rows.
 */
EXPORT int64_t dagfm_group(const dagfm_table *call, int32_t *slots, int64_t bits, int32_t *of) {
    const int64_t mask = ((int64_t)1 << bits) - 1;
    const int64_t *ids = call->ids;
    int32_t *starts = call->starts;
    int64_t rows = 0;
    memset(slots, 0xff, (mask + 1) * sizeof(int32_t));
    for (int64_t v = 0; v < call->values; v++) {
        if (v + HASH_AHEAD < call->values) __builtin_prefetch(slots + slot_of(ids[v + HASH_AHEAD], bits), 1);
        uint64_t slot = slot_of(ids[v], bits);
        while (slots[slot] >= 0 && call->row[slots[slot]] != ids[v]) slot = (slot + 1) & mask;
        if (slots[slot] < 0) {
            slots[slot] = (int32_t)rows;
            call->row[rows] = ids[v];
            starts[rows++] = 0;
        }
        of[v] = slots[slot];
        starts[of[v]]++;
    }
    int32_t before = 0;
    for (int64_t u = 0; u < rows; u++) { /* each row's end, from which its places are filled downwards */
        before += starts[u];
        starts[u] = before;
    }
    starts[rows] = before;
    for (int64_t v = call->values - 1; v >= 0; v--) call->places[--starts[of[v]]] = (int32_t)v;
    return rows;
}

typedef void (*part)(const dagfm_table *call, int64_t first, int64_t end, float *scratch);

typedef struct {
    const dagfm_table *call;
    part run;
    int64_t first, end;
    float *scratch;
} share;

static void *work(void *argument) {
    const share *mine = argument;
    mine->run(mine->call, mine->first, mine->end, mine->scratch);
    return NULL;
}

static void divide(const dagfm_table *call, part run, int64_t count) {
    int64_t threads = call->threads < 1 + count / LEAST_ROWS ? call->threads : 1 + count / LEAST_ROWS;
    if (threads > MOST_THREADS) threads = MOST_THREADS;
    share shares[MOST_THREADS];
    for (int64_t t = 0; t < threads; t++)
        shares[t] = (share){call, run, count * t / threads, count * (t + 1) / threads, call->scratch + t * call->size};
    in_threads(work, shares, sizeof(share), threads);
}

EXPORT void dagfm_pool(const dagfm_table *call) { divide(call, version_at(call->version)->pool, call->bags); }

/* In one thread, as any id may be of any row: it adds up ids from cache, faster than threads could agree. */
EXPORT void dagfm_scatter(const dagfm_table *call) {
    version_at(call->version)->scatter(call, 0, call->values, call->scratch);
}

EXPORT void dagfm_catch_up(const dagfm_table *call) { divide(call, version_at(call->version)->catch_up, call->rows); }

EXPORT void dagfm_step(const dagfm_table *call) { divide(call, version_at(call->version)->step, call->rows); }
