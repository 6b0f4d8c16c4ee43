// Chain: the redirects that an exchange has followed, for its terminal event to tell: a header block of status and URL, in
// a chunk, so that what servers can make it hold is bounded and counted. It begins in a small chunk and moves once into a
// large one, which has room for any one URL that a head can bring. The first hop that has no room even there, or for
// which there is no memory, ends what is told: a chain has no holes, and its count says how much longer it was.
// Zero is empty. Loop thread only.
#ifndef QUOIT_ENGINE_EXCHANGE_CHAIN_H
#define QUOIT_ENGINE_EXCHANGE_CHAIN_H

#include "engine/buf/chunk.h"
#include "engine/wire/headers.h"

struct q_chain {
    struct q_headers_builder hops;
    struct q_chunk *chunk; // one hold; NULL: nothing is told
    uint32_t num_hops;     // added, told or not
    bool is_cut;
};

// q_chain_add adds a hop that `status` led to. `small` and `large` are where chunks come from.
void q_chain_add(struct q_chain *chain, struct q_chunk_pool *small, struct q_chunk_pool *large, uint16_t status,
                 struct q_slice url);

// q_chain_freeze ends the adding and gives what is told, in the chain's chunk; NULL: nothing.
const struct q_headers *q_chain_freeze(struct q_chain *chain);

// q_chain_release drops the chain's hold on its chunk and empties it.
void q_chain_release(struct q_chain *chain);

#endif
