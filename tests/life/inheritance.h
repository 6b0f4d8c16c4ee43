// What a forked child has of its parent's engine, and what it may do with it: nothing. For the children of fork tests, in
// which cmocka cannot fail a test: EXPECT.
#ifndef QUOIT_TESTS_LIFE_INHERITANCE_H
#define QUOIT_TESTS_LIFE_INHERITANCE_H

#include "tests/life/life.h"

// struct inheritance is what a child has of its parent.
struct inheritance {
    struct quoit_engine_options options; // of the engine that the child makes for itself
    struct quoit_engine engine;
    struct quoit_port port;
    struct quoit_handle handle; // of a request in flight, if there is one
    uint64_t token;             // of the question that it was asked, if it was
    struct quoit_request *request;
    const char *url;
};

// inheritance_is_refused makes every call there is on what was inherited. 0, or the line of the first that was not refused
// by name.
int inheritance_is_refused(const struct inheritance *of);

// inheritance_is_refused_and_replaced is for life_child_begin, with a struct inheritance: the child is refused, closes every
// descriptor that it inherited, fetches `url` with an engine of its own, and is refused still.
int inheritance_is_refused_and_replaced(struct life_child *child, void *context);

#endif
