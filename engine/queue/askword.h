// Ask word: the one atomic word of a request slot through which a question to the host is answered. It decides whether
// an answer's token still names the question that stands, and does so in the same step that gives the answer.
//
//     {generation:44, unused:14, kind:2, answer:2, pinned:1, open:1}
//
// Vocabulary. A question is *open* from the event that asks it until it is answered or withdrawn; `generation` names it
// among all that this slot ever asked, whichever request asked. Its *kind* is its asker's, who says with it which answers
// suit: one that does not is refused in the same step. The *pin* says that the slot's answer node is, or is about to be, in
// the submission queue: until the loop has drained it, there is no next question, and the slot cannot change tenants (the
// loop looks, before it retires the slot: q_askword_is_pinned).
//
// Life of the word, each arrow one compare-and-swap (or one store, where only the loop can change the word):
//     {g}  --open, loop-->  {g, kind, open}
//     {g, kind, open}  --try_answer, any thread, demands g, open and the kind-->  {g, pinned, answer}
//     {g, kind, open}  --withdraw, loop-->  {g+1}                           the time is over, or the request
//     {g, pinned, answer}  --take, loop, when the node came out of the queue-->  {g+1}
// So a late answer never reaches the next question: either it demands a generation that is gone, or its pin stands and
// there is no next question before the loop has drained it. Of several answers to one question the first counts.
//
// A withdrawal that finds the pin came too late: the answer is on its way, and whoever takes it must find out that nobody
// waits for it any more. Who asks on behalf of the same request meanwhile looks (q_askword_is_pinned) and waits.
//
// A word of zeros is a slot that never asked. Generation 0 is never open. All slots of an array begin with the same
// generation, which is theirs to choose (`first`): so that what another array gave out names no question here. Generations
// do not come back to it: a slot that asked a question each microsecond would need half a year.
//
// Thread-free: each function names its caller. Model: tests/model/askword.pml.
#ifndef QUOIT_ENGINE_QUEUE_ASKWORD_H
#define QUOIT_ENGINE_QUEUE_ASKWORD_H

#include "engine/base/check.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define Q_ASKWORD_GENERATION_BITS 44
#define Q_ASKWORD_ANSWER_MAX 3 // answers are 1 to 3
#define Q_ASKWORD_KIND_MAX 3
#define Q_ASKWORD_KINDS 15u // all of them, as bits

struct q_askword {
    _Atomic(uint64_t) word;
};

enum q_ask_result {
    Q_ASK_PUSH,    // the caller answered and pinned the slot, and must push its answer node
    Q_ASK_ALREADY, // an answer is on its way already; nothing was changed
    Q_ASK_UNSUITED, // the question stands, or its answer is on its way, but is of another kind; nothing was changed
    Q_ASK_STALE,   // the question is gone; nothing was changed, and nothing of the slot may be touched
};

// q_askword_open opens the slot's next question, of the kind `kind` (0 to 3), and returns its generation: `first`, which is
// not 0, if it never asked. No question stands and no answer is on its way (checked). From here on whoever knows (or guesses)
// the token may answer, so the node must be ready. Loop thread.
uint64_t q_askword_open(struct q_askword *w, uint64_t first, unsigned kind);

// q_askword_try_answer answers the question `generation` with `answer` (1 to 3), which suits the kinds that have their bit in
// `kinds`. Any thread; async-signal-safe; idempotent. With Q_ASK_PUSH the caller must push the slot's answer node; it may not
// touch the slot after that push.
Q_MUST_USE enum q_ask_result q_askword_try_answer(struct q_askword *w, uint64_t generation, unsigned answer,
                                                unsigned kinds);

// q_askword_withdraw ends the question that stands, if one does: nobody can answer it any more. When an answer is on its
// way, it changes nothing. Loop thread.
void q_askword_withdraw(struct q_askword *w);

// q_askword_generation gives the generation of the question that stands, or stands next; 0: it never asked. Who may open.
uint64_t q_askword_generation(const struct q_askword *w);

// q_askword_is_pinned says whether the answer node is, or is about to be, in the queue. Once a question was withdrawn,
// false stays false until the next one opens. Loop thread.
bool q_askword_is_pinned(const struct q_askword *w);

// q_askword_take: the answer node came out of the queue. Returns the answer and unpins. The node's `next` must have been
// read: from here on it may be pushed again. Loop thread.
unsigned q_askword_take(struct q_askword *w);

#endif
