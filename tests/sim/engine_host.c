// What the simulated host does, and what it checks: each event against the public header's promises.
#define _GNU_SOURCE
#include "tests/sim/engine_world.h"

#include "engine/loop/uring_abi.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// --- requests ----------------------------------------------------------------------------------------------------

static void count_release(void *context, const void *data, size_t len) {
    struct world_request *request = context;
    WORLD_CHECK(data == request->body && len == request->body_len, "a body came back changed");
    request->releases++;
}

// Draws the target and what is to be expected of it.
static void draw_target(struct world_request *request, char *out, size_t out_size) {
    static const char *const k_verbs[] = {"size", "chunked", "close", "status", "echo", "garbage", "never", "raw"};
    static const unsigned k_statuses[] = {200, 204, 304, 404};
    struct world *world = request->world;
    bool is_faulty_server = request->origin == ORIGIN_FAULTY;
    request->kind = (enum world_kind)world_pick(world, is_faulty_server ? KINDS : KIND_GARBAGE);
    request->count = world_chance(world, 20) ? world_pick(world, 150000) : world_pick(world, 3000);
    if (hard_draws_breach(request)) {
        request->kind = KIND_BREACH;
        request->count = world_pick(world, world->hard.num_raws);
    } else if (request->kind == KIND_STATUS) {
        request->count = k_statuses[world_pick(world, Q_COUNT_OF(k_statuses))];
    }
    int at = snprintf(out, out_size, "%s://127.0.0.1:%u/%s/%llu?tag=%u", sim_route_scheme(), 80 + (unsigned)request->origin,
                      k_verbs[request->kind], (unsigned long long)request->count, request->number);
    const char *more[5] = {"", "", "", "", ""};
    char delay[24] = "", fault[32] = "", info[24] = "", hops[24] = "";
    if (world_chance(world, 30)) {
        snprintf(delay, sizeof delay, "&%s=%u", world_chance(world, 50) ? "delay" : "pause",
                 (unsigned)world_pick(world, 20));
    }
    if (world_chance(world, 15)) {
        request->num_infos = (uint32_t)world_pick(world, 4);
        snprintf(info, sizeof info, "&info=%u", request->num_infos);
    }
    if (is_faulty_server && world_chance(world, 50)) {
        static const char *const k_faults[] = {"reset", "cut", "stall", "linger", "drop", "early"};
        uint64_t which = world_pick(world, Q_COUNT_OF(k_faults));
        which = which == 1 && request->kind == KIND_CLOSE ? 0 : which; // a cut body without a length looks whole
        which = which == 5 && request->kind == KIND_ECHO ? 4 : which;  // before the body there is nothing to echo
        snprintf(fault, sizeof fault, "&%s=%u", k_faults[which], (unsigned)world_pick(world, 600));
        if (which >= 4) {
            *strchr(fault, '=') = 0;
        }
        request->is_faulty = true;
    }
    more[0] = delay;
    more[1] = fault;
    more[2] = info;
    more[3] = world_chance(world, 10) ? "&last" : "";
    if (world_chance(world, 20)) {
        request->hops = 1 + (uint32_t)world_pick(world, WORLD_HOPS_MAX + 1);
        snprintf(hops, sizeof hops, "&hops=%u", request->hops);
    }
    more[4] = hops;
    for (size_t i = 0; i < Q_COUNT_OF(more); i++) {
        at += snprintf(out + at, out_size - (size_t)at, "%s", more[i]);
    }
    if (request->kind == KIND_ECHO || request->body_len > 0) {
        snprintf(out + at, out_size - (size_t)at, "&check");
    }
    if (request->kind == KIND_BREACH) {
        hard_add_trouble(request, out, out_size);
    }
}

static void draw_method(struct world_request *request) {
    static const struct {
        const char *method;
        bool is_idempotent;
        bool has_body;
    } k_methods[] = {{"GET", true, false}, {"GET", true, false}, {"HEAD", true, false},
                     {"POST", false, true}, {"PUT", true, true}, {"DELETE", true, false}};
    struct world *world = request->world;
    uint64_t which = world_pick(world, Q_COUNT_OF(k_methods));
    snprintf(request->method, sizeof request->method, "%s", k_methods[which].method);
    request->is_idempotent = k_methods[which].is_idempotent;
    request->is_head_method = strcmp(request->method, "HEAD") == 0;
    if (k_methods[which].has_body) {
        request->body_len = world_chance(world, 20) ? world_pick(world, WORLD_BODY_MAX) : world_pick(world, 500);
    }
}

static struct quoit_request *build(struct world_request *request) {
    struct world *world = request->world;
    char url[256];
    draw_method(request);
    draw_target(request, url, sizeof url);
    struct quoit_request *built = NULL;
    int32_t code = quoit_request_new(request->method, url, &built);
    WORLD_CHECK(code == 0, "request_new(%s) gave %s", url, quoit_error_name(code));
    snprintf(request->target, sizeof request->target, "%s %s", request->method, strrchr(url, ':'));
    if (strcmp(request->method, "POST") == 0 || strcmp(request->method, "PUT") == 0) {
        request->body = malloc(request->body_len + 1);
        q_simhttp_fill(request->number, 0, request->body, request->body_len);
        code = quoit_request_set_body(built, request->body, request->body_len, count_release, request);
        WORLD_CHECK(code == 0, "set_body gave %s", quoit_error_name(code));
    }
    code = sim_route_set(built);
    WORLD_CHECK(code == 0, "set_tls gave %s", quoit_error_name(code));
    request->credit = 256 * 1024; // the default
    request->has_total_timeout = world_chance(world, 25);
    request->has_connect_timeout = world_chance(world, 25);
    request->has_answer_timeout = world_chance(world, 25);
    request->asks = world_chance(world, 70);
    struct quoit_request_bounds bounds = {
        .struct_size = sizeof bounds,
        .total_ms = request->has_total_timeout ? 1 + world_pick(world, 100) : 0,
        .connect_ms = request->has_connect_timeout ? 1 + world_pick(world, 50) : 0,
        .answer_ms = request->has_answer_timeout ? 1 + world_pick(world, 50) : 0,
    };
    struct quoit_redirect_options redirects = {
        .struct_size = sizeof redirects, .limit = WORLD_HOPS_MAX, .ask = request->asks};
    if (world_chance(world, 15)) {
        char local[16];
        request->local = (uint8_t)(2 + world_pick(world, 2));
        snprintf(local, sizeof local, "127.0.0.%u", request->local);
        code = quoit_request_set_local_address(built, local);
        WORLD_CHECK(code == 0, "set_local_address gave %s", quoit_error_name(code));
    }
    code = quoit_request_set_redirects(built, &redirects);
    WORLD_CHECK(code == 0, "set_redirects gave %s", quoit_error_name(code));
    code = quoit_request_set_bounds(built, &bounds);
    WORLD_CHECK(code == 0, "set_bounds gave %s", quoit_error_name(code));
    if (world_chance(world, 30)) {
        request->is_manual = world_chance(world, 50);
        request->credit = 1 + world_pick(world, 30000);
        code = quoit_request_set_credit(built, request->credit, request->is_manual);
        WORLD_CHECK(code == 0, "set_credit gave %s", quoit_error_name(code));
    }
    if (world->starvation == GIVES_NO_CREDIT) {
        request->is_manual = true;
        request->credit = world_chance(world, 50) ? 0 : world_pick(world, 2000);
        code = quoit_request_set_credit(built, request->credit, 1);
        WORLD_CHECK(code == 0, "set_credit gave %s", quoit_error_name(code));
    }
    return built;
}

static bool may_be_refused(const struct world *world, int32_t code) {
    return code == QUOIT_ERR_PORT_FULL || code == QUOIT_ERR_REQUESTS_MAX ||
           (code == QUOIT_ERR_CLOSED && world->is_closing);
}

static enum world_origin draw_origin(struct world *world) {
    static const uint8_t k_weights[ORIGINS] = {[ORIGIN_CLEAN] = 40,      [ORIGIN_SLOW] = 12,     [ORIGIN_MOODY] = 18,
                                               [ORIGIN_FAULTY] = 22,     [ORIGIN_REFUSES] = 3,
                                               [ORIGIN_UNREACHABLE] = 2, [ORIGIN_BLACKHOLE] = 3};
    if (hard_is(world, HARD_BREACHES) && world_chance(world, 60)) {
        return ORIGIN_BREACH;
    }
    uint64_t drawn = world_pick(world, 100);
    unsigned origin = 0;
    for (unsigned sum = k_weights[0]; drawn >= sum; sum += k_weights[origin]) {
        origin++;
    }
    return (enum world_origin)origin;
}

void world_submit(struct world *world) {
    if (world->num_requests == world->max_requests) {
        return;
    }
    struct world_request *request = &world->requests[world->num_requests];
    *request = (struct world_request){.world = world, .number = world->num_requests + 1};
    request->origin = draw_origin(world);
    request->port = (uint32_t)world_pick(world, world->num_ports);
    struct quoit_request *built = build(request);
    world->num_requests++; // its events may come while we are still here
    int32_t code =
        quoit_submit(world->engine, world->ports[request->port].handle, built, request->number, &request->handle);
    quoit_request_release(built);
    if (code != 0) {
        WORLD_CHECK(may_be_refused(world, code), "submit gave %s", quoit_error_name(code));
        WORLD_CHECK(request->body == NULL || request->releases == 1, "a refused request keeps its body");
        world->num_requests--;
        free(request->body);
    }
}

// --- slices ------------------------------------------------------------------------------------------------------

void world_release_slice(struct world *world, uint32_t index) {
    struct world_slice *held = &world->slices[index];
    WORLD_CHECK(hard_is_breach(&world->requests[held->tag - 1]) ||
                    q_simhttp_matches(held->tag, held->offset, held->slice.data, held->slice.len),
                "a taken slice of request %llu has changed", (unsigned long long)held->tag);
    world->requests[held->tag - 1].held -= held->slice.len;
    int32_t code = quoit_slice_release(world->engine, &held->slice);
    WORLD_CHECK(code == 0, "slice_release gave %s", quoit_error_name(code));
    *held = world->slices[--world->num_slices];
}

// True: the event's memory lives and dies with the slice from here on.
static bool maybe_take(struct world_port *port, const struct quoit_event *event) {
    struct world *world = port->world;
    bool holds = world->starvation == HOLDS_SLICES;
    if (event->type != QUOIT_EVENT_DATA || world->is_settling ||
        world->num_slices == (holds ? WORLD_SLICES_HELD : WORLD_SLICES) || (!holds && !world_chance(world, 15))) {
        return false;
    }
    struct world_slice *held = &world->slices[world->num_slices++];
    held->tag = event->user_data;
    held->offset = event->u.data.offset;
    int32_t code = quoit_port_take(port->handle, event, &held->slice);
    WORLD_CHECK(code == 0, "take gave %s", quoit_error_name(code));
    WORLD_CHECK(held->slice.data == event->u.data.data && held->slice.len == event->u.data.len,
                "a slice is not what its event said");
    struct quoit_slice again;
    code = quoit_port_take(port->handle, event, &again);
    WORLD_CHECK(code == QUOIT_ERR_INVALID_ARGUMENT, "a second take gave %s", quoit_error_name(code));
    return true;
}

// --- events ------------------------------------------------------------------------------------------------------

static bool has_number(const struct quoit_headers *headers, const char *name, uint64_t number) {
    char expected[24];
    const char *value;
    size_t len;
    int expected_len = snprintf(expected, sizeof expected, "%llu", (unsigned long long)number);
    return quoit_headers_get(headers, name, strlen(name), &value, &len) == 1 && len == (size_t)expected_len &&
           memcmp(value, expected, len) == 0;
}

static void check_head(struct world_request *request, const struct quoit_event *event) {
    WORLD_CHECK(!request->has_head, "request %u got two heads", request->number);
    request->has_head = true;
    if (hard_is_breach(request)) {
        return; // it breaks behind its head
    }
    unsigned expected = request->was_stopped ? 307 : request->kind == KIND_STATUS ? (unsigned)request->count : 200;
    WORLD_CHECK(!request->asks || request->is_answered || request->token == 0, "request %u got its head unanswered",
                request->number);
    WORLD_CHECK(event->u.head.status == expected, "request %u got status %u", request->number, event->u.head.status);
    WORLD_CHECK(has_number(event->u.head.headers, "x-tag", request->number), "request %u got another's head",
                request->number);
}

static void check_data(struct world_request *request, const struct quoit_event *event) {
    WORLD_CHECK(request->has_head && !request->has_trailers, "request %u: data out of order", request->number);
    WORLD_CHECK(event->u.data.len > 0 && event->u.data.offset == request->received,
                "request %u: data at %llu, %llu were received", request->number,
                (unsigned long long)event->u.data.offset, (unsigned long long)request->received);
    WORLD_CHECK(hard_is_breach(request) ||
                    q_simhttp_matches(request->number, request->received, event->u.data.data, event->u.data.len),
                "request %u got wrong bytes", request->number);
    request->received += event->u.data.len;
    request->held += event->u.data.len;
    uint64_t counted = request->is_manual ? request->received : request->held;
    WORLD_CHECK(counted <= request->credit + Q_ENGINE_BUFFER_BYTES, "request %u: %llu bytes on a credit of %llu",
                request->number, (unsigned long long)counted, (unsigned long long)request->credit);
}

static uint64_t expected_len(const struct world_request *request) {
    if (request->is_head_method || (request->kind == KIND_STATUS && !request->was_stopped)) {
        return 0;
    }
    if (request->was_stopped) {
        return Q_SIMHTTP_HOP_BYTES;
    }
    return request->kind == KIND_ECHO ? request->body_len : request->count;
}

static void check_done(struct world_request *request) {
    WORLD_CHECK(request->was_stopped || request->kind < KIND_GARBAGE || hard_may_be_done(request),
                "request %u: done without an answer", request->number);
    WORLD_CHECK(request->was_stopped || !request->asks || request->questions == request->hops,
                "request %u: %u questions about %u hops", request->number, request->questions, request->hops);
    if (hard_is_breach(request)) {
        return;
    }
    WORLD_CHECK(request->has_head && request->received == expected_len(request),
                "request %u (%s): done with %llu of %llu", request->number, request->target,
                (unsigned long long)request->received, (unsigned long long)expected_len(request));
    uint32_t infos = request->was_stopped ? 0 : request->num_infos;
    WORLD_CHECK(request->infos == infos, "request %u: %u of %u informational heads", request->number,
                request->infos, infos);
    bool wants_trailers = request->kind == KIND_CHUNKED && !request->is_head_method && !request->was_stopped;
    WORLD_CHECK(request->has_trailers == wants_trailers, "request %u: trailers %d", request->number,
                request->has_trailers);
}

static bool is_peers_fault(const struct world_request *request, int32_t code) {
    bool is_moody = request->origin == ORIGIN_MOODY || request->origin == ORIGIN_FAULTY;
    int32_t category = quoit_error_category(code);
    if (request->kind == KIND_GARBAGE && category == QUOIT_CATEGORY_HTTP) {
        return true;
    }
    bool is_truncated = code == QUOIT_ERR_HTTP_TRUNCATED_HEAD || code == QUOIT_ERR_HTTP_TRUNCATED_BODY;
    return is_moody && (category == QUOIT_CATEGORY_CONNECTION || is_truncated || sim_route_may_fail_with(code));
}

// What the faults that world_act injects may become.
static bool is_kernels_fault(const struct world_request *request, int32_t code) {
    int32_t category = quoit_error_category(code);
    bool is_truncated = code == QUOIT_ERR_HTTP_TRUNCATED_HEAD || code == QUOIT_ERR_HTTP_TRUNCATED_BODY;
    return request->world->has_kernel_faults &&
           (category == QUOIT_CATEGORY_CONNECTION || category == QUOIT_CATEGORY_NAME_CONNECT || is_truncated ||
            code == QUOIT_ERR_FD_LIMIT);
}

static bool may_fail_with(const struct world_request *request, int32_t code) {
    const struct world *world = request->world;
    if (is_kernels_fault(request, code) || is_peers_fault(request, code) || hard_may_fail_with(request, code)) {
        return true;
    }
    if (world->has_memory_faults && sim_route_may_fail_with(code)) {
        return true; // a few allocations of the library's fail without a trace
    }
    switch (code) {
    case QUOIT_ERR_CANCELED: return request->was_canceled;
    case QUOIT_ERR_CLOSED: return world->is_closing;
    case QUOIT_ERR_TIMEOUT_TOTAL: return request->has_total_timeout;
    case QUOIT_ERR_TIMEOUT_CONNECT: return request->has_connect_timeout || request->origin == ORIGIN_BLACKHOLE;
    case QUOIT_ERR_WAITERS_MAX: return world->waiters_max < 10;
    case QUOIT_ERR_CONNECT_REFUSED: return request->origin == ORIGIN_REFUSES;
    case QUOIT_ERR_CONNECT_UNREACHABLE: return request->origin == ORIGIN_UNREACHABLE;
    case QUOIT_ERR_CONNECT_TIMED_OUT: return request->origin == ORIGIN_BLACKHOLE;
    case QUOIT_ERR_NO_MEMORY: return world->has_memory_faults;
    case QUOIT_ERR_TOO_MANY_REDIRECTS: return request->hops > WORLD_HOPS_MAX && !request->was_stopped;
    case QUOIT_ERR_REDIRECT_REFUSED: return request->was_refused;
    case QUOIT_ERR_TIMEOUT_ANSWER: return request->asks && request->questions > 0;
    default: return false;
    }
}

static void check_failed(struct world_request *request, const struct quoit_event *event) {
    request->failure = event->u.summary.failure;
    request->world->failed_by_code[(uint32_t)request->failure.code % 1000]++;
    WORLD_CHECK(may_fail_with(request, request->failure.code), "request %u (%s) failed with %s in %s",
                request->number, request->target, quoit_error_name(request->failure.code),
                quoit_phase_name(request->failure.phase));
}

// Gives an answer to the last question of a request, which may be over, or answered already: then it changes nothing.
static void answer(struct world_request *request) {
    struct world *world = request->world;
    uint64_t drawn = world_pick(world, 100);
    uint32_t answer = drawn < 75 ? QUOIT_ANSWER_YES : drawn < 90 ? QUOIT_ANSWER_STOP : QUOIT_ANSWER_REFUSE;
    int32_t code = quoit_answer(world->engine, request->token, answer);
    WORLD_CHECK(code == 0 || code == QUOIT_ERR_STALE_HANDLE, "answer gave %s", quoit_error_name(code));
    if (code == 0 && !request->is_answered) {
        request->is_answered = true;
        request->was_stopped = answer == QUOIT_ANSWER_STOP;
        request->was_refused = answer == QUOIT_ANSWER_REFUSE;
    }
}

static void check_question(struct world_request *request, const struct quoit_event *event) {
    const struct quoit_question *question = &event->u.question;
    WORLD_CHECK(request->asks && !request->has_head && request->questions < request->hops,
                "request %u: a question out of order", request->number);
    WORLD_CHECK(question->token != request->token && question->status == 307 && question->hop == request->questions + 1,
                "request %u: question %u is about hop %u", request->number, request->questions, question->hop);
    WORLD_CHECK(question->method_len == strlen(request->method) &&
                    memcmp(question->method, request->method, question->method_len) == 0,
                "request %u: another's method", request->number);
    request->questions++;
    request->token = question->token;
    request->is_answered = false;
    if (request->world->is_settling || world_chance(request->world, 50)) {
        answer(request); // from inside the event
    }
}

static void answer_any(struct world *world) {
    struct world_request *request = &world->requests[world_pick(world, world->num_requests)];
    if (request->token != 0) {
        answer(request);
    }
}

static void check_event_of_request(struct world_port *port, const struct quoit_event *event) {
    struct world *world = port->world;
    WORLD_CHECK(event->user_data >= 1 && event->user_data <= world->num_requests, "an event of nobody");
    struct world_request *request = &world->requests[event->user_data - 1];
    WORLD_CHECK(port == &world->ports[request->port], "request %u: an event on another port", request->number);
    WORLD_CHECK(request->handle.id == 0 || event->request.id == request->handle.id,
                "request %u: another's handle", request->number);
    WORLD_CHECK(!request->has_ended, "request %u: event %u after its terminal event", request->number, event->type);
    switch (event->type) {
    case QUOIT_EVENT_INFORMATIONAL:
        WORLD_CHECK(!request->has_head && event->u.head.status == 103, "request %u: status %u before the head",
                    request->number, event->u.head.status);
        request->infos++;
        break;
    case QUOIT_EVENT_QUESTION: check_question(request, event); break;
    case QUOIT_EVENT_HEAD: check_head(request, event); break;
    case QUOIT_EVENT_DATA: check_data(request, event); break;
    case QUOIT_EVENT_TRAILERS:
        WORLD_CHECK(request->has_head && !request->has_trailers, "request %u: trailers out of order", request->number);
        WORLD_CHECK(hard_is_breach(request) || has_number(event->u.head.headers, "x-trailer", request->number),
                    "request %u: wrong trailers", request->number);
        request->has_trailers = true;
        break;
    case QUOIT_EVENT_DONE:
    case QUOIT_EVENT_FAILED:
        WORLD_CHECK(event->u.summary.remote.family == QUOIT_ADDRESS_NONE ||
                        event->u.summary.local.ip[3] == request->local,
                    "request %u came from 127.0.0.%u", request->number, event->u.summary.local.ip[3]);
        if (event->type == QUOIT_EVENT_DONE) {
            check_done(request);
            world->done++;
        } else {
            check_failed(request, event);
            world->failed++;
        }
        request->has_ended = true;
        break;
    default: WORLD_CHECK(false, "event type %u", event->type);
    }
}

static void check_event(struct world_port *port, const struct quoit_event *event) {
    WORLD_CHECK(!port->is_closed, "event %u after CLOSED", event->type);
    if (event->type != QUOIT_EVENT_CLOSED) {
        check_event_of_request(port, event);
        return;
    }
    WORLD_CHECK(port->world->is_closing, "CLOSED, and nobody closed");
    port->is_closed = true;
    for (uint32_t i = 0; i < port->world->num_requests; i++) {
        const struct world_request *request = &port->world->requests[i];
        WORLD_CHECK(&port->world->ports[request->port] != port || request->has_ended,
                    "request %u has not ended when its port has", request->number);
    }
}

void world_on_event(void *context, const struct quoit_event *event) {
    struct world_port *port = context;
    check_event(port, event);
    if (!maybe_take(port, event) && event->type == QUOIT_EVENT_DATA) {
        port->world->requests[event->user_data - 1].held -= event->u.data.len; // advanced over when this returns
    }
    if (port->world->is_settling || event->type == QUOIT_EVENT_CLOSED) {
        return;
    }
    if (world_chance(port->world, 5)) {
        world_submit(port->world);
    }
    if (world_chance(port->world, 1)) {
        struct world_request *request = &port->world->requests[event->user_data - 1];
        request->was_canceled = true;
        quoit_cancel(port->world->engine, event->request);
    }
}

// What was drained must stay as it is until the host advances.
void world_advance(struct world_port *port) {
    for (int32_t i = 0; i < port->num_drained; i++) {
        const struct quoit_event *event = &port->drained[i];
        if (event->type == QUOIT_EVENT_DATA) {
            port->world->requests[event->user_data - 1].held -= event->u.data.len;
            WORLD_CHECK(
                hard_is_breach(&port->world->requests[event->user_data - 1]) ||
                    q_simhttp_matches(event->user_data, event->u.data.offset, event->u.data.data, event->u.data.len),
                "data of request %llu changed before the host advanced", (unsigned long long)event->user_data);
        } else if (event->type == QUOIT_EVENT_HEAD) {
            WORLD_CHECK(hard_is_breach(&port->world->requests[event->user_data - 1]) ||
                            has_number(event->u.head.headers, "x-tag", event->user_data),
                        "the head of request %llu changed before the host advanced",
                        (unsigned long long)event->user_data);
        } else if (event->type == QUOIT_EVENT_QUESTION) {
            const struct quoit_question *question = &event->u.question;
            size_t scheme_len = strlen(sim_route_scheme());
            WORLD_CHECK(question->url_len > 16 && memcmp(question->url, sim_route_scheme(), scheme_len) == 0 &&
                            memcmp(question->url + scheme_len, "://127.0.0.1", 12) == 0,
                        "a question of request %llu changed before the host advanced",
                        (unsigned long long)event->user_data);
        }
    }
    port->num_drained = 0;
    int32_t code = quoit_port_advance(port->handle);
    WORLD_CHECK(code == 0, "advance gave %s", quoit_error_name(code));
}

void world_take_events(struct world_port *port) {
    struct world *world = port->world;
    if (port->num_drained > 0) {
        if (world->is_settling || world_chance(world, 60)) {
            world_advance(port);
        }
        return;
    }
    int32_t max = (int32_t)hard_drain_max(port, 1 + (uint32_t)world_pick(world, WORLD_DRAIN));
    int32_t count = quoit_port_drain(port->handle, port->drained, sizeof port->drained[0], (size_t)max);
    WORLD_CHECK(count >= 0, "drain gave %s", quoit_error_name(-count));
    for (int32_t i = 0; i < count; i++) {
        check_event(port, &port->drained[i]);
        if (maybe_take(port, &port->drained[i])) {
            port->drained[i].type = 0; // not to be looked at again
        }
    }
    port->num_drained = count;
    hard_drained(port);
    port->must_drain = count == max; // returning less, a drain has armed the descriptor
    if (count == 0 && !world->is_settling) {
        port->is_lazy = world_chance(world, 5);
    }
}

// --- acts --------------------------------------------------------------------------------------------------------

uint32_t world_pending(const struct world *world) {
    uint32_t pending = 0;
    for (uint32_t i = 0; i < world->num_requests; i++) {
        pending += !world->requests[i].has_ended;
    }
    return pending;
}

void world_close(struct world *world, uint64_t drain_ms) {
    world->is_closing = true;
    int32_t code = quoit_engine_close(world->engine, drain_ms);
    WORLD_CHECK(code == 0, "close gave %s", quoit_error_name(code));
}

static void cancel_any(struct world *world) {
    // Mostly a late one: those that live long are rare.
    uint64_t recent = world->num_requests < 5 ? world->num_requests : 5;
    uint64_t index = world_chance(world, 50) ? world_pick(world, world->num_requests)
                                             : world->num_requests - 1 - world_pick(world, recent);
    struct world_request *request = &world->requests[index];
    request->was_canceled = request->was_canceled || !request->has_ended;
    int32_t code = quoit_cancel(world->engine, request->handle);
    WORLD_CHECK(code == 0 || (code == QUOIT_ERR_STALE_HANDLE), "cancel gave %s", quoit_error_name(code));
}

static void grant_any(struct world *world) {
    struct world_request *request = &world->requests[world_pick(world, world->num_requests)];
    uint64_t bytes = 1 + world_pick(world, 20000);
    int32_t code = quoit_grant(world->engine, request->handle, bytes);
    request->credit += bytes; // it adds to automatic credit too
    WORLD_CHECK(code == 0 || code == QUOIT_ERR_STALE_HANDLE, "grant gave %s", quoit_error_name(code));
}

void world_act(struct world *world) {
    uint64_t act = world_pick(world, 100);
    if (act < 40) {
        world_submit(world);
    } else if (act < 42 && world->num_requests > 0) {
        cancel_any(world);
    } else if (act < 52 && world->num_requests > 0) {
        answer_any(world);
    } else if (act < 60 && world->num_requests > 0 && world->starvation != GIVES_NO_CREDIT) {
        grant_any(world);
    } else if (act < 70 && world->num_slices > 0 && world->starvation != HOLDS_SLICES) {
        world_release_slice(world, (uint32_t)world_pick(world, world->num_slices));
    } else if (act < 80) {
        struct world_port *port = &world->ports[world_pick(world, world->num_ports)];
        port->is_lazy = port->is_lazy && world_chance(world, 50);
    } else if (act == 80 && world_chance(world, 10)) {
        world_close(world, world_pick(world, 100));
    } else if (act < 90 && world->has_memory_faults) {
        uint64_t nth = world_pick(world, 4);
        if (sim_route == NULL || world_chance(world, 50)) {
            q_failalloc_fail_at(world->failalloc, nth);
        } else {
            sim_route_fail_memory_at(world_pick(world, 400)); // a handshake has some hundreds
        }
    } else if (act >= 90 && world->has_kernel_faults) {
        static const unsigned k_opcodes[] = {IORING_OP_SOCKET, Q_URING_OP_URING_CMD, IORING_OP_CONNECT, IORING_OP_RECV,
                                             IORING_OP_SEND,   IORING_OP_SENDMSG,    Q_URING_OP_BIND};
        static const int k_errors[] = {EMFILE, ENOBUFS, EIO, ENETDOWN, EINTR, EAGAIN, ENOMEM};
        q_sim_fail_op(world->sim, k_opcodes[world_pick(world, Q_COUNT_OF(k_opcodes))],
                      (unsigned)world_pick(world, 4), k_errors[world_pick(world, Q_COUNT_OF(k_errors))]);
    }
}

void world_describe(struct world *world) {
    struct q_engine *engine = q_table_entry_of(world->engine)->engine;
    fprintf(stderr, "engine: phase %u, ticks %llu, pool: %u live, %u slots open, idle %d, now %llu, tick at %llu\n",
            engine->phase, (unsigned long long)world->ticks, engine->pool.conns.live,
            engine->ring != NULL ? q_io_get_stats(engine->loop.io)->slots_open : 0, engine->loop.is_idle,
            (unsigned long long)q_sim_now(world->sim), (unsigned long long)world->tick_at_ns);
    for (uint32_t i = 0; i < world->num_requests; i++) {
        const struct world_request *request = &world->requests[i];
        if (request->has_ended) {
            continue;
        }
        uint32_t generation;
        const struct q_request *slot = q_requests_find(&engine->port_env.requests, request->handle, &generation);
        const struct q_h1_conn *h1 = (const struct q_h1_conn *)(const void *)slot->exchange.conn;
        fprintf(stderr, "request %u: %s kind %d origin %d count %llu body %llu, %llu received, manual %d, port %u; ",
                request->number, request->method, (int)request->kind, (int)request->origin,
                (unsigned long long)request->count, (unsigned long long)request->body_len,
                (unsigned long long)request->received, request->is_manual, request->port);
        fprintf(stderr, "%s, credit %lld, refused %d, connection %d receiving %d sending %d chunk %d refused %u\n",
                q_exchange_state_name((enum q_exchange_state)slot->exchange.state), (long long)slot->exchange.credit,
                q_list_is_linked(&slot->refused_link), h1 != NULL ? h1->conn.state : -1,
                h1 != NULL && h1->is_receiving, h1 != NULL && h1->is_sending, h1 != NULL && h1->chunk != NULL,
                h1 != NULL ? h1->refused : 0);
    }
    for (uint32_t i = 0; i < world->num_ports; i++) {
        const struct world_port *port = &world->ports[i];
        const struct q_evring *ring = &q_engine_port_at(engine, i)->ring;
        fprintf(stderr, "port %u: reservable %llu of %llu, data room %llu of %llu, ", i,
                (unsigned long long)atomic_load(&ring->reservable), (unsigned long long)port->reservable,
                (unsigned long long)ring->data_room, (unsigned long long)port->data_room);
        fprintf(stderr, "inline %d closed %d must_drain %d drained %d fd count %llu\n", port->is_inline,
                port->is_closed, port->must_drain, port->num_drained,
                port->is_inline ? 0ULL
                                : (unsigned long long)q_sim_eventfd_count(world->sim, quoit_port_fd(port->handle)));
    }
}

void world_check_end(struct world *world) {
    for (uint32_t i = 0; i < world->num_requests; i++) {
        struct world_request *request = &world->requests[i];
        WORLD_CHECK(request->has_ended, "request %u has no terminal event", request->number);
        WORLD_CHECK(request->body == NULL || request->releases == 1, "request %u: its body was released %u times",
                    request->number, request->releases);
        WORLD_CHECK(request->failure.retry_safe == 0 || request->heads_at_server == 0,
                    "request %u (%s) failed with %s (errno %d) in %s as safe to retry, and the server had it",
                    request->number, request->target, quoit_error_name(request->failure.code),
                    request->failure.os_errno, quoit_phase_name(request->failure.phase));
        free(request->body);
    }
}
