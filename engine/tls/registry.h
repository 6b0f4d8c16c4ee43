// Registry: what is equal exists once in the process, as long as somebody uses it. It maps digests of frozen objects
// (TLS configs) to weak handles, and counts their users. It keeps nothing alive, knows nothing of what it names, and
// holds no secrets: a digest is 32 opaque bytes, which the caller has made with a key.
//
// Vocabulary. *Content*: the caller's frozen object, a pointer that the registry hands around and never follows.
// *Slot*: a place for one content; its memory stays for ever (type-stable), so a late look at it is a look at a slot.
// *Strong reference*: a count in the slot's control word, which keeps the content. *Weak handle*: {index, generation}
// by value; it keeps nothing, may be copied at will, and names one content for ever or nothing.
//
// The control word is one 64-bit atomic, {generation:32, strong:32}. Each arrow is one compare-and-swap:
//     {g, 0}  --intern, under the lock-->  {g, 1}
//     {g, n}  --upgrade, acquire; demands g and n > 0-->  {g, n + 1}
//     {g, n}  --drop, n > 1-->  {g, n - 1}         whoever did that does not touch the content again, not even to look
//     {g, 1}  --drop, the last-->  {g + 1, 0}      ends the content and invalidates every weak handle in one step
// So nothing ever comes back from 0: an upgrade comes before the last drop, which then is not the last, or behind it,
// and finds another generation. The last dropper alone has the content then; nobody else can reach it. It gives the
// slot back before it lets the content go, and takes the map's entry out only if that still names {index, generation}:
// an equal digest may have got a new slot meanwhile. A slot whose generation would come round to 0 is retired.
//
// The lock guards the map's shape and the free slots, alone. It is a leaf: nothing is called under it, neither a
// release function nor the allocator. Upgrade, acquire and drops that are not the last need no lock.
//
// Fork. In a child the lock may be held for ever by a thread that is not there, and the map be in any state: both are
// abandoned and made anew at the first call that needs them (base/epoch.h). The slots stay, as their words are whole at
// any moment: so a handle that was copied into the child still works there, and never names anything else. The parent's
// contents are not found by their digest any more: locks inside them may be held too, and who made them before the fork
// has handles of them.
//
// Thread-free: any thread, but for init and deinit. Model: tests/model/registry.pml.
#ifndef QUOIT_ENGINE_TLS_REGISTRY_H
#define QUOIT_ENGINE_TLS_REGISTRY_H

#include "engine/base/slots.h"

#include <stdatomic.h>

#define Q_REGISTRY_DIGEST_LEN 32

// Different configs alive at once: a gateway with a client certificate for each of its tenants has thousands; more than
// this is a host that makes them without end.
#define Q_REGISTRY_ENTRIES_MAX UINT32_C(65536)
#define Q_REGISTRY_BLOCK_SLOTS UINT32_C(64)
#define Q_REGISTRY_BLOCKS_MAX  (Q_REGISTRY_ENTRIES_MAX / Q_REGISTRY_BLOCK_SLOTS)

struct q_registry_slot;
struct q_registry_shape;

// All zeros is an empty registry with the memory of libc and room for Q_REGISTRY_ENTRIES_MAX.
struct q_registry {
    const struct q_alloc *alloc;              // NULL: libc's
    uint32_t capacity;                        // 0: Q_REGISTRY_ENTRIES_MAX
    _Atomic(struct q_registry_shape *) shape; // of this process; a child replaces it
    // From the front; written under the lock, never moved.
    _Atomic(struct q_registry_slot *) blocks[Q_REGISTRY_BLOCKS_MAX];
};

// What the last drop hands over: `release(content)` is due, once.
struct q_registry_last {
    void *content;
    void (*release)(void *content);
};

struct q_registry_stats {
    uint32_t entries; // that intern can find
    uint32_t slots;   // that exist
    uint32_t free;
    uint32_t retired;
};

enum q_intern_result {
    Q_INTERN_MADE,      // the content is the registry's now; release is called once, behind the last drop
    Q_INTERN_FOUND,     // an equal one was there; the caller keeps what it brought
    Q_INTERN_FULL,      // as many as there may be; the caller keeps what it brought
    Q_INTERN_NO_MEMORY, // likewise
};

// q_registry_process gives the registry of the process. Its memory is libc's and no host's: it belongs to no engine,
// and outlives every allocator that an engine was given.
struct q_registry *q_registry_process(void);

// q_registry_init prepares a registry of its own, for at most `capacity` contents; nothing is allocated yet. For tests.
void q_registry_init(struct q_registry *registry, const struct q_alloc *alloc, uint32_t capacity);

// q_registry_deinit frees its memory. No content may be left, and nobody may be inside (checked as far as it shows).
void q_registry_deinit(struct q_registry *registry);

// q_registry_intern gives a strong reference on the one content with this digest: one that is there, or the caller's.
// `out_handle` and `out_content` name it, with MADE and FOUND; the caller ends its reference with a drop. `release` is
// called without locks, on the thread of the last drop (or where q_registry_drop_to's caller likes), and may use the
// registry. Equal digests are equal contents: that is the caller's word. Any thread.
Q_MUST_USE enum q_intern_result q_registry_intern(struct q_registry *registry,
                                                  const uint8_t digest[Q_REGISTRY_DIGEST_LEN], void *content,
                                                  void (*release)(void *content), struct q_handle *out_handle,
                                                  void **out_content);

// q_registry_upgrade makes a weak handle a strong reference and gives the content; NULL when that is over, or never
// was. Any thread; no lock.
Q_MUST_USE void *q_registry_upgrade(struct q_registry *registry, struct q_handle handle);

// q_registry_acquire adds a reference for a caller that holds one already (checked). Any thread; no lock.
void q_registry_acquire(struct q_registry *registry, struct q_handle handle);

// q_registry_content gives the content to a caller that holds a reference (checked). Any thread; no lock.
void *q_registry_content(struct q_registry *registry, struct q_handle handle);

// q_registry_drop ends one reference of the caller's, which may not touch the content any more; behind the last one it
// calls release. A drop too many is a failed check, and with it a drop of what was never interned. Any thread.
void q_registry_drop(struct q_registry *registry, struct q_handle handle);

// q_registry_drop_to is q_registry_drop that leaves the release to the caller, who may pass it on to another thread.
// True: it was the last, and `out` says what is due. False: others hold references, and `out` is untouched. Any thread.
Q_MUST_USE bool q_registry_drop_to(struct q_registry *registry, struct q_handle handle, struct q_registry_last *out);

// q_registry_get_stats reads the counts. Any thread.
struct q_registry_stats q_registry_get_stats(struct q_registry *registry);

// q_registry_validate checks every invariant and stops the program when one is broken. For tests, when nobody is
// inside.
void q_registry_validate(struct q_registry *registry);

#endif
