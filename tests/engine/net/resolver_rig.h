// A resolver on a world of name servers (dns_world.h), with files of its own, and requests that write down what they are
// told. One thread, the loop's.
#ifndef QUOIT_TESTS_ENGINE_NET_RESOLVER_RIG_H
#define QUOIT_TESTS_ENGINE_NET_RESOLVER_RIG_H

#include "tests/engine/net/dns_world.h"

#include "engine/net/resolver.h"

// A request and what it was told, as "4:10.0.0.1,10.0.0.2 6:NAME_NO_ADDRESS", in the order in which it came; "!" behind a
// stale answer.
struct asker {
    struct q_resolve request;
    char told[1024];
    bool is_over;
    unsigned num_answers;
    struct q_error error; // of the last answer
    uint32_t ttl_s;       // likewise
    uint64_t at_ms;       // of the last answer, since the rig was opened
    uint64_t first_ms;
    void (*then)(struct asker *asker); // called from inside on_answer
};

struct resolver_rig {
    struct dns_world world;
    char folder[512];
    char hosts_path[600], resolv_conf_path[600];
    struct q_name_files files;
    struct q_resolver resolver;
    uint64_t opened_ns;
    char log[8192]; // one word for each query: "name/A", and "@2" behind it for another server than the first
    struct asker askers[64];
    bool is_closed;
};

extern struct resolver_rig *rig;

// rig_open makes the rig, with the texts of the two files; NULL: there is no such file.
void rig_open(const char *hosts, const char *resolv_conf, const struct q_resolver_options *options);
void rig_close(void);

// rig_write changes a file, so that it is another one by its inode.
void rig_write(const char *path, const char *text);

// rig_ask asks for both families of `name`, rig_ask_for for some.
struct asker *rig_ask(unsigned index, const char *name);
struct asker *rig_ask_for(unsigned index, const char *name, uint16_t port, unsigned families);

// rig_look asks, waits for the last answer, and gives what was told.
const char *rig_look(const char *name);

// rig_ms is the simulated time since the rig was opened.
uint64_t rig_ms(void);

// rig_serve is a server that notes each query and answers by its name: see resolver_rig.c.
void rig_serve(struct dns_query *query);
void rig_note(struct dns_query *query);

#endif
