/* Contexts: engine/tls/contexts.c. All of it runs on one thread, so a call is one step; what is explored is the order of
 * calls, of those that come back later (a build, the loop's task, the timer), and of what users do in between.
 *
 * Three requests for two digests, in a cache with room for one. Each gets, waits if it must (or goes), uses, releases:
 * at times from inside the value itself, as a connection does that is told of its end. Meanwhile contexts are invalidated,
 * time passes, and builds end well or not.
 *
 * Checked: who uses a context finds its value, and that of its digest; each value is destroyed once, and never inside a call
 * of its own; one build at a time for what is current; nobody new gets what was invalidated; nothing idle expires early or is
 * kept for ever; who waits is told once; more than there is room for is in use.
 */
#ifndef MUT
#define MUT 0
#endif

#define NONE 9
#define ENTRIES 3
#define DIGESTS 2
#define REQUESTS 3
#define CAPACITY 1
#define IDLE 1                       /* how long an idle one is kept */
#define TIMES 1                      /* that the clock moves */

#define GONE 0
#define BUILDING 1
#define READY 2
#define FAILED 3
#define ENDING 4

/* struct entry */
byte state[ENTRIES];
byte digest[ENTRIES];
bool current[ENTRIES];               /* in its bucket */
byte users[ENTRIES];
byte expires[ENTRIES];
byte now = 0;

/* struct q_context_waiter, one for each request */
byte waits_for[REQUESTS];            /* an entry, or NONE */
bool is_ready[REQUESTS];             /* it has an outcome; if that is a context, it is a user */
bool has_failed[REQUESTS];

bool inside = false;                 /* the loop is in a call of a value: nothing else runs on this thread */

/* What the proof keeps book of. */
bool is_busy[ENTRIES];               /* its value is in a call */
byte holds[ENTRIES];                 /* requests that use it */
byte released_at[ENTRIES];
byte done = 0;

#define IS_IDLE(e) (state[e] == READY && users[e] == 0)
#define IS_USED(e) (state[e] == READY && users[e] > 0)

/* end_entry */
inline end_entry(e) {
    current[e] = false;
    state[e] = (state[e] == FAILED -> GONE : ENDING)
}

/* destroy_value, from the task */
inline destroy(e) {
    assert(state[e] == ENDING && holds[e] == 0 && !is_busy[e]);
    state[e] = GONE;
    users[e] = 0;
    expires[e] = 0;
    released_at[e] = 0
}

inline count_current() {
    x = 0;
    n = 0;
    do
    :: x < ENTRIES -> n = n + (current[x] -> 1 : 0); x++
    :: else -> break
    od;
    x = 0
}

#if MUT == 1                     /* evicts under a user */
#define MAY_GO(e) (current[e] && state[e] != BUILDING)
#else
#define MAY_GO(e) (current[e] && (IS_IDLE(e) || state[e] == FAILED))
#endif

/* make_room. Which one of those that may go does not matter here. */
inline make_room(limit) {
    count_current();
    do
    :: n > limit ->
        do
        :: x < ENTRIES && !MAY_GO(x) -> x++
        :: else -> break
        od;
        if
        :: x < ENTRIES -> end_entry(x); n--
        :: else -> break                                     /* all are in use: one more than there is room for */
        fi;
        x = 0
    :: else -> break
    od;
    n = 0;
    x = 0
}

/* end_use */
inline end_use(e) {
    assert(IS_USED(e));
    users[e]--;
    if
    :: users[e] == 0 && !current[e] ->
#if MUT == 7                     /* destroys at once */
        state[e] = ENDING;
        destroy(e)
#elif MUT == 8                   /* keeps a stale one */
        expires[e] = now + IDLE
#else
        end_entry(e)
#endif
    :: users[e] == 0 && current[e] ->
        released_at[e] = now;
#if MUT != 3                     /* 3: time counts from the get */
        expires[e] = now + IDLE;
#endif
        make_room(CAPACITY)
    :: else
    fi
}

/* pass_on */
inline pass_on(e) {
    w = 0;
    do
    :: w < REQUESTS ->
        if
        :: waits_for[w] == e && !is_ready[w] ->
            is_ready[w] = true;
            has_failed[w] = (state[e] == FAILED);
#if MUT != 6                     /* 6: waiters become users when they are told */
            if :: state[e] == READY -> users[e]++ :: else fi
#endif
        :: else
        fi;
        w++
    :: else -> break
    od;
    w = 0
}

/* finish, fail. The first is a user of its own, for as long as it takes or for its caller. */
inline ready(e) { state[e] = READY; users[e] = 1 }
inline failed(e) { state[e] = FAILED; expires[e] = now + 1 }

/* add_entry */
inline add_entry(d) {
#if MUT != 2                     /* 2: makes room when the new one is there */
    make_room(CAPACITY - 1);
#endif
    e = 0;
    do
    :: e < ENTRIES && state[e] != GONE -> e++
    :: else -> break
    od;
    if
    :: e == ENTRIES -> e = NONE                              /* no memory */
    :: else -> set_up(d)
    fi
}

inline set_up(d) {
    x = 0;
    do
    :: x < ENTRIES -> assert(!(current[x] && digest[x] == d)); x++
    :: else -> break
    od;
    x = 0;
    state[e] = BUILDING;
    digest[e] = d;
    current[e] = true;
#if MUT == 2
    state[e] = READY;
    make_room(CAPACITY);
    if :: state[e] == READY -> state[e] = BUILDING :: else fi;
#endif
#if MUT == 3
    expires[e] = now + IDLE;
#endif
}

/* find, as far as q_contexts_get goes by it */
inline find(d) {
    e = 0;
    do
#if MUT == 4                     /* serves what was invalidated */
    :: e < ENTRIES && !(digest[e] == d && (current[e] || IS_USED(e))) -> e++
#elif MUT == 5                   /* does not find what is being built */
    :: e < ENTRIES && !(digest[e] == d && current[e] && state[e] != BUILDING) -> e++
#else
    :: e < ENTRIES && !(digest[e] == d && current[e]) -> e++
#endif
    :: else -> break
    od;
    if :: e == ENTRIES -> e = NONE :: else fi
}

/* q_contexts_get. Gives NOW: e is used; WAITING; FAILED: e is NONE */
inline get(d) {
    find(d);
    is_now = false;
    if :: e != NONE && state[e] == FAILED && expires[e] <= now -> end_entry(e); e = NONE :: else fi;
    if
    :: e != NONE && state[e] == FAILED -> e = NONE           /* the failure that is kept */
    :: e != NONE && state[e] == READY ->
        assert(current[e]);
        users[e]++;
#if MUT != 3
        expires[e] = 0;
#endif
        released_at[e] = 0;
        is_now = true
    :: e != NONE && state[e] == BUILDING -> waits_for[id] = e
    :: e == NONE ->
        add_entry(d);
        if
        :: e == NONE
        :: e != NONE -> ready(e); is_now = true              /* Q_BUILD_DONE: nobody waits yet */
        :: e != NONE -> failed(e); e = NONE                  /* Q_BUILD_FAILED */
        :: e != NONE -> waits_for[id] = e                    /* Q_BUILD_LATER */
        fi
    fi
}

proctype Request(byte id, d) {
    byte e, x, n, w; bool is_now;
    atomic { !inside -> get(d); if :: is_now -> holds[e]++ :: else fi };
    if
    :: !is_now && waits_for[id] != NONE ->
        e = NONE;
        if
        :: atomic { !inside && is_ready[id] && has_failed[id] ->                                  /* on_failed */
            waits_for[id] = NONE; is_ready[id] = false; has_failed[id] = false }
        :: atomic { !inside && is_ready[id] && !has_failed[id] ->                                 /* on_ready, by the task */
            e = waits_for[id];
            waits_for[id] = NONE;
            is_ready[id] = false;
#if MUT == 6
            users[e]++;
#endif
            assert(IS_USED(e) && digest[e] == d);
            holds[e]++;
            is_now = true }
        :: atomic { !inside ->                                                                    /* q_contexts_cancel */
            e = waits_for[id];
            waits_for[id] = NONE;
            if :: is_ready[id] && !has_failed[id] -> end_use(e) :: else fi;
            is_ready[id] = false; has_failed[id] = false }
        fi
    :: else
    fi;
    if
    :: is_now ->
        atomic { !inside -> assert(IS_USED(e) && digest[e] == d); inside = true; is_busy[e] = true };
        if
        :: atomic { holds[e]--; end_use(e) };                /* the last release from inside the value */
           atomic { assert(state[e] == READY || state[e] == ENDING); is_busy[e] = false; inside = false }
        :: atomic { is_busy[e] = false; inside = false };
           atomic { !inside -> assert(IS_USED(e) && digest[e] == d); holds[e]--; end_use(e) }
        fi
    :: else
    fi;
    atomic { e = 0; is_now = false; done++ }
}

/* q_contexts_invalidate, once for each digest */
inline invalidate(d) {
    e = 0;
    do
    :: e < ENTRIES && !(digest[e] == d && current[e]) -> e++
    :: else -> break
    od;
    if
    :: e < ENTRIES ->
        current[e] = false;
                    if
#if MUT == 9                     /* ends what is in use */
        :: state[e] == READY || state[e] == FAILED -> end_entry(e)
#else
        :: IS_IDLE(e) || state[e] == FAILED -> end_entry(e)
#endif
        :: else
        fi
    :: else
    fi;
    e = 0
}

proctype Rotation(byte d) {
    byte e;
    atomic { !inside -> invalidate(d) };
    done++
}

/* The loop's own: builds that come later, the timer, the task, each for any entry. */
#define CHOOSE(is) if :: is(0) -> e = 0 :: is(1) -> e = 1 :: is(2) -> e = 2 fi
#define IS_BUILDING(e) (state[e] == BUILDING)
#define IS_ENDING(e) (state[e] == ENDING)
#define IS_OVER(e) (current[e] && (IS_IDLE(e) || state[e] == FAILED) && expires[e] <= now)
#define ANY(is) (is(0) || is(1) || is(2))

proctype Loop() {
    byte e, x, n, w;
    do
    :: atomic { !inside && ANY(IS_BUILDING) ->               /* q_contexts_built, q_contexts_build_failed */
        CHOOSE(IS_BUILDING);
        if
        :: true -> ready(e); pass_on(e); end_use(e)
        :: true ->
            failed(e);
            pass_on(e);
            if :: !current[e] -> end_entry(e) :: else fi
        fi;
        e = 0 }
    :: atomic { !inside && ANY(IS_ENDING) -> CHOOSE(IS_ENDING); destroy(e); e = 0 }    /* run_task */
    :: atomic { !inside && now < TIMES -> now++ }
    :: atomic { !inside && ANY(IS_OVER) ->                   /* expire */
        CHOOSE(IS_OVER);
        assert(state[e] == FAILED || now >= released_at[e] + IDLE);
        end_entry(e);
        e = 0 }
    :: done == REQUESTS + 1 -> break
    od;
    /* q_contexts_deinit, when builds have ended */
    atomic {
        e = 0;
        do
        :: e < ENTRIES ->
            if :: state[e] == BUILDING -> state[e] = FAILED :: else fi;
            if
            :: current[e] || state[e] == FAILED -> assert(IS_IDLE(e) || state[e] == FAILED); end_entry(e)
            :: else -> assert(state[e] == GONE || state[e] == ENDING)
            fi;
            if :: state[e] == ENDING -> destroy(e) :: else fi;
            e++
        :: else -> break
        od;
        e = 0
    }
}

init {
    byte i;
    atomic {
        do
        :: i < REQUESTS -> waits_for[i] = NONE; i++
        :: else -> break
        od;
        run Request(0, 0);
        run Request(1, 0);
        run Request(2, 1);
        run Rotation(0);
        run Loop()
    };
    (_nr_pr == 1);
    i = 0;
    do
    :: i < ENTRIES -> assert(state[i] == GONE && holds[i] == 0); i++
    :: else -> break
    od
}
