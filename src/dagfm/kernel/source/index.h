/* A read-only hash index from a token's bytes to its row: open addressing, every answer proved by the bytes themselves.
 *
 * One block of memory that may be a mapped file: the header, the slots, then all tokens' bytes one after the other.
 * A slot holds where its token lies, so that a look-up touches a slot and the token. Little-endian, as is all of it.
 */
#ifndef DAGFM_INDEX_H
#define DAGFM_INDEX_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "fetch.h"

#define INDEX_MAGIC 0x3178646e6d666764 /* "dgfmndx1" */
#define LONGEST_TOKEN ((1 << 24) - 1)

typedef struct {
    uint64_t magic, tokens, slots, bytes;
    uint64_t reserved[4];
} index_header;

typedef struct {
    uint64_t place;    /* of the token's bytes: where they start, and in the low 24 bits how many */
    uint32_t tag, row; /* the hash's low half; the token's rank and one more, 0 in an empty slot */
} index_slot;

typedef struct {
    uint64_t slots, tokens, size; /* size: of all bytes */
    const index_slot *slot;
    const uint8_t *bytes;
} token_index;

static inline uint64_t index_mixed(uint64_t a, uint64_t b) {
    const unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t read_8(const uint8_t *at) {
    uint64_t value;
    memcpy(&value, at, 8);
    return value;
}

static inline uint64_t read_4(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, 4);
    return value;
}

/* 64 bits of so many bytes, by multiplications of 64 x 64 bits as wyhash (public domain, Wang Yi) makes them. */
static inline uint64_t token_hash(const uint8_t *at, int64_t size) {
    const uint64_t one = 0x2d358dccaa6c78a5, two = 0x8bb84b93962eacc9, three = 0x4b33a62ed433d4a3;
    uint64_t seed = one, a, b;
    if (size <= 16) {
        if (size >= 8) {
            a = read_8(at);
            b = read_8(at + size - 8);
        } else if (size >= 4) {
            a = read_4(at);
            b = read_4(at + size - 4);
        } else if (size > 0) {
            a = (uint64_t)at[0] << 16 | (uint64_t)at[size >> 1] << 8 | at[size - 1];
            b = 0;
        } else {
            a = b = 0;
        }
    } else {
        int64_t left = size;
        for (; left > 16; left -= 16, at += 16) seed = index_mixed(read_8(at) ^ two, read_8(at + 8) ^ seed);
        a = read_8(at + left - 16);
        b = read_8(at + left - 8);
    }
    return index_mixed(three ^ (uint64_t)size, index_mixed(a ^ two, b ^ seed));
}

static inline uint64_t first_slot(const token_index *index, uint64_t hash) {
    return (uint64_t)(((unsigned __int128)hash * index->slots) >> 64);
}

static inline void fetch_slot(const token_index *index, uint64_t hash) {
    fetch(index->slot + first_slot(index, hash));
}

static inline int same_bytes(const uint8_t *a, const uint8_t *b, int64_t size) {
    if (size >= 8) {
        for (int64_t i = 0; i + 8 < size; i += 8)
            if (read_8(a + i) != read_8(b + i)) return 0;
        return read_8(a + size - 8) == read_8(b + size - 8);
    }
    for (int64_t i = 0; i < size; i++)
        if (a[i] != b[i]) return 0;
    return 1;
}

/* Whether a slot may hold the token; nothing outside is read, whatever a damaged file says. */
static inline int may_hold(const token_index *index, const index_slot *slot, uint64_t hash, int64_t size) {
    return slot->tag == (uint32_t)hash && (int64_t)(slot->place & LONGEST_TOKEN) == size &&
           (slot->place >> 24) + (uint64_t)size <= index->size;
}

/* The first slot from `i` on that may hold the token, or an empty one, which ends the search; NULL: there is neither. */
static inline const index_slot *slot_from(const token_index *index, uint64_t i, uint64_t hash, int64_t size) {
    for (uint64_t tried = 0; tried < index->slots; tried++, i = i + 1 == index->slots ? 0 : i + 1) {
        const index_slot *slot = index->slot + i;
        if (!slot->row || may_hold(index, slot, hash, size)) return slot;
    }
    return NULL;
}

/* Where the search for a token begins; asks for the bytes that it is going to compare. */
static inline const index_slot *found_slot(const token_index *index, uint64_t hash, int64_t size) {
    const index_slot *slot = slot_from(index, first_slot(index, hash), hash, size);
    if (slot && slot->row) fetch(index->bytes + (slot->place >> 24));
    return slot;
}

/* The token's rank, or -1; `slot` is what found_slot said. */
static inline int64_t find_token(const token_index *index, const index_slot *slot, uint64_t hash, const uint8_t *at,
                                 int64_t size) {
    const index_slot *const start = slot;
    while (slot && slot->row) {
        if (same_bytes(index->bytes + (slot->place >> 24), at, size))
            return slot->row <= index->tokens ? (int64_t)slot->row - 1 : -1;
        const uint64_t next = (uint64_t)(slot - index->slot) + 1;
        slot = slot_from(index, next == index->slots ? 0 : next, hash, size);
        if (slot == start) break; /* a damaged file may have no empty one */
    }
    return -1;
}

#endif
