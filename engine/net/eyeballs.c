#include "engine/net/eyeballs.h"

// One attempt: from when it has a socket until that is closed, or handed over. Memory of its own, since most races are
// over with the first.
struct q_eyeballs_flight {
    struct q_list_node link; // in flights
    struct q_eyeballs *eyeballs;
    struct q_socket_stream socket;
    struct q_address address;
    uint32_t index; // in tries
    bool is_closing;
};

static const struct q_stream_events k_socket_events;

static struct q_eyeballs_flight *flight_at(struct q_list_node *node) {
    return q_container_of(node, struct q_eyeballs_flight, link);
}

static uint64_t now_of(const struct q_eyeballs *eyeballs) { return eyeballs->params.loop->now_ns; }

static void free_flight(struct q_eyeballs_flight *flight) {
    struct q_eyeballs *eyeballs = flight->eyeballs;
    q_list_remove(&flight->link);
    eyeballs->num_flights--;
    q_alloc_free(eyeballs->params.alloc, flight, sizeof *flight);
}

// --- ends ------------------------------------------------------------------------------------------------------------

static void end_try(struct q_eyeballs *eyeballs, uint32_t index, enum q_try_state state) {
    struct q_try *it = &eyeballs->tries[index];
    it->state = (uint8_t)state;
    it->took_ns = now_of(eyeballs) - eyeballs->began_ns - it->began_ns;
}

// Ends an attempt that connects still.
static void give_up(struct q_eyeballs_flight *flight) {
    end_try(flight->eyeballs, flight->index, Q_TRY_GIVEN_UP);
    flight->is_closing = true;
    flight->eyeballs->num_connecting--;
    q_stream_close(&flight->socket.stream);
}

// The outcome is known; what is under way besides ends. Telling waits until it has.
static void settle(struct q_eyeballs *eyeballs) {
    eyeballs->state = Q_EYEBALLS_SETTLING;
    eyeballs->is_waiting = false;
    q_loop_disarm(eyeballs->params.loop, &eyeballs->timer);
    for (struct q_list_node *node = eyeballs->flights.head.next; node != &eyeballs->flights.head; node = node->next) {
        struct q_eyeballs_flight *flight = flight_at(node);
        if (flight != eyeballs->won && !flight->is_closing) {
            give_up(flight);
        }
    }
}

static void fail(struct q_eyeballs *eyeballs, struct q_error error) {
    error.retry_safe = 1; // nothing has been sent
    eyeballs->error = error;
    settle(eyeballs);
}

static bool is_settled(const struct q_eyeballs *eyeballs) {
    return eyeballs->state == Q_EYEBALLS_SETTLING && eyeballs->num_flights == (eyeballs->won != NULL);
}

// Tells the end once it is one. The last look at the memory, which is the owner's from there.
static void tell_if_settled(struct q_eyeballs *eyeballs) {
    if (!is_settled(eyeballs)) {
        return;
    }
    q_loop_unpost(&eyeballs->task);
    eyeballs->state = Q_EYEBALLS_OVER;
    if (eyeballs->won != NULL) {
        struct q_io_slot slot = q_socket_stream_give(&eyeballs->won->socket);
        free_flight(eyeballs->won);
        eyeballs->events->on_connected(eyeballs, slot);
    } else if (eyeballs->is_canceled) {
        eyeballs->events->on_canceled(eyeballs);
    } else {
        eyeballs->events->on_failed(eyeballs, eyeballs->error);
    }
}

static void run_task(struct q_task *task) { tell_if_settled(q_container_of(task, struct q_eyeballs, task)); }

// For what is called from outside: nothing is told from inside a call.
static void tell_later_if_settled(struct q_eyeballs *eyeballs) {
    if (is_settled(eyeballs)) {
        q_loop_post(eyeballs->params.loop, &eyeballs->task);
    }
}

// --- attempts --------------------------------------------------------------------------------------------------------

static bool is_want_of_room(struct q_error error) {
    return error.code == Q_ERR_FD_LIMIT || error.code == Q_ERR_NO_MEMORY;
}

// Gives a try its socket. On an error there is none, and the try is as it was.
static struct q_error launch(struct q_eyeballs *eyeballs, uint32_t index) {
    const struct q_eyeballs_params *params = &eyeballs->params;
    struct q_eyeballs_flight *flight = q_alloc_new(params->alloc, sizeof *flight);
    if (flight == NULL) {
        return q_error_make(Q_ERR_NO_MEMORY, Q_PHASE_CONNECT);
    }
    flight->eyeballs = eyeballs;
    flight->index = index;
    flight->address = eyeballs->fixed.len > 0 ? eyeballs->fixed : q_endpoint_address(&eyeballs->tries[index].to);
    q_socket_stream_init(&flight->socket, params->loop->io, &k_socket_events);
    flight->socket.stream.above = flight;
    if (params->local.family != Q_ENDPOINT_NONE) {
        struct q_address local = q_endpoint_address(&params->local);
        q_socket_stream_bind(&flight->socket, &local);
    }
    if (params->options != NULL) {
        q_socket_stream_set_options(&flight->socket, params->options, params->num_options);
    }
    struct q_error error = q_stream_connect(&flight->socket.stream, &flight->address);
    if (q_error_is(error)) {
        q_alloc_free(params->alloc, flight, sizeof *flight);
        return error;
    }
    q_list_push_back(&eyeballs->flights, &flight->link);
    eyeballs->num_flights++;
    eyeballs->num_connecting++;
    return Q_OK;
}

// Moves tries[from] to `to`, which stands before it; those between move up.
static void bring_forward(struct q_eyeballs *eyeballs, uint32_t from, uint32_t to) {
    struct q_try it = eyeballs->tries[from];
    memmove(&eyeballs->tries[to + 1], &eyeballs->tries[to], (from - to) * sizeof it);
    eyeballs->tries[to] = it;
}

static bool is_favoured(const struct q_eyeballs *eyeballs, const struct q_endpoint *address) {
    const struct q_endpoint *favoured = &eyeballs->params.favoured;
    return favoured->family == address->family && memcmp(favoured->ip, address->ip, sizeof address->ip) == 0;
}

// Which one is next: the one that won last time, if nothing was tried yet; else the best of the other family than the last
// one's (RFC 8305 section 4); else the best.
static uint32_t pick(const struct q_eyeballs *eyeballs) {
    uint32_t first = eyeballs->num_tried;
    for (uint32_t i = first; i < eyeballs->num_tries; i++) {
        const struct q_endpoint *to = &eyeballs->tries[i].to;
        bool is_other = eyeballs->last_family != Q_ENDPOINT_NONE && to->family != eyeballs->last_family;
        if (first == 0 ? is_favoured(eyeballs, to) : is_other) {
            return i;
        }
    }
    return first;
}

static void give_up_oldest(struct q_eyeballs *eyeballs) {
    struct q_list_node *node = eyeballs->flights.head.next;
    while (flight_at(node)->is_closing) {
        node = node->next;
    }
    give_up(flight_at(node));
}

static uint64_t pace_of(const struct q_eyeballs *eyeballs) {
    uint64_t pace_ns = eyeballs->params.pace_ns == 0 ? Q_EYEBALLS_PACE_NS : eyeballs->params.pace_ns;
    pace_ns = pace_ns < Q_EYEBALLS_PACE_NS_MIN ? Q_EYEBALLS_PACE_NS_MIN : pace_ns;
    return pace_ns > Q_EYEBALLS_PACE_NS_MAX ? Q_EYEBALLS_PACE_NS_MAX : pace_ns;
}

static void arm(struct q_eyeballs *eyeballs, uint64_t in_ns) {
    q_loop_arm(eyeballs->params.loop, &eyeballs->timer, now_of(eyeballs) + in_ns);
}

// Begins the next attempt, of those that wait.
static void begin_next(struct q_eyeballs *eyeballs) {
    uint32_t index = eyeballs->num_tried;
    bring_forward(eyeballs, pick(eyeballs), index);
    if (eyeballs->num_connecting >= Q_EYEBALLS_FLIGHT_MAX) {
        give_up_oldest(eyeballs);
    }
    struct q_error error = launch(eyeballs, index);
    eyeballs->is_short = is_want_of_room(error);
    if (eyeballs->is_short && eyeballs->num_flights > 0) {
        arm(eyeballs, pace_of(eyeballs)); // or when a socket has closed
        return;
    }
    if (q_error_is(error)) {
        fail(eyeballs, error);
        return;
    }
    struct q_try *it = &eyeballs->tries[index];
    it->state = Q_TRY_CONNECTING;
    it->began_ns = now_of(eyeballs) - eyeballs->began_ns;
    eyeballs->last_family = it->to.family;
    eyeballs->num_tried++;
    arm(eyeballs, pace_of(eyeballs));
}

// --- when to go on ---------------------------------------------------------------------------------------------------

// Nothing is under way any more, and nothing can come.
static bool is_exhausted(const struct q_eyeballs *eyeballs) {
    return eyeballs->num_tried == eyeballs->num_tries && eyeballs->num_connecting == 0 && eyeballs->awaited == 0;
}

static bool has_waiting(const struct q_eyeballs *eyeballs, uint16_t family) {
    for (uint32_t i = eyeballs->num_tried; i < eyeballs->num_tries; i++) {
        if (family == Q_ENDPOINT_NONE ? is_favoured(eyeballs, &eyeballs->tries[i].to)
                                      : eyeballs->tries[i].to.family == family) {
            return true;
        }
    }
    return false;
}

// Whether the first attempt may be made with what is known (RFC 8305 section 3).
static bool may_begin(const struct q_eyeballs *eyeballs) {
    if (eyeballs->num_tried > 0 || eyeballs->awaited == 0) {
        return true;
    }
    if (!eyeballs->is_reachable) {
        return false; // there is no way to these, but maybe to the other family's
    }
    // For the family of who won last time a moment is waited, too.
    unsigned favoured = eyeballs->params.favoured.family == Q_ENDPOINT_V4   ? Q_RESOLVE_V4
                        : eyeballs->params.favoured.family == Q_ENDPOINT_V6 ? Q_RESOLVE_V6
                                                                            : 0;
    bool may_come = (eyeballs->awaited & favoured) != 0;
    return eyeballs->has_waited || has_waiting(eyeballs, Q_ENDPOINT_NONE) ||
           (!may_come && has_waiting(eyeballs, Q_ENDPOINT_V6));
}

// Goes on if that is due, or waits for what makes it due. An attempt whose time is not over yet holds back the next one:
// the timer is armed then.
static void go_on(struct q_eyeballs *eyeballs) {
    if (is_exhausted(eyeballs)) {
        fail(eyeballs, eyeballs->error);
    } else if (eyeballs->num_tried < eyeballs->num_tries) {
        if (may_begin(eyeballs)) {
            eyeballs->is_waiting = false;
            begin_next(eyeballs);
        } else if (!eyeballs->is_waiting && eyeballs->is_reachable) {
            eyeballs->is_waiting = true;
            arm(eyeballs, Q_EYEBALLS_RESOLUTION_NS);
        }
    }
}

static void timer_fired(struct q_timer *timer) {
    struct q_eyeballs *eyeballs = q_container_of(timer, struct q_eyeballs, timer);
    eyeballs->has_waited |= eyeballs->is_waiting;
    go_on(eyeballs);
    tell_if_settled(eyeballs);
}

// --- what sockets tell -----------------------------------------------------------------------------------------------

static void on_connected(struct q_stream *stream, struct q_error error) {
    struct q_eyeballs_flight *flight = stream->above;
    struct q_eyeballs *eyeballs = flight->eyeballs;
    eyeballs->num_connecting--;
    end_try(eyeballs, flight->index, q_error_is(error) ? Q_TRY_FAILED : Q_TRY_WON);
    if (!q_error_is(error)) {
        eyeballs->won = flight;
        settle(eyeballs);
        tell_if_settled(eyeballs);
        return;
    }
    eyeballs->tries[flight->index].code = error.code;
    eyeballs->tries[flight->index].os_errno = error.os_errno;
    eyeballs->error = error;
    flight->is_closing = true;
    q_stream_close(stream);
    go_on(eyeballs); // the next at once
}

static void on_closed(struct q_stream *stream) {
    struct q_eyeballs_flight *flight = stream->above;
    struct q_eyeballs *eyeballs = flight->eyeballs;
    free_flight(flight);
    bool is_held_up = eyeballs->state == Q_EYEBALLS_RACING && eyeballs->is_short;
    if (is_held_up) {
        go_on(eyeballs); // there is room now
    }
    tell_if_settled(eyeballs);
}

static void never(struct q_stream *stream, struct q_chunk *chunk, struct q_slice bytes) {
    (void)stream;
    (void)chunk;
    (void)bytes;
    Q_CHECK(false); // nothing is asked for
}

static const struct q_stream_events k_socket_events = {
    .on_connected = on_connected, .on_received = never, .on_closed = on_closed};

// --- what the owner says ---------------------------------------------------------------------------------------------

void q_eyeballs_init(struct q_eyeballs *eyeballs, const struct q_eyeballs_params *params, unsigned families,
                     const struct q_eyeballs_events *events) {
    *eyeballs = (struct q_eyeballs){.events = events, .params = *params, .awaited = (uint8_t)families};
    eyeballs->timer.fired = timer_fired;
    eyeballs->task.run = run_task;
    eyeballs->began_ns = params->loop->now_ns;
    eyeballs->error = q_error_make(Q_ERR_NAME_NO_ADDRESS, Q_PHASE_RESOLVE);
    q_list_init(&eyeballs->flights);
}

// Puts an address in line, unless it is there, cannot be reached from the local address, or there is no room.
static void enlist(struct q_eyeballs *eyeballs, const struct q_endpoint *address) {
    uint16_t local = eyeballs->params.local.family;
    bool is_wanted = eyeballs->num_tries < Q_ADDRESS_ORDER_MAX && (local == Q_ENDPOINT_NONE || local == address->family);
    for (uint32_t i = 0; i < eyeballs->num_tries && is_wanted; i++) {
        is_wanted = eyeballs->tries[i].to.family != address->family ||
                    memcmp(eyeballs->tries[i].to.ip, address->ip, sizeof address->ip) != 0;
    }
    if (is_wanted) {
        eyeballs->tries[eyeballs->num_tries++] = (struct q_try){.to = *address, .state = Q_TRY_WAITING};
    }
}

// Sorts those that wait: IPv6 first, and by what sources tell.
static void sort(struct q_eyeballs *eyeballs) {
    struct q_endpoint list[Q_ADDRESS_ORDER_MAX];
    uint32_t count = 0;
    for (int is_v4 = 0; is_v4 < 2; is_v4++) {
        for (uint32_t i = eyeballs->num_tried; i < eyeballs->num_tries; i++) {
            if ((eyeballs->tries[i].to.family != Q_ENDPOINT_V6) == is_v4) {
                list[count++] = eyeballs->tries[i].to;
            }
        }
    }
    bool has_choice = count > 1 || eyeballs->awaited != 0;
    const struct q_sources *sources = has_choice ? eyeballs->params.sources : NULL;
    count = q_address_order(sources, list, count, &eyeballs->is_reachable);
    for (uint32_t i = 0; i < count; i++) {
        eyeballs->tries[eyeballs->num_tried + i] = (struct q_try){.to = list[i], .state = Q_TRY_WAITING};
    }
    eyeballs->num_tries = eyeballs->num_tried + count;
}

// An answer is there, or will not come. An attempt that has its time still is not overtaken.
static void look_again(struct q_eyeballs *eyeballs) {
    bool is_paced = eyeballs->num_connecting > 0 && q_timer_is_armed(&eyeballs->timer);
    if (!is_paced || is_exhausted(eyeballs)) {
        go_on(eyeballs);
    }
    tell_later_if_settled(eyeballs);
}

void q_eyeballs_answer(struct q_eyeballs *eyeballs, unsigned family, const struct q_endpoint *addresses, uint32_t count,
                       struct q_error error) {
    if (eyeballs->state != Q_EYEBALLS_RACING || (eyeballs->awaited & family) == 0) {
        return;
    }
    eyeballs->awaited &= (uint8_t)~family;
    for (uint32_t i = 0; i < count; i++) {
        enlist(eyeballs, &addresses[i]);
    }
    if (count == 0 && eyeballs->num_tries == 0 && q_error_is(error)) {
        eyeballs->error = error;
    }
    sort(eyeballs);
    look_again(eyeballs);
}

void q_eyeballs_await_no_more(struct q_eyeballs *eyeballs, struct q_error error) {
    if (eyeballs->state != Q_EYEBALLS_RACING || eyeballs->awaited == 0) {
        return;
    }
    eyeballs->awaited = 0;
    if (eyeballs->num_tries == 0) {
        eyeballs->error = error;
    }
    look_again(eyeballs);
}

void q_eyeballs_at(struct q_eyeballs *eyeballs, const struct q_address *address) {
    Q_CHECK(eyeballs->awaited == 0 && eyeballs->num_tries == 0);
    eyeballs->fixed = *address;
    struct q_endpoint to = q_address_endpoint(address);
    enlist(eyeballs, &to);
    look_again(eyeballs);
}

void q_eyeballs_give_up(struct q_eyeballs *eyeballs) {
    Q_CHECK(eyeballs->awaited == 0 && eyeballs->num_tries == 0);
    look_again(eyeballs);
}

void q_eyeballs_cancel(struct q_eyeballs *eyeballs) {
    if (eyeballs->state == Q_EYEBALLS_OVER || eyeballs->is_canceled) {
        return;
    }
    eyeballs->is_canceled = true;
    if (eyeballs->won != NULL) {
        eyeballs->won->is_closing = true;
        q_stream_close(&eyeballs->won->socket.stream);
        eyeballs->won = NULL;
    }
    settle(eyeballs);
    tell_later_if_settled(eyeballs);
}

const struct q_endpoint *q_eyeballs_winner(const struct q_eyeballs *eyeballs) {
    for (uint32_t i = eyeballs->num_tried; i-- > 0;) {
        if (eyeballs->tries[i].state == Q_TRY_WON) {
            return &eyeballs->tries[i].to;
        }
    }
    return NULL;
}

uint32_t q_eyeballs_tell(const struct q_eyeballs *eyeballs, struct q_try *out, uint32_t room) {
    uint32_t count = eyeballs->num_tried < room ? eyeballs->num_tried : room;
    for (uint32_t i = 0; i < count; i++) {
        out[i] = eyeballs->tries[i];
        if (out[i].state == Q_TRY_CONNECTING) {
            out[i].took_ns = now_of(eyeballs) - eyeballs->began_ns - out[i].began_ns;
        }
    }
    return count;
}
