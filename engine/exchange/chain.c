#include "engine/exchange/chain.h"

static struct q_chunk *begin(struct q_headers_builder *hops, struct q_chunk_pool *pool) {
    struct q_chunk *chunk = q_chunk_take(pool, Q_CHUNK_FOR_HOST);
    if (chunk != NULL) {
        struct q_headers_limits memory_alone = {
            .count = UINT32_MAX, .line_bytes = pool->capacity, .text_bytes = pool->capacity};
        q_headers_builder_init(hops, chunk->data, pool->capacity, &memory_alone);
    }
    return chunk;
}

static bool add(struct q_headers_builder *hops, struct q_slice status, struct q_slice url) {
    return !q_error_is(q_headers_builder_add(hops, status, url));
}

static bool move_to(struct q_chain *chain, struct q_chunk_pool *pool) {
    struct q_headers_builder hops;
    struct q_chunk *chunk = chain->chunk->pool->capacity < pool->capacity ? begin(&hops, pool) : NULL;
    if (chunk == NULL) {
        return false;
    }
    struct q_slice status;
    struct q_slice url;
    for (uint32_t i = 0; q_headers_builder_at(&chain->hops, i, &status, &url); i++) {
        bool is_added = add(&hops, status, url);
        Q_CHECK(is_added); // there is more room than there was
    }
    q_chunk_release(chain->chunk);
    chain->chunk = chunk;
    chain->hops = hops;
    return true;
}

void q_chain_add(struct q_chain *chain, struct q_chunk_pool *small, struct q_chunk_pool *large, uint16_t status,
                 struct q_slice url) {
    chain->num_hops++;
    if (chain->is_cut) {
        return;
    }
    char digits[20];
    struct q_slice name = q_slice_make(digits, q_u64_to_text(status, digits));
    if (chain->chunk == NULL) {
        chain->chunk = begin(&chain->hops, small);
    }
    chain->is_cut = chain->chunk == NULL ||
                    (!add(&chain->hops, name, url) && !(move_to(chain, large) && add(&chain->hops, name, url)));
}

const struct q_headers *q_chain_freeze(struct q_chain *chain) {
    return chain->chunk == NULL ? NULL : q_headers_builder_freeze(&chain->hops);
}

void q_chain_release(struct q_chain *chain) {
    if (chain->chunk != NULL) {
        q_chunk_release(chain->chunk);
    }
    *chain = (struct q_chain){0};
}
