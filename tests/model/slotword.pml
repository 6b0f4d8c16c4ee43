/* Slot word: engine/queue/slotword.c, with the queue and the free list as far as they carry a slot.
 *
 * One slot with two tenants, one after the other: a host opens it and submits, the loop ends the tenant at a moment
 * of its choice, or when a cancel comes. Two cancellers and two granters hold handles of either tenant, past, present
 * or guessed. The cancel and the credit node can be in the queue once each.
 *
 * Checked: a cancel and a grant reach the tenant they were meant for and no other; all credit granted to a tenant is
 * received by it; a node is pushed only when the loop is done with it; no tenant stays for ever.
 */
#ifndef MUT
#define MUT 0
#endif

#define TENANTS 2
#ifndef CANCELLERS               /* two of both is 7 million states: the gate runs 2 + 1 and 1 + 2 */
#define CANCELLERS 2
#endif
#ifndef GRANTERS
#define GRANTERS 2
#endif
#define LIVE   1
#define CANCEL_QUEUED 2
#define CREDIT_QUEUED 4
#define CREDIT 8                 /* one unit of the credit field, which holds 0 .. 7 */
#define GENERATION 64            /* one unit of the generation field */
#define GEN(w) ((w) / GENERATION)
#define CREDIT_OF(w) (((w) % GENERATION) / CREDIT)
#define HAS(w, flag) (((w) / (flag)) % 2 == 1)

short word = 0;
bool is_free = true;             /* on the free list */
bool submitted = false;

#define CANCEL_NODE 0
#define CREDIT_NODE 1
chan queue = [2] of { byte };
bool linked[2];                  /* pushed, and its next not yet read by the loop */

/* What the proof keeps book of. */
byte tenant_now = 0;              /* who has the slot, counted; the first one's handle has generation 1 */
byte cancel_meant;
byte granted[TENANTS + 2], received[TENANTS + 2];
byte ended = 0, hosts_done = 0;

inline push(node) {
    atomic { assert(!linked[node]); linked[node] = true; queue!node }
}

/* q_slotword_open, after q_slotfree_take; then the submit command is pushed */
proctype Submitter() {
    byte tenant = 0;
    do
    :: tenant < TENANTS ->
        atomic { is_free -> is_free = false };
        atomic { word = (GEN(word) == 0 -> 1 : GEN(word)) * GENERATION + LIVE; tenant++; tenant_now = tenant };
        submitted = true
    :: else -> break
    od;
    hosts_done++
}

/* q_slotword_try_pin_cancel */
proctype Canceller(byte generation) {
    short seen; bool ok;
    seen = word;                                             /* atomic_load */
    do
    :: !HAS(seen, LIVE) || GEN(seen) != generation -> break  /* Q_PIN_STALE */
#if MUT != 7                     /* 7: does not look whether a cancel is queued */
    :: HAS(seen, LIVE) && GEN(seen) == generation && HAS(seen, CANCEL_QUEUED) -> break   /* Q_PIN_ALREADY */
#endif
    :: else ->
        atomic {                                             /* compare_exchange */
            if
#if MUT == 1                     /* checks, then sets the flag whatever the word is by then */
            :: true -> word = (HAS(word, CANCEL_QUEUED) -> word : word + CANCEL_QUEUED); ok = true; cancel_meant = generation
#elif MUT == 7
            :: word == seen -> word = (HAS(word, CANCEL_QUEUED) -> word : word + CANCEL_QUEUED); ok = true; cancel_meant = generation
            :: else -> seen = word; ok = false
#else
            :: word == seen -> word = word + CANCEL_QUEUED; ok = true; cancel_meant = generation
            :: else -> seen = word; ok = false
#endif
            fi
        };
        if :: ok -> push(CANCEL_NODE); break :: else fi
    od;
    hosts_done++
}

/* q_slotword_grant of one unit */
proctype Granter(byte generation) {
    short seen; bool ok;
#if MUT == 8
    bool was_queued;
#endif
    seen = word;                                             /* atomic_load */
#if MUT == 8                     /* decides by its first look whether to push */
    was_queued = HAS(seen, CREDIT_QUEUED);
#endif
    do
    :: !HAS(seen, LIVE) || GEN(seen) != generation -> break  /* Q_GRANT_STALE */
    :: else ->
        atomic {                                             /* compare_exchange */
            if
#if MUT == 2                     /* checks, then adds whatever the word is by then */
            :: true -> seen = word; ok = true
#else
            :: word == seen -> ok = true
            :: else -> seen = word; ok = false
#endif
            fi;
            if
            :: ok -> word = word + CREDIT + (HAS(word, CREDIT_QUEUED) -> 0 : CREDIT_QUEUED); granted[generation]++
            :: else
            fi
        };
        if
        :: ok ->
#if MUT == 8
            if :: !was_queued -> push(CREDIT_NODE) :: else fi;
#else
            if :: !HAS(seen, CREDIT_QUEUED) -> push(CREDIT_NODE) :: else fi;
#endif
            break
        :: else
        fi
    od;
    hosts_done++
}

/* q_slotword_try_retire, then q_slotfree_give */
inline try_retire() {
    seen = word;                                             /* atomic_load */
    do
    :: true ->
        assert(HAS(seen, LIVE));
#if MUT != 3                     /* 3: does not look for pins */
        if
        :: HAS(seen, CANCEL_QUEUED) || HAS(seen, CREDIT_QUEUED) -> break     /* Q_RETIRE_PINNED */
        :: else
        fi;
#endif
        atomic {                                             /* compare_exchange */
            if
#if MUT == 9                     /* stores without comparing */
            :: true -> ok = true
#else
            :: word == seen -> ok = true
            :: else -> seen = word; ok = false
#endif
            fi;
            if
#if MUT == 4                     /* leaves the generation */
            :: ok -> word = GEN(word) * GENERATION
#else
            :: ok -> word = (GEN(seen) + 1) * GENERATION
#endif
            :: else
            fi
        };
        if :: ok -> ending = false; ended++; has_tenant = false; is_free = true; break :: else fi
    od
}

proctype Loop() {
    byte node, amount; short seen; bool ok, has_tenant = false, ending = false;
    do
    :: atomic { submitted -> submitted = false; has_tenant = true };
        if :: ending -> try_retire() :: else fi              /* a guessed handle was cancelled before its submit */
    :: atomic { queue?node ->                                /* q_mpsc_drain */
#if MUT != 6                     /* 6: unpins before it reads next */
        linked[node] = false
#endif
       };
        if
        :: node == CANCEL_NODE ->
            assert(HAS(word, LIVE) && tenant_now == cancel_meant);
            atomic { assert(HAS(word, CANCEL_QUEUED)); word = word - CANCEL_QUEUED };   /* q_slotword_unpin_cancel */
            ending = true
        :: else ->                                           /* q_slotword_take_credit */
            assert(HAS(word, LIVE) && HAS(word, CREDIT_QUEUED));
#if MUT == 5                     /* reads the amount, then clears it */
            amount = CREDIT_OF(word);
            atomic { word = word - CREDIT_OF(word) * CREDIT - CREDIT_QUEUED };
#else
            atomic { amount = CREDIT_OF(word); word = word - amount * CREDIT - CREDIT_QUEUED };
#endif
            received[tenant_now] = received[tenant_now] + amount
        fi;
#if MUT == 6
        linked[node] = false;
#endif
#if MUT != 10                    /* 10: does not try again when a pin was drained */
        if :: ending && has_tenant -> try_retire() :: else fi
#endif
    :: has_tenant && !ending -> ending = true; try_retire()  /* the request is over by itself */
    :: ended == TENANTS && hosts_done == 1 + CANCELLERS + GRANTERS && empty(queue) -> break
    od
}

init {
    byte i = 0, g;
    atomic {
        run Submitter();
        do
        :: i < CANCELLERS -> select(g : 1 .. 2); run Canceller(g); i++
        :: else -> break
        od;
        do
        :: i < CANCELLERS + GRANTERS -> select(g : 1 .. 2); run Granter(g); i++
        :: else -> break
        od;
        i = 0;
        g = 0;
        run Loop()
    };
    (_nr_pr == 1);
    do
    :: i < TENANTS + 2 -> assert(granted[i] == received[i]); i++
    :: else -> break
    od
}
