/* Event ring of a port and the arming of its eventfd: engine/queue/evring.c.
 *
 * Two host threads submit (each reserves a slot for a terminal event), the loop publishes terminal events into reserved slots
 * and data events into data slots, a consumer reads them by the protocol in evring.h. The ring has two slots, one of
 * each kind, so it is full all the time. The consumer may be woken once for nothing. Of the submission queue there is
 * only what carries the wake node: a node that may be in it once.
 *
 * Checked: no slot is filled, read or taken back out of turn; the counts of slots are right; events arrive in order,
 * each once; one eventfd write for each arming that was answered, and no more; the wake node is queued once at most;
 * nobody sleeps for ever.
 */
#ifndef MUT
#define MUT 0
#endif

#define CAP     2
#define HOSTS   2                        /* each submits once */
#define DATA    2

byte reservable = 1;
byte tail = 0; bool armed = false;       /* tail word: the two always change in one step */
byte head = 0; bool want_wake = false;   /* head word */
byte eventfd = 0;
byte wake_node = 0;                      /* how often the wake node is in the submission queue */
byte submitted = 0, answered = 0;        /* submit commands pushed, and their terminal events filled */
byte hosts_done = 0;

/* What the proof keeps book of. */
#define FREE     0                       /* taken back, or never used */
#define FILLED   1                       /* the producer's */
#define SHOWN    2                       /* the consumer's */
#define PASSED   3                       /* advanced past, lends still out */
byte slot[CAP];
byte number[CAP];
byte occupied = 0, reserved = 0;         /* reserved entries not collected yet; slots reserved and not yet filled */
byte consumed_total = 0, accepted = 0;
bool loop_done = false;

#define COUNT_IS_RIGHT (reservable + occupied + reserved == 1)

/* q_evring_reserve(1) */
inline reserve() {
    seen = reservable;                                   /* atomic_load */
    do
    :: seen < 1 -> ok = false; break
    :: else ->
        atomic {                                         /* compare_exchange */
            if
#if MUT == 6                                             /* stores without comparing */
            :: true -> reservable = seen - 1; ok = true
#else
            :: reservable == seen -> reservable = seen - 1; ok = true
            :: else -> seen = reservable; ok = false
#endif
            fi;
            if :: ok -> reserved++ :: else fi;
            assert(COUNT_IS_RIGHT)
        };
        if :: ok -> break :: else fi
    od
}

proctype Host() {
    byte seen; bool ok;
    reserve();
    if
    :: ok ->
        if
        :: atomic { submitted++; accepted++ }            /* push: the loop has it */
        :: atomic { reservable++; reserved--; assert(COUNT_IS_RIGHT) }   /* refused: q_evring_unreserve */
        fi
    :: else
    fi;
    hosts_done++
}

/* fill_next, and filling */
inline fill(of_reserved) {
    atomic {
        assert(slot[filled % CAP] == FREE);
        slot[filled % CAP] = FILLED;
        is_reserved[filled % CAP] = of_reserved;
        number[filled % CAP] = filled;
        filled++
    }
}

/* q_evring_publish and the eventfd write that it asks for */
inline publish() {
    if
    :: filled != published ->
        at = published;
        published = filled;
#if MUT == 1                                             /* loads the flag, then stores the position */
        flag = armed;
        d_step {
#else
        d_step {                                         /* atomic_exchange */
            flag = armed;
#endif
            tail = filled;
#if MUT != 9                                             /* 9: leaves the flag in the word */
            armed = false;
#endif
            do
            :: at < filled -> slot[at % CAP] = SHOWN; at++
            :: else -> break
            od
        };
        if :: flag -> eventfd++ :: else fi               /* write of 1 */
    :: else
    fi
}

/* q_evring_collect */
inline collect() {
    at = head;                                           /* atomic_load */
    do
    :: collected < at ->
        atomic {                                         /* fn */
            assert(slot[collected % CAP] == PASSED);
            slot[collected % CAP] = FREE;
            if
#if MUT == 7                                             /* gives every slot back as a data slot too */
            :: is_reserved[collected % CAP] -> data_room++; count++
#else
            :: is_reserved[collected % CAP] -> count++
#endif
            :: else -> data_room++
            fi;
            collected++
        }
    :: else -> break
    od;
    atomic { reservable = reservable + count; occupied = occupied - count; count = 0; assert(COUNT_IS_RIGHT) }  /* fetch_add */
}

/* q_evring_want_wake */
inline want() {
#if MUT == 5                                             /* sets the flag again while the node is on its way */
    atomic { at = head; want_wake = true };
    is_wake_wanted = true;
#else
    if
    :: is_wake_wanted -> at = head                       /* atomic_load */
    :: else -> is_wake_wanted = true;
               atomic { at = head; want_wake = true }    /* fetch_or */
    fi;
#endif
#if MUT == 4                                             /* does not look whether the head has moved */
    moved = false
#else
    moved = (at != collected)
#endif
}

proctype Loop() {
    byte filled = 0, published = 0, collected = 0, sent = 0, at, count = 0, data_room = 1;
    bool is_reserved[CAP];
    bool flag, moved, is_wake_wanted = false;
    do
    :: submitted > answered ->                           /* q_evring_produce_reserved: never waits */
        atomic { reserved--; occupied++; answered++; assert(COUNT_IS_RIGHT) };
        fill(true);
        if :: publish() :: skip fi
    :: sent < DATA ->                                    /* q_evring_produce_unreserved */
        if
#if MUT == 10                                            /* takes whatever slot is free, reserved or not */
        :: filled - collected < CAP ->
#else
        :: data_room > 0 ->
#endif
            atomic { data_room--; sent++ };
            fill(false);
            if :: publish() :: skip fi
        :: else ->
            publish();
            want();
            if
            :: moved -> collect()
            :: else ->                                   /* sleeps until a node is in the submission queue */
                if
                :: atomic { wake_node > 0 -> wake_node--; is_wake_wanted = false };  /* q_evring_wake_drained */
                   collect()
                :: submitted > answered
                fi
            fi
        fi
    :: hosts_done == HOSTS && submitted == answered && sent == DATA -> break
    od;
    publish();
    /* q_evring_retract_wake */
    if
    :: is_wake_wanted ->
        atomic { flag = want_wake; want_wake = false };  /* fetch_and */
        if
        :: !flag -> atomic { wake_node > 0 -> wake_node-- }  /* on its way: wait for it */
        :: else
        fi
    :: else
    fi;
    loop_done = true
}

/* look_at_tail */
inline look() {
    atomic {                                             /* atomic_load */
        seen_tail = tail;
        if
#if MUT == 11                                            /* does not count that its arming was answered */
        :: is_armed && !armed -> is_armed = false
#else
        :: is_armed && !armed -> is_armed = false; due++
#endif
        :: else
        fi
    }
}

inline read_signal() {
    look();                                              /* q_evring_signal_due */
    if
    :: due > 0 ->
        atomic { count = eventfd; eventfd = 0 };         /* read: 0 when the write has not landed yet */
        look();                                          /* q_evring_signal_read */
        assert(count <= due);
        due = due - count
    :: else
    fi
}

/* q_evring_advance of all that was handed out */
inline advance() {
    if
    :: handed > 0 ->
        consumed = consumed + handed;
        consumed_total = consumed;
#if MUT == 3                                             /* loads the flag, then stores the position */
        flag = want_wake;
#endif
        d_step {                                         /* atomic_exchange */
#if MUT != 3
            flag = want_wake;
#endif
            head = consumed;
            want_wake = false;
            do
            :: handed > 0 -> slot[(consumed - handed) % CAP] = PASSED; handed--
            :: else -> break
            od
        };
        if
        :: flag -> atomic { wake_node++; assert(wake_node == 1) }    /* push of the wake node */
        :: else
        fi
    :: else
    fi
}

proctype Consumer() {
    byte consumed = 0, handed = 0, seen_tail = 0, due = 0, count, spurious = 0;
    bool is_armed = false, ok, flag;
again:
#if MUT != 8                                             /* 8: reads the eventfd after it looked for events */
    read_signal();
#endif
events:
    do
    :: true ->
        if
        :: seen_tail == consumed + handed -> look()      /* q_evring_peek */
        :: else
        fi;
        if
        :: seen_tail == consumed + handed -> break
        :: else ->
            atomic {
                assert(slot[(consumed + handed) % CAP] == SHOWN && number[(consumed + handed) % CAP] == consumed + handed);
                handed++
            };
            if :: advance() :: skip fi                   /* at once, or after it armed */
        fi
    od;
    /* q_evring_arm behind what was handed out */
    look();
    if
    :: is_armed -> ok = true
    :: else ->
        atomic {                                         /* compare_exchange */
            if
#if MUT == 2                                             /* sets the flag whatever the position */
            :: true -> armed = true; is_armed = true; ok = true
#else
            :: tail == consumed + handed && !armed -> armed = true; is_armed = true; ok = true
            :: else -> ok = false
#endif
            fi
        }
    fi;
    if
    :: !ok -> goto events
    :: else
    fi;
    advance();
#if MUT == 8
    read_signal();
#endif
    if                                                   /* sleeps until the eventfd is readable */
    :: eventfd > 0 ->
        look();
        assert(due > 0);                                 /* else it would never be read: a busy loop */
        goto again
    :: atomic { spurious < 1 -> spurious++ }; goto again
    :: atomic { loop_done && consumed == tail && eventfd == 0 && due == 0 -> skip }   /* end of the run */
    fi
}

init {
    atomic { run Host(); run Host(); run Loop(); run Consumer() };
    (_nr_pr == 1);
    assert(consumed_total == accepted + DATA && wake_node == 0 && eventfd == 0 && reserved == 0)
}
