// The insides of the simulated kernel, for its own files only: simkernel.c (time, numbers, memory), simkernel_ring.c
// (set-up, submission, completion, enter), simkernel_register.c, simkernel_ops.c (what each opcode does), simnet.c
// (sockets and connections).
#ifndef QUOIT_TESTS_SUPPORT_SIMKERNEL_INTERNAL_H
#define QUOIT_TESTS_SUPPORT_SIMKERNEL_INTERNAL_H

#ifndef _GNU_SOURCE
#error "define _GNU_SOURCE before the first include"
#endif

#include "engine/base/check.h"
#include "engine/base/list.h"
#include "engine/loop/uring_abi.h"
#include "tests/support/simkernel.h"
#include "tests/support/simnet.h"

#include <net/if.h>
#include <pthread.h>

#define SIM_FIRST_NUMBER (1 << 20) // far above what any process has: a real call with our number gets EBADF
#define SIM_VIOLATIONS_KEPT 16
#define SIM_VIOLATION_TEXT 192
#define SIM_RING_INDEXES 16        // as the kernel's io_uring_task: 16 registered rings per task
#define SIM_OPTIONS_MAX 16         // socket options remembered per socket
#define SIM_TASK_WORK_MAX 20       // IO_LOCAL_TW_DEFAULT_MAX

void *sim_alloc(size_t size); // zeroed; never NULL

// A growing run of bytes with a cheap front.
struct sim_bytes {
    char *data;
    size_t start;
    size_t len;
    size_t capacity;
};

void sim_bytes_add(struct sim_bytes *bytes, const void *data, size_t len);
size_t sim_bytes_take(struct sim_bytes *bytes, void *out, size_t len); // `out` may be NULL: drop
void sim_bytes_free(struct sim_bytes *bytes);

enum sim_file_kind { SIM_FILE_EVENTFD, SIM_FILE_SOCKET, SIM_FILE_RING };

// What descriptors, slots and requests in flight refer to. It ends with its last reference.
struct sim_file {
    enum sim_file_kind kind;
    unsigned refs;
    struct q_list waiting; // requests armed on this file
    uint64_t count;        // eventfd
    struct sim_sock *sock;
    struct sim_ring *ring;
};

struct sim_option {
    int level;
    int name;
    int value;
    char device[IFNAMSIZ]; // SO_BINDTODEVICE
};

enum sim_sock_state { SOCK_NEW, SOCK_CONNECTING, SOCK_CONNECTED, SOCK_FAILED };

// The client's socket. Owned by its file; the connection it made outlives it.
struct sim_sock {
    struct q_sim *sim;
    struct sim_file *file; // NULL once the last reference is gone
    int domain;
    enum sim_sock_state state;
    int connect_result; // 0 or -errno, when state is no longer CONNECTING
    struct q_sim_conn *conn;
    struct sim_option options[SIM_OPTIONS_MAX];
    unsigned num_options;
    struct sockaddr_storage local; // ss_family 0: not bound
    bool shut_write;
    struct q_sim_listener listener; // what was there when it connected
};

enum sim_request_state {
    REQ_CHAINED, // behind an unfinished member of its chain
    REQ_WAITING, // on file->waiting or sim->futex_waiting
    REQ_READY,   // on ring->ready
};

struct sim_request {
    struct q_list_node in_ring;  // ring->requests
    struct q_list_node in_queue; // where `state` says
    struct sim_ring *ring;
    struct io_uring_sqe sqe;
    enum sim_request_state state;
    struct sim_file *file;     // referenced, once issued
    struct sim_request *next;  // of the chain
    uint32_t events;           // EPOLLIN, EPOLLOUT: what a waiting request waits for
    int prep_result;
    bool canceled;
    bool polled;               // went through a wait
    bool started;              // went through its first issue
    bool findable;             // a cancel finds it
    int64_t done;              // bytes that a send has handed over
    uint64_t content_hash;     // of the bytes to send, when it started
    uint32_t *word;            // futex
    struct sockaddr_storage address;
    struct iovec *parts;       // SENDMSG: copied when the SQE is taken (FEAT_SUBMIT_STABLE)
    size_t num_parts;
    size_t total;              // bytes to send
};

// A CQE that found no room.
struct sim_overflow {
    struct q_list_node node;
    struct io_uring_cqe cqe;
};

struct sim_buffer_group {
    bool used;
    uint16_t group;
    struct io_uring_buf_ring *ring;
    uint32_t entries;
    uint16_t head;
    uint16_t seen; // tail up to which entries have been looked at
};

#define SIM_BUFFER_GROUPS 4

struct sim_ring {
    struct q_list_node in_sim;
    struct q_sim *sim;
    unsigned handles; // descriptor, registered indexes, mappings
    uint32_t flags;
    uint32_t sq_entries;
    uint32_t cq_entries;
    bool disabled;
    bool has_submitter;
    pthread_t submitter;
    char *memory; // SQ and CQ ring
    size_t memory_size;
    struct io_uring_sqe *sqes;
    size_t sqes_size;
    uint32_t *sq_head, *sq_tail, *sq_flags, *sq_dropped, *sq_array;
    uint32_t *cq_head, *cq_tail, *cq_overflow;
    struct io_uring_cqe *cqes;
    struct q_list overflowed;
    struct q_list requests;
    struct q_list ready;
    struct sim_request *chain_head; // being collected in this batch
    struct sim_request *chain_tail;
    struct sim_file **slots;
    uint32_t num_slots;
    struct sim_buffer_group groups[SIM_BUFFER_GROUPS];
    struct sim_file *eventfd;
};

struct sim_mapping {
    void *ptr;
    size_t size;
    struct sim_ring *ring; // NULL: private memory
};

typedef void (*sim_event_fn)(void *context, uint64_t arg);

struct sim_event {
    uint64_t at_ns;
    uint64_t tie; // order among equal times: by number, or drawn
    uint64_t number;
    sim_event_fn fn;
    void *context;
    uint64_t arg;
};

struct sim_failure {
    bool armed;
    unsigned opcode;
    char call[16];
    unsigned countdown;
    int os_errno;
};

struct sim_endpoint {
    struct sockaddr_storage address;
    struct q_sim_listener listener;
};

struct q_sim {
    struct q_sys_uring sys; // first: the seam's functions get a pointer to it
    struct q_clock clock;
    struct q_sim_options options;
    struct q_random random;
    uint64_t now_ns;
    uint64_t held_ns; // what the seam's clock says while it is held
    bool is_clock_held;
    pthread_t owner;
    struct q_sim_stats stats;

    struct sim_event *events; // heap
    size_t num_events, events_capacity;
    uint64_t next_event;

    struct sim_file **numbers; // by descriptor number; never used twice
    size_t num_numbers, numbers_capacity;
    struct sim_ring *indexes[SIM_RING_INDEXES];
    struct q_list rings;
    size_t num_files;
    struct sim_mapping *mappings;
    size_t num_mappings, mappings_capacity;
    struct q_list futex_waiting;

    void (*tap)(void *context, const struct q_sim_conn *conn, bool is_to_client, const char *data, size_t len);
    void *tap_context;
    struct sim_endpoint *endpoints;
    size_t num_endpoints;
    struct q_sim_conn **conns;
    size_t num_conns, conns_capacity;
    struct sim_sock **socks; // all that ever were, freed with the kernel
    size_t num_socks, socks_capacity;

    struct sim_failure fail_ops[64]; // by opcode
    struct sim_failure fail_register, fail_call;
    unsigned missed_opcode; // that the next `num_misses` cancels do not find
    unsigned num_misses;
    size_t num_violations;
    char violations[SIM_VIOLATIONS_KEPT][SIM_VIOLATION_TEXT];
};

static inline struct q_sim *sim_of(struct q_sys_uring *sys) { return (struct q_sim *)(void *)sys; }

// simkernel.c
void sim_violation(struct q_sim *sim, const char *format, ...) Q_PRINTF(2, 3);
int sim_failure_now(struct sim_failure *failure, unsigned opcode, const char *call); // 0, or -errno when it is time
int sim_number_add(struct q_sim *sim, struct sim_file *file);                        // takes over one reference
struct sim_file *sim_number_get(struct q_sim *sim, int fd);
struct sim_file *sim_file_new(struct q_sim *sim, enum sim_file_kind kind);           // one reference
void sim_file_drop(struct q_sim *sim, struct sim_file *file);
void sim_file_wake(struct sim_file *file, uint32_t events);
void sim_address_make(struct sockaddr_storage *out, const char *text, uint16_t port);
bool sim_address_equal(const struct sockaddr_storage *a, const struct sockaddr_storage *b);
bool sim_owner_is_caller(const struct q_sim *sim);

// simkernel_ring.c
int sim_ring_setup(struct q_sys_uring *sys, unsigned entries, struct io_uring_params *params);
int sim_ring_enter(struct q_sys_uring *sys, int ring_fd, unsigned to_submit, unsigned min_complete, unsigned flags,
                   const void *arg, size_t arg_size);
struct sim_ring *sim_ring_find(struct q_sim *sim, int fd, bool registered);
int sim_ring_caller_error(struct sim_ring *ring);
void sim_ring_drop(struct sim_ring *ring);
void sim_ring_post(struct sim_ring *ring, uint64_t user_data, int32_t result, uint32_t flags);
void sim_ring_make_ready(struct sim_request *request);
void sim_request_finish(struct sim_request *request, int32_t result, uint32_t flags, bool failed);

// simkernel_register.c
int sim_ring_register(struct q_sys_uring *sys, int ring_fd, unsigned opcode, void *arg, unsigned num_args);
bool sim_op_is_supported(const struct q_sim *sim, unsigned opcode);
int sim_slot_install(struct sim_ring *ring, uint32_t slot, struct sim_file *file); // takes over one reference
struct sim_buffer_group *sim_group_find(struct sim_ring *ring, uint16_t group);
void sim_group_look(struct sim_ring *ring, struct sim_buffer_group *group);

// simkernel_ops.c. An issue function gives SIM_WAIT when the request waits now, else the result.
#define SIM_WAIT INT32_MIN
int sim_request_prepare(struct sim_request *request); // 0 or -errno
void sim_request_issue(struct sim_request *request);  // starts or retries it; may finish it
bool sim_request_start_late(struct sim_request *request);
void sim_request_wait(struct sim_request *request, struct q_list *queue, uint32_t events);

// simnet.c
struct sim_sock *sim_sock_new(struct q_sim *sim, int domain);
void sim_sock_last_close(struct sim_sock *sock);
int sim_sock_connect(struct sim_sock *sock, const struct sockaddr_storage *address); // 0, -errno, -EINPROGRESS
int sim_sock_bind(struct sim_sock *sock, const struct sockaddr_storage *address, socklen_t len); // 0, -errno
int sim_sock_receive(struct sim_sock *sock, void *out, size_t len);                  // bytes, 0, -EAGAIN, -errno
bool sim_sock_has_more(const struct sim_sock *sock);
size_t sim_sock_readable(const struct sim_sock *sock);                               // bytes that a receive finds
int sim_sock_send(struct sim_sock *sock, const void *data, size_t len);              // bytes, -EAGAIN, -errno
int sim_sock_shutdown(struct sim_sock *sock, int how);
int sim_sock_set_option(struct sim_sock *sock, int level, int name, const void *data, socklen_t len);
uint32_t sim_sock_events(const struct sim_sock *sock);
void sim_net_free(struct q_sim *sim);

#endif
