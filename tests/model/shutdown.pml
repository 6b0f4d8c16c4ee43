/* Shutdown: how an engine ends while others still call. engine/core/engine_close.c, commands.c, engine.c (close, poke,
 * open_port, destroy, dismantle), face/face_request.c and face_port.c (uncount), over queue/pending.c, mpsc.c,
 * doorbell.c and slotword.c, which are one atomic step each here: they have models of their own.
 *
 * One submit, which may be refused; one cancel of it, or a port that is opened meanwhile (-DBOTH=1: both at once); two
 * closes, one of them with a drain that never ends by itself; a destroy as soon as the first port has had its CLOSED; the
 * loop. A request may never be answered: only a close ends it then.
 *
 * Checked: each accepted request has one end, before CLOSED; each port that was opened has one CLOSED; nobody touches
 * what is gone (the ring, the bell, a slot's next tenant, the engine); no node is in the queue twice; everybody comes to
 * an end, that is, nobody sleeps for ever.
 */
#ifndef MUT
#define MUT 0
#endif
#ifndef BOTH                     /* opener and canceller at once: ten million states, by hand */
#define BOTH 0
#endif

#define NEVER 2                  /* close_at_ns: no close; LONG: a drain that does not end; 0: at once */
#define LONG  1

#define SUBMIT 1                 /* commands */
#define CANCEL 2
#define OPEN   3
#define CLOSE  4

#define RUNNING  0               /* enum q_engine_phase */
#define DRAINING 1
#define ABORTING 2
#define CLOSING_PORTS 3          /* CLOSING_CONNECTIONS waits for nobody outside the loop */
#define QUIESCING 4
#define CLOSED   5

chan queue = [5] of { byte };    /* struct q_mpsc: the stack of nodes ... */
bool asleep = false;             /* ... or WORD_ASLEEP */
bool rung = false;               /* the doorbell's word has moved since the loop looked */
byte queued = 0;                 /* which nodes are in the queue: bit per command */

byte requests = 0;               /* struct q_pending */
byte users = 0;
bool draining = false;
bool closed = false;

byte close_at = NEVER;           /* engine->close_at_ns */
bool close_queued = false;       /* engine->is_close_queued */
bool is_closed = false;          /* engine->is_closed */

bool slot_live = false;          /* struct q_slotword of the request */
bool pinned = false;
bool handle_known = false;       /* quoit_submit has given it out */

bool opened = false;             /* port->opened */
bool port_there[2];              /* engine->ports[]; the first one was there before */
byte num_closed[2];              /* CLOSED events */

/* What the proof keeps book of. */
bool ring_alive = true;
bool bell_alive = true;
bool engine_alive = true;
bool loop_ended = false;
bool accepted = false;           /* submit has said OK */
bool has_refused = false;
byte num_ends = 0;               /* terminal events */
bool has_answer = true;          /* the server answers, some time */

/* q_engine_push: q_mpsc_push (compare_exchange), then q_doorbell_ring */
inline push(command) {
    atomic {
        assert(engine_alive && (queued & (1 << command)) == 0);
        queued = queued | (1 << command);
        queue!command;
        woke = asleep;
        asleep = false
    };
    if
    :: woke -> assert(bell_alive); rung = true
    :: else
    fi
}

/* q_engine_poke */
inline poke() {
#if MUT == 10                    /* looks whether it is queued, then says so */
    was = close_queued;
    close_queued = true;
#else
    atomic { was = close_queued; close_queued = true };      /* atomic_exchange */
#endif
    if
    :: !was -> push(CLOSE)
    :: else
    fi
}

/* q_table_enter; gives up at once when the engine is gone */
inline enter() {
    atomic { ok = !closed; if :: ok -> users++ :: else fi }
}

/* q_table_leave: q_pending_leave */
inline leave() {
    atomic { assert(engine_alive); users-- }
}

/* uncount, and the end of quoit_port_create: q_pending_end_requests, then q_engine_poke by who was the last */
inline end_request_outside() {
    atomic { requests--; was = (draining && requests == 0) };
    if
#if MUT != 6                     /* 6: does not tell the loop that its request was the last one */
    :: was -> poke()
#endif
    :: else
    fi
}

proctype Submitter() {           /* quoit_submit */
    bool ok; bool woke; bool was;
    /* q_table_enter_request */
    atomic { ok = (!closed && !draining); if :: ok -> users++; requests++ :: else fi };
    if
    :: !ok -> has_refused = true
    :: ok ->
        if
        :: end_request_outside(); has_refused = true         /* PORT_FULL: uncount */
        :: accepted = true;
           slot_live = true;                                 /* q_slotword_open */
           handle_known = true;
           push(SUBMIT)
        fi;
        leave()
    fi;
    handle_known = true          /* the canceller need not wait for ever */
}

proctype Canceller() {           /* quoit_cancel */
    bool ok; bool woke;
    handle_known;
    enter();
    if
    :: !ok
    :: ok ->
        atomic { ok = (slot_live && !pinned); if :: ok -> pinned = true :: else fi };   /* q_slotword_try_pin_cancel */
        if
        :: ok -> push(CANCEL)
        :: else
        fi;
        leave()
    fi
}

proctype Opener() {              /* quoit_port_create, q_engine_open_port */
    bool ok; bool woke; bool was;
#if MUT == 3                     /* is a user, but is not counted */
    enter();
#else
    atomic { ok = (!closed && !draining); if :: ok -> users++; requests++ :: else fi };
#endif
    if
    :: !ok
    :: ok ->
        port_there[1] = true;                                /* enlist: atomic_store of engine->ports[index] */
        push(OPEN);                                          /* attach */
#if MUT == 4                     /* ends its count before the loop has its port */
        end_request_outside();
#endif
        opened;                                              /* sem_wait */
#if MUT != 3 && MUT != 4
        end_request_outside();
#endif
        leave()
    fi
}

proctype Closer(byte at) {       /* quoit_engine_close */
    bool ok; bool woke; bool was;
    enter();
    if
    :: !ok
    :: ok ->
        atomic { if :: at < close_at -> close_at = at :: else fi };  /* compare_exchange */
        poke();
        leave()
    fi
}

proctype Destroyer() {           /* quoit_engine_destroy, by a host that has seen CLOSED; then dismantle */
    bool ok;
    num_closed[0] > 0;
    do
    :: enter();
       assert(ok);
       assert(is_closed);                                    /* else NOT_CLOSED, to a host that has seen CLOSED */
       atomic {                                              /* q_pending_try_close: compare_exchange, else BUSY */
           if
#if MUT == 11                    /* does not look who else is inside */
           :: users--; closed = true
#else
           :: users == 1 && requests == 0 -> users--; closed = true
           :: else -> users--; ok = false
#endif
           fi
       };
       if
       :: ok -> break
       :: else -> users == 0                                 /* tries again when the others have left */
       fi
    od;
    loop_ended;                                              /* pthread_join */
    bell_alive = false;                                      /* q_ring_take_down_bell */
    engine_alive = false;                                    /* q_mpsc_close; what is still in it is nobody's any more */
    assert((queued & ((1 << SUBMIT) | (1 << CANCEL) | (1 << OPEN))) == 0);
    assert(users == 0)
}

/* --- the loop --- */

#define LIVE 1                   /* the request: taken in; ended, its slot not given back yet; gone */
#define DEAD 2
#define GONE 3

inline end_live() {              /* on_ended, and the event's publishing */
    atomic { num_ends++; assert(num_closed[0] == 0); request = DEAD }
}

inline run_command() {
    if
    :: command == SUBMIT -> atomic {                         /* run_submit */
        assert(slot_live && request == 0 && ring_alive);
        request = LIVE;
#if MUT != 5
        if :: phase > DRAINING -> end_live() :: else fi
#endif
       }
    :: command == CANCEL -> atomic {                         /* run_cancel */
        assert(slot_live && pinned);
        if :: request == LIVE -> end_live() :: else fi;
        pinned = false                                       /* q_slotword_unpin_cancel: fetch_and */
       }
    :: command == OPEN -> atomic {                           /* run_port_open, q_port_attach, sem_post */
        assert(ring_alive && phase < CLOSING_PORTS);         /* its QUOIT_ERR_CLOSED is never needed */
        attached = true;
        opened = true
       }
    :: command == CLOSE ->                                   /* run_engine_close */
#if MUT != 2                     /* 2: a later close finds the node queued for ever */
        close_queued = false;                                /* atomic_store */
#endif
#if MUT != 12                    /* 12: not when it only tells that somebody's count has ended */
        must_publish = true;
#endif
        if
        :: phase <= DRAINING ->
#if MUT == 12
            must_publish = true;
#endif
            armed_at = close_at;                             /* atomic_load */
            atomic { draining = true; phase = DRAINING }     /* q_pending_drain: fetch_or; q_loop_arm(close_timer) */
        :: else
        fi
    fi
}

inline take_commands() {
    if
    :: is_parked && len(queue) == 0                          /* q_mpsc_is_empty: atomic_load */
    :: else ->
        is_parked = false;
        atomic { batch = len(queue); asleep = false };       /* q_mpsc_drain: atomic_exchange */
        do
        :: batch > 0 ->
            atomic { queue?command; queued = queued & (255 - (1 << command)) };
            run_command();
            batch--
        :: else -> break
        od
    fi
}

inline bury_dead() {
    if
    :: request == DEAD ->
        atomic {                                             /* q_slotword_try_retire: compare_exchange */
#if MUT == 7                     /* does not look whether a cancel is on its way */
            ok = true;
#else
            ok = !pinned;
#endif
            if :: ok -> slot_live = false :: else fi
        };
        if
        :: ok -> request = GONE; has_more = true; atomic { requests-- }      /* q_pending_end_requests */
        :: else
        fi
    :: else
    fi
}

/* abort_requests, once a tick in this phase */
inline abort_requests() {
#if MUT == 5                     /* sweeps once, and run_submit does not look at the phase */
    if :: request == LIVE && !has_swept -> end_live() :: else fi;
    has_swept = true
#else
    if :: request == LIVE -> end_live() :: else fi
#endif
}

inline advance_closing() {       /* q_engine_advance_closing */
    do
    :: phase == DRAINING && (requests == 0 || close_at == 0) -> atomic { phase = ABORTING; has_more = true }
    :: phase == ABORTING ->
        abort_requests();
        if
#if MUT == 1                     /* asks the list of live requests, not the count of accepted ones */
        :: request != LIVE && request != DEAD -> phase = CLOSING_PORTS
#else
        :: requests == 0 -> phase = CLOSING_PORTS
#endif
        :: else -> break
        fi
    :: phase == CLOSING_PORTS -> atomic { attached = false; phase = QUIESCING }
    :: phase == QUIESCING -> atomic { is_open = false; phase = CLOSED }
    :: else -> break
    od
}

inline close_port(number) {      /* q_port_end */
    if
    :: port_there[number] -> num_closed[number]++
    :: else
    fi
}

inline finish() {                /* q_engine_finish */
    ring_alive = false;                                      /* q_ring_destroy */
#if MUT == 9                     /* the bell goes with the ring */
    bell_alive = false;
#endif
#if MUT != 8                     /* 8: says it is closed behind the events that tell of it */
    is_closed = true;
#endif
    atomic { close_port(0); close_port(1) };
#if MUT == 8
    is_closed = true;
#endif
    loop_ended = true
}

/* Something else than the doorbell that ends the sleep: an answer, or the end of the drain that the timer was armed for */
#define MAY_ANSWER (request == LIVE && has_answer)
#define IS_DUE     (phase == DRAINING && armed_at == 0)

inline turn() {                  /* the kernel's turn: it sleeps when there is nothing to do */
    if
    :: is_open && !has_more && !IS_DUE ->
        if                                                   /* park */
        :: is_parked -> ok = (len(queue) == 0)               /* q_mpsc_is_empty: atomic_load */
        :: else ->
            atomic { ok = (len(queue) == 0); if :: ok -> asleep = true :: else fi };     /* q_mpsc_park: compare_exchange */
            is_parked = ok
        fi;
        if
        :: ok ->
            if
            :: rung -> rung = false
            :: MAY_ANSWER -> end_live()
            fi
        :: else
        fi
    :: else
    fi
}

proctype Loop() {                /* q_loop_tick, then q_engine_finish */
    byte phase = RUNNING; byte request = 0; byte command; byte batch; byte armed_at = NEVER;
    bool ok; bool attached = false; bool is_open = true; bool has_swept = false;
    bool has_more = false; bool must_publish = false; bool is_parked = false;
    do
    :: phase != CLOSED ->
        turn();
        atomic { has_more = false; must_publish = false };   /* publish */
        if :: phase != RUNNING -> advance_closing() :: else fi;
        bury_dead();
        take_commands();
        has_more = (has_more || must_publish || request == DEAD)
    :: else -> break
    od;
    finish()
}

init {
    atomic {
        port_there[0] = true;
        if :: has_answer = true :: has_answer = false fi;
        run Loop();
        run Submitter();
        run Closer(LONG);
        run Closer(0);
#if BOTH
        run Canceller(); run Opener();
#else
        if :: run Canceller() :: run Opener() fi;
#endif
        run Destroyer()
    };
    (_nr_pr == 1);
    assert(num_ends == (accepted -> 1 : 0));
    assert(accepted != has_refused);
    assert(num_closed[0] == 1);
    assert(num_closed[1] == (port_there[1] -> 1 : 0));
    assert(!engine_alive && requests == 0 && users == 0)
}
