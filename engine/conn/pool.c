#include "engine/conn/pool_internal.h"

#include "engine/conn/target.h"
#include "engine/tls/interned.h"

static const struct q_conn_owner_events k_owner_events;

static struct q_lease *lease_of(struct q_list_node *node) { return q_container_of(node, struct q_lease, link); }

struct q_error q_pool_init(struct q_pool *pool, const struct q_alloc *alloc, const struct q_conn_env *env,
                           const struct q_pool_options *options) {
    *pool = (struct q_pool){.alloc = alloc, .env = env, .options = *options};
    if (!q_slots_init(&pool->conns, alloc, sizeof(struct q_h1_conn), options->connections_max)) {
        return q_error_make(Q_ERR_NO_MEMORY, Q_PHASE_CREATE);
    }
    for (size_t i = 0; i < Q_POOL_BUCKETS; i++) {
        q_list_init(&pool->buckets[i]);
    }
    q_list_init(&pool->idle_lru);
    q_list_init(&pool->hungry);
    q_pool_ask_init(pool);
    pool->hash_key[0] = q_random_next(&env->loop->random);
    pool->hash_key[1] = q_random_next(&env->loop->random);
    return Q_OK;
}

void q_pool_deinit(struct q_pool *pool) {
    Q_CHECK(q_pool_is_empty(pool));
    q_slots_deinit(&pool->conns);
}

bool q_pool_is_empty(const struct q_pool *pool) { return pool->conns.live == 0; }

// --- origins -------------------------------------------------------------------------------------------------------

static struct q_pool_origin *find_origin(struct q_list *bucket, const struct q_origin *origin) {
    for (struct q_list_node *node = bucket->head.next; node != &bucket->head; node = node->next) {
        struct q_pool_origin *entry = q_container_of(node, struct q_pool_origin, bucket_link);
        if (q_origin_equal(&entry->identity, origin)) {
            return entry;
        }
    }
    return NULL;
}

static size_t entry_size(const struct q_origin *origin) { return sizeof(struct q_pool_origin) + origin->key.len; }

static struct q_pool_origin *new_origin(struct q_pool *pool, struct q_list *bucket, const struct q_origin *origin) {
    struct q_pool_origin *entry = q_alloc_new(pool->alloc, entry_size(origin));
    if (entry == NULL) {
        return NULL;
    }
    char *key = (char *)(entry + 1);
    entry->pool = pool;
    entry->identity = *origin;
    entry->identity.alloc = NULL; // the key is not that of the request
    if (q_tls_is_none(entry->identity.tls) && origin->scheme == Q_SCHEME_HTTPS) {
        entry->identity.tls = pool->default_tls;
    }
    q_tls_hold(entry->identity.tls);
    q_origin_move(&entry->identity, key);
    entry->target = q_target_of(&entry->identity, q_hash_keyed(pool->hash_key, origin->key.ptr, origin->key.len));
    q_list_init(&entry->idle);
    q_list_init(&entry->connecting);
    q_list_init(&entry->waiters);
    q_list_push_back(bucket, &entry->bucket_link);
    return entry;
}

static void be_hungry_no_more(struct q_pool_origin *entry) {
    entry->is_starved = false;
    if (q_list_is_linked(&entry->hungry_link)) {
        q_list_remove(&entry->hungry_link);
        entry->pool->num_hungry--;
    }
}

static void drop_dials(struct q_chunk **dials) {
    if (*dials != NULL) {
        q_chunk_release(*dials);
        *dials = NULL;
    }
}

static void free_origin_if_unused(struct q_pool_origin *entry) {
    if (entry->num_members > 0 || entry->num_waiters > 0) {
        return;
    }
    be_hungry_no_more(entry);
    drop_dials(&entry->last_dials);
    q_list_remove(&entry->bucket_link);
    q_tls_let_go(entry->identity.tls);
    q_alloc_free(entry->pool->alloc, entry, entry_size(&entry->identity));
}

// --- opening -------------------------------------------------------------------------------------------------------

static struct q_error secure(struct q_h1_conn *h1, const struct q_origin *origin) {
    if (origin->scheme != Q_SCHEME_HTTPS) {
        return Q_OK;
    }
    struct q_tls_peer peer = {.name = origin->host, .is_address = origin->host_kind != Q_HOST_NAME, .port = origin->port};
    return q_h1_conn_secure(h1, origin->tls, &peer, q_origin_audience(origin));
}

// A connection that is nobody's yet.
static struct q_h1_conn *new_connection(struct q_pool *pool, struct q_pool_origin *entry) {
    struct q_handle handle;
    struct q_h1_conn *h1 = q_slots_take(&pool->conns, &handle);
    if (h1 != NULL) {
        q_h1_conn_init(h1, pool->env);
        h1->conn.owner = &k_owner_events;
        h1->conn.owner_context = pool;
        h1->conn.origin = entry;
        h1->conn.handle = handle;
        h1->conn.id = ++pool->next_conn_id == 0 ? ++pool->next_conn_id : pool->next_conn_id;
    }
    return h1;
}

// From here on it is told of, counted, and one of its origin's.
static void enter(struct q_pool *pool, struct q_pool_origin *entry, struct q_conn *conn) {
    entry->num_usable++;
    entry->num_connecting++;
    entry->num_members++;
    pool->stats.opened++;
    pool->stats.open++;
    q_list_push_back(&entry->connecting, &conn->idle_lru_link);
}

static struct q_error open_connection(struct q_pool *pool, struct q_pool_origin *entry, const struct q_lease *lease) {
    struct q_h1_conn *h1 = new_connection(pool, entry);
    if (h1 == NULL) {
        return q_error_make(Q_ERR_NO_MEMORY, Q_PHASE_CONNECT);
    }
    struct q_error error = secure(h1, &entry->identity);
    if (!q_error_is(error)) {
        entry->target.resolve_ns = lease->resolve_timeout_ns;
        if (h1->tls != NULL && lease->tls_timeout_ns != 0) {
            h1->tls->params.handshake_ns = lease->tls_timeout_ns;
        }
        error = q_h1_conn_connect(h1, &entry->target, pool->env->loop->now_ns + lease->connect_timeout_ns);
    }
    if (q_error_is(error)) {
        q_slots_release(&pool->conns, h1->conn.handle);
        return error;
    }
    enter(pool, entry, &h1->conn);
    return Q_OK;
}

static bool is_full(const struct q_pool *pool) { return pool->conns.live >= pool->options.connections_max; }

// Out of room: the origin stands in line for it, and the connection that has been idle longest, of whatever origin, makes
// some, unless as many as are wanted are on their way out already. on_closed serves the line.
static void be_hungry(struct q_pool *pool, struct q_pool_origin *entry) {
    if (!q_list_is_linked(&entry->hungry_link)) {
        q_list_push_back(&pool->hungry, &entry->hungry_link);
        pool->num_hungry++;
    }
    struct q_list_node *oldest = q_list_first(&pool->idle_lru);
    if (oldest != NULL && pool->num_closing < pool->num_hungry) {
        q_conn_close(q_container_of(oldest, struct q_conn, idle_lru_link));
    }
}

// The first in line for whom no connection is under way. Those who have one stand in front, and are as many as
// connections are being made, which the limits bound.
static struct q_lease *first_undialed(struct q_pool_origin *entry) {
    for (struct q_list_node *node = entry->waiters.head.next; node != &entry->waiters.head; node = node->next) {
        if (!lease_of(node)->is_dialed) {
            return lease_of(node);
        }
    }
    return NULL;
}

static void set_dialed(struct q_lease *lease, bool is_dialed) {
    struct q_loop *loop = lease->origin->pool->env->loop;
    lease->is_dialed = is_dialed;
    if (is_dialed) {
        lease->origin->num_dialed++;
        lease->deadline_ns = loop->now_ns + lease->connect_timeout_ns;
        q_pool_ask_arm(loop, lease);
    } else {
        lease->origin->num_dialed--;
        q_loop_disarm(loop, &lease->timer);
    }
    if (lease->events->on_dialing != NULL) {
        lease->events->on_dialing(lease, is_dialed);
    }
}

// A connection that was being made has gone to the first in line; whoever stands last among those who counted on one
// waits for what comes free from now on, and its bound on connecting does not run.
static void take_dial_from_last(struct q_pool_origin *entry) {
    struct q_lease *last = NULL;
    for (struct q_list_node *node = entry->waiters.head.next; node != &entry->waiters.head; node = node->next) {
        if (!lease_of(node)->is_dialed) {
            break;
        }
        last = lease_of(node);
    }
    if (last != NULL && entry->num_dialed > entry->num_connecting) {
        set_dialed(last, false);
    }
}

// An attempt whose own waiter has gone (cancelled, timed out, served by a connection that came free) goes on. It is then
// the next one's in line, under the bound that this one has on connecting.
static void pass_dials_on(struct q_pool_origin *entry) {
    while (entry->num_dialed < entry->num_connecting && entry->num_dialed < entry->num_waiters) {
        set_dialed(first_undialed(entry), true);
    }
}

// Whether a waiter has no connection under way and may have one.
static bool lacks_connection(const struct q_pool *pool, const struct q_pool_origin *entry) {
    return entry->num_connecting < entry->num_waiters && entry->num_usable < pool->options.connections_per_origin_max;
}

// There is no room: those who counted on an attempt that is over wait for some, and their bounds on connecting do not run.
static void wait_for_room(struct q_pool *pool, struct q_pool_origin *entry) {
    while (entry->num_dialed > entry->num_connecting) {
        take_dial_from_last(entry);
    }
    be_hungry(pool, entry);
}

static bool lacks_slots(const struct q_pool *pool) {
    const struct q_io_stats *stats = q_io_get_stats(pool->env->loop->io);
    return stats->slots_open >= stats->slots_max;
}

static bool is_want_of_room(struct q_error error) {
    return error.code == Q_ERR_NO_MEMORY || error.code == Q_ERR_FD_LIMIT;
}

// Opens connections until there is one under way for each waiter, within the limits. The error is that of an open
// that failed while nothing else will ever serve the waiters.
static struct q_error open_for_waiters(struct q_pool *pool, struct q_pool_origin *entry) {
    while (!pool->is_closing && !entry->is_starved && lacks_connection(pool, entry)) {
        if (is_full(pool) || (pool->conns.live > 0 && lacks_slots(pool))) {
            wait_for_room(pool, entry);
            return Q_OK;
        }
        bool is_replacement = entry->num_dialed > entry->num_connecting; // of an attempt that took too long
        struct q_lease *lease = is_replacement ? NULL : first_undialed(entry);
        struct q_error error =
            open_connection(pool, entry, lease != NULL ? lease : lease_of(q_list_first(&entry->waiters)));
        if (q_error_is(error)) {
            if (pool->conns.live == 0 || !is_want_of_room(error)) {
                return error; // it would be the same again
            }
            wait_for_room(pool, entry); // out of slots or memory: whoever closes next makes some
            return Q_OK;
        }
        if (lease != NULL) {
            set_dialed(lease, true);
        }
    }
    return Q_OK;
}

static uint64_t tls_bound_of(const struct q_lease *lease) {
    return lease->tls_timeout_ns != 0 ? lease->tls_timeout_ns : Q_TLS_HANDSHAKE_NS;
}

// A connection may be lent ahead of its handshake, which then has the bounds of its lessee: `deadline_ns` is when that one's
// on connecting is over.
static void bound_ahead(const struct q_lease *lease, struct q_conn *conn, uint64_t deadline_ns) {
    q_h1_conn_bound_ahead(q_container_of(conn, struct q_h1_conn, conn), tls_bound_of(lease), deadline_ns);
}

// --- leasing -------------------------------------------------------------------------------------------------------

static void take_idle(struct q_conn *conn) {
    q_list_remove(&conn->idle_link);
    q_list_remove(&conn->idle_lru_link);
}

static void leave_line(struct q_pool_origin *entry, struct q_lease *lease) {
    q_pool_ask_other(lease);
    q_list_remove(&lease->link);
    q_loop_disarm(entry->pool->env->loop, &lease->timer);
    entry->num_dialed -= lease->is_dialed;
    lease->origin = NULL;
    entry->num_waiters--;
}

// Memory is for those who wait: without any it goes.
static void forget_dials(struct q_pool_origin *entry) {
    if (entry->num_waiters == 0) {
        drop_dials(&entry->last_dials);
    }
}

// Ends a wait. The lessee is told what the last connection that failed had tried, in a hold of its own.
static void fail_lease(struct q_pool_origin *entry, struct q_lease *lease, struct q_error error) {
    lease->dials = entry->last_dials == NULL ? NULL : q_chunk_acquire(entry->last_dials);
    forget_dials(entry);
    lease->events->on_failed(lease, error);
}

static void note_dials(struct q_pool_origin *entry, const struct q_conn *conn) {
    drop_dials(&entry->last_dials);
    if (entry->num_waiters == 0) {
        return; // there is nobody to tell
    }
    entry->last_dials = q_dials_make(entry->pool->env->small_chunks, conn);
}

// What it is that takes so long: the oldest connection's word, or that of the last which took too long itself.
static struct q_error timeout_of(struct q_pool_origin *entry) {
    struct q_list_node *node = q_list_first(&entry->connecting);
    struct q_error error = entry->last_timeout;
    if (node != NULL) {
        const struct q_conn *conn = q_container_of(node, struct q_conn, idle_lru_link);
        error = q_conn_dial_timeout(conn);
        note_dials(entry, conn);
    }
    if (!q_error_is(error)) {
        error = q_error_make(Q_ERR_TIMEOUT_CONNECT, Q_PHASE_CONNECT);
    }
    if (error.os_errno == 0) {
        error.os_errno = entry->last_errno;
    }
    error.retry_safe = 1;
    return error;
}

// A lease's own bound on connecting is over; the attempt may serve another one still.
static void connecting_took_too_long(struct q_timer *timer) {
    struct q_lease *lease = q_container_of(timer, struct q_lease, timer);
    struct q_pool_origin *entry = lease->origin;
    struct q_error error = timeout_of(entry);
    leave_line(entry, lease);
    pass_dials_on(entry);
    fail_lease(entry, lease, error);
    free_origin_if_unused(entry);
}

static void wait_in_line(struct q_pool_origin *entry, struct q_lease *lease) {
    lease->origin = entry;
    lease->is_dialed = false;
    lease->dials = NULL;
    lease->timer.fired = connecting_took_too_long;
    lease->place = entry->pool->next_place++;
    q_list_push_back(&entry->waiters, &lease->link);
    entry->num_waiters++;
}

static struct q_lease *next_in_line(struct q_pool_origin *entry) {
    struct q_list_node *node = q_list_first(&entry->waiters);
    if (node == NULL) {
        return NULL;
    }
    leave_line(entry, lease_of(node));
    return lease_of(node);
}

static enum q_lease_result refuse(struct q_error error, struct q_error *out_error) {
    error.retry_safe = 1;
    *out_error = error;
    return Q_LEASE_FAILED;
}

// The latest idle connection on which nothing has come. Others end.
static struct q_list_node *first_fit(struct q_pool_origin *entry) {
    struct q_list_node *node;
    while ((node = q_list_first(&entry->idle)) != NULL &&
           !q_conn_is_fit(q_container_of(node, struct q_conn, idle_link))) {
        q_conn_close(q_container_of(node, struct q_conn, idle_link));
    }
    return node;
}

static enum q_lease_result lease_from(struct q_pool *pool, struct q_pool_origin *entry, struct q_lease *lease,
                                      struct q_conn **out_conn, struct q_error *out_error) {
    struct q_list_node *node = first_fit(entry);
    if (node != NULL && lease->wants_fresh) {
        q_conn_close(q_container_of(node, struct q_conn, idle_link)); // its room is for the fresh one
    } else if (node != NULL) {
        *out_conn = q_container_of(node, struct q_conn, idle_link);
        take_idle(*out_conn);
        bound_ahead(lease, *out_conn, pool->env->loop->now_ns + lease->connect_timeout_ns);
        pool->stats.reused += (*out_conn)->uses > 0;
        return Q_LEASE_NOW;
    }
    if (entry->num_waiters >= pool->options.waiters_per_origin_max) {
        return refuse(q_error_make(Q_ERR_WAITERS_MAX, Q_PHASE_QUEUE), out_error);
    }
    wait_in_line(entry, lease);
    pass_dials_on(entry);
    struct q_error error = open_for_waiters(pool, entry);
    if (q_error_is(error)) {
        leave_line(entry, lease); // the caller frees the origin
        return refuse(error, out_error);
    }
    return Q_LEASE_WAITING;
}

enum q_lease_result q_pool_lease(struct q_pool *pool, struct q_lease *lease, const struct q_origin *origin,
                                 struct q_conn **out_conn, struct q_error *out_error) {
    lease->report = NULL;
    if (pool->is_closing) {
        return refuse(q_error_make(Q_ERR_CLOSED, Q_PHASE_QUEUE), out_error);
    }
    uint64_t hash = q_hash_keyed(pool->hash_key, origin->key.ptr, origin->key.len);
    struct q_list *bucket = &pool->buckets[hash % Q_POOL_BUCKETS];
    struct q_pool_origin *entry = find_origin(bucket, origin);
    if (entry == NULL) {
        bool lacks_tls = origin->scheme == Q_SCHEME_HTTPS && q_tls_is_none(origin->tls) && q_tls_is_none(pool->default_tls);
        if (lacks_tls) {
            lease->report = pool->default_tls_report;
            return refuse(pool->default_tls_error, out_error);
        }
        entry = new_origin(pool, bucket, origin);
        if (entry == NULL) {
            return refuse(q_error_make(Q_ERR_NO_MEMORY, Q_PHASE_QUEUE), out_error);
        }
    }
    enum q_lease_result result = lease_from(pool, entry, lease, out_conn, out_error);
    if (result == Q_LEASE_FAILED) {
        free_origin_if_unused(entry);
    }
    return result;
}

void q_pool_cancel(struct q_pool *pool, struct q_lease *lease) {
    (void)pool;
    struct q_pool_origin *entry = lease->origin;
    if (entry == NULL) {
        return;
    }
    leave_line(entry, lease);
    forget_dials(entry);
    pass_dials_on(entry);
    free_origin_if_unused(entry);
}

// --- what connections say ------------------------------------------------------------------------------------------

// The origin that has waited longest for room, be it the pool's limit that keeps it waiting or a want of slots or memory.
// Origins whose waiters have been served or cancelled meanwhile leave the line.
static struct q_pool_origin *first_hungry(struct q_pool *pool) {
    struct q_list_node *node;
    while ((node = q_list_first(&pool->hungry)) != NULL) {
        struct q_pool_origin *entry = q_container_of(node, struct q_pool_origin, hungry_link);
        if (lacks_connection(pool, entry)) {
            return entry;
        }
        be_hungry_no_more(entry);
    }
    return NULL;
}

// Whether another origin has waited for room longer than `lease` (NULL: nobody of this origin waits), and not enough is
// on its way out yet.
static bool is_wanted_elsewhere(struct q_pool *pool, const struct q_lease *lease) {
    struct q_pool_origin *hungry = first_hungry(pool);
    if (hungry == NULL || pool->num_closing >= pool->num_hungry) {
        return false;
    }
    return lease == NULL || lease_of(q_list_first(&hungry->waiters))->place < lease->place;
}

// An idle connection goes to who has answered for it, if one in line has, else to the first in line, or makes room for an
// origin that has waited longer, or goes to the shelf.
static void give_or_shelve(struct q_conn *conn) {
    struct q_pool *pool = conn->owner_context;
    struct q_list_node *node = q_list_first(&conn->origin->waiters);
    struct q_lease *lease = q_pool_ask_end(conn);
    if (lease == NULL && node != NULL) {
        lease = lease_of(node);
    }
    if (pool->is_closing || is_wanted_elsewhere(pool, lease)) {
        q_conn_close(conn);
        return;
    }
    if (lease != NULL) {
        leave_line(conn->origin, lease);
        forget_dials(conn->origin);
        pool->stats.reused += conn->uses > 0;
        bound_ahead(lease, conn,
                    lease->is_dialed ? lease->deadline_ns : pool->env->loop->now_ns + lease->connect_timeout_ns);
        lease->events->on_leased(lease, conn);
        return;
    }
    q_list_push_front(&conn->origin->idle, &conn->idle_link);
    q_list_push_back(&pool->idle_lru, &conn->idle_lru_link);
}

static void on_ready(struct q_conn *conn) {
    struct q_pool_origin *entry = conn->origin;
    entry->num_connecting--;
    q_list_remove(&conn->idle_lru_link);
    entry->last_timeout = Q_OK;
    give_or_shelve(conn);
    take_dial_from_last(entry); // the origin lives: the connection is its member
}

static void on_free(struct q_conn *conn) {
    give_or_shelve(conn);
    pass_dials_on(conn->origin);
}

// The first in line whom a failure is for: a handshake that took longer than the bound of the one that it was begun for has
// not failed for who would wait longer.
static struct q_lease *first_for(struct q_pool_origin *entry, const struct q_h1_tls *tls, struct q_error error) {
    struct q_list_node *node = entry->waiters.head.next;
    if (error.code == Q_ERR_TIMEOUT_TLS) {
        while (node != &entry->waiters.head && tls_bound_of(lease_of(node)) > tls->params.handshake_ns) {
            node = node->next;
        }
    }
    return node == &entry->waiters.head ? NULL : lease_of(node);
}

static void fail_all(struct q_pool_origin *entry, struct q_error error) {
    struct q_lease *lease;
    while ((lease = next_in_line(entry)) != NULL) {
        fail_lease(entry, lease, error);
    }
}

static void on_connect_failed(struct q_conn *conn, struct q_error error) {
    struct q_pool_origin *entry = conn->origin;
    struct q_pool *pool = entry->pool;
    entry->num_connecting--;
    entry->num_usable--;
    q_list_remove(&conn->idle_lru_link);
    struct q_lease *lease = q_pool_ask_end(conn);
    note_dials(entry, conn);
    conn->is_short = is_want_of_room(error) && pool->conns.live > 1;
    if (conn->is_short) {
        // Others have what is missing: whoever closes next makes room. Until then this origin's wait in that line.
        entry->last_errno = error.os_errno;
        pool->stats.opened--;
        wait_for_room(pool, entry);
        entry->is_starved = true;
        return;
    }
    pool->num_closing++;
    if (conn->is_out_of_time) {
        entry->last_timeout = error;
        return; // each lease has a bound of its own, and hears of that
    }
    entry->last_errno = error.os_errno;
    if (error.phase == Q_PHASE_RESOLVE) {
        fail_all(entry, error); // of a name that is not there nobody needs to ask again
        return;
    }
    // One failure is one waiter's, who hears the kernel's own word: whoever was asked about this connection, or the first.
    // For the others a new attempt is made, once this connection has closed.
    const struct q_h1_tls *tls = q_container_of(conn, struct q_h1_conn, conn)->tls;
    if (lease == NULL) {
        lease = first_for(entry, tls, error);
    }
    if (lease != NULL) {
        leave_line(entry, lease);
        lease->report = tls == NULL ? NULL : tls->report;
        fail_lease(entry, lease, error);
    }
}

static void on_dying(struct q_conn *conn) {
    conn->origin->num_usable--;
    conn->origin->pool->num_closing++;
    if (q_list_is_linked(&conn->idle_link)) {
        take_idle(conn);
    }
}

static void serve(struct q_pool *pool, struct q_pool_origin *entry) {
    struct q_error error = open_for_waiters(pool, entry);
    if (q_error_is(error)) {
        fail_all(entry, error);
    }
    free_origin_if_unused(entry);
}

// Gives room that has become free to those that wait for it, in their order, and goes on down the line: the first one's
// waiters may have been cancelled meanwhile, and then it needs nothing.
static void serve_hungry(struct q_pool *pool) {
    for (uint32_t left = pool->num_hungry; left > 0 && !is_full(pool); left--) {
        struct q_list_node *node = q_list_first(&pool->hungry);
        if (node == NULL) {
            return; // a failure further down has emptied the line
        }
        struct q_pool_origin *entry = q_container_of(node, struct q_pool_origin, hungry_link);
        be_hungry_no_more(entry);
        bool still_needs = entry->num_waiters > entry->num_connecting;
        uint32_t num_before = pool->num_hungry;
        serve(pool, entry);
        if (still_needs && pool->num_hungry > num_before) {
            return; // it stands at the end of the line again: there was no room after all
        }
    }
}

static void on_closed(struct q_conn *conn) {
    struct q_pool *pool = conn->owner_context;
    struct q_pool_origin *entry = conn->origin;
    bool is_short = conn->is_short;
    q_slots_release(&pool->conns, conn->handle); // the memory stays a slot; nothing of this connection is in flight
    pool->stats.open--;
    if (is_short) {
        entry->num_members--;
        if (pool->conns.live == 0) {
            be_hungry_no_more(entry); // there is nobody any more who could make room
            serve(pool, entry);
        } else {
            free_origin_if_unused(entry);
        }
        return;
    }
    pool->num_closing--;
    // First those that wait for room; then this origin's own waiters, whose connection has died. As a member the
    // connection keeps its origin until then.
    serve_hungry(pool);
    entry->num_members--;
    serve(pool, entry);
}

static const struct q_conn_owner_events k_owner_events = {
    .on_ready = on_ready,
    .on_connect_failed = on_connect_failed,
    .on_free = on_free,
    .on_dying = on_dying,
    .on_closed = on_closed,
    .on_question = q_pool_ask,
};

static bool speaks_by(const struct q_conn *conn, struct q_handle tls) {
    struct q_handle own = conn->origin->identity.tls;
    return !q_tls_is_none(own) &&
           (q_tls_is_none(tls) || (own.index == tls.index && own.generation == tls.generation));
}

void q_pool_retire(struct q_pool *pool, struct q_handle tls) {
    for (uint32_t i = 0; i < pool->conns.made; i++) {
        struct q_handle handle;
        struct q_h1_conn *h1 = q_slots_at(&pool->conns, i, &handle);
        if (h1 == NULL || !speaks_by(&h1->conn, tls)) {
            continue;
        }
        if (h1->conn.state == Q_CONN_CONNECTING) {
            q_pool_give_up_connecting(&h1->conn); // once it has closed, who waits gets another one
        } else if (h1->conn.state == Q_CONN_IDLE || h1->conn.state == Q_CONN_BUSY) {
            q_conn_retire(&h1->conn);
        }
    }
}

void q_pool_close(struct q_pool *pool) {
    pool->is_closing = true;
    for (uint32_t i = 0; i < pool->conns.made; i++) {
        struct q_handle handle;
        struct q_h1_conn *h1 = q_slots_at(&pool->conns, i, &handle);
        if (h1 == NULL) {
            continue;
        }
        if (h1->conn.state == Q_CONN_CONNECTING) {
            q_pool_give_up_connecting(&h1->conn);
        } else if (h1->conn.state == Q_CONN_IDLE) {
            q_conn_close(&h1->conn);
        }
    }
}
