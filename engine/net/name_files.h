// Name files: the hosts file and resolv.conf of an engine, as they are now. Both are read once in create; while names are
// looked up the files' identities (inode, size, times) are compared every few seconds, and what has changed is read again,
// through the ring: no descriptor number comes into being, and the loop does not wait for a disk.
//
// What lookups read is handed out by reference: a `struct q_name_servers` stays as it is for as long as somebody holds it.
//
// Life: q_name_files_load (any thread, before the loop runs) -> q_name_files_start -> q_name_files_check any number of
// times -> q_name_files_stop; on_ready, or on_stopped, comes from the tick -> q_name_files_deinit.
// Loop thread but for load and deinit.
#ifndef QUOIT_ENGINE_NET_NAME_FILES_H
#define QUOIT_ENGINE_NET_NAME_FILES_H

#include "engine/loop/loop.h"
#include "engine/net/hosts.h"
#include "engine/net/nsswitch.h"
#include "engine/net/resolv_conf.h"

#define Q_NAME_FILES_CHECK_NS (5 * Q_NS_PER_S) // an edit is seen after this time at the latest

// Counted; loop thread, or before the loop runs.
struct q_name_servers {
    uint32_t holders;
    struct q_resolv_conf conf;
};

// What tells a file from another one, or from itself after an edit. All zeros: there is none.
struct q_file_id {
    uint64_t device;
    uint64_t inode;
    uint64_t size;
    uint64_t modified_ns;
    uint64_t changed_ns;
};

struct q_name_files;

struct q_name_files_events {
    void (*on_ready)(struct q_name_files *files);   // behind a check that said READING
    void (*on_stopped)(struct q_name_files *files); // nothing is in flight
};

struct q_name_files_options {
    const char *hosts_path;       // NULL: there is none
    const char *resolv_conf_path; // NULL: nobody is asked but `servers`
    const char *nsswitch_path;    // NULL: there is none
    const struct q_address *servers; // in place of resolv.conf's; its options and search list hold all the same
    uint32_t num_servers;            // 0: resolv.conf's
};

enum q_name_file { Q_FILE_HOSTS, Q_FILE_RESOLV_CONF, Q_FILES };

struct q_name_files {
    const struct q_alloc *alloc;
    struct q_loop *loop;
    const struct q_name_files_events *events;
    void *owner; // the owner's own pointer
    struct q_name_files_options options; // paths and servers are the owner's memory
    struct q_hosts hosts;
    struct q_name_servers *servers;
    struct q_nsswitch nsswitch;
    struct q_file_id ids[Q_FILES];
    uint64_t checked_ns;
    uint64_t num_reloads;
    bool servers_changed; // since somebody last set it to false

    // Reading.
    struct q_io_op read_op;
    struct q_io_op close_op;
    struct q_io_slot slot;
    struct q_io_file file;
    struct q_file_id new_id;
    uint8_t reading; // enum q_name_file; Q_FILES: nothing
    bool is_changed[Q_FILES];
    bool is_closing; // the slot
    bool is_stopping;
};

// q_name_files_load reads the files. Files that cannot be read are empty ones. Fails with NO_MEMORY only. `options` is
// copied, what it points at outlives the files. Ends with q_name_files_deinit.
Q_MUST_USE struct q_error q_name_files_load(struct q_name_files *files, const struct q_alloc *alloc,
                                            const struct q_name_files_options *options);

// q_name_files_start lets checks begin.
void q_name_files_start(struct q_name_files *files, struct q_loop *loop, const struct q_name_files_events *events);

// q_name_files_check compares the files with what is known, at most every Q_NAME_FILES_CHECK_NS. True: something has
// changed and is being read, on_ready follows.
bool q_name_files_check(struct q_name_files *files);

static inline bool q_name_files_is_reading(const struct q_name_files *files) { return files->reading != Q_FILES; }

// q_name_files_stop ends the checks. True: it is stopped; else on_stopped follows.
bool q_name_files_stop(struct q_name_files *files);

// q_name_files_deinit gives everything back; nobody holds servers any more (checked). Legal on the zero value.
void q_name_files_deinit(struct q_name_files *files);

// q_name_servers_release counts one less who reads `servers`; the last one frees them.
void q_name_servers_release(struct q_name_servers *servers, const struct q_alloc *alloc);

// q_name_servers_acquire counts one more.
static inline struct q_name_servers *q_name_servers_acquire(struct q_name_servers *servers) {
    servers->holders++;
    return servers;
}

#endif
