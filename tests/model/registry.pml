/* Registry: engine/tls/registry.c: control words in a type-stable slab, the map of weak handles, the free slots.
 *
 * Content 0 lives in slot 0 under digest 0, with one holder, who drops it. Somebody with a weak handle upgrades it, uses it
 * and drops. Two more intern, digest 0 or 1, each with a content of its own in hand; they use what they get and drop it. A
 * slot is free for the next as soon as the lock is: the worst case for ABA.
 * It begins in a process, or in a forked child, where nothing counts that stands in the slots about the map: then the first
 * who takes the lock looks all slots through.
 *
 * Checked: who holds a reference finds the content that it named, alive; each content is let go once, by one; equal contents
 * that can be found live once; a free slot is nobody's; nothing is left in the end.
 */
#ifndef MUT
#define MUT 0
#endif

#define NONE 9
#define SLOTS 3
#define CONTENTS 3
#define DIGESTS 2
#define W(generation, strong) ((generation) * 8 + (strong))
#define GEN(w) ((w) / 8)
#define STRONG(w) ((w) % 8)
#if MUT == 8                     /* the last drop leaves the generation */
#define BEHIND(generation) (generation)
#else
#define BEHIND(generation) ((generation) + 1)
#endif

/* struct q_registry_slot */
byte word[SLOTS];
byte content[SLOTS];
byte digest[SLOTS];
byte mapped[SLOTS];
bool is_back[SLOTS];

/* struct q_registry_shape */
bool locked = false;
bool is_built;
byte entry[DIGESTS];                 /* slot, or NONE: the chain's one entry of this digest */

/* What the proof keeps book of. */
byte let_go[CONTENTS];
byte digest_of[CONTENTS];            /* under which a content was interned */
bool is_hidden[CONTENTS];            /* made before the fork: not found any more */

/* lock_shape, with build: what is read of the slots' words is changed by others meanwhile */
inline lock() {
    atomic { !locked -> locked = true };
    if
    :: is_built
    :: !is_built ->
        i = 0;
        do
        :: i < SLOTS -> atomic { mapped[i] = 0; is_back[i] = (STRONG(word[i]) == 0); i++ }
        :: else -> break
        od;
        atomic { i = 0; entry[0] = NONE; entry[1] = NONE; is_built = true }
    fi
}
inline unlock() { locked = false }

/* try_upgrade */
inline try_upgrade(slot, generation) {
    seen = word[slot];                                       /* atomic_load */
    do
#if MUT == 1                     /* no generation test */
    :: STRONG(seen) == 0 -> ok = false; break
#else
    :: GEN(seen) != generation || STRONG(seen) == 0 -> ok = false; break
#endif
    :: else ->
        atomic {                                             /* compare_exchange */
            if
#if MUT == 2                     /* looks, then increments whatever the word is by then */
            :: true -> word[slot]++; ok = true
#else
            :: word[slot] == seen -> word[slot]++; ok = true
            :: else -> seen = word[slot]; ok = false
#endif
            fi
        };
        if :: ok -> break :: else fi
    od
}

inline use() {
    assert(let_go[c] == 0 && content[s] == c && GEN(word[s]) == g && STRONG(word[s]) > 0)
}

/* q_registry_drop: q_registry_drop_to, then the release */
inline drop() {
    seen = word[s];                                          /* atomic_load */
    do
    :: true ->
        assert(GEN(seen) == g && STRONG(seen) > 0);
        atomic {                                             /* compare_exchange */
            if
#if MUT == 3                     /* decides by its first look */
            :: true -> ok = true
#else
            :: word[s] == seen -> ok = true
            :: else -> seen = word[s]; ok = false
#endif
            fi;
            if
            :: ok && STRONG(seen) > 1 -> word[s] = seen - 1
            :: ok && STRONG(seen) == 1 -> word[s] = W(BEHIND(g), 0)
            :: else
            fi
        };
        if :: ok -> break :: else fi
    od;
    ok = (STRONG(seen) == 1);
#if MUT == 4                     /* a second look decides who was the last */
    ok = (STRONG(word[s]) == 0);
#endif
    if
    :: ok ->
        bury();
#if MUT == 6                     /* reads the content when the slot has been given back */
        c = content[s];
#endif
        assert(let_go[c] == 0);
        let_go[c]++
    :: else
    fi
}

/* bury. What the lock guards is changed in one block: nobody else may look. */
inline bury() {
    lock();
    atomic {
        if
#if MUT == 7                     /* does not look whether the slot is still its own */
        :: true ->
#else
        :: word[s] == W(BEHIND(g), 0) && !is_back[s] ->
#endif
            if
#if MUT == 5                     /* takes the entry out by its digest alone */
            :: entry[digest[s]] != NONE -> mapped[entry[digest[s]]] = 0; entry[digest[s]] = NONE
#else
            :: entry[digest[s]] == s && mapped[s] == g -> mapped[s] = 0; entry[digest[s]] = NONE
#endif
            :: else
            fi;
            assert(!is_back[s] && STRONG(word[s]) == 0);
            is_back[s] = true
        :: else
        fi
    };
    unlock()
}

/* q_registry_intern */
inline intern(which, mine) {
    looks_again = true;
    do
    :: true ->
        lock();
        s = entry[which];
        ok = false;
        if
        :: s != NONE ->
            g = mapped[s];
            try_upgrade(s, g);
            if
            :: ok -> c = content[s]
            :: else -> atomic { entry[which] = NONE; mapped[s] = 0 }
            fi
        :: else
        fi;
        if
        :: ok -> unlock(); break
        :: !ok && looks_again ->                             /* no free slot: add_slots, without the lock */
            looks_again = false;
            unlock();
#if MUT == 9                     /* does not look again when it has got slots */
            lock();
            make(which, mine);
            unlock();
            break
#endif
        :: !ok ->
            make(which, mine);
            unlock();
            break
        fi
    od
}

/* make_entry */
inline make(which, mine) {
    atomic {
        if
        :: is_back[0] -> s = 0
        :: is_back[1] -> s = 1
        :: is_back[2] -> s = 2
        fi;
        is_back[s] = false
    };
    atomic {
        g = GEN(word[s]);
        assert(STRONG(word[s]) == 0);
        content[s] = mine;
        digest[s] = which;
        mapped[s] = g;
        entry[which] = s
    };
    atomic {                                                 /* atomic_store */
        i = 0;
        do
        :: i < SLOTS ->
            assert(STRONG(word[i]) == 0 || is_hidden[content[i]] || digest_of[content[i]] != which);
            i++
        :: else -> break
        od;
        i = 0;
        word[s] = W(g, 1);
        digest_of[mine] = which
    };
    c = mine
}

/* Who holds a reference, and ends it: on any thread, as references are handed on. */
proctype Holder(byte s, g, c) {
    byte i, seen; bool ok;
    use();
    drop()
}

proctype Weak() {
    byte s = 0, g = 1, c, seen; bool ok;
    try_upgrade(0, 1);
    if
    :: ok ->
        c = content[0];
        assert(c == 0);
        use();
        run Holder(s, g, c)
    :: else
    fi
}

proctype Interner(byte which, mine) {
    byte s, g, c, i, seen; bool ok, looks_again;
    intern(which, mine);
    assert(digest_of[c] == which);
    use();
    run Holder(s, g, c)
}

init {
    byte d, i;
    atomic {
        word[0] = W(1, 1); word[1] = W(1, 0); word[2] = W(1, 0);
        mapped[0] = 1;
        entry[1] = NONE;
        digest_of[1] = NONE; digest_of[2] = NONE;
        if
        :: is_built = false; is_hidden[0] = true;            /* a child: */
           if
           :: entry[0] = 0
           :: entry[0] = NONE; entry[1] = 2; mapped[1] = 1   /* the map may be in any state */
           fi;
           if :: is_back[0] = true :: is_back[2] = true fi
        :: is_built = true; entry[0] = 0; is_back[1] = true; is_back[2] = true
        fi;
        run Holder(0, 1, 0);
        run Weak();
        select(d : 0 .. 1); run Interner(d, 1);
        run Interner(0, 2);
        d = 0
    };
    (_nr_pr == 1);
    do
    :: i < SLOTS -> assert(STRONG(word[i]) == 0 && is_back[i]); i++
    :: else -> break
    od;
    assert(!locked && is_built && entry[0] == NONE && entry[1] == NONE);
    assert(let_go[0] == 1 && let_go[1] == (digest_of[1] != NONE) && let_go[2] == (digest_of[2] != NONE))
}
