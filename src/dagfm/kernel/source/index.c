/* Building an index of tokens, and opening one. */
#include "arrow.h"
#include "index.h"

#define EXPORT __attribute__((visibility("default")))

/* Bytes of an index of so many tokens with so many bytes in all: one slot in three stays empty. */
EXPORT int64_t dagfm_index_size(int64_t tokens, int64_t bytes) {
    const int64_t slots = tokens + tokens / 2 + 8;
    return (int64_t)sizeof(index_header) + slots * (int64_t)sizeof(index_slot) + bytes;
}

/* 0; 1 where the memory is no index of this size. */
EXPORT int64_t dagfm_index_open(token_index *to, const uint8_t *memory, int64_t size) {
    index_header header;
    if (size < (int64_t)sizeof header) return 1;
    memcpy(&header, memory, sizeof header);
    const uint64_t room = (uint64_t)size - sizeof header;
    if (header.magic != INDEX_MAGIC || header.slots > room / sizeof(index_slot) || header.tokens >= header.slots ||
        header.bytes != room - header.slots * sizeof(index_slot))
        return 1;
    const index_slot *slots = (const index_slot *)(memory + sizeof header);
    *to = (token_index){header.slots, header.tokens, header.bytes, slots, (const uint8_t *)(slots + header.slots)};
    return 0;
}

/* Into `memory`, of so many bytes as dagfm_index_size says, zeros so far, from a column of tokens in rank order; 1 where
 * they are not what was announced, or one is too long. */
EXPORT int64_t dagfm_index_build(uint8_t *memory, int64_t tokens, int64_t bytes, struct ArrowArrayStream *stream) {
    const index_header header = {INDEX_MAGIC, (uint64_t)tokens, (uint64_t)(tokens + tokens / 2 + 8), (uint64_t)bytes, {0}};
    index_slot *const slots = (index_slot *)(memory + sizeof header);
    uint8_t *const to = (uint8_t *)(slots + header.slots);
    const token_index index = {header.slots, header.tokens, header.bytes, slots, to};
    struct ArrowSchema schema;
    if (stream->get_schema(stream, &schema)) return 1;
    uint64_t place = 0, rank = 0;
    int64_t failed = 0;
    while (!failed) {
        struct ArrowArray array;
        arrow_column column;
        if (stream->get_next(stream, &array)) {
            failed = 1;
            break;
        }
        if (!array.release) break;
        failed = !arrow_open(&schema, &array, &column) || !arrow_is_text(&column);
        for (int64_t row = 0; row < array.length && !failed; row++) {
            const uint8_t *at;
            const int64_t size = arrow_text(&column, row, &at);
            failed = size > LONGEST_TOKEN || place + (uint64_t)size > header.bytes || rank >= header.tokens;
            if (failed) break;
            const uint64_t hash = token_hash(at, size);
            uint64_t i = first_slot(&index, hash);
            while (slots[i].row) i = i + 1 == header.slots ? 0 : i + 1;
            slots[i] = (index_slot){place << 24 | (uint64_t)size, (uint32_t)hash, (uint32_t)++rank};
            memcpy(to + place, at, (size_t)size);
            place += (uint64_t)size;
        }
        array.release(&array);
    }
    schema.release(&schema);
    memcpy(memory, &header, sizeof header);
    return failed || rank != header.tokens || place != header.bytes;
}
