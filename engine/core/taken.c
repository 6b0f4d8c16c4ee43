#include "engine/core/taken.h"

#define INDEX_MASK ((UINT64_C(1) << Q_TAKEN_INDEX_BITS) - 1)
#define GIVEN_BACK 1 // the one answer

bool q_taken_init(struct q_taken *taken, struct q_sys_uring *sys, uint64_t memory_max) {
    uint64_t pieces = memory_max / Q_TAKEN_PIECE_BYTES;
    uint32_t count = (uint32_t)(pieces < INDEX_MASK ? pieces : INDEX_MASK);
    size_t slots_size = count * sizeof *taken->slots;
    *taken = (struct q_taken){.sys = sys, .first = 1, .mapped_size = slots_size + q_slotfree_size(count)};
    taken->slots = sys->map_memory(sys, taken->mapped_size);
    if (taken->slots == NULL) {
        return false;
    }
    q_slotfree_init_in(&taken->free, (char *)taken->slots + slots_size, count);
    return true;
}

void q_taken_deinit(struct q_taken *taken) {
    if (taken->slots != NULL) {
        taken->sys->unmap(taken->sys, taken->slots, taken->mapped_size);
    }
    *taken = (struct q_taken){0};
}

uint64_t q_taken_add(struct q_taken *taken, struct q_chunk *chunk, uint64_t charge) {
    uint32_t index = q_slotfree_take(&taken->free);
    if (index == Q_SLOTFREE_NONE) {
        return 0;
    }
    struct q_taken_slot *slot = &taken->slots[index];
    slot->chunk = chunk;
    slot->charge = charge;
    return q_askword_open(&slot->word, taken->first, 0) << Q_TAKEN_INDEX_BITS | index;
}

struct q_chunk *q_taken_remove(struct q_taken *taken, uint64_t name, uint64_t *out_charge) {
    uint64_t index = name & INDEX_MASK;
    if (index >= taken->free.capacity) {
        return NULL;
    }
    struct q_taken_slot *slot = &taken->slots[index];
    if (q_askword_try_answer(&slot->word, name >> Q_TAKEN_INDEX_BITS, GIVEN_BACK, Q_ASKWORD_KINDS) != Q_ASK_PUSH) {
        return NULL;
    }
    struct q_chunk *chunk = slot->chunk;
    *out_charge = slot->charge;
    unsigned answer = q_askword_take(&slot->word);
    Q_ASSERT(answer == GIVEN_BACK);
    (void)answer;
    q_slotfree_give(&taken->free, (uint32_t)index);
    return chunk;
}

uint64_t q_taken_generations(const struct q_taken *taken) {
    uint64_t most = 0;
    uint32_t used = atomic_load_explicit(&taken->free.fresh, memory_order_relaxed);
    for (uint32_t i = 0; i < used; i++) {
        uint64_t had = q_askword_generation(&taken->slots[i].word) - taken->first; // it has moved on to the next one
        most = had > most ? had : most;
    }
    return most;
}
