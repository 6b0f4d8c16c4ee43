#define _GNU_SOURCE
#include "tests/support/rawring.h"

#include "engine/base/check.h"
#include "engine/base/clock.h"

#include <errno.h>
#include <string.h>

static uint32_t *word_at(const struct q_rawring *ring, uint32_t offset) {
    return (uint32_t *)(void *)(ring->rings + offset);
}

int q_rawring_open(struct q_rawring *ring, struct q_sys_uring *sys, unsigned flags, unsigned sq_entries,
                   unsigned cq_entries) {
    *ring = (struct q_rawring){.sys = sys, .params = {.flags = flags, .cq_entries = cq_entries}};
    ring->fd = sys->setup(sys, sq_entries, &ring->params);
    if (ring->fd < 0) {
        return ring->fd;
    }
    size_t sq_size = ring->params.sq_off.array + ring->params.sq_entries * sizeof(uint32_t);
    size_t cq_size = ring->params.cq_off.cqes + ring->params.cq_entries * sizeof(struct io_uring_cqe);
    ring->rings_size = sq_size > cq_size ? sq_size : cq_size;
    ring->sqes_size = ring->params.sq_entries * sizeof(struct io_uring_sqe);
    ring->rings = sys->map_ring(sys, ring->fd, ring->rings_size, IORING_OFF_SQ_RING);
    ring->sqes = sys->map_ring(sys, ring->fd, ring->sqes_size, IORING_OFF_SQES);
    Q_CHECK(ring->rings != NULL && ring->sqes != NULL);
    return 0;
}

void q_rawring_close(struct q_rawring *ring) {
    if (ring->buffers != NULL) {
        struct io_uring_buf_reg registration = {.bgid = ring->group};
        ring->sys->reg(ring->sys, ring->fd, IORING_UNREGISTER_PBUF_RING, &registration, 1);
        ring->sys->unmap(ring->sys, ring->buffers, ring->buffers_size);
        ring->sys->unmap(ring->sys, ring->buffer_memory, ring->buffer_size * ring->num_buffers);
    }
    ring->sys->unmap(ring->sys, ring->rings, ring->rings_size);
    ring->sys->unmap(ring->sys, ring->sqes, ring->sqes_size);
    ring->sys->close(ring->sys, ring->fd);
}

int q_rawring_slots(struct q_rawring *ring, unsigned count) {
    struct io_uring_rsrc_register table = {.nr = count, .flags = IORING_RSRC_REGISTER_SPARSE};
    return ring->sys->reg(ring->sys, ring->fd, IORING_REGISTER_FILES2, &table, sizeof table);
}

int q_rawring_buffers(struct q_rawring *ring, uint16_t group, unsigned count, size_t size) {
    ring->buffers_size = count * sizeof(struct io_uring_buf);
    ring->buffers = ring->sys->map_memory(ring->sys, ring->buffers_size);
    ring->buffer_memory = ring->sys->map_memory(ring->sys, count * size);
    Q_CHECK(ring->buffers != NULL && ring->buffer_memory != NULL);
    ring->buffer_size = size;
    ring->num_buffers = count;
    ring->group = group;
    struct io_uring_buf_reg registration = {
        .ring_addr = (uint64_t)(uintptr_t)ring->buffers, .ring_entries = count, .bgid = group};
    return ring->sys->reg(ring->sys, ring->fd, IORING_REGISTER_PBUF_RING, &registration, 1);
}

char *q_rawring_buffer(struct q_rawring *ring, uint16_t id) { return ring->buffer_memory + id * ring->buffer_size; }

void q_rawring_give(struct q_rawring *ring, uint16_t id) {
    uint16_t tail = ring->buffers->tail;
    struct io_uring_buf *entry = &ring->buffers->bufs[tail & (ring->num_buffers - 1)];
    entry->addr = (uint64_t)(uintptr_t)q_rawring_buffer(ring, id);
    entry->len = (uint32_t)ring->buffer_size;
    entry->bid = id;
    __atomic_store_n(&ring->buffers->tail, (uint16_t)(tail + 1), __ATOMIC_RELEASE);
}

struct io_uring_sqe *q_rawring_sqe(struct q_rawring *ring, uint64_t user_data) {
    uint32_t tail = *word_at(ring, ring->params.sq_off.tail);
    uint32_t head = __atomic_load_n(word_at(ring, ring->params.sq_off.head), __ATOMIC_ACQUIRE);
    uint32_t mask = ring->params.sq_entries - 1;
    Q_CHECK(tail + ring->queued - head < ring->params.sq_entries);
    uint32_t index = (tail + ring->queued) & mask;
    word_at(ring, ring->params.sq_off.array)[index] = index;
    ring->queued++;
    memset(&ring->sqes[index], 0, sizeof ring->sqes[index]);
    ring->sqes[index].user_data = user_data;
    return &ring->sqes[index];
}

struct io_uring_sqe *q_rawring_socket(struct q_rawring *ring, uint64_t user_data, unsigned slot) {
    struct io_uring_sqe *sqe = q_rawring_sqe(ring, user_data);
    sqe->opcode = IORING_OP_SOCKET;
    sqe->fd = AF_INET;
    sqe->off = SOCK_STREAM;
    sqe->file_index = slot + 1;
    return sqe;
}

struct io_uring_sqe *q_rawring_option(struct q_rawring *ring, uint64_t user_data, unsigned slot, int level, int name,
                                      const int *value) {
    struct io_uring_sqe *sqe = q_rawring_sqe(ring, user_data);
    sqe->opcode = Q_URING_OP_URING_CMD;
    sqe->fd = (int)slot;
    sqe->flags = IOSQE_FIXED_FILE;
    sqe->cmd_op = Q_URING_CMD_SETSOCKOPT;
    uint32_t words[2] = {(uint32_t)level, (uint32_t)name};
    memcpy(&sqe->addr, words, sizeof words);
    sqe->file_index = sizeof *value;
    sqe->addr3 = (uint64_t)(uintptr_t)value;
    return sqe;
}

struct io_uring_sqe *q_rawring_bind(struct q_rawring *ring, uint64_t user_data, unsigned slot,
                                    const struct sockaddr *address, socklen_t len) {
    struct io_uring_sqe *sqe = q_rawring_sqe(ring, user_data);
    sqe->opcode = Q_URING_OP_BIND;
    sqe->fd = (int)slot;
    sqe->flags = IOSQE_FIXED_FILE;
    sqe->addr = (uint64_t)(uintptr_t)address;
    sqe->addr2 = len;
    return sqe;
}

struct io_uring_sqe *q_rawring_connect(struct q_rawring *ring, uint64_t user_data, unsigned slot,
                                       const struct sockaddr *address, socklen_t len) {
    struct io_uring_sqe *sqe = q_rawring_sqe(ring, user_data);
    sqe->opcode = IORING_OP_CONNECT;
    sqe->fd = (int)slot;
    sqe->flags = IOSQE_FIXED_FILE;
    sqe->addr = (uint64_t)(uintptr_t)address;
    sqe->off = len;
    return sqe;
}

struct io_uring_sqe *q_rawring_receive(struct q_rawring *ring, uint64_t user_data, unsigned slot) {
    struct io_uring_sqe *sqe = q_rawring_sqe(ring, user_data);
    sqe->opcode = IORING_OP_RECV;
    sqe->fd = (int)slot;
    sqe->flags = IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
    sqe->buf_group = ring->group;
    return sqe;
}

struct io_uring_sqe *q_rawring_send(struct q_rawring *ring, uint64_t user_data, unsigned slot, const void *data,
                                    size_t len) {
    struct io_uring_sqe *sqe = q_rawring_sqe(ring, user_data);
    sqe->opcode = IORING_OP_SEND;
    sqe->fd = (int)slot;
    sqe->flags = IOSQE_FIXED_FILE;
    sqe->addr = (uint64_t)(uintptr_t)data;
    sqe->len = (uint32_t)len;
    sqe->msg_flags = MSG_NOSIGNAL | MSG_WAITALL;
    return sqe;
}

struct io_uring_sqe *q_rawring_close_slot(struct q_rawring *ring, uint64_t user_data, unsigned slot) {
    struct io_uring_sqe *sqe = q_rawring_sqe(ring, user_data);
    sqe->opcode = IORING_OP_CLOSE;
    sqe->file_index = slot + 1;
    return sqe;
}

struct io_uring_sqe *q_rawring_cancel_slot(struct q_rawring *ring, uint64_t user_data, unsigned slot) {
    struct io_uring_sqe *sqe = q_rawring_sqe(ring, user_data);
    sqe->opcode = IORING_OP_ASYNC_CANCEL;
    sqe->fd = (int)slot;
    sqe->cancel_flags = IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_FD_FIXED | IORING_ASYNC_CANCEL_ALL;
    return sqe;
}

static unsigned publish(struct q_rawring *ring) {
    uint32_t *tail = word_at(ring, ring->params.sq_off.tail);
    __atomic_store_n(tail, *tail + ring->queued, __ATOMIC_RELEASE);
    ring->queued = 0;
    return *tail - __atomic_load_n(word_at(ring, ring->params.sq_off.head), __ATOMIC_ACQUIRE);
}

int q_rawring_enter(struct q_rawring *ring, unsigned min_complete, uint64_t timeout_ns) {
    struct __kernel_timespec ts = {.tv_sec = (long long)(timeout_ns / Q_NS_PER_S),
                                   .tv_nsec = (long long)(timeout_ns % Q_NS_PER_S)};
    struct io_uring_getevents_arg arg = {0};
    arg.ts = timeout_ns != Q_RAWRING_NO_TIMEOUT ? (uint64_t)(uintptr_t)&ts : 0;
    unsigned flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG | ring->enter_flags;
    return ring->sys->enter(ring->sys, ring->fd, publish(ring), min_complete, flags, &arg, sizeof arg);
}

int q_rawring_submit(struct q_rawring *ring) {
    return ring->sys->enter(ring->sys, ring->fd, publish(ring), 0, ring->enter_flags, NULL, 0);
}

uint32_t q_rawring_ready(const struct q_rawring *ring) {
    uint32_t tail = __atomic_load_n(word_at(ring, ring->params.cq_off.tail), __ATOMIC_ACQUIRE);
    return tail - *word_at(ring, ring->params.cq_off.head);
}

bool q_rawring_pop(struct q_rawring *ring, struct io_uring_cqe *out) {
    if (q_rawring_ready(ring) == 0) {
        return false;
    }
    uint32_t *head = word_at(ring, ring->params.cq_off.head);
    const struct io_uring_cqe *cqes = (const void *)(ring->rings + ring->params.cq_off.cqes);
    *out = cqes[*head & (ring->params.cq_entries - 1)];
    __atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
    return true;
}

int32_t q_rawring_await(struct q_rawring *ring, uint64_t timeout_ns, struct io_uring_cqe *out) {
    memset(out, 0, sizeof *out);
    while (!q_rawring_pop(ring, out)) {
        int result = q_rawring_enter(ring, 1, timeout_ns);
        if (result == -ETIME && q_rawring_ready(ring) == 0) {
            return INT32_MIN;
        }
        Q_CHECK(result >= 0 || result == -EINTR || result == -ETIME);
    }
    return out->res;
}

uint32_t q_rawring_sq_flags(const struct q_rawring *ring) {
    return __atomic_load_n(word_at(ring, ring->params.sq_off.flags), __ATOMIC_ACQUIRE);
}
