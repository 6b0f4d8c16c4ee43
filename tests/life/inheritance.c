#include "tests/life/inheritance.h"

#include <unistd.h>

int inheritance_is_refused(const struct inheritance *of) {
    struct quoit_event event = {.type = QUOIT_EVENT_DATA};
    struct quoit_port port;
    char byte = 0;
    struct quoit_slice slice = {.data = &byte, .len = 1, .owner = &byte};
    struct quoit_slice taken;
    struct quoit_engine_info info = {.struct_size = sizeof info};
    EXPECT(quoit_engine_info(of->engine, &info) == QUOIT_ERR_FORKED);
    EXPECT(quoit_engine_tick(of->engine) == -QUOIT_ERR_FORKED);
    EXPECT(quoit_engine_fd(of->engine) == -1);
    EXPECT(quoit_engine_timeout_ms(of->engine) == 0);
    struct quoit_request_state state = {.struct_size = sizeof state};
    EXPECT(quoit_request_state(of->engine, of->handle, &state) == QUOIT_ERR_FORKED);
    EXPECT(quoit_port_create(of->engine, NULL, &port) == QUOIT_ERR_FORKED);
    EXPECT(quoit_submit(of->engine, of->port, of->request, 1, NULL) == QUOIT_ERR_FORKED);
    EXPECT(quoit_cancel(of->engine, of->handle) == QUOIT_ERR_FORKED);
    EXPECT(quoit_grant(of->engine, of->handle, 1) == QUOIT_ERR_FORKED);
    EXPECT(quoit_feed(of->engine, of->handle, &byte, 1, NULL, NULL) == QUOIT_ERR_FORKED);
    EXPECT(quoit_feed_end(of->engine, of->handle) == QUOIT_ERR_FORKED);
    EXPECT(quoit_answer(of->engine, of->token != 0 ? of->token : 1, QUOIT_ANSWER_YES) == QUOIT_ERR_FORKED);
    EXPECT(quoit_slice_release(of->engine, &slice) == QUOIT_ERR_FORKED);
    EXPECT(quoit_port_fd(of->port) == -1);
    EXPECT(quoit_port_drain(of->port, &event, sizeof event, 1) == -QUOIT_ERR_FORKED);
    EXPECT(quoit_port_wait(of->port, &event, sizeof event, 1, -1) == -QUOIT_ERR_FORKED);
    EXPECT(quoit_port_advance(of->port) == QUOIT_ERR_FORKED);
    EXPECT(quoit_port_take(of->port, &event, &taken) == QUOIT_ERR_FORKED);
    EXPECT(quoit_engine_close(of->engine, 0) == QUOIT_ERR_FORKED);
    EXPECT(quoit_engine_destroy(of->engine) == QUOIT_ERR_FORKED);
    return 0;
}

// What a daemon does to what it inherited. A number that meant something to the parent's engine is a stranger's soon.
static void close_all_but_the_link(const struct life_child *child) {
    for (int fd = 3; fd < 1024; fd++) {
        if (fd != child->link) {
            close(fd);
        }
    }
}

int inheritance_is_refused_and_replaced(struct life_child *child, void *context) {
    struct inheritance *of = context;
    EXPECT(inheritance_is_refused(of) == 0);
    close_all_but_the_link(child);
    EXPECT(!LIFE_CHILD_HAS_THREADS || life_fetch(&of->options, of->url, 3) == 0);
    EXPECT(inheritance_is_refused(of) == 0); // still
    quoit_request_release(of->request);     // its copy of the memory
    return 0;
}
