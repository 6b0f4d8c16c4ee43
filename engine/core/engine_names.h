// Engine's names: what an engine's options say about looking names up, made into the resolver's parts. One block holds
// copies of all that the options point at, since the host's are its own again when create returns.
#ifndef QUOIT_ENGINE_CORE_ENGINE_NAMES_H
#define QUOIT_ENGINE_CORE_ENGINE_NAMES_H

#include "api/quoit.h"
#include "engine/net/resolver.h"

#define Q_ENGINE_STATIC_NAMES_MAX 4096 // each lookup walks them

struct q_engine_names {
    const struct q_alloc *alloc;
    void *memory; // copies
    size_t size;
    struct q_name_files files;
    struct q_resolver resolver;
    struct q_resolver_options options;
    struct q_address servers[Q_RESOLV_SERVERS_MAX];
};

// q_engine_names_make reads the options (every default filled in) and the files that they name. `is_real`: else nothing of
// the machine is read but the hosts file. Errors: INVALID_ARGUMENT, NO_MEMORY. Ends with q_engine_names_free, as the zero
// value does.
Q_MUST_USE struct q_error q_engine_names_make(struct q_engine_names *names, const struct q_alloc *alloc,
                                              const struct quoit_engine_options *options, bool is_real);

// q_engine_names_start has the resolver run on `loop`.
void q_engine_names_start(struct q_engine_names *names, struct q_loop *loop);

// q_engine_names_close ends what is in flight. True: nothing is any more; else it is called again in the next tick.
bool q_engine_names_close(struct q_engine_names *names);

// q_engine_names_free gives the memory back.
void q_engine_names_free(struct q_engine_names *names);

#endif
