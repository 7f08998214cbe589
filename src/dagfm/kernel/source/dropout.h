/* Dropout: each number is zero or grows, by a hash of its place and a seed, so that the way back needs no mask. */
#ifndef DAGFM_DROPOUT_H
#define DAGFM_DROPOUT_H

#include <stdint.h>

/* Half of Murmur3's last mixing steps before the seed's second half comes in, and all of them after. */
static inline uint32_t mixed(uint32_t place, uint32_t low, uint32_t high) {
    uint32_t hash = place * 0x9E3779B1u ^ low;
    hash = (hash ^ hash >> 16) * 0x85EBCA6Bu;
    hash = (hash ^ hash >> 13) * 0xC2B2AE35u;
    hash = ((hash ^ hash >> 16) + high) * 0x85EBCA6Bu;
    hash = (hash ^ hash >> 13) * 0xC2B2AE35u;
    return hash ^ hash >> 16;
}

/* A number is zero where its hash is below `limit`, else `scale` times as large. */
static void drop_numbers(float *to, const float *from, int64_t count, uint64_t seed, uint32_t limit, float scale) {
    const uint32_t low = (uint32_t)seed, high = (uint32_t)(seed >> 32);
    for (int64_t i = 0; i < count; i++) to[i] = mixed((uint32_t)i, low, high) < limit ? 0 : from[i] * scale;
}

#endif
