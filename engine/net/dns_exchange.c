#include "engine/net/dns_exchange.h"

#include <errno.h>

static struct q_dns_exchange *exchange_of(struct q_stream *stream) { return stream->above; }

static struct q_error resolve_error(enum q_error_code code, int32_t os_errno) {
    struct q_error error = q_error_os(code, Q_PHASE_RESOLVE, os_errno);
    error.retry_safe = 1;
    return error;
}

// How much an error says: a server's own word more than its silence.
static int weight_of(struct q_error error) {
    switch (error.code) {
    case Q_ERR_OK: return 0;
    case Q_ERR_NAME_SERVERS_SILENT: return 1;
    case Q_ERR_NAME_BAD_ANSWER: return 2;
    case Q_ERR_NAME_SERVER_REFUSED: return 3;
    case Q_ERR_NAME_SERVER_FAILED: return 4;
    default: return 5;
    }
}

static void note(struct q_dns_exchange *x, struct q_error error) {
    if (weight_of(error) >= weight_of(x->error)) {
        x->error = error;
    }
}

// --- tries ---------------------------------------------------------------------------------------------------------

static void start_try(struct q_dns_exchange *x);
static const struct q_stream_events k_stream_events;

static void drop_message(struct q_dns_exchange *x) {
    q_alloc_free(x->env->alloc, x->message, x->message_size);
    x->message = NULL;
    x->message_size = 0;
    x->message_len = 0;
}

static void tell_done(struct q_dns_exchange *x, struct q_error error) {
    if (!x->is_over) {
        x->is_over = true;
        x->events->on_done(x, error);
    }
}

// Nothing of the last try is in flight.
static void go_on(struct q_dns_exchange *x) {
    if (!x->is_over) {
        x->num_tried += x->next == Q_DNS_NEXT_SERVER;
        uint32_t num_servers = x->env->carrier != NULL ? 1 : x->conf->num_servers;
        if (x->num_tried < x->conf->attempts * num_servers) {
            start_try(x);
            return;
        }
        tell_done(x, x->error);
    }
    x->state = Q_DNS_QUIET;
    x->events->on_quiet(x);
}

static void end_try(struct q_dns_exchange *x, enum q_dns_next next) {
    bool has_socket = x->state == Q_DNS_CONNECTING || x->state == Q_DNS_ASKING;
    bool was_carried = x->state == Q_DNS_CARRIED;
    if (x->state == Q_DNS_CLOSING) {
        return;
    }
    q_loop_disarm(x->env->loop, &x->timer);
    x->state = Q_DNS_CLOSING;
    x->next = (uint8_t)next;
    if (has_socket) {
        q_stream_close(&x->socket.stream);
        return;
    }
    if (was_carried) {
        x->env->carrier->v->cancel(x->env->carrier, &x->parcel);
    }
    go_on(x);
}

// The next server is asked as any is at first.
static void give_up_on_server(struct q_dns_exchange *x, struct q_error error) {
    note(x, error);
    x->is_tcp = x->conf->use_vc;
    end_try(x, Q_DNS_NEXT_SERVER);
}

static void try_took_too_long(struct q_timer *timer) {
    struct q_dns_exchange *x = q_container_of(timer, struct q_dns_exchange, timer);
    if (x->state == Q_DNS_BROKEN) {
        tell_done(x, x->error);
        end_try(x, Q_DNS_NEXT_NOTHING);
        return;
    }
    x->env->stats.timeouts++;
    give_up_on_server(x, resolve_error(Q_ERR_NAME_SERVERS_SILENT, 0));
}

// Is told from the tick, as everything is.
static void break_off(struct q_dns_exchange *x, struct q_error error) {
    error.phase = Q_PHASE_RESOLVE;
    error.retry_safe = 1;
    x->error = error;
    x->state = Q_DNS_BROKEN;
    q_loop_arm(x->env->loop, &x->timer, x->env->loop->now_ns);
}

static uint16_t draw_id(struct q_dns_env *env) {
    uint64_t number = env->ids_drawn++;
    return (uint16_t)q_hash_keyed(env->id_key, &number, sizeof number);
}

// Hands the query over. What has come of it is no guess of a stranger's, and whole, as by TCP.
static void have_carried(struct q_dns_exchange *x) {
    struct q_dns_carrier *carrier = x->env->carrier;
    x->is_tcp = true;
    x->state = Q_DNS_CARRIED;
    x->env->stats.queries++;
    q_loop_arm(x->env->loop, &x->timer, x->env->loop->now_ns + x->conf->timeout_s * Q_NS_PER_S);
    carrier->v->ask(carrier, &x->parcel, q_slice_make(x->query.bytes, x->query.len));
}

static void start_try(struct q_dns_exchange *x) {
    const struct q_resolv_conf *conf = x->conf;
    bool is_carried = x->env->carrier != NULL;
    x->num_strange = 0;
    // Carried, an id of 0 makes equal queries equal to caches on the way (RFC 8484 section 4.1).
    struct q_error error = q_dns_query_make(&x->query, x->name, (enum q_dns_type)x->type,
                                            is_carried ? 0 : draw_id(x->env), x->with_edns);
    if (!q_error_is(error) && is_carried) {
        have_carried(x);
        return;
    }
    if (!q_error_is(error)) {
        q_socket_stream_init(&x->socket, x->env->loop->io, &k_stream_events);
        x->socket.stream.above = x;
        if (!x->is_tcp) {
            q_socket_stream_datagram(&x->socket);
        }
        error = q_stream_connect(&x->socket.stream, &conf->servers[(x->first + x->num_tried) % conf->num_servers]);
    }
    if (q_error_is(error)) {
        break_off(x, error);
        return;
    }
    x->state = Q_DNS_CONNECTING;
    q_loop_arm(x->env->loop, &x->timer, x->env->loop->now_ns + conf->timeout_s * Q_NS_PER_S);
}

// --- answers -------------------------------------------------------------------------------------------------------

static void receive(struct q_dns_exchange *x) { q_stream_recv(&x->socket.stream, Q_DNS_UDP_MAX); }

static void by_tcp(struct q_dns_exchange *x) {
    x->is_tcp = true;
    end_try(x, Q_DNS_NEXT_AGAIN);
}

static void drop_strange(struct q_dns_exchange *x) {
    x->env->stats.strange++;
    if (x->is_tcp) {
        give_up_on_server(x, resolve_error(Q_ERR_NAME_BAD_ANSWER, 0)); // nobody else can have sent it
    } else if (++x->num_strange > Q_DNS_STRANGE_MAX) {
        by_tcp(x);
    } else {
        receive(x);
    }
}

static void take_message(struct q_dns_exchange *x, struct q_slice message) {
    q_dns_answer_read(&x->answer, &x->query, message, x->is_tcp);
    switch ((enum q_dns_verdict)x->answer.verdict) {
    case Q_DNS_STRANGE: drop_strange(x); break;
    case Q_DNS_TRUNCATED: by_tcp(x); break;
    case Q_DNS_NO_EDNS:
        x->with_edns = false;
        end_try(x, Q_DNS_NEXT_AGAIN);
        break;
    case Q_DNS_SERVER_FAILED: {
        bool is_refusal = x->answer.rcode == 5;
        give_up_on_server(x, resolve_error(is_refusal ? Q_ERR_NAME_SERVER_REFUSED : Q_ERR_NAME_SERVER_FAILED, 0));
        break;
    }
    case Q_DNS_MALFORMED: give_up_on_server(x, resolve_error(Q_ERR_NAME_BAD_ANSWER, 0)); break;
    case Q_DNS_FOUND:
    case Q_DNS_NO_NAME:
    case Q_DNS_NO_DATA:
        tell_done(x, Q_OK);
        end_try(x, Q_DNS_NEXT_NOTHING);
        break;
    }
}

// Puts what came by TCP together: two bytes of length, then the message.
static void take_bytes(struct q_dns_exchange *x, struct q_slice bytes) {
    while (bytes.len > 0 && x->message_len < sizeof x->length) {
        x->length[x->message_len++] = (uint8_t)bytes.ptr[0];
        bytes = q_slice_from(bytes, 1);
    }
    if (x->message_len < sizeof x->length) {
        receive(x);
        return;
    }
    uint32_t size = (uint32_t)x->length[0] << 8 | x->length[1];
    if (x->message == NULL && size > 0) {
        x->message = q_alloc_new(x->env->alloc, size);
        x->message_size = x->message != NULL ? size : 0;
    }
    if (x->message == NULL) {
        give_up_on_server(x, resolve_error(size > 0 ? Q_ERR_NO_MEMORY : Q_ERR_NAME_BAD_ANSWER, 0));
        return;
    }
    uint32_t at = x->message_len - (uint32_t)sizeof x->length;
    uint32_t len = bytes.len < size - at ? (uint32_t)bytes.len : size - at; // what follows was not asked for
    if (len > 0) {
        memcpy(x->message + at, bytes.ptr, len);
    }
    x->message_len += len;
    if (at + len < size) {
        receive(x);
    } else {
        take_message(x, q_slice_make(x->message, size));
    }
}

static void on_carried(struct q_dns_parcel *parcel, struct q_slice message, struct q_error error) {
    struct q_dns_exchange *x = q_container_of(parcel, struct q_dns_exchange, parcel);
    x->state = Q_DNS_BROKEN; // there is nothing to cancel any more
    if (q_error_is(error)) {
        give_up_on_server(x, resolve_error(Q_ERR_NAME_SERVERS_SILENT, error.os_errno));
    } else {
        take_message(x, message);
    }
}

// --- stream events -------------------------------------------------------------------------------------------------

static void on_connected(struct q_stream *stream, struct q_error error) {
    struct q_dns_exchange *x = exchange_of(stream);
    if (x->state != Q_DNS_CONNECTING) {
        return;
    }
    if (q_error_is(error)) {
        give_up_on_server(x, resolve_error(Q_ERR_NAME_SERVERS_SILENT, error.os_errno));
        return;
    }
    x->state = Q_DNS_ASKING;
    x->env->stats.queries++;
    x->env->stats.by_tcp += x->is_tcp;
    x->prefix[0] = (uint8_t)(x->query.len >> 8);
    x->prefix[1] = (uint8_t)x->query.len;
    struct iovec parts[2] = {{x->prefix, sizeof x->prefix}, {x->query.bytes, x->query.len}};
    q_stream_send(stream, parts + !x->is_tcp, 1u + x->is_tcp);
    receive(x);
}

static void on_sent(struct q_stream *stream, size_t len, struct q_error error) {
    (void)len;
    struct q_dns_exchange *x = exchange_of(stream);
    if (x->state == Q_DNS_ASKING && q_error_is(error)) {
        give_up_on_server(x, resolve_error(Q_ERR_NAME_SERVERS_SILENT, error.os_errno));
    }
}

static void on_received(struct q_stream *stream, struct q_chunk *chunk, struct q_slice bytes) {
    struct q_dns_exchange *x = exchange_of(stream);
    if (x->state == Q_DNS_ASKING && x->is_tcp) {
        take_bytes(x, bytes);
    } else if (x->state == Q_DNS_ASKING) {
        take_message(x, bytes);
    }
    q_chunk_release(chunk);
}

static void on_ended(struct q_stream *stream, struct q_error error) {
    struct q_dns_exchange *x = exchange_of(stream);
    if (x->state != Q_DNS_ASKING) {
        return;
    }
    if (!q_error_is(error) && !x->is_tcp) {
        drop_strange(x); // an empty datagram
        return;
    }
    give_up_on_server(x, resolve_error(Q_ERR_NAME_SERVERS_SILENT, error.os_errno));
}

static void on_closed(struct q_stream *stream) {
    struct q_dns_exchange *x = exchange_of(stream);
    drop_message(x); // on_received has been left by now
    go_on(x);
}

static const struct q_stream_events k_stream_events = {
    .on_connected = on_connected,
    .on_received = on_received,
    .on_ended = on_ended,
    .on_sent = on_sent,
    .on_closed = on_closed,
};

// --- life ----------------------------------------------------------------------------------------------------------

void q_dns_exchange_init(struct q_dns_exchange *x, struct q_dns_env *env, const struct q_dns_exchange_events *events) {
    *x = (struct q_dns_exchange){.env = env, .events = events, .timer = {.fired = try_took_too_long},
                                 .parcel = {.on_answer = on_carried}};
}

void q_dns_exchange_begin(struct q_dns_exchange *x, struct q_slice name, enum q_dns_type type,
                          const struct q_resolv_conf *conf, uint32_t first) {
    Q_CHECK(x->state == Q_DNS_QUIET && conf->attempts > 0 && (conf->num_servers > 0 || x->env->carrier != NULL));
    x->name = name;
    x->type = (uint16_t)type;
    x->conf = conf;
    x->first = conf->num_servers > 0 ? first % conf->num_servers : 0;
    x->num_tried = 0;
    x->error = Q_OK;
    x->is_tcp = conf->use_vc;
    x->with_edns = true;
    x->is_over = false;
    start_try(x);
}

void q_dns_exchange_stop(struct q_dns_exchange *x) {
    if (x->state == Q_DNS_QUIET) {
        return;
    }
    x->is_over = true;
    if (x->state == Q_DNS_BROKEN) {
        return; // its timer is due, and finds nobody who wants it
    }
    end_try(x, Q_DNS_NEXT_NOTHING);
}
