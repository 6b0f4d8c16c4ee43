// The descriptor thief. Right behind every close(2) in this process (the linker sends them all through __wrap_close: the
// test is linked with -Wl,--wrap=close) it takes the number that has just come free for a socket of its own, with a
// letter in it, and keeps it. Whoever acts on a number that is not his any more, closes twice, or reads, writes or
// registers late, does it to the thief, who looks whether each of his is still his own: the same file, the letter
// unread, nothing written to it, both ways open.
//
// He keeps `max` numbers; when he takes one more he looks at the oldest and lets it go. His own ends lie from THIEF_FLOOR
// on, out of everybody's way. Any thread may close; begin and end are the test's.
#ifndef QUOIT_TESTS_LIFE_THIEF_H
#define QUOIT_TESTS_LIFE_THIEF_H

#include <stddef.h>

enum { THIEF_FLOOR = 640 };

// thief_begin sets him to work; he opens 2 * max descriptors.
void thief_begin(size_t max);

// thief_stop ends his work and gives everything back. It returns what was done to him, NULL for nothing: constant text.
// `out_exact` (may be NULL) gets how many numbers he took that were just closed.
const char *thief_stop(size_t *out_exact);

// thief_end is thief_stop, and fails the test when anything was done to him. It returns how many he took exactly.
size_t thief_end(void);

// thief_close is close(2), unseen by him.
int thief_close(int fd);

#endif
