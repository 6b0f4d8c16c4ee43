/* Submission queue and doorbell: engine/queue/mpsc.c, engine/queue/doorbell.c.
 *
 * Two pushers and the loop. Pusher 0 pushes two nodes; pusher 1 pushes one node twice, the second time after the loop
 * has handed it back, as cancel and credit links do (so ABA on the word happens). The loop drains, parks, sleeps in the
 * kernel, and closes at any moment when it is awake. The kernel may wake it once for nothing.
 *
 * Checked: each push that was accepted is handed out exactly once, each refused one never; the order of one pusher is
 * kept; nobody touches a node that is not its own; nobody sleeps for ever (no invalid end state).
 */
#ifndef MUT
#define MUT 0
#endif

#define EMPTY  0
#define ASLEEP 1
#define CLOSED 2
#define FIRST  3                 /* the word of node n is FIRST + n */
#define NODES  3
#define NO_WORD 99
#define IS_NODE(w) ((w) >= FIRST)

byte word = EMPTY;               /* struct q_mpsc */
byte next_of[NODES];             /* struct q_mpsc_node: word of the node below, or EMPTY */
byte bell = 0;                   /* struct q_doorbell, and the kernel's view of the futex: */
bool waits = false;

/* What the proof keeps book of. */
bool is_loops[NODES];            /* who owns the node */
byte sent[NODES], refused[NODES], handed[NODES];
byte order_seen = 0;             /* last number that pusher 0's nodes carried */
bool closed_by_loop = false;

/* q_doorbell_ring */
inline ring() {
#if MUT == 5                     /* wakes before it bumps */
    waits = false;
    bell++;
#else
    bell++;                      /* fetch_add */
    waits = false;               /* wake(): the kernel lets the waiter go */
#endif
}

/* q_mpsc_push of node n. seen, first_seen, ok: the pusher's variables */
inline push(n) {
    seen = word;                                             /* atomic_load */
    first_seen = seen;
#if MUT == 6                     /* looks for CLOSED once, not after each failed exchange */
    if :: seen == CLOSED -> goto refused_label :: else fi;
#endif
    do
    ::  true ->
#if MUT != 6
        if :: seen == CLOSED -> goto refused_label :: else fi;
#endif
        assert(!is_loops[n]);
#if MUT != 9                     /* 9: links the node after it is visible */
        next_of[n] = (IS_NODE(seen) -> seen : EMPTY);        /* node->next = node_of(seen) */
#endif
        atomic {                                             /* compare_exchange */
            if
#if MUT == 1                     /* stores without comparing */
            :: true -> word = FIRST + n; is_loops[n] = true; sent[n]++; ok = true
#else
            :: word == seen -> word = FIRST + n; is_loops[n] = true; sent[n]++; ok = true
            :: else -> seen = word; ok = false
#endif
            fi
        };
        if :: ok -> break :: else fi
    od;
#if MUT == 9
    next_of[n] = (IS_NODE(seen) -> seen : EMPTY);
#endif
#if MUT == 11                    /* decides by its first look, not by what the exchange found */
    seen = first_seen;
#endif
#if MUT == 2                     /* never says PUSHED_WAKE */
    seen = EMPTY;
#endif
    if :: seen == ASLEEP -> ring() :: else fi                /* PUSHED_WAKE */
}

proctype PusherOfTwo() {
    byte seen, first_seen; bool ok;
    push(0);
    push(1);
    goto done;
refused_label:
    atomic {                     /* refused once is refused for ever: count what was not pushed */
        if :: !is_loops[0] && sent[0] == 0 -> refused[0]++ :: else fi;
        if :: !is_loops[1] && sent[1] == 0 -> refused[1]++ :: else fi
    };
done:
    skip
}

proctype PusherAgain() {
    byte seen, first_seen; bool ok;
    push(2);
    (!is_loops[2]);              /* unpinned: the node may be pushed again */
    push(2);
    goto done;
refused_label:
    atomic { refused[2] = 2 - sent[2] };
done:
    skip
}

/* Hands out the stack `taken`, oldest first: reverse() and the caller's walk. */
inline hand_out() {
    oldest = EMPTY;
    do
    :: IS_NODE(taken) ->
        below = next_of[taken - FIRST];
        next_of[taken - FIRST] = oldest;
        oldest = taken;
        taken = below
    :: else -> break
    od;
    do
    :: IS_NODE(oldest) ->
        atomic {
            taken = oldest - FIRST;
            assert(is_loops[taken]);
            oldest = next_of[taken];                         /* next is read before the node is given back */
            handed[taken]++;
            if
            :: taken < 2 -> assert(order_seen == taken); order_seen++
            :: else
            fi;
            is_loops[taken] = false;
            taken = EMPTY
        }
    :: else -> break
    od
}

proctype Loop() {
    byte taken, oldest, below, value, spurious = 0; bool ok;
    do
    ::  /* q_mpsc_drain */
        if
        :: word == EMPTY -> skip                             /* atomic_load */
        :: else ->
#if MUT == 7                     /* reads, then stores */
            taken = word;
            word = EMPTY;
#else
            atomic { taken = word; word = EMPTY };           /* atomic_exchange */
#endif
#if MUT == 8                     /* hands out newest first */
            do
            :: IS_NODE(taken) ->
                atomic {
                    below = next_of[taken - FIRST];
                    handed[taken - FIRST]++;
                    if
                    :: taken - FIRST < 2 -> assert(order_seen == taken - FIRST); order_seen++
                    :: else
                    fi;
                    is_loops[taken - FIRST] = false;
                    taken = below
                }
            :: else -> break
            od
#else
            hand_out()
#endif
        fi;
        if
        :: true -> break                                     /* decides to close now */
        :: handed[0] + handed[1] + handed[2] < 4 -> skip
        fi;
        /* q_doorbell_value, then q_mpsc_park */
#if MUT != 4                     /* 4: reads the bell after it parked; so would code without the acquire */
        value = bell;
#endif
#if MUT == 3                     /* parks by load and store */
        ok = (word == EMPTY);
        if :: ok -> word = ASLEEP :: else fi;
#else
        atomic { ok = (word == EMPTY); if :: ok -> word = ASLEEP :: else fi };
#endif
#if MUT == 4
        value = bell;
#endif
        if
        :: ok ->
            atomic { if :: bell == value -> waits = true :: else fi };  /* the kernel compares and enqueues in one */
            if
            :: !waits -> skip
            :: atomic { spurious < 1 -> spurious++; waits = false }
            fi
        :: else
        fi
    od;
    /* q_mpsc_close */
#if MUT == 10                    /* looks, then closes */
    taken = word;
    word = CLOSED;
#else
    atomic { taken = word; word = CLOSED };
#endif
    hand_out();
    closed_by_loop = true
}

init {
    atomic { run PusherOfTwo(); run PusherAgain(); run Loop() };
    (_nr_pr == 1);
    assert(closed_by_loop && word == CLOSED);
    assert(handed[0] == sent[0] && handed[1] == sent[1] && handed[2] == sent[2]);
    assert(sent[0] + refused[0] == 1 && sent[1] + refused[1] == 1 && sent[2] + refused[2] == 2)
}
