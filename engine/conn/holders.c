#include "engine/conn/holders.h"

// Given up at a time. Each brings a buffer, and the next look is a tick away.
#define AT_ONCE 16

static struct q_holder *first_of(const struct q_holders *holders) {
    struct q_list_node *node = q_list_first(&holders->list);
    return node == NULL ? NULL : q_container_of(node, struct q_holder, link);
}

static bool lacks_head(const struct q_holders *holders) {
    return !q_chunk_pool_allows(holders->head_chunks, Q_CHUNK_FOR_HEAD);
}

static void timer_fired(struct q_timer *timer) {
    struct q_holders *holders = q_container_of(timer, struct q_holders, timer);
    uint64_t now_ns = holders->loop->now_ns;
    struct q_holder *first;
    for (unsigned i = 0; i < AT_ONCE && (q_io_get_stats(holders->loop->io)->is_dry || lacks_head(holders)) &&
                         (first = first_of(holders)) != NULL && now_ns >= first->since_ns + Q_HOLDERS_PATIENCE_NS;
         i++) {
        q_holders_remove(first);
        first->give_up(first);
    }
}

void q_holders_init(struct q_holders *holders, struct q_loop *loop, const struct q_chunk_pool *head_chunks) {
    *holders = (struct q_holders){.loop = loop, .head_chunks = head_chunks, .timer = {.fired = timer_fired}};
    q_list_init(&holders->list);
}

void q_holders_add(struct q_holders *holders, struct q_holder *holder) {
    if (!q_list_is_linked(&holder->link)) {
        holder->since_ns = holders->loop->now_ns;
        q_list_push_back(&holders->list, &holder->link);
    }
}

void q_holders_remove(struct q_holder *holder) {
    if (q_list_is_linked(&holder->link)) {
        q_list_remove(&holder->link);
    }
}

void q_holders_look(struct q_holders *holders) {
    const struct q_holder *first = first_of(holders);
    // The last buffer may be gone since the ring looked for more, and nothing else may wake the loop.
    bool is_short = q_io_get_stats(holders->loop->io)->num_buffers == 0 || lacks_head(holders);
    if (first != NULL && is_short && !q_timer_is_armed(&holders->timer)) {
        uint64_t due_ns = first->since_ns + Q_HOLDERS_PATIENCE_NS;
        q_loop_arm(holders->loop, &holders->timer, due_ns > holders->loop->now_ns ? due_ns : holders->loop->now_ns + 1);
    }
}
