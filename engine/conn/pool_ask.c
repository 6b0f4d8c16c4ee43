#include "engine/conn/pool_internal.h"

static struct q_loop *loop_of(const struct q_conn *conn) {
    const struct q_pool *pool = conn->owner_context;
    return pool->env->loop;
}

static struct q_lease *first_unasked(struct q_pool_origin *entry) {
    for (struct q_list_node *node = entry->waiters.head.next; node != &entry->waiters.head; node = node->next) {
        struct q_lease *lease = q_container_of(node, struct q_lease, link);
        if (lease->asked_by == NULL) {
            return lease;
        }
    }
    return NULL;
}

static void ask(struct q_conn *conn, struct q_lease *lease) {
    struct q_loop *loop = loop_of(conn);
    conn->asked = lease;
    lease->asked_by = conn;
    lease->is_asked = true;
    lease->asked_ns = loop->now_ns;
    q_loop_disarm(loop, &lease->timer);
    lease->events->on_question(lease, conn->dossier);
}

static void become_orphan(struct q_conn *conn) {
    struct q_pool *pool = conn->owner_context;
    q_list_push_back(&pool->orphans, &conn->idle_link);
    q_loop_post(pool->env->loop, &pool->orphans_task);
}

void q_pool_ask(struct q_conn *conn) {
    struct q_lease *lease = conn->asked != NULL ? conn->asked : first_unasked(conn->origin);
    if (lease != NULL) {
        ask(conn, lease);
    } else {
        become_orphan(conn);
    }
}

static void find_others(struct q_task *task) {
    struct q_pool *pool = q_container_of(task, struct q_pool, orphans_task);
    struct q_list_node *node;
    while ((node = q_list_pop_front(&pool->orphans)) != NULL) {
        struct q_conn *conn = q_container_of(node, struct q_conn, idle_link);
        struct q_lease *lease = first_unasked(conn->origin);
        if (lease != NULL) {
            ask(conn, lease);
        } else {
            q_pool_give_up_connecting(conn);
        }
    }
}

void q_pool_ask_init(struct q_pool *pool) {
    q_list_init(&pool->orphans);
    pool->orphans_task = (struct q_task){.run = find_others};
}

void q_pool_ask_other(struct q_lease *lease) {
    struct q_conn *conn = lease->asked_by;
    if (conn == NULL) {
        return;
    }
    bool is_open = lease->is_asked;
    (void)q_pool_ask_end(conn);
    if (is_open) {
        become_orphan(conn);
    }
}

struct q_lease *q_pool_ask_end(struct q_conn *conn) {
    struct q_lease *lease = conn->asked;
    if (conn->state == Q_CONN_CONNECTING || conn->state == Q_CONN_CLOSING) {
        if (q_list_is_linked(&conn->idle_link)) {
            q_list_remove(&conn->idle_link); // an orphan; elsewhere the link is that of an idle one
        }
    }
    if (lease != NULL) {
        conn->asked = NULL;
        lease->asked_by = NULL;
        lease->is_asked = false;
    }
    return lease;
}

void q_pool_ask_arm(struct q_loop *loop, struct q_lease *lease) {
    if (lease->is_asked) {
        lease->asked_ns = loop->now_ns;
    } else {
        q_loop_arm(loop, &lease->timer, lease->deadline_ns);
    }
}

// The bound on connecting runs on: the host's time does not count.
static void go_on(struct q_loop *loop, struct q_lease *lease) {
    lease->is_asked = false;
    if (lease->is_dialed) {
        lease->deadline_ns += loop->now_ns - lease->asked_ns;
        q_pool_ask_arm(loop, lease);
    }
}

void q_pool_answer(struct q_pool *pool, struct q_lease *lease, bool is_yes, struct q_slice signature) {
    if (!lease->is_asked) {
        return;
    }
    go_on(pool->env->loop, lease);
    q_conn_answer(lease->asked_by, is_yes, signature);
}

void q_pool_give_up_connecting(struct q_conn *conn) {
    struct q_pool *pool = conn->owner_context;
    bool is_asked = conn->asked != NULL && conn->asked->is_asked;
    struct q_lease *lease = q_pool_ask_end(conn);
    if (is_asked) {
        go_on(pool->env->loop, lease);
        lease->events->on_unasked(lease);
    }
    conn->origin->num_connecting--;
    q_list_remove(&conn->idle_lru_link);
    conn->origin->num_usable--;
    pool->num_closing++;
    q_conn_close(conn);
}
