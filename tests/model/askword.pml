/* Ask word: engine/queue/askword.c, with the queue and the slot as far as they carry a question.
 *
 * One slot with two tenants, one after the other, each of which asks one question. The loop withdraws a question at a
 * moment of its choice (the time is over, or the tenant ends), or takes an answer that came out of the queue; then the
 * tenant ends, and the slot is retired. Three answerers hold tokens of either question, past, present or guessed. The
 * answer node can be in the queue once.
 *
 * Checked: an answer reaches the question it was meant for and no other; what is taken is what was given first; the node
 * is pushed only when the loop is done with it; a slot changes tenants only when nothing of it is on its way.
 */
#ifndef MUT
#define MUT 0
#endif

#define TENANTS 2
#define ANSWERERS 3
#define OPEN   1
#define PINNED 2
#define ANSWER 4                 /* one unit of the answer field, which holds 0 .. 3 */
#define GENERATION 16            /* one unit of the generation field */
#define GEN(w) ((w) / GENERATION)
#define ANSWER_OF(w) (((w) % GENERATION) / ANSWER)
#define HAS(w, flag) (((w) / (flag)) % 2 == 1)

short word = 0;
chan queue = [1] of { byte };
bool linked = false;             /* pushed, and its next not yet read by the loop */

/* What the proof keeps book of. */
byte question = 0;               /* the one that stands or is being answered, counted; 0: none */
byte given_to[TENANTS + 2];      /* the first answer that was given to each question; 0: none */
byte meant;                      /* whom the node in the queue was meant for */
byte answerers_done = 0;

/* q_askword_try_answer, then the push */
proctype Answerer(byte generation; byte answer) {
    short seen; bool ok;
    seen = word;                                             /* atomic_load */
    do
    :: GEN(seen) != generation || (!HAS(seen, OPEN) && !HAS(seen, PINNED)) -> break      /* Q_ASK_STALE */
#if MUT != 2                     /* 2: does not look whether an answer is on its way */
    :: GEN(seen) == generation && HAS(seen, PINNED) -> break                             /* Q_ASK_ALREADY */
#endif
    :: else ->
        atomic {                                             /* compare_exchange */
            if
#if MUT == 1                     /* checks, then sets whatever the word is by then */
            :: true -> word = GEN(word) * GENERATION + answer * ANSWER + PINNED; ok = true
#else
            :: word == seen -> word = generation * GENERATION + answer * ANSWER + PINNED; ok = true
            :: else -> seen = word; ok = false
#endif
            fi;
            if
            :: ok && given_to[generation] == 0 -> given_to[generation] = answer
            :: else
            fi
        };
        if
        :: ok -> atomic { assert(!linked); linked = true; meant = generation; queue!0 }; break
        :: else
        fi
    od;
    answerers_done++
}

/* The node came out of the queue: q_engine_run_answer, q_askword_take */
inline take() {
    atomic { queue?_; linked = false };                      /* q_mpsc_drain, and next was read */
    assert(HAS(word, PINNED) && meant == tenant && GEN(word) == tenant);
    answer = ANSWER_OF(word);                                /* atomic_load */
    assert(answer == given_to[tenant]);
#if MUT == 5                     /* leaves the generation */
    word = GEN(word) * GENERATION;
#else
    word = (GEN(word) + 1) * GENERATION;                     /* atomic_store */
#endif
}

/* q_askword_withdraw */
inline withdraw() {
    seen = word;                                             /* atomic_load */
    do
    :: !HAS(seen, OPEN) -> break
    :: else ->
        atomic {                                             /* compare_exchange */
            if
#if MUT == 3                     /* stores without comparing */
            :: true -> ok = true
#else
            :: word == seen -> ok = true
            :: else -> seen = word; ok = false
#endif
            fi;
            if
#if MUT == 6                     /* leaves the generation */
            :: ok -> word = GEN(seen) * GENERATION
#else
            :: ok -> word = (GEN(seen) + 1) * GENERATION
#endif
            :: else
            fi
        };
        if :: ok -> break :: else fi
    od
}

proctype Loop() {
    byte tenant = 0, answer; short seen; bool ok;
    do
    :: tenant < TENANTS ->
        tenant++;                                            /* the slot was taken and opened */
        assert(!linked);                                     /* its node belongs to the new tenant now */
        assert(!HAS(word, OPEN) && !HAS(word, PINNED));      /* q_askword_open */
        word = (GEN(word) == 0 -> 1 : GEN(word)) * GENERATION + OPEN;                    /* atomic_store */
        assert(GEN(word) == tenant);
        question = tenant;
        if
        :: nempty(queue) -> take()
        :: true -> withdraw()                                /* the time is over, a cancel, the end */
        fi;
        question = 0;
        do                                                   /* bury_dead */
        :: nempty(queue) -> take()                           /* nobody waits for it any more */
#if MUT == 4                     /* 4: the slot changes tenants whatever is on its way */
        :: true -> break
#else
        :: !HAS(word, PINNED) -> break                       /* q_askword_is_pinned; then q_slotword_try_retire */
#endif
        od
    :: else -> break
    od;
    (answerers_done == ANSWERERS);
    assert(empty(queue) && !HAS(word, OPEN) && !HAS(word, PINNED))
}

init {
    byte i = 0, g, a;
    atomic {
        run Loop();
        do
        :: i < ANSWERERS -> select(g : 1 .. TENANTS); select(a : 1 .. 2); run Answerer(g, a); i++
        :: else -> break
        od;
        i = 0;
        g = 0;
        a = 0
    }
}
