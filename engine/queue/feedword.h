// Feed word: the one atomic word by which threads that feed an upgraded request and its loop agree on how much is fed
// and not sent yet, and on when nothing more may be. It decides whether a feed belongs to the slot's tenant, and
// whether there is room, in the same step that counts it.
//
//     {generation:32, bytes:28, wants_room:1, finished:1, shut:1, open:1}
//
// Vocabulary. *Open*: the tenant named by `generation` was upgraded, and may be fed. *Finished*: its host ended our
// direction; nothing more may be fed. *Shut*: the loop takes no more, since the peer has ended its direction or the
// request is over. `bytes` are counted by a feed before its node is pushed and taken off when the loop has sent the
// piece or given it up: so a loop that sees a rest after it has shut the word knows that nodes are still to come.
//
// Life of the word, each arrow one step:
//     {0 or an old g, shut}  --open, loop: a store; nobody else writes to a word that is not open-->  {g, open}
//     {g, open, n}  --add, any thread, demands g, open, not finished, n + bytes <= limit-->  {g, open, n + bytes}
//     {g, open, n}  --add, when that is too much: the same compare-and-swap-->  {g, open, n, wants_room}
//     {g, open}     --finish, any thread, demands g, open, not finished-->  {g, open, finished}
//     {g, open, n}  --take_off, loop: a fetch_sub-->  {g, open, n - bytes}
//     {g, open, n, wants_room}  --take_off, when at most half of the limit is left: a fetch_and-->  {g, open, n}
//     {g, open, n}  --shut, loop: a fetch_xor, which tells n-->  {g, shut, n}
//     any           --end, loop: a store-->  {g, shut}
//
// Room. Who finds none leaves wants_room by a compare-and-swap on the very count that was too high. So either the loop
// has yet to take something off that count, and sees the flag when it does; or it did before, and the compare-and-swap
// fails and looks again. A count of zero always has room for a piece that is not larger than the limit.
//
// `limit` is no part of the word. It is stored before the word opens, and read after it was seen open: a reader that
// gets the next tenant's limit has also been passed by the word's shutting, and its compare-and-swap fails.
//
// A word of zeros was never used: generation 0 is never live.
// Thread-free: each function names its caller. Model: tests/model/feedword.pml.
#ifndef QUOIT_ENGINE_QUEUE_FEEDWORD_H
#define QUOIT_ENGINE_QUEUE_FEEDWORD_H

#include "engine/base/check.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define Q_FEEDWORD_LIMIT_MAX (UINT32_C(1) << 27) // so that limits and sums fit the 28 bits of the count

struct q_feedword {
    _Atomic(uint64_t) word;
    _Atomic(uint32_t) limit;
};

enum q_feed_result {
    Q_FEED_TAKEN,     // counted; the caller must push its node
    Q_FEED_FULL,      // too much for now; the loop will tell when there is room
    Q_FEED_TOO_LARGE, // more than the limit alone: there will never be room
    Q_FEED_UNOPENED,  // the word was not opened for this generation
    Q_FEED_FINISHED,  // the host has ended our direction
    Q_FEED_SHUT,      // the request is over, or its peer has ended
};

// q_feedword_open lets the tenant `generation` be fed, `limit` bytes (1 to Q_FEEDWORD_LIMIT_MAX) at a time. Loop
// thread.
void q_feedword_open(struct q_feedword *w, uint32_t generation, uint32_t limit);

// q_feedword_ask says what q_feedword_add would, and asks for room as it does, but counts nothing: so that no piece is
// copied in vain. What it says may be over in the next moment. Any thread.
Q_MUST_USE enum q_feed_result q_feedword_ask(struct q_feedword *w, uint32_t generation, uint64_t bytes);

// q_feedword_add counts `bytes` (above 0). With Q_FEED_TAKEN the caller must push its node, whatever happens. Any
// thread.
Q_MUST_USE enum q_feed_result q_feedword_add(struct q_feedword *w, uint32_t generation, uint64_t bytes);

// q_feedword_finish ends the host's feeding. With Q_FEED_TAKEN the caller must push a node that says so; with
// Q_FEED_FINISHED somebody did before. Any thread.
Q_MUST_USE enum q_feed_result q_feedword_finish(struct q_feedword *w, uint32_t generation);

// q_feedword_take_off says that `bytes` are sent or given up. True: somebody waits for room, and is to be told that
// there is some. `out_left` is what is counted still. Loop thread.
Q_MUST_USE bool q_feedword_take_off(struct q_feedword *w, uint64_t bytes, uint64_t *out_left);

// q_feedword_shut takes no more, and gives what is counted: nodes that are in the queue, on their way to it, or being
// sent. Loop thread, on an open word.
uint64_t q_feedword_shut(struct q_feedword *w);

// q_feedword_end says that the tenant `generation` is over, opened or not; what was counted is forgotten. Loop thread.
void q_feedword_end(struct q_feedword *w, uint32_t generation);

#endif
