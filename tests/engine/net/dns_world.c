#include "tests/engine/net/dns_world.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct dns_world *world_of(struct q_io *io) { return q_container_of(io, struct dns_world, io); }

static struct dns_slot *slot_of(struct q_io *io, struct q_io_slot name) {
    struct dns_slot *slot = &world_of(io)->slots[name.index];
    assert_true(slot->is_open && slot->generation == name.generation);
    return slot;
}

static void start(struct q_io_op **place, struct q_io_op *op) {
    assert_null(*place);
    assert_false(op->busy);
    op->busy = true;
    op->chunk = NULL;
    *place = op;
}

static void finish(struct dns_world *world, struct q_io_op **place, int32_t result) {
    struct q_io_op *op = *place;
    *place = NULL;
    op->result = result;
    op->busy = false;
    q_list_push_back(&world->completed, &op->link);
}

static struct q_error world_open(struct q_io *io, struct q_io_slot *out) {
    struct dns_world *world = world_of(io);
    for (uint32_t i = 0; i < world->slots_max; i++) {
        if (!world->slots[i].is_open) {
            uint64_t generation = world->slots[i].generation + 1;
            memset(&world->slots[i], 0, sizeof world->slots[i]);
            world->slots[i].generation = generation;
            world->slots[i].is_open = true;
            *out = (struct q_io_slot){.index = i, .generation = generation};
            world->num_sockets++;
            world->stats.slots_open++;
            world->most_open = world->stats.slots_open > world->most_open ? world->stats.slots_open : world->most_open;
            return Q_OK;
        }
    }
    return q_error_make(Q_ERR_FD_LIMIT, Q_PHASE_CONNECT);
}

static void world_connect(struct q_io *io, struct q_io_slot name, struct q_io_op *op, const struct q_io_connect *params) {
    struct dns_world *world = world_of(io);
    struct dns_slot *slot = slot_of(io, name);
    char text[Q_ADDRESS_TEXT_MAX];
    memcpy(&slot->peer.u, params->address, params->address_len);
    slot->peer.len = params->address_len;
    slot->is_datagram = params->is_datagram;
    assert_true(!params->is_datagram || params->num_options == 0);
    q_address_text(&slot->peer, text);
    start(&slot->connect, op);
    int failure = world->on_connect == NULL ? 0 : world->on_connect(world, text, !params->is_datagram);
    slot->is_connected = failure == 0;
    finish(world, &slot->connect, -failure);
}

static void bring(struct dns_world *world, struct dns_slot *slot) {
    if (slot->recv == NULL || slot->inbox_len == 0) {
        return;
    }
    struct q_chunk *chunk = q_chunk_take(&world->chunks, Q_CHUNK_FOR_KERNEL);
    assert_non_null(chunk);
    size_t len = slot->inbox_len < world->chunks.capacity ? slot->inbox_len : world->chunks.capacity;
    memcpy(chunk->data, slot->inbox, len);
    chunk->used = (uint32_t)len;
    memmove(slot->inbox, slot->inbox + len, slot->inbox_len - len);
    slot->inbox_len = slot->is_datagram ? 0 : slot->inbox_len - len; // of a datagram the rest is lost
    struct q_io_op *op = slot->recv;
    finish(world, &slot->recv, (int32_t)len);
    op->chunk = chunk;
}

static void world_recv(struct q_io *io, struct q_io_slot name, struct q_io_op *op, uint32_t most) {
    (void)most;
    struct dns_slot *slot = slot_of(io, name);
    assert_true(slot->is_connected);
    start(&slot->recv, op);
    bring(world_of(io), slot);
}

static void take_query(struct dns_world *world, struct dns_slot *slot, const uint8_t *bytes, size_t len) {
    struct dns_query query = {.world = world, .slot = (uint32_t)(slot - world->slots), .generation = slot->generation,
                              .is_tcp = !slot->is_datagram, .len = len};
    assert_true(len <= sizeof query.bytes);
    memcpy(query.bytes, bytes, len);
    q_address_text(&slot->peer, query.server);
    query.type = dnswire_question(bytes, len, query.name);
    assert_true(query.type != 0);
    world->num_queries++;
    world->num_tcp += query.is_tcp;
    world->on_query(&query);
}

static void world_send(struct q_io *io, struct q_io_slot name, struct q_io_op *op, const struct msghdr *message) {
    struct dns_world *world = world_of(io);
    struct dns_slot *slot = slot_of(io, name);
    size_t len = 0;
    assert_true(slot->is_connected);
    start(&slot->send, op);
    for (size_t i = 0; i < message->msg_iovlen; i++) {
        assert_true(slot->sent_len + len + message->msg_iov[i].iov_len <= sizeof slot->sent);
        memcpy(slot->sent + slot->sent_len + len, message->msg_iov[i].iov_base, message->msg_iov[i].iov_len);
        len += message->msg_iov[i].iov_len;
    }
    finish(world, &slot->send, (int32_t)len);
    if (slot->is_datagram) {
        take_query(world, slot, slot->sent, len);
        return;
    }
    slot->sent_len += len;
    assert_int_equal(slot->sent_len, 2 + (slot->sent[0] << 8 | slot->sent[1]));
    take_query(world, slot, slot->sent + 2, slot->sent_len - 2);
}

static void world_close(struct q_io *io, struct q_io_slot name, struct q_io_op *op) {
    struct dns_world *world = world_of(io);
    struct dns_slot *slot = slot_of(io, name);
    start(&slot->close, op);
    struct q_io_op **const k_ops[] = {&slot->connect, &slot->recv, &slot->send};
    for (size_t i = 0; i < Q_COUNT_OF(k_ops); i++) {
        if (*k_ops[i] != NULL) {
            finish(world, k_ops[i], -ECANCELED);
        }
    }
    finish(world, &slot->close, 0);
    slot->is_open = false;
    world->stats.slots_open--;
}

static void world_read_file(struct q_io *io, struct q_io_slot name, struct q_io_op *op, const struct q_io_file *file) {
    struct dns_world *world = world_of(io);
    struct dns_slot *slot = slot_of(io, name);
    start(&slot->connect, op);
    size_t len = world->on_read == NULL ? 0 : world->on_read(world, file->path, file->into, file->size);
    finish(world, &slot->connect, world->on_read == NULL ? -ENOENT : (int32_t)len);
}

// --- time ------------------------------------------------------------------------------------------------------------

static struct dns_packet *next_packet(struct dns_world *world) {
    struct dns_packet *next = NULL;
    for (size_t i = 0; i < world->num_packets; i++) {
        struct dns_packet *packet = &world->packets[i];
        if (next == NULL || packet->at_ns < next->at_ns || (packet->at_ns == next->at_ns && packet->order < next->order)) {
            next = packet;
        }
    }
    return next;
}

static void deliver(struct dns_world *world, struct dns_packet *packet) {
    struct dns_slot *slot = &world->slots[packet->slot];
    if (slot->is_open && slot->generation == packet->generation) {
        if (packet->error != 0 || packet->len == 0) {
            assert_non_null(slot->recv); // whoever asked waits
            finish(world, &slot->recv, -packet->error);
        } else if (!slot->is_datagram || slot->inbox_len == 0) {
            assert_true(slot->inbox_len + packet->len <= sizeof slot->inbox);
            memcpy(slot->inbox + slot->inbox_len, packet->bytes, packet->len);
            slot->inbox_len += packet->len;
            bring(world, slot);
        }
    }
    free(packet->bytes);
    *packet = world->packets[--world->num_packets];
}

static enum q_io_rest world_turn(struct q_io *io, const struct q_io_turn *turn, struct q_list *out_done) {
    struct dns_world *world = world_of(io);
    struct dns_packet *packet = next_packet(world);
    if (turn->may_sleep && q_list_is_empty(&world->completed)) {
        uint64_t until_ns = packet == NULL || packet->at_ns > turn->deadline_ns ? turn->deadline_ns : packet->at_ns;
        assert_true(until_ns != Q_WHEEL_NEVER); // nothing would ever happen
        world->now_ns = until_ns > world->now_ns ? until_ns : world->now_ns;
    }
    while ((packet = next_packet(world)) != NULL && packet->at_ns <= world->now_ns) {
        deliver(world, packet);
    }
    q_list_take(out_done, &world->completed);
    return Q_IO_REST_NONE;
}

static bool nothing(const struct q_io *io) {
    (void)io;
    return false;
}
static bool has_started(const struct q_io *io) {
    return !q_list_is_empty(&q_container_of(io, const struct dns_world, io)->completed);
}
static bool collect(struct q_io *io, struct q_list *out_done) {
    (void)io;
    (void)out_done;
    return false;
}
static bool has_unasked(struct q_io *io, struct q_io_slot slot) {
    (void)io;
    (void)slot;
    return false;
}
static void flush(struct q_io *io) { (void)io; }
static const struct q_io_stats *stats(const struct q_io *io) {
    return &q_container_of(io, const struct dns_world, io)->stats;
}

static const struct q_io_vtable k_io = {
    .open = world_open, .connect = world_connect, .recv = world_recv, .send = world_send, .close = world_close,
    .read_file = world_read_file, .turn = world_turn, .has_started = has_started, .has_news = nothing, .collect = collect,
    .has_unasked = has_unasked, .flush = flush, .stats = stats,
};

static uint64_t now(const struct q_clock *clock) { return q_container_of(clock, struct dns_world, clock)->now_ns; }

static bool nothing_to_do(void *owner) {
    (void)owner;
    return false;
}

static bool park(void *owner, uint32_t *out_bell_value) {
    (void)owner;
    *out_bell_value = 0;
    return true;
}

static const struct q_loop_steps k_steps = {.take_commands = nothing_to_do, .publish = nothing_to_do, .park = park};

void dns_world_open(struct dns_world *world) {
    memset(world, 0, sizeof *world);
    world->io.v = &k_io;
    world->clock.now_ns = now;
    world->now_ns = 1000 * Q_NS_PER_S;
    world->memory = q_failalloc_new();
    world->slots_max = DNS_WORLD_SLOTS;
    world->budget.limit = 1 << 20;
    q_list_init(&world->completed);
    q_chunk_pool_init(&world->chunks, q_alloc_libc(), &world->budget, 2048, 0); // of the seam's own
    q_loop_init(&world->loop, &world->io, &world->clock, &world->log, 7, &k_steps, world);
    q_loop_bind(&world->loop);
    world->loop.now_ns = world->now_ns;
}

struct alarm {
    struct q_timer timer;
    bool rang;
};

static void ring(struct q_timer *timer) { q_container_of(timer, struct alarm, timer)->rang = true; }

static void run(struct dns_world *world, uint64_t ns, const bool *condition) {
    struct alarm alarm = {.timer = {.fired = ring}};
    q_loop_arm(&world->loop, &alarm.timer, world->now_ns + ns);
    q_loop_tick(&world->loop, false); // what was asked for from outside of a tick keeps none from sleeping
    while (!alarm.rang && (condition == NULL || !*condition)) {
        q_loop_tick(&world->loop, true);
    }
    assert_true(condition == NULL || *condition);
    q_loop_disarm(&world->loop, &alarm.timer);
}

void dns_world_run(struct dns_world *world, uint64_t ms) { run(world, ms * Q_NS_PER_MS, NULL); }

void dns_world_until(struct dns_world *world, const bool *condition) { run(world, 1000 * Q_NS_PER_S, condition); }

void dns_world_close(struct dns_world *world) {
    char text[512] = "";
    dns_world_run(world, 1);
    while (world->num_packets > 0) {
        free(world->packets[--world->num_packets].bytes);
    }
    assert_int_equal(world->stats.slots_open, 0);
    assert_true(q_wheel_next(&world->loop.wheel) == Q_WHEEL_NEVER);
    q_chunk_pool_deinit(&world->chunks);
    if (!q_failalloc_check(world->memory, text, sizeof text)) {
        fail_msg("%s", text);
    }
    q_failalloc_free(world->memory);
}

// --- answers ---------------------------------------------------------------------------------------------------------

static struct dns_packet *add_packet(const struct dns_query *query, uint64_t delay_ms) {
    struct dns_world *world = query->world;
    assert_true(world->num_packets < Q_COUNT_OF(world->packets));
    struct dns_packet *packet = &world->packets[world->num_packets++];
    *packet = (struct dns_packet){.at_ns = world->now_ns + delay_ms * Q_NS_PER_MS, .order = world->next_order++,
                                  .slot = query->slot, .generation = query->generation};
    return packet;
}

void dns_reply_bytes(const struct dns_query *query, const void *bytes, size_t len, uint64_t delay_ms) {
    struct dns_packet *packet = add_packet(query, delay_ms);
    packet->bytes = malloc(len > 0 ? len : 1);
    memcpy(packet->bytes, bytes, len);
    packet->len = len;
}

void dns_reply(const struct dns_query *query, const struct dnswire *wire, uint64_t delay_ms) {
    static uint8_t prefixed[65538];
    prefixed[0] = (uint8_t)(wire->len >> 8);
    prefixed[1] = (uint8_t)wire->len;
    memcpy(prefixed + 2, wire->bytes, wire->len);
    size_t skip = query->is_tcp ? 0 : 2;
    dns_reply_bytes(query, prefixed + skip, wire->len + 2 - skip, delay_ms);
}

void dns_fail(const struct dns_query *query, int error, uint64_t delay_ms) {
    add_packet(query, delay_ms)->error = error;
}

void dns_end(const struct dns_query *query, uint64_t delay_ms) { add_packet(query, delay_ms); }
