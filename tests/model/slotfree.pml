/* Free list of slots: engine/queue/slotfree.c.
 *
 * Two threads take and give four times each, in any order, from three slots of which two are on the list at the start
 * and one was never used. Any thread may do either; that only the loop gives in the engine makes it easier still.
 *
 * Checked: nobody gets a slot that somebody has; no slot is lost.
 */
#ifndef MUT
#define MUT 0
#endif

#define SLOTS 3
#define NONE  9
#define OPS   4

byte top_link = 1, top_tag = 0;          /* the top word; the two always change in one step. link is index + 1, or 0 */
byte next_of[SLOTS];
byte fresh = 2;

bool is_taken[SLOTS];                    /* what the proof keeps book of */

inline owns(s) {
    atomic { assert(!is_taken[s]); is_taken[s] = true; if :: a == NONE -> a = s :: else -> b = s fi }
}

/* q_slotfree_take */
inline take() {
    atomic { link = top_link; tag = top_tag };               /* atomic_load */
    do
    :: link == 0 ->                                          /* take_fresh */
        seen = fresh;                                        /* atomic_load */
        do
        :: seen == SLOTS -> break                            /* Q_SLOTFREE_NONE */
        :: else ->
            atomic {                                         /* compare_exchange */
                if
#if MUT == 4                             /* stores without comparing */
                :: true -> fresh = seen + 1; ok = true
#else
                :: fresh == seen -> fresh = seen + 1; ok = true
                :: else -> seen = fresh; ok = false
#endif
                fi
            };
            if :: ok -> owns(seen); break :: else fi
        od;
        break
    :: else ->
        below = next_of[link - 1];                           /* atomic_load */
        atomic {                                             /* compare_exchange */
            if
#if MUT == 1                             /* does not compare the tag */
            :: top_link == link -> ok = true
#elif MUT == 2                           /* stores without comparing */
            :: true -> ok = true
#else
            :: top_link == link && top_tag == tag -> ok = true
#endif
#if MUT != 2
            :: else -> link = top_link; tag = top_tag; ok = false
#endif
            fi;
            if :: ok -> top_link = below; top_tag++ :: else fi
        };
        if :: ok -> owns(link - 1); break :: else fi
    od
}

/* q_slotfree_give */
inline give(s) {
    is_taken[s] = false;
    atomic { link = top_link; tag = top_tag };               /* atomic_load */
    do
    :: true ->
#if MUT != 5                             /* 5: writes the successor when the slot is on the list already */
        next_of[s] = link;                                   /* atomic_store */
#endif
        atomic {                                             /* compare_exchange */
            if
#if MUT == 3                             /* stores without comparing */
            :: true -> ok = true
#else
            :: top_link == link && top_tag == tag -> ok = true
            :: else -> link = top_link; tag = top_tag; ok = false
#endif
            fi;
            if :: ok -> top_link = s + 1; top_tag++ :: else fi
        };
        if :: ok -> break :: else fi
    od;
#if MUT == 5
    next_of[s] = link
#endif
}

proctype Thread() {
    byte a = NONE, b = NONE, ops = 0, link, tag, below, seen; bool ok;
    do
    :: ops < OPS && (a == NONE || b == NONE) -> ops++; take()
    :: ops < OPS && a != NONE -> ops++; seen = a; a = NONE; give(seen)
    :: ops < OPS && b != NONE -> ops++; seen = b; b = NONE; give(seen)
    :: ops == OPS -> break
    od
}

init {
    byte at, count = 0, i = 0;
    next_of[0] = 2;                      /* slot 0 on top of slot 1 */
    atomic { run Thread(); run Thread() };
    (_nr_pr == 1);
    at = top_link;
    do
    :: at != 0 && count <= SLOTS -> assert(!is_taken[at - 1]); count++; at = next_of[at - 1]
    :: else -> break
    od;
    do
    :: i < SLOTS -> count = count + (is_taken[i] || i >= fresh -> 1 : 0); i++
    :: else -> break
    od;
    assert(count == SLOTS)
}
