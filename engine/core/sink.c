// From what exchanges tell to events. The lending rule is here: receive buffers are never the host's for long. A piece
// of body smaller than half a buffer is copied into the request's own chunk, so that the buffer goes back to the
// kernel in this tick; a larger one is lent, if a spare is there to take its place. Inline ports lend every piece,
// since their events are over before the tick ends.
#include "engine/core/engine.h"

#define HEAD_ALIGNMENT 8

// More than any request has on its way in practice, and few enough that a chunk's slices never overflow its count.
#define LAST_CHARGE_MAX (INT64_C(1) << 40)

#define MEMORY_RETRY_NS (10 * Q_NS_PER_MS)

// Events that a port may hold while more is lent to its host than all hosts' share.
#define OVERDRAWN_EVENTS_MAX 8

// Whether the port's host may be given memory that is not of the hosts' share. One that reads gives it back at once, and
// shall not stand still because others do not.
static bool may_overdraw(const struct q_request *request) {
    return request->port->mode == QUOIT_PORT_INLINE || request->port->num_outstanding < OVERDRAWN_EVENTS_MAX;
}

// What frees memory is somebody else's release, and nobody knows who waits for it: so the next try comes by itself.
static bool refuse_for_memory(struct q_request *request) {
    struct q_engine *engine = request->engine;
    if (!q_list_is_linked(&request->refused_link)) {
        q_list_push_back(&engine->requests_short, &request->refused_link);
    }
    if (!q_timer_is_armed(&engine->memory_timer)) {
        q_loop_arm(&engine->loop, &engine->memory_timer, engine->loop.now_ns + MEMORY_RETRY_NS);
    }
    return false;
}

void q_engine_retry_short(struct q_timer *timer) {
    struct q_engine *engine = q_container_of(timer, struct q_engine, memory_timer);
    struct q_list waiting;
    struct q_list_node *node;
    q_list_init(&waiting);
    q_list_take(&waiting, &engine->requests_short);
    while ((node = q_list_pop_front(&waiting)) != NULL) {
        q_exchange_resume(&q_container_of(node, struct q_request, refused_link)->exchange);
    }
}

// A head in the chunk that it was built in. False: not now.
static bool may_lend_head(const struct q_request *request) {
    return q_chunk_pool_allows(&request->engine->small_pool, Q_CHUNK_FOR_HOST) || may_overdraw(request);
}

static void drop_own_chunk(struct q_request *request) {
    if (request->chunk != NULL) {
        q_chunk_release(request->chunk);
        request->chunk = NULL;
    }
}

// Gives the request a chunk of its own with room for `len` bytes. False: memory is short, or that is more than a piece
// that is copied has.
static bool have_room_for_copy(struct q_request *request, size_t len) {
    struct q_engine *engine = request->engine;
    if (request->chunk != NULL && request->chunk->pool->capacity - request->chunk->used >= len) {
        return true;
    }
    struct q_chunk_pool *pool = len <= Q_ENGINE_SMALL_BYTES ? &engine->small_pool : &engine->buffer_pool;
    struct q_chunk *chunk = len <= pool->capacity ? q_chunk_take(pool, Q_CHUNK_FOR_HOST) : NULL;
    if (chunk == NULL) {
        return false;
    }
    drop_own_chunk(request);
    chunk->owner = (struct q_handle){.index = request->index, .generation = request->generation};
    request->chunk = chunk;
    return true;
}

static void fill_head(struct q_port_entry *entry, const struct q_h1_out *out, struct q_chunk *chunk) {
    entry->event.u.head = (struct quoit_head){
        .status = out->status,
        .http_version = (uint16_t)(10 + out->version_minor),
        .headers = (const struct quoit_headers *)(const void *)out->headers,
    };
    entry->chunk = q_chunk_acquire(chunk);
}

// A head usually fills a fraction of the chunk that it was built in: it is copied to where the request gathers small
// pieces, so that hosts that are slow, or many, do not hold a large chunk for each head.
static void shrink_head(struct q_request *request, struct q_port_entry *entry) {
    const struct q_headers *block = (const struct q_headers *)(const void *)entry->event.u.head.headers;
    size_t size = (block->size + HEAD_ALIGNMENT - 1) & ~(size_t)(HEAD_ALIGNMENT - 1);
    if (request->port->mode == QUOIT_PORT_INLINE || size > Q_ENGINE_SMALL_BYTES / 2 ||
        !have_room_for_copy(request, size + HEAD_ALIGNMENT)) {
        return;
    }
    struct q_chunk *own = request->chunk;
    own->used = (own->used + HEAD_ALIGNMENT - 1) & ~(uint32_t)(HEAD_ALIGNMENT - 1);
    struct q_headers *copy = q_headers_copy(block, own->data + own->used);
    own->used += (uint32_t)size;
    q_chunk_release(entry->chunk);
    entry->chunk = q_chunk_acquire(own);
    entry->event.u.head.headers = (const struct quoit_headers *)(const void *)copy;
}

static bool on_informational(struct q_exchange *exchange, const struct q_h1_out *out, struct q_chunk *chunk) {
    struct q_request *request = q_request_of(exchange);
    if (!may_lend_head(request)) {
        return refuse_for_memory(request);
    }
    struct q_port_entry *entry = q_port_produce(request->port, request, QUOIT_EVENT_INFORMATIONAL, false);
    if (entry == NULL) {
        q_port_refuse(request->port, request);
        return false;
    }
    fill_head(entry, out, chunk);
    shrink_head(request, entry);
    return true;
}

static bool on_head(struct q_exchange *exchange, const struct q_h1_out *out, struct q_chunk *chunk) {
    struct q_request *request = q_request_of(exchange);
    Q_CHECK(!request->has_head);
    if (!may_lend_head(request)) {
        return refuse_for_memory(request);
    }
    request->has_head = true;
    bool is_upgrade = out->status == 101;
    if (is_upgrade) {
        q_feedword_open(&request->feeds, request->generation, exchange->spec->feed_max);
    }
    struct q_port_entry *entry =
        q_port_produce(request->port, request, is_upgrade ? QUOIT_EVENT_UPGRADED : QUOIT_EVENT_HEAD, true);
    fill_head(entry, out, chunk);
    shrink_head(request, entry);
    return true;
}

static bool on_trailers(struct q_exchange *exchange, const struct q_headers *trailers, struct q_chunk *chunk) {
    struct q_request *request = q_request_of(exchange);
    if (!may_lend_head(request)) {
        return refuse_for_memory(request);
    }
    struct q_port_entry *entry = q_port_produce(request->port, request, QUOIT_EVENT_TRAILERS, false);
    if (entry == NULL) {
        q_port_refuse(request->port, request);
        return false;
    }
    fill_head(entry, &(struct q_h1_out){.headers = trailers}, chunk);
    entry->event.u.head.http_version = 11;
    return true;
}

// Where a piece of body lies for the host, and what it holds on to.
struct kept {
    const char *data;
    struct q_chunk *chunk; // one hold
    uint64_t charge;
};

static bool keep_copy(struct q_request *request, struct q_slice data, struct kept *out) {
    if (!have_room_for_copy(request, data.len)) {
        return false;
    }
    struct q_chunk *own = request->chunk;
    char *at = own->data + own->used;
    memcpy(at, data.ptr, data.len);
    own->used += (uint32_t)data.len;
    *out = (struct kept){.data = at, .chunk = q_chunk_acquire(own), .charge = data.len};
    return true;
}

static void lend(struct q_request *request, struct q_slice data, struct q_chunk *chunk, uint64_t charge,
                 struct kept *out) {
    chunk->owner = (struct q_handle){.index = request->index, .generation = request->generation};
    // A host that grants by hand counts octets of body, and nothing else.
    *out = (struct kept){.data = data.ptr,
                         .chunk = q_chunk_acquire(chunk),
                         .charge = request->exchange.is_credit_manual ? data.len : charge};
}

// Without memory of the hosts' share the piece is lent all the same, to a host that reads: to refuse it would hold the
// same buffer, in a connection, where no host can give it back. What is left of the request's credit goes with it, so
// that the request holds this one buffer and no more until the host is done with it.
static void lend_the_last(struct q_request *request, struct q_slice data, struct q_chunk *chunk, struct kept *out) {
    int64_t credit = request->exchange.credit;
    credit = credit > LAST_CHARGE_MAX ? LAST_CHARGE_MAX : credit;
    lend(request, data, chunk, credit > (int64_t)data.len ? (uint64_t)credit : data.len, out);
    request->port->needs_credit = true; // the advance that brings it back wakes the loop
}

// A lent piece is charged by what it holds on to: its part of the buffer, with its part of what was left empty.
static uint64_t charge_of(struct q_slice data, const struct q_chunk *chunk) {
    return (uint64_t)data.len * chunk->pool->capacity / chunk->used;
}

// False: nothing was kept, and the connection holds the piece.
static bool keep(struct q_request *request, struct q_slice data, struct q_chunk *chunk, struct kept *out) {
    if (request->port->mode == QUOIT_PORT_INLINE) {
        lend(request, data, chunk, data.len, out);
    } else if (data.len * 2 >= Q_ENGINE_BUFFER_BYTES && q_chunk_pool_prime(chunk->pool, Q_CHUNK_FOR_HOST)) {
        lend(request, data, chunk, charge_of(data, chunk), out);
    } else if (!keep_copy(request, data, out)) {
        if (!may_overdraw(request)) {
            return refuse_for_memory(request);
        }
        lend_the_last(request, data, chunk, out);
    }
    return true;
}

// A piece that continues the last one, which the host has not seen yet, makes it longer instead of a new event.
static bool merge(struct q_request *request, const struct kept *kept, size_t len) {
    struct q_port_entry *last = request->port->last;
    if (last == NULL || last->event.type != QUOIT_EVENT_DATA || last->chunk != kept->chunk ||
        last->event.request.id != q_request_handle(request).id ||
        (const char *)last->event.u.data.data + last->event.u.data.len != kept->data) {
        return false;
    }
    last->event.u.data.len += len;
    last->charge += kept->charge;
    q_chunk_release(kept->chunk);
    return true;
}

static bool on_data(struct q_exchange *exchange, struct q_slice data, struct q_chunk *chunk) {
    struct q_request *request = q_request_of(exchange);
    struct q_port *port = request->port;
    if (port->ring.data_room == 0) {
        q_port_refuse(port, request);
        return false;
    }
    struct kept kept = {0};
    if (!keep(request, data, chunk, &kept)) {
        return false;
    }
    if (!merge(request, &kept, data.len)) {
        struct q_port_entry *entry = q_port_produce(port, request, QUOIT_EVENT_DATA, false);
        Q_CHECK(entry != NULL);
        entry->event.u.data = (struct quoit_data){
            .data = kept.data, .len = data.len, .offset = request->body_offset};
        entry->chunk = kept.chunk;
        entry->charge = kept.charge;
    }
    request->body_offset += data.len;
    exchange->credit -= (int64_t)kept.charge;
    port->needs_credit |= exchange->credit <= 0;
    return true;
}

static struct quoit_address address_of(const struct q_endpoint *endpoint) {
    struct quoit_address address = {.family = endpoint->family, .port = endpoint->port};
    memcpy(address.ip, endpoint->ip, sizeof address.ip);
    return address;
}

static bool on_fed(struct q_exchange *exchange, uint64_t bytes, uint64_t *out_left) {
    return q_feedword_take_off(&q_request_of(exchange)->feeds, bytes, out_left);
}

static bool on_room(struct q_exchange *exchange) {
    struct q_request *request = q_request_of(exchange);
    if (q_port_produce(request->port, request, QUOIT_EVENT_ROOM, false) == NULL) {
        q_port_refuse(request->port, request);
        return false;
    }
    return true;
}

static uint64_t on_stop_feeds(struct q_exchange *exchange) { return q_feedword_shut(&q_request_of(exchange)->feeds); }

// Reports are made where the public header is not known.
#define SAME_PLACE(ours, theirs) \
    _Static_assert(offsetof(struct q_tls_report_view, ours) == offsetof(struct quoit_tls_report, theirs), #theirs)
SAME_PLACE(certificates, certificates.list);
SAME_PLACE(num_certificates, certificates.count);
SAME_PLACE(staple.ptr, staple.data);
SAME_PLACE(staple.len, staple.len);
SAME_PLACE(message, message);
SAME_PLACE(subject, subject);
SAME_PLACE(issuer, issuer);
SAME_PLACE(depth, depth);
_Static_assert(sizeof(struct q_tls_report_view) == sizeof(struct quoit_tls_report), "nothing of it is missing");
_Static_assert(offsetof(struct q_slice, ptr) == offsetof(struct quoit_der, data) &&
                   offsetof(struct q_slice, len) == offsetof(struct quoit_der, len) &&
                   sizeof(struct q_slice) == sizeof(struct quoit_der), "a list of slices is one of DER");

static void add_report(struct q_port_entry *entry, struct q_tls_report *report) {
    entry->report = q_tls_report_hold(report);
    if (report != NULL) {
        entry->event.u.summary.tls_report = (const struct quoit_tls_report *)(const void *)&report->view;
    }
}

static void on_ended(struct q_exchange *exchange, const struct q_exchange_summary *summary) {
    struct q_request *request = q_request_of(exchange);
    struct q_engine *engine = request->engine;
    q_feedword_end(&request->feeds, request->generation);
    bool has_failed = q_error_is(summary->error);
    struct q_port_entry *entry =
        q_port_produce(request->port, request, has_failed ? QUOIT_EVENT_FAILED : QUOIT_EVENT_DONE, true);
    entry->event.u.summary = (struct quoit_summary){
        .failure = {.code = summary->error.code,
                    .os_errno = summary->error.os_errno,
                    .phase = summary->error.phase,
                    .retry_safe = summary->error.retry_safe,
                    .alert = summary->error.alert},
        .bytes_in = summary->bytes_in,
        .bytes_out = summary->bytes_out,
        .leased_ns = summary->leased_ns,
        .head_ns = summary->head_ns,
        .end_ns = summary->end_ns,
        .redirects = (const struct quoit_headers *)(const void *)summary->redirects,
        .remote = address_of(&summary->remote),
        .local = address_of(&summary->local),
        .connection_id = summary->connection_id,
        .status = summary->status,
        .attempts = (uint8_t)(summary->attempts < UINT8_MAX ? summary->attempts : UINT8_MAX),
        .num_redirects = summary->num_redirects,
        .reused = summary->is_reused,
        .tls_version = summary->tls.version,
        .tls_cipher = summary->tls.cipher,
        .tls_resumed = summary->tls.is_resumed,
        .tls_early = summary->tls.early,
        .tls_handshake_ns = summary->tls.handshake_ns,
    };
    _Static_assert((int)Q_STAGES <= (int)QUOIT_STAGES, "each stage has its place in a summary");
    add_report(entry, summary->report);
    memcpy(entry->event.u.summary.tls_alpn, summary->tls.alpn, sizeof summary->tls.alpn);
    _Static_assert(sizeof summary->tls.alpn == sizeof entry->event.u.summary.tls_alpn, "both with their NUL");
    memcpy(entry->event.u.summary.spent_ns, summary->spent_ns, sizeof summary->spent_ns);
    if (summary->dials != NULL) {
        entry->dials = q_chunk_acquire(summary->dials);
        const struct q_dials *dials = q_dials_of(entry->dials);
        entry->event.u.summary.dials = (const struct quoit_dials *)(const void *)dials;
        entry->event.u.summary.num_dials = dials->count;
    }
    if (summary->redirects != NULL) {
        entry->chunk = q_chunk_acquire(summary->redirects_chunk);
    }
    if (!request->has_head) {
        q_evring_unreserve(&request->port->ring, 1);
    }
    q_askword_withdraw(&request->ask);
    drop_own_chunk(request);
    engine->num_done += !has_failed;
    engine->num_failed += has_failed;
    engine->bytes_in += summary->bytes_in;
    engine->bytes_out += summary->bytes_out;
    if (q_list_is_linked(&request->refused_link)) {
        q_list_remove(&request->refused_link);
    }
    q_list_remove(&request->link);
    q_list_push_back(&engine->requests_dead, &request->link);
}

const struct q_exchange_sink q_engine_sink = {
    .informational = on_informational,
    .head = on_head,
    .ask = q_engine_ask,
    .ask_connection = q_engine_ask_connection,
    .unask = q_engine_unask,
    .data = on_data,
    .trailers = on_trailers,
    .fed = on_fed,
    .room = on_room,
    .stop_feeds = on_stop_feeds,
    .ended = on_ended,
};
