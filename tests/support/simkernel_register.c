// io_uring_register of the simulated kernel: probe, descriptor slots, buffer rings, ring indexes, eventfd.
#define _GNU_SOURCE
#include "tests/support/simkernel_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_MAX (1u << 20)
#define OP_LAST 57 // as a 6.11: LISTEN
#define OP_LAST_WITHOUT_BIND 52 // as a 6.7: FUTEX_WAITV is 53, the last that it names

bool sim_op_is_supported(const struct q_sim *sim, unsigned opcode) {
    const struct q_sim_profile *profile = &sim->options.profile;
    switch (opcode) {
    case IORING_OP_NOP:
    case IORING_OP_POLL_ADD:
    case IORING_OP_SENDMSG:
    case IORING_OP_ASYNC_CANCEL:
    case IORING_OP_CONNECT:
    case IORING_OP_CLOSE:
    case IORING_OP_READ:
    case IORING_OP_WRITE:
    case IORING_OP_SEND:
    case IORING_OP_RECV:
    case IORING_OP_SHUTDOWN: return true;
    case IORING_OP_SOCKET: return !profile->no_socket_op;
    case Q_URING_OP_URING_CMD: return true; // 5.19; that sockets know commands is another matter
    case Q_URING_OP_FUTEX_WAIT: return !profile->no_futex;
    case Q_URING_OP_BIND: return !profile->no_bind_op;
    default: return false;
    }
}

static int register_probe(struct sim_ring *ring, void *arg, unsigned num_args) {
    struct io_uring_probe *probe = arg;
    if (num_args > 256 || probe->last_op != 0 || probe->ops_len != 0) {
        return -EINVAL;
    }
    const struct q_sim_profile *profile = &ring->sim->options.profile;
    unsigned last = profile->no_futex     ? IORING_OP_SENDMSG_ZC
                    : profile->no_bind_op ? OP_LAST_WITHOUT_BIND
                                          : OP_LAST;
    unsigned count = num_args < last + 1 ? num_args : last + 1;
    for (unsigned i = 0; i < count; i++) {
        probe->ops[i] = (struct io_uring_probe_op){.op = (uint8_t)i};
        probe->ops[i].flags = sim_op_is_supported(ring->sim, i) ? IO_URING_OP_SUPPORTED : 0;
    }
    probe->last_op = (uint8_t)last;
    probe->ops_len = (uint8_t)count;
    return 0;
}

// Slots.

static int make_slots(struct sim_ring *ring, uint32_t count) {
    if (ring->slots != NULL) {
        return -EBUSY;
    }
    if (count == 0) {
        return -EINVAL;
    }
    if (count > SLOTS_MAX) {
        return -EMFILE;
    }
    ring->slots = sim_alloc(count * sizeof(struct sim_file *));
    ring->num_slots = count;
    return 0;
}

int sim_slot_install(struct sim_ring *ring, uint32_t slot, struct sim_file *file) {
    if (ring->slots == NULL) {
        sim_file_drop(ring->sim, file);
        return -ENXIO;
    }
    if (slot >= ring->num_slots) {
        sim_file_drop(ring->sim, file);
        return -EINVAL;
    }
    if (ring->slots[slot] != NULL) {
        sim_violation(ring->sim, "a file was installed into slot %u, which is occupied", slot);
        sim_file_drop(ring->sim, ring->slots[slot]); // as the kernel does, without a word
    }
    ring->slots[slot] = file;
    return 0;
}

static int install_number(struct sim_ring *ring, uint32_t slot, int fd) {
    if (fd == IORING_REGISTER_FILES_SKIP) {
        return 0;
    }
    if (fd == -1) {
        if (ring->slots[slot] != NULL) {
            sim_file_drop(ring->sim, ring->slots[slot]);
            ring->slots[slot] = NULL;
        }
        return 0;
    }
    struct sim_file *file = sim_number_get(ring->sim, fd);
    if (file == NULL || file->kind == SIM_FILE_RING) {
        sim_violation(ring->sim, "number %d, which is not an open file, was given for slot %u", fd, slot);
        return -EBADF;
    }
    file->refs++;
    return sim_slot_install(ring, slot, file);
}

static int update_slots(struct sim_ring *ring, uint32_t offset, const int32_t *fds, uint32_t count) {
    if (ring->slots == NULL) {
        return -ENXIO;
    }
    if (count == 0 || offset > ring->num_slots || count > ring->num_slots - offset) {
        return -EINVAL;
    }
    for (uint32_t i = 0; i < count; i++) {
        int result = install_number(ring, offset + i, fds[i]);
        if (result != 0) {
            return i > 0 ? (int)i : result;
        }
    }
    return (int)count;
}

static int register_files2(struct sim_ring *ring, const void *arg, unsigned size) {
    struct io_uring_rsrc_register given;
    if (ring->sim->options.profile.no_sparse_files || size != sizeof given) {
        return -EINVAL;
    }
    memcpy(&given, arg, sizeof given);
    if (given.resv2 != 0 || given.tags != 0 || given.flags != IORING_RSRC_REGISTER_SPARSE || given.data != 0) {
        return -EINVAL;
    }
    return make_slots(ring, given.nr);
}

static int register_files(struct sim_ring *ring, const int32_t *fds, unsigned count) {
    int made = make_slots(ring, count);
    for (unsigned i = 0; made == 0 && i < count; i++) {
        made = fds[i] >= 0 ? install_number(ring, i, fds[i]) : 0;
    }
    return made;
}

static int register_files_update(struct sim_ring *ring, const void *arg, unsigned count) {
    struct io_uring_files_update update;
    memcpy(&update, arg, sizeof update);
    if (update.resv != 0) {
        return -EINVAL;
    }
    return update_slots(ring, update.offset, (const int32_t *)(uintptr_t)update.fds, count);
}

static int register_files_update2(struct sim_ring *ring, const void *arg, unsigned size) {
    struct io_uring_rsrc_update2 update;
    if (size != sizeof update) {
        return -EINVAL;
    }
    memcpy(&update, arg, sizeof update);
    if (update.resv != 0 || update.resv2 != 0 || update.tags != 0) {
        return -EINVAL;
    }
    return update_slots(ring, update.offset, (const int32_t *)(uintptr_t)update.data, update.nr);
}

static int unregister_files(struct sim_ring *ring) {
    if (ring->slots == NULL) {
        return -ENXIO;
    }
    for (uint32_t i = 0; i < ring->num_slots; i++) {
        if (ring->slots[i] != NULL) {
            sim_file_drop(ring->sim, ring->slots[i]);
        }
    }
    free(ring->slots);
    ring->slots = NULL;
    ring->num_slots = 0;
    return 0;
}

// Buffer rings.

struct sim_buffer_group *sim_group_find(struct sim_ring *ring, uint16_t group) {
    for (size_t i = 0; i < SIM_BUFFER_GROUPS; i++) {
        if (ring->groups[i].used && ring->groups[i].group == group) {
            return &ring->groups[i];
        }
    }
    return NULL;
}

static struct io_uring_buf *group_entry(const struct sim_buffer_group *group, uint16_t at) {
    return &group->ring->bufs[at & (group->entries - 1)];
}

// What the ring offers must be new to it: neither the same id nor the same memory twice. And what is in the ring is
// the kernel's: its first bytes are overwritten, so that who still reads it finds out.
static void look_at_entry(struct sim_ring *ring, struct sim_buffer_group *group, uint16_t at) {
    const struct io_uring_buf *given = group_entry(group, at);
    for (uint16_t i = group->head; i != at; i++) {
        const struct io_uring_buf *there = group_entry(group, i);
        if (there->bid == given->bid) {
            sim_violation(ring->sim, "buffer id %u was given while it was in the ring", given->bid);
        }
        if (there->addr < given->addr + given->len && given->addr < there->addr + there->len) {
            sim_violation(ring->sim, "buffer %u overlaps buffer %u, both in the ring", given->bid, there->bid);
        }
    }
    memset((void *)(uintptr_t)given->addr, 0xDB, given->len < 512 ? given->len : 512);
}

void sim_group_look(struct sim_ring *ring, struct sim_buffer_group *group) {
    uint16_t tail = __atomic_load_n(&group->ring->tail, __ATOMIC_ACQUIRE);
    if ((uint16_t)(tail - group->head) > group->entries) {
        sim_violation(ring->sim, "buffer ring %u: tail %u is more than the ring ahead of %u", group->group, tail,
                      group->head);
        return;
    }
    for (; group->seen != tail; group->seen++) {
        look_at_entry(ring, group, group->seen);
    }
}

static int register_buffer_ring(struct sim_ring *ring, const void *arg) {
    struct io_uring_buf_reg given;
    memcpy(&given, arg, sizeof given);
    bool is_power = given.ring_entries != 0 && (given.ring_entries & (given.ring_entries - 1)) == 0;
    if (ring->sim->options.profile.no_buffer_rings || !is_power || given.ring_entries > 32768 || given.pad != 0 ||
        given.resv[0] != 0) {
        return -EINVAL;
    }
    if (given.ring_addr == 0 || (given.ring_addr & 4095) != 0) {
        return given.ring_addr == 0 ? -EFAULT : -EINVAL;
    }
    if (sim_group_find(ring, given.bgid) != NULL) {
        return -EEXIST;
    }
    for (size_t i = 0; i < SIM_BUFFER_GROUPS; i++) {
        if (!ring->groups[i].used) {
            ring->groups[i] = (struct sim_buffer_group){.used = true,
                                                        .group = given.bgid,
                                                        .ring = (void *)(uintptr_t)given.ring_addr,
                                                        .entries = given.ring_entries};
            return 0;
        }
    }
    return -ENOMEM;
}

static int unregister_buffer_ring(struct sim_ring *ring, const void *arg) {
    struct io_uring_buf_reg given;
    memcpy(&given, arg, sizeof given);
    struct sim_buffer_group *group = sim_group_find(ring, given.bgid);
    if (group == NULL) {
        return -ENOENT;
    }
    group->used = false;
    return 0;
}

// Ring indexes.

static int register_ring_index(struct q_sim *sim, struct io_uring_rsrc_update *update) {
    struct sim_ring *ring = sim_ring_find(sim, (int)update->data, false);
    if (ring == NULL) {
        return -EBADF;
    }
    for (uint32_t i = 0; i < SIM_RING_INDEXES; i++) {
        if ((update->offset == UINT32_MAX || update->offset == i) && sim->indexes[i] == NULL) {
            sim->indexes[i] = ring;
            ring->handles++;
            update->offset = i;
            return 1;
        }
    }
    return -EBUSY;
}

static int unregister_ring_index(struct q_sim *sim, const struct io_uring_rsrc_update *update) {
    if (update->offset >= SIM_RING_INDEXES || update->resv != 0 || update->data != 0) {
        return -EINVAL;
    }
    struct sim_ring *ring = sim->indexes[update->offset];
    if (ring == NULL) {
        sim_violation(sim, "ring index %u was unregistered, and was not registered", update->offset);
        return 0;
    }
    sim->indexes[update->offset] = NULL;
    sim_ring_drop(ring);
    return 1;
}

// The eventfd of the ring: a signal for each completion and for the first task work.
static int register_eventfd(struct sim_ring *ring, const void *arg) {
    int32_t fd;
    memcpy(&fd, arg, sizeof fd);
    struct sim_file *file = sim_number_get(ring->sim, fd);
    if (ring->eventfd != NULL) {
        return -EBUSY;
    }
    if (file == NULL || file->kind != SIM_FILE_EVENTFD) {
        return file == NULL ? -EBADF : -EINVAL;
    }
    file->refs++;
    ring->eventfd = file;
    return 0;
}

static int unregister_eventfd(struct sim_ring *ring) {
    if (ring->eventfd == NULL) {
        return -ENXIO;
    }
    sim_file_drop(ring->sim, ring->eventfd);
    ring->eventfd = NULL;
    return 0;
}

static int enable_ring(struct sim_ring *ring) {
    if (!ring->disabled) {
        return -EBADFD;
    }
    ring->disabled = false;
    if ((ring->flags & IORING_SETUP_SINGLE_ISSUER) != 0) {
        ring->has_submitter = true;
        ring->submitter = pthread_self();
    }
    return 0;
}

static int do_register(struct sim_ring *ring, unsigned opcode, void *arg, unsigned num_args) {
    struct q_sim *sim = ring->sim;
    bool has_indexes = !sim->options.profile.no_registered_ring;
    switch (opcode) {
    case IORING_REGISTER_PROBE: return register_probe(ring, arg, num_args);
    case IORING_REGISTER_FILES: return register_files(ring, arg, num_args);
    case IORING_REGISTER_FILES2: return register_files2(ring, arg, num_args);
    case IORING_REGISTER_FILES_UPDATE: return register_files_update(ring, arg, num_args);
    case IORING_REGISTER_FILES_UPDATE2: return register_files_update2(ring, arg, num_args);
    case IORING_UNREGISTER_FILES: return arg == NULL && num_args == 0 ? unregister_files(ring) : -EINVAL;
    case IORING_REGISTER_PBUF_RING: return num_args == 1 ? register_buffer_ring(ring, arg) : -EINVAL;
    case IORING_UNREGISTER_PBUF_RING: return num_args == 1 ? unregister_buffer_ring(ring, arg) : -EINVAL;
    case IORING_REGISTER_RING_FDS: return has_indexes && num_args == 1 ? register_ring_index(sim, arg) : -EINVAL;
    case IORING_UNREGISTER_RING_FDS: return has_indexes && num_args == 1 ? unregister_ring_index(sim, arg) : -EINVAL;
    case IORING_REGISTER_EVENTFD:
    case IORING_REGISTER_EVENTFD_ASYNC: return num_args == 1 ? register_eventfd(ring, arg) : -EINVAL;
    case IORING_UNREGISTER_EVENTFD: return arg == NULL && num_args == 0 ? unregister_eventfd(ring) : -EINVAL;
    case IORING_REGISTER_ENABLE_RINGS: return arg == NULL && num_args == 0 ? enable_ring(ring) : -EINVAL;
    default: return -EINVAL;
    }
}

int sim_ring_register(struct q_sys_uring *sys, int ring_fd, unsigned opcode, void *arg, unsigned num_args) {
    struct q_sim *sim = sim_of(sys);
    sim->stats.registers++;
    bool registered = (opcode & Q_URING_REGISTER_USE_REGISTERED_RING) != 0;
    opcode &= ~Q_URING_REGISTER_USE_REGISTERED_RING;
    if (registered && sim->options.profile.no_reg_reg_ring) {
        return -EINVAL;
    }
    struct sim_ring *ring = sim_ring_find(sim, ring_fd, registered);
    if (ring == NULL) {
        sim_violation(sim, "register %u on %s %d, which names no ring", opcode, registered ? "index" : "number",
                      ring_fd);
        return -EBADF;
    }
    int failure = sim_failure_now(&sim->fail_register, opcode, NULL);
    int refusal = failure != 0 ? failure : sim_ring_caller_error(ring);
    return refusal != 0 ? refusal : do_register(ring, opcode, arg, num_args);
}
