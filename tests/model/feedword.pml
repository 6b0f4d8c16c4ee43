/* Feed word: engine/queue/feedword.c, with the queue of nodes and the loop as far as they carry a feed.
 *
 * One slot with two tenants, one after the other. Two feeders hold handles of either tenant and feed one piece each,
 * and wait for room when there is none. The loop opens the word, takes nodes in, sends them one at a time, and at a
 * moment of its choice sees the peer's end (then what was fed before is sent first), or ends the tenant at once.
 *
 * Checked: no feed is counted to another tenant; the limit holds; what was taken before the peer's end is sent before
 * the tenant ends; who waits for room is told, or the tenant ends.
 */
#ifndef MUT
#define MUT 0
#endif

#define TENANTS 2
#define LIMIT 3
#define PIECE 2                  /* two do not fit at once */

#define OPEN 1
#define SHUT 2
#define WANTS_ROOM 4
#define BYTE 8                   /* one unit of the count, which holds 0 .. 7 */
#define GENERATION 64
#define GEN(w) ((w) / GENERATION)
#define BYTES(w) (((w) % GENERATION) / BYTE)
#define HAS(w, flag) (((w) / (flag)) % 2 == 1)

short word = 0;
chan queue = [4] of { byte };    /* a node names its generation */

/* What the proof keeps book of. */
byte tenant_now = 0;
byte taken[TENANTS + 1], sent[TENANTS + 1];   /* pieces */
byte rooms[TENANTS + 1];         /* ROOM events; whoever waits hears each */
bool over[TENANTS + 1];
byte done[TENANTS + 1];          /* feeders */
#define ALL_DONE (done[1] == 2 && done[2] == 2)

/* q_feedword_add, again after ROOM; the host stops when its request has ended */
proctype Feeder(byte generation) {
    short seen, wanted; bool ok, is_full; byte heard;
    (tenant_now >= generation);                               /* UPGRADED was published */
again:
    heard = rooms[generation];
    seen = word;                                             /* atomic_load */
    do
#if MUT == 4                     /* 4: the generation does not matter */
    :: !HAS(seen, OPEN) -> goto out
    :: HAS(seen, OPEN) ->
#else
    :: !HAS(seen, OPEN) || GEN(seen) != generation -> goto out   /* Q_FEED_UNOPENED, Q_FEED_SHUT */
    :: HAS(seen, OPEN) && GEN(seen) == generation ->
#endif
        is_full = BYTES(seen) + PIECE > LIMIT;
        wanted = (is_full -> (HAS(seen, WANTS_ROOM) -> seen : seen + WANTS_ROOM) : seen + PIECE * BYTE);
        atomic {                                             /* compare_exchange */
            if
#if MUT == 1                     /* 1: no room, and then the flag is set whatever the word is by then */
            :: is_full -> word = (HAS(word, WANTS_ROOM) -> word : word + WANTS_ROOM); ok = true
            :: !is_full && word == seen -> word = wanted; ok = true
            :: !is_full && word != seen -> seen = word; ok = false
#elif MUT == 3                   /* 3: checks, then adds whatever the word is by then */
            :: is_full && word == seen -> word = wanted; ok = true
            :: is_full && word != seen -> seen = word; ok = false
            :: !is_full -> word = word + PIECE * BYTE; ok = true
#else
            :: word == seen -> word = wanted; ok = true
            :: else -> seen = word; ok = false
#endif
            fi;
            if
            :: ok && !is_full ->
                assert(GEN(word) == generation && HAS(word, OPEN));
                assert(BYTES(word) <= LIMIT);
                taken[generation]++
            :: else
            fi
        };
        if
        :: ok && !is_full -> queue!generation; goto out         /* q_engine_push */
        :: ok && is_full ->                                     /* waits for ROOM, or the end */
            (rooms[generation] != heard || over[generation]);
            if :: over[generation] -> goto out :: else -> goto again fi
        :: else
        fi
    od;
out:
    done[generation]++
}

byte left;

/* q_feedword_take_off of one piece, which is sent or given up: its first step, which is all when the word is shut */
inline count_off() {
#if MUT == 2                     /* 2: the count is read, and what is left of the word is stored */
    before = word;
    word = before - PIECE * BYTE;
#else
    atomic { before = word; word = word - PIECE * BYTE };    /* fetch_sub */
#endif
    assert(BYTES(before) >= PIECE);
    left = BYTES(before) - PIECE
}

inline take_off(generation) {
    count_off();
    if
#if MUT == 6                     /* 6: never tells */
    :: false ->
#else
    :: HAS(before, WANTS_ROOM) && HAS(before, OPEN) && left <= LIMIT / 2 ->
#endif
        atomic { word = (HAS(word, WANTS_ROOM) -> word - WANTS_ROOM : word) };   /* fetch_and */
        rooms[generation]++
    :: else
    fi
}

/* core's sink and the exchange: one tenant after the other */
proctype Loop() {
    byte tenant = 0; byte named; short before; bool lasts;
    do
    :: tenant == TENANTS -> break
    :: tenant < TENANTS ->
        tenant++;
        /* q_feedword_open: a store; then UPGRADED */
        assert(!HAS(word, OPEN));
        word = tenant * GENERATION + OPEN;
        tenant_now = tenant;
        if :: lasts = true :: lasts = false fi;              /* until everybody has fed, or ends at any moment */
        do
        :: queue?named ->                                    /* run_feed, and the send that follows */
            if
            :: named == tenant -> sent[tenant]++; take_off(tenant)
            :: named != tenant -> assert(named < tenant)     /* dropped */
            fi
        :: !lasts -> goto peer_end
        :: !lasts -> goto canceled
        :: done[tenant] == 2 && empty(queue) -> goto peer_end
        od;
peer_end:
#if MUT == 5                     /* 5: the count is read, and then the word is shut */
        before = word;
        atomic { word = word - OPEN + SHUT };
#else
        atomic { before = word; word = word - OPEN + SHUT }; /* q_feedword_shut: fetch_xor */
#endif
        left = BYTES(before);
        do
        :: left == 0 -> break                                /* Q_X_EV_FLUSHED */
        :: left > 0 ->
            queue?named;
            if
            :: named == tenant -> sent[tenant]++; assert(HAS(word, SHUT)); count_off()
            :: named != tenant -> assert(named < tenant)
            fi
        od;
        assert(sent[tenant] == taken[tenant]);
canceled:
        word = tenant * GENERATION + SHUT;                   /* q_feedword_end: a store */
        over[tenant] = true
    od;
    /* what comes late is dropped */
    do
    :: queue?named -> assert(named <= TENANTS)
    :: ALL_DONE && empty(queue) -> break
    od
}

init {
    atomic {
        run Loop();
        run Feeder(1);
        run Feeder(1);
        run Feeder(2);
        run Feeder(2)
    }
}
