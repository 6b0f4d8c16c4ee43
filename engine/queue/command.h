// Commands: what a node of the submission queue asks of the loop. Each is embedded in what it is about (a request
// slot, a chunk, a port, the engine, a fed piece, a rotation), so that asking never allocates beside it. `kind` is written
// once, before the first push.
// Thread rule: between push and drain a command belongs to the queue; nobody looks at it.
#ifndef QUOIT_ENGINE_QUEUE_COMMAND_H
#define QUOIT_ENGINE_QUEUE_COMMAND_H

#include "engine/queue/mpsc.h"

#include <stdint.h>

enum q_command_kind {
    Q_COMMAND_SUBMIT,       // a request slot's first life sign
    Q_COMMAND_CANCEL,       // its cancel link
    Q_COMMAND_CREDIT,       // its credit link
    Q_COMMAND_ANSWER,       // its answer link
    Q_COMMAND_CHUNK,        // a chunk with returned slices
    Q_COMMAND_PORT_WAKE,    // a host advanced a port that was short of room
    Q_COMMAND_PORT_OPEN,    // a port was made
    Q_COMMAND_ENGINE_CLOSE, // close was asked for
    Q_COMMAND_FEED,         // a piece for an upgraded request; it has memory of its own
    Q_COMMAND_ROTATION,     // what was made with a TLS configuration is out of date; likewise
    Q_COMMAND_ERRAND,       // what another thread waits for; it lies on that thread's stack
    Q_COMMAND_KINDS,
};

struct q_command {
    struct q_mpsc_node node; // first: a node is a command
    uint8_t kind;            // enum q_command_kind
};

static inline struct q_command *q_command_of(struct q_mpsc_node *node) { return (struct q_command *)(void *)node; }

#endif
