// Winners: which address won the last race to an origin, so that it goes first in the next one (RFC 8305 section 9.1 asks
// for memory that has an end: networks change). A table of a fixed size, which forgets the oldest, and everything after ten
// minutes. It only advises: an address that is not among the answers any more is never tried, so that two origins that
// fall on one name of the table cost an order and nothing else.
// Loop thread only.
#ifndef QUOIT_ENGINE_NET_WINNERS_H
#define QUOIT_ENGINE_NET_WINNERS_H

#include "engine/base/clock.h"
#include "engine/net/address.h"

#define Q_WINNERS_SETS 64
#define Q_WINNERS_WAYS 4 // of each set: who shares it with three others is forgotten when a fifth comes
#define Q_WINNERS_LIFE_NS (600 * Q_NS_PER_S)

struct q_winner {
    uint64_t name; // 0: nobody
    uint64_t since_ns;
    struct q_endpoint address;
};

struct q_winners {
    struct q_winner table[Q_WINNERS_SETS][Q_WINNERS_WAYS]; // zeros: empty
};

// q_winners_note remembers that `address` won for `name`, a keyed hash of the origin; q_winners_forget that nobody does.
void q_winners_note(struct q_winners *winners, uint64_t name, const struct q_endpoint *address, uint64_t now_ns);
void q_winners_forget(struct q_winners *winners, uint64_t name);

// q_winners_find gives who won; family NONE: nobody, or too long ago.
struct q_endpoint q_winners_find(const struct q_winners *winners, uint64_t name, uint64_t now_ns);

#endif
