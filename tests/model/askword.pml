/* Ask word: engine/queue/askword.c, with the queue, the slot, and the loop's asking as far as they carry a question.
 *
 * One slot with two tenants, one after the other, of which the first asks up to two questions and the second one, of either kind. The loop withdraws
 * a question at a moment of its choice (the time is over, a connection came free, the tenant ends), or takes an answer that
 * came out of the queue; a tenant whose question was withdrawn may want to ask again while the answer to that one is still on
 * its way, and waits for it. Then the tenant ends, and the slot is retired. Two answerers hold tokens of any question, past,
 * present or guessed, and give one that suits the one kind, the other, or both. The answer node can be in the queue once.
 *
 * Checked: an answer reaches the question it was meant for and no other, and none that was withdrawn; it suits its kind; one
 * that does not suit leaves the question standing; what is taken is what was given first; the node is pushed only when the
 * loop is done with it; who waits to ask again comes to it; a slot changes tenants only when nothing of it is on its way.
 */
#ifndef MUT
#define MUT 0
#endif

#define TENANTS 2
#define QUESTIONS 3              /* at most: two of the first tenant, one of the second */
#define ANSWERERS 2
#define OPEN   1
#define PINNED 2
#define ANSWER 4                 /* one unit of the answer field, which holds 0 .. 3 */
#define KIND 16                  /* one unit of the kind field, which holds 0 or 1 here */
#define GENERATION 32            /* one unit of the generation field */
#define GEN(w) ((w) / GENERATION)
#define KIND_OF(w) (((w) % GENERATION) / KIND)
#define ANSWER_OF(w) (((w) % KIND) / ANSWER)
#define HAS(w, flag) (((w) / (flag)) % 2 == 1)
#define SUITS(kind, answer) ((answer) == 3 || (answer) == (kind) + 1)   /* a refusal suits both */

short word = 0;
chan queue = [1] of { byte };
bool linked = false;             /* pushed, and its next not yet read by the loop */

/* What the proof keeps book of. */
byte given_to[QUESTIONS + 2];    /* the first answer that was given to each question; 0: none */
byte meant;                      /* whom the node in the queue was meant for */
byte answerers_done = 0;

/* q_askword_try_answer, then the push */
proctype Answerer(byte generation; byte answer) {
    short seen; bool ok;
    seen = word;                                             /* atomic_load */
    do
    :: GEN(seen) != generation || (!HAS(seen, OPEN) && !HAS(seen, PINNED)) -> break      /* Q_ASK_STALE */
#if MUT == 8                     /* one that does not suit uses the question up */
    :: GEN(seen) == generation && HAS(seen, OPEN) && !SUITS(KIND_OF(seen), answer) ->
        atomic { if :: word == seen -> word = GEN(seen) * GENERATION :: else fi }; break
#elif MUT != 7                   /* 7: does not look whether it suits */
    :: GEN(seen) == generation && (HAS(seen, OPEN) || HAS(seen, PINNED)) && !SUITS(KIND_OF(seen), answer) ->
        break                                                /* Q_ASK_UNSUITED */
#endif
#if MUT != 2                     /* 2: does not look whether an answer is on its way */
    :: GEN(seen) == generation && HAS(seen, PINNED) -> break                             /* Q_ASK_ALREADY */
#endif
    :: else ->
        atomic {                                             /* compare_exchange */
            if
#if MUT == 1                     /* checks, then sets whatever the word is by then */
            :: true -> word = GEN(word) * GENERATION + KIND_OF(word) * KIND + answer * ANSWER + PINNED; ok = true
#else
            :: word == seen ->
                word = generation * GENERATION + KIND_OF(seen) * KIND + answer * ANSWER + PINNED; ok = true
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

/* q_engine_ask_connection, q_askword_open. That the word is neither open nor pinned is checked there. */
inline open_next() {
    assert(!HAS(word, OPEN) && !HAS(word, PINNED));
    if :: kind = 0 :: kind = 1 fi;
    question++;
    word = (GEN(word) == 0 -> 1 : GEN(word)) * GENERATION + kind * KIND + OPEN;          /* atomic_store */
    assert(GEN(word) == question);                           /* a token names one question, for ever */
    asked++;
    stands = true
}

/* The tenant wants to ask: now, or behind the answer that is under way (core/question.c, produce). */
inline want_to_ask() {
    if
#if MUT != 9                     /* 9: asks whatever is on its way */
    :: HAS(word, PINNED) -> waits = true                     /* q_askword_is_pinned */
#endif
    :: else -> open_next()
    fi
}

/* The node came out of the queue: q_engine_run_answer, q_askword_take */
inline take() {
    atomic { queue?_; linked = false };                      /* q_mpsc_drain, and next was read */
    assert(HAS(word, PINNED) && GEN(word) == meant && meant == question);
    answer = ANSWER_OF(word);                                /* atomic_load */
    assert(answer == given_to[question] && SUITS(kind, answer));
#if MUT == 5                     /* leaves the generation */
    word = GEN(word) * GENERATION;
#else
    word = (GEN(word) + 1) * GENERATION;                     /* atomic_store */
#endif
    stands = false                                           /* if it did; or else nobody waits for the answer */
}

/* And the tenant goes on: q_exchange_resume */
inline go_on() {
#if MUT != 10                    /* 10: who wants to ask again is not told */
    if
    :: waits -> waits = false; open_next()
    :: else
    fi
#else
    skip
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
    od;
    stands = false
}

proctype Loop() {
    byte tenant = 0, asked, question = 0, kind, answer; short seen; bool ok;
    bool stands = false;                                     /* the exchange waits for an answer */
    bool waits = false;                                      /* it wants to ask, and may not yet */
    bool is_patient;                                         /* it does not end while it wants to */
    do
    :: tenant < TENANTS ->
        tenant++;                                            /* the slot was taken */
        asked = 0;
        if :: is_patient = true :: is_patient = false fi;
        assert(!linked);                                     /* its node belongs to the new tenant now */
        do
        :: nempty(queue) -> take(); go_on()
        :: !stands && !waits && asked + tenant < QUESTIONS -> want_to_ask()
        :: stands ->                                         /* it does until it is withdrawn or its answer taken */
            assert(GEN(word) == question && (HAS(word, OPEN) || HAS(word, PINNED)));
            withdraw()                                       /* the time is over, a cancel, a connection came free */
        :: !stands && !(waits && is_patient) -> waits = false; break                     /* the end */
        od;
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
    byte i = 0, g = 1, a;
    atomic {
        run Loop();
        do
        :: i < ANSWERERS ->                                  /* tokens in order: who has which does not matter */
            select(g : g .. QUESTIONS); select(a : 1 .. 3); run Answerer(g, a); i++
        :: else -> break
        od;
        i = 0;
        g = 0;
        a = 0
    }
}
