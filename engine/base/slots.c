#include "engine/base/slots.h"

#include <string.h>

// What stands before each object in its block.
struct slot_header {
    uint32_t generation;
    uint32_t next_free;
    uint32_t is_live;
    uint32_t unused; // keeps the object behind it 16-byte aligned
};

static size_t stride_of(const struct q_slots *slots) { return sizeof(struct slot_header) + slots->object_size; }

static size_t blocks_of(const struct q_slots *slots) {
    return ((size_t)slots->capacity + Q_SLOTS_PER_BLOCK - 1) / Q_SLOTS_PER_BLOCK;
}

static struct slot_header *header_at(const struct q_slots *slots, uint32_t index) {
    char *block = slots->blocks[index / Q_SLOTS_PER_BLOCK];
    return (struct slot_header *)(void *)(block + (index % Q_SLOTS_PER_BLOCK) * stride_of(slots));
}

bool q_slots_init(struct q_slots *slots, const struct q_alloc *alloc, size_t object_size, uint32_t capacity) {
    Q_CHECK(capacity > 0 && capacity < Q_SLOTS_NONE);
    *slots = (struct q_slots){
        .alloc = alloc,
        .object_size = (object_size + 15) & ~(size_t)15,
        .capacity = capacity,
        .free_first = Q_SLOTS_NONE,
    };
    slots->blocks = q_alloc_new_array(alloc, blocks_of(slots), sizeof *slots->blocks);
    if (slots->blocks == NULL) {
        *slots = (struct q_slots){0};
        return false;
    }
    return true;
}

void q_slots_deinit(struct q_slots *slots) {
    if (slots->blocks == NULL) {
        return;
    }
    Q_CHECK(slots->live == 0);
    for (size_t i = 0; i < blocks_of(slots); i++) {
        q_alloc_free(slots->alloc, slots->blocks[i], Q_SLOTS_PER_BLOCK * stride_of(slots));
    }
    q_alloc_free(slots->alloc, slots->blocks, blocks_of(slots) * sizeof *slots->blocks);
    *slots = (struct q_slots){0};
}

// Makes one more slot exist, with its block when it is the first of it.
static bool make_slot(struct q_slots *slots) {
    uint32_t index = slots->made;
    if (index == slots->capacity) {
        return false;
    }
    char **block = &slots->blocks[index / Q_SLOTS_PER_BLOCK];
    if (*block == NULL) {
        *block = q_alloc_new(slots->alloc, Q_SLOTS_PER_BLOCK * stride_of(slots));
        if (*block == NULL) {
            return false;
        }
    }
    struct slot_header *header = header_at(slots, index);
    *header = (struct slot_header){.generation = 1, .next_free = slots->free_first};
    slots->free_first = index;
    slots->made++;
    return true;
}

void *q_slots_take(struct q_slots *slots, struct q_handle *out_handle) {
    if (slots->free_first == Q_SLOTS_NONE && !make_slot(slots)) {
        return NULL;
    }
    uint32_t index = slots->free_first;
    struct slot_header *header = header_at(slots, index);
    Q_ASSERT(!header->is_live);
    slots->free_first = header->next_free;
    header->is_live = 1;
    slots->live++;
    *out_handle = (struct q_handle){.index = index, .generation = header->generation};
    return memset(header + 1, 0, slots->object_size);
}

void *q_slots_get(const struct q_slots *slots, struct q_handle handle) {
    if (handle.index >= slots->made) {
        return NULL;
    }
    struct slot_header *header = header_at(slots, handle.index);
    return header->is_live && header->generation == handle.generation ? header + 1 : NULL;
}

void q_slots_release(struct q_slots *slots, struct q_handle handle) {
    Q_CHECK(q_slots_get(slots, handle) != NULL);
    struct slot_header *header = header_at(slots, handle.index);
    header->is_live = 0;
    slots->live--;
    if (header->generation == UINT32_MAX) {
        slots->retired++; // one more use would repeat a name
        return;
    }
    header->generation++;
    header->next_free = slots->free_first;
    slots->free_first = handle.index;
}

void *q_slots_at(const struct q_slots *slots, uint32_t index, struct q_handle *out_handle) {
    if (index >= slots->made) {
        return NULL;
    }
    struct slot_header *header = header_at(slots, index);
    if (!header->is_live) {
        return NULL;
    }
    *out_handle = (struct q_handle){.index = index, .generation = header->generation};
    return header + 1;
}
