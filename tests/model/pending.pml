/* Pending word: engine/queue/pending.c, with the shutdown that it carries.
 *
 * An engine that lives twice in the same slot of the table. Two submitters and a caller come in with a handle of
 * either life, at any time. The loop drains, closes, and tears the engine down; then the slot is opened again.
 *
 * Checked: who is inside finds the engine that it named, alive; each accepted request is ended, and before the close;
 * the end is told once, and by somebody, or found by a destroy that is alone; the loop does not wait for ever.
 */
#ifndef MUT
#define MUT 0
#endif

#define LIVES 2
#define REQUEST  1               /* word = {generation, closed, draining, users 0..7, requests 0..7} */
#define USER     8
#define DRAINING 64
#define CLOSED   128
#define GENERATION 256
#define REQUESTS(w) ((w) % 8)
#define USERS(w) (((w) / USER) % 8)
#define HAS(w, flag) (((w) / (flag)) % 2 == 1)
#define GEN(w) ((w) / GENERATION)

short word = 0;
byte queued = 0;                 /* submit commands in the submission queue */
bool told_drained = false;       /* nodes to the loop: no request left, nobody inside */
bool told_left = false;

/* What the proof keeps book of. */
byte alive = 0;                  /* generation of the engine whose memory is there, or 0 */

inline may_enter() {
#if MUT == 6                     /* does not look at closed */
    ok = (GEN(seen) == generation)
#else
    ok = (GEN(seen) == generation && !HAS(seen, CLOSED))
#endif
}

/* q_pending_leave, and what the last one must do */
inline leave() {
    assert(alive == generation);
#if MUT == 3                     /* decides by a second look whether it was the last */
    atomic { seen = word; word = word - USER };
    seen = word;
    if :: HAS(seen, CLOSED) && USERS(seen) == 0 -> assert(!told_left); told_left = true :: else fi
#else
    atomic { seen = word; word = word - USER };              /* fetch_sub */
    if :: HAS(seen, CLOSED) && USERS(seen) == 1 -> assert(alive == generation && !told_left); told_left = true :: else fi
#endif
}

proctype Caller(byte generation) {   /* q_pending_enter */
    short seen; bool ok;
    seen = word;                                             /* atomic_load */
    do
    :: true ->
        may_enter();
        if :: !ok -> break :: else fi;
        atomic {                                             /* compare_exchange */
            if
#if MUT == 1                     /* checks, then counts itself in whatever the word is by then */
            :: true -> word = word + USER
#else
            :: word == seen -> word = word + USER
            :: else -> seen = word; ok = false
#endif
            fi
        };
        if :: ok -> leave(); break :: else fi
    od
}

proctype Submitter(byte generation) {    /* q_pending_enter_requests(1) */
    short seen; bool ok;
    seen = word;                                             /* atomic_load */
    do
    :: true ->
        may_enter();
        if
        :: !ok -> break                                      /* Q_PENDING_STALE */
#if MUT != 8                     /* 8: does not look at draining */
        :: ok && HAS(seen, DRAINING) -> break                /* Q_PENDING_DRAINING */
#endif
        :: else
        fi;
        atomic {                                             /* compare_exchange */
            if
#if MUT == 2                     /* counts its request after it has pushed it */
            :: word == seen -> word = word + USER
#else
            :: word == seen -> word = word + USER + REQUEST
#endif
            :: else -> seen = word; ok = false
            fi
        };
        if
        :: ok ->
            assert(alive == generation);
            if
            :: queued++                                      /* push */
#if MUT == 2
                ; atomic { word = word + REQUEST }
#else
            :: atomic { seen = word; word = word - REQUEST };    /* refused: q_pending_end_requests, fetch_sub */
#if MUT != 7                     /* 7: does not tell the loop that its request was the last one */
               if :: HAS(seen, DRAINING) && REQUESTS(seen) == 1 -> told_drained = true :: else fi
#endif
#endif
            fi;
            leave();
            break
        :: else
        fi
    od
}

/* A submit command came out of the queue, and its request ends: q_pending_end_requests */
inline end_request() {
    atomic { seen = word; assert(REQUESTS(word) > 0); word = word - REQUEST };   /* fetch_sub */
    drained = (HAS(seen, DRAINING) && REQUESTS(seen) == 1)
}

proctype Loop() {
    byte life = 0; short seen; bool drained;
    do
    :: life < LIVES ->
        life++;
        alive = life;
        word = (GEN(word) == 0 -> 1 : GEN(word)) * GENERATION;   /* q_pending_open: atomic_store */
        drained = false;
        do
        :: atomic { queued > 0 -> queued-- }; end_request()
        :: break
        od;
        atomic { drained = (REQUESTS(word) == 0); word = word + DRAINING };      /* q_pending_drain: fetch_or */
        do
        :: drained || told_drained -> break
        :: atomic { !drained && queued > 0 -> queued-- }; end_request()
        od;
        told_drained = false;
        assert(queued == 0);
if
        :: true ->                                           /* q_pending_close, by the loop */
#if MUT == 4                     /* looks who is inside, then closes */
            seen = word;
            word = word + CLOSED;
#else
            atomic { seen = word; word = word + CLOSED };    /* fetch_or */
#endif
            assert(REQUESTS(seen) == 0);
            if
            :: USERS(seen) == 0
            :: else -> told_left -> told_left = false
            fi
        :: true ->                                           /* q_pending_try_close, by a user: destroy */
            atomic { assert(!HAS(word, CLOSED)); word = word + USER };       /* q_pending_enter */
#if MUT == 9                     /* does not look who else is inside */
            atomic { word = word - USER + CLOSED }
#else
            atomic { USERS(word) == 1 && REQUESTS(word) == 0 -> word = word - USER + CLOSED }  /* compare_exchange */
#endif
        fi;
        alive = 0;                                           /* tears it down */
        /* q_pending_retire: atomic_load, atomic_store */
        assert(USERS(word) == 0 && REQUESTS(word) == 0);
#if MUT == 5                     /* leaves the generation */
        word = GEN(word) * GENERATION + CLOSED
#else
        word = (GEN(word) + 1) * GENERATION + CLOSED
#endif
    :: else -> break
    od
}

init {
    byte g;
    atomic {
        run Loop();
        select(g : 1 .. LIVES); run Submitter(g);
        select(g : 1 .. LIVES); run Submitter(g);
        select(g : 1 .. LIVES); run Caller(g);
        g = 0
    };
    (_nr_pr == 1);
    assert(alive == 0 && queued == 0 && !told_left)
}
