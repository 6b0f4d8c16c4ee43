// Upgraded requests on the simulated kernel, for every seed: peers that echo, talk, listen slowly, end, reset, refuse
// or switch to something else; a host that feeds from pieces lent and copied, from inside callbacks and outside, ends
// its direction, cancels and closes when it likes. What arrives is compared with what was taken, both ways.
//
// The host is strict, as in engine_world.h: it ticks and drains only when it is told to, and who was told FEED_FULL
// feeds again only when it was told ROOM. So a lost word is a hang, and a hang is a failure. In some worlds the clock
// jumps by hours, and in some the host drains nothing until it comes to its senses.
#define _GNU_SOURCE
#include "api/quoit.h"
#include "engine/core/engine.h"
#include "tests/sim/route.h"
#include "tests/sim/seeds.h"
#include "tests/support/failalloc.h"
#include "tests/support/ledger.h"
#include "tests/support/simhttp.h"
#include "tests/support/simkernel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SEEDS           1500
#define SEEDS_BY_TLS    150
#define TLS_IS_DEAR     10
#define TALKS           8
#define STEPS           150
#define STEPS_TO_SETTLE 50000
#define FED_MAX         20000
#define PEER_ACTS       12
#define PEER_TAG        1000 // what the peer of talk N says is the body of N + PEER_TAG
#define DRAIN           8

#define CHECK(condition, ...) Q_SEEDS_CHECK(condition, __VA_ARGS__)

enum mode { MODE_ECHO, MODE_TALK, MODE_RESET, MODE_REFUSE, MODE_WRONG, MODES };

struct talk {
    struct world *world;
    uint32_t number; // its tag; 1 for the first
    enum mode mode;
    struct quoit_handle handle;
    uint64_t feed_max;
    bool is_manual, has_idle_bound;
    bool has_head, is_upgraded, has_ended, was_canceled, has_finished, must_wait;
    int32_t code; // of its end
    char *pattern;
    uint64_t fed, received, held;
    uint32_t num_lent, num_released;
    // The peer's side.
    struct q_sim_conn *conn;
    uint64_t got, said;
    unsigned acts_left;
    bool has_said_all;
};

// What a connection of the server reads: heads first.
struct line {
    struct world *world;
    struct talk *talk; // switched, or refused
    char head[1024];
    size_t head_len;
};

struct world {
    void *front; // what sim_route has put before the server
    struct q_sim *sim;
    struct q_ledger *ledger;
    struct q_failalloc *failalloc;
    struct quoit_allocator allocator;
    struct quoit_engine engine;
    struct quoit_port port;
    bool is_inline, port_closed, must_drain, is_closing, is_settling, ticks_again, has_memory_faults;
    bool has_jumps, is_starving;
    uint64_t tick_at_ns;
    struct talk talks[TALKS];
    uint32_t num_talks;
};

static struct {
    uint64_t talks, upgraded, done, failed, fed, received, fulls, rooms, flushed, jumps;
    uint64_t by_code[1000];
} seen;

static uint64_t pick(struct world *world, uint64_t bound) {
    return q_random_below(q_sim_random(world->sim), bound);
}
static bool chance(struct world *world, unsigned percent) {
    return pick(world, 100) < percent;
}

// --- peers -----------------------------------------------------------------------------------------------------------

static void peer_act(void *context, uint64_t arg);

static void plan(struct talk *talk) {
    q_sim_at(talk->world->sim, q_sim_now(talk->world->sim) + pick(talk->world, 2 * Q_NS_PER_MS), peer_act, talk, 0);
}

static void say(struct talk *talk, size_t len) {
    char *text = malloc(len + 1);
    q_simhttp_fill(talk->number + PEER_TAG, talk->said, text, len);
    q_sim_conn_send(talk->conn, text, len);
    talk->said += len;
    free(text);
}

static void peer_ends(struct talk *talk) {
    talk->has_said_all = true;
    q_sim_conn_pause(talk->conn, false);
    if (talk->mode == MODE_RESET) {
        q_sim_conn_reset(talk->conn);
    } else if (talk->mode == MODE_TALK) {
        q_sim_conn_fin(talk->conn); // and reads on
    }
}

static void peer_act(void *context, uint64_t arg) {
    struct talk *talk = context;
    (void)arg;
    if (!q_sim_conn_is_alive(talk->conn) || talk->has_said_all) {
        return;
    }
    if (talk->acts_left-- == 0) {
        peer_ends(talk);
        return;
    }
    uint64_t act = pick(talk->world, 10);
    if (act < 4 && talk->mode != MODE_ECHO) {
        say(talk, pick(talk->world, 8000));
    } else if (act < 8) {
        q_sim_conn_pause(talk->conn, act < 6);
    }
    plan(talk);
}

static void answer(struct line *line) {
    static const char k_switched[] =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: RAW/1\r\n\r\n";
    static const char k_wrong[] = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: raw/2\r\n\r\n";
    static const char k_refused[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    struct talk *talk = line->talk;
    if (chance(talk->world, 30)) {
        q_sim_conn_delay(talk->conn, pick(talk->world, 5 * Q_NS_PER_MS));
    }
    if (talk->mode == MODE_WRONG) {
        q_sim_conn_send(talk->conn, k_wrong, sizeof k_wrong - 1);
        return;
    }
    if (talk->mode == MODE_REFUSE) {
        q_sim_conn_send(talk->conn, k_refused, sizeof k_refused - 1);
        say(talk, 5);
        line->talk = NULL; // and the next request
        return;
    }
    q_sim_conn_send(talk->conn, k_switched, sizeof k_switched - 1);
    if (talk->mode != MODE_ECHO && chance(talk->world, 50)) {
        say(talk, pick(talk->world, 3000)); // right behind the head
    }
    talk->acts_left = (unsigned)pick(talk->world, PEER_ACTS);
    plan(talk);
}

static void head_bytes(struct line *line, struct q_sim_conn *conn, const char *data, size_t len) {
    struct world *world = line->world;
    CHECK(line->head_len + len < sizeof line->head, "a head without end");
    memcpy(line->head + line->head_len, data, len);
    line->head_len += len;
    line->head[line->head_len] = 0;
    char *end = strstr(line->head, "\r\n\r\n");
    if (end == NULL) {
        return;
    }
    CHECK(end + 4 == line->head + line->head_len, "bytes before the answer");
    unsigned number = 0;
    CHECK(sscanf(line->head, "GET /%u ", &number) == 1 && number >= 1 && number <= TALKS, "a request of nobody");
    CHECK(strstr(line->head, "\r\nConnection: Upgrade\r\nUpgrade: raw/1\r\n") != NULL, "it asks for nothing");
    line->head_len = 0;
    line->talk = &world->talks[number - 1];
    line->talk->conn = conn;
    line->talk->got = line->talk->said = 0;
    answer(line);
}

static void peer_open(void *context, struct q_sim_conn *conn) {
    struct line *line = calloc(1, sizeof *line);
    line->world = context;
    q_sim_conn_set_user(conn, line);
}

static void peer_bytes(void *context, struct q_sim_conn *conn, const char *data, size_t len) {
    (void)context;
    struct line *line = q_sim_conn_user(conn);
    if (line->talk == NULL) {
        head_bytes(line, conn, data, len);
        return;
    }
    struct talk *talk = line->talk;
    CHECK(talk->mode != MODE_WRONG, "bytes for another protocol");
    CHECK(q_simhttp_matches(talk->number, talk->got, data, len), "talk %u: the peer got something else at %llu",
          talk->number, (unsigned long long)talk->got);
    talk->got += len;
    if (talk->mode == MODE_ECHO) {
        q_sim_conn_send(conn, data, len);
        talk->said += len;
    }
}

static void peer_fin(void *context, struct q_sim_conn *conn) {
    (void)context;
    struct talk *talk = ((struct line *)q_sim_conn_user(conn))->talk;
    if (talk == NULL || talk->mode == MODE_ECHO || talk->mode == MODE_WRONG) {
        q_sim_conn_close(conn);
    } // else it goes on until it has said all
}

static void peer_closed(void *context, struct q_sim_conn *conn) {
    (void)context;
    free(q_sim_conn_user(conn));
    q_sim_conn_set_user(conn, NULL);
}

static const struct q_sim_peer k_peer = {
    .on_open = peer_open, .on_bytes = peer_bytes, .on_fin = peer_fin, .on_closed = peer_closed};

// --- the host --------------------------------------------------------------------------------------------------------

static void count_release(void *context, const void *data, size_t len) {
    struct talk *talk = context;
    CHECK((const char *)data >= talk->pattern && (const char *)data + len <= talk->pattern + FED_MAX,
          "talk %u: it gives back what it was not lent", talk->number);
    talk->num_released++;
}

static void submit(struct world *world) {
    if (world->num_talks == TALKS) {
        return;
    }
    struct talk *talk = &world->talks[world->num_talks];
    *talk = (struct talk){.world = world, .number = world->num_talks + 1, .code = -1};
    talk->mode = chance(world, 80) ? (enum mode)pick(world, 3) : (enum mode)pick(world, MODES);
    talk->feed_max = 200 + pick(world, 8000);
    talk->is_manual = chance(world, 20);
    talk->has_idle_bound = chance(world, 5);
    char url[64];
    snprintf(url, sizeof url, "%s://127.0.0.1:80/%u", sim_route_scheme(), talk->number);
    struct quoit_request *request;
    CHECK(quoit_request_new("GET", url, &request) == 0, "request_new");
    CHECK(sim_route_set(request) == 0, "set_tls");
    CHECK(quoit_request_set_upgrade(request, "raw/1", 5) == 0, "set_upgrade");
    CHECK(quoit_request_set_feed_max(request, talk->feed_max) == 0, "set_feed_max");
    CHECK(quoit_request_set_credit(request, 1 + pick(world, 40000), talk->is_manual) == 0, "set_credit");
    struct quoit_request_bounds bounds = {.struct_size = sizeof bounds,
                                          .body_bytes_max = 5, // of the refusal
                                          .idle_ms = talk->has_idle_bound ? 1 + pick(world, 5) : 0};
    CHECK(quoit_request_set_bounds(request, &bounds) == 0, "set_bounds");
    world->num_talks++;
    int32_t code = quoit_submit(world->engine, world->port, request, talk->number, &talk->handle);
    quoit_request_release(request);
    if (code != 0) {
        CHECK(code == QUOIT_ERR_PORT_FULL || (code == QUOIT_ERR_CLOSED && world->is_closing), "submit gave %s",
              quoit_error_name(code));
        world->num_talks--;
        return;
    }
    talk->pattern = malloc(FED_MAX);
    q_simhttp_fill(talk->number, 0, talk->pattern, FED_MAX);
}

// Whether this answer to a feed may be.
static bool may_be(const struct talk *talk, int32_t code) {
    switch (code) {
    case QUOIT_ERR_NOT_UPGRADED: return !talk->is_upgraded;
    case QUOIT_ERR_STALE_HANDLE: return true; // its end may wait to be drained
    case QUOIT_ERR_FROZEN: return talk->has_finished;
    case QUOIT_ERR_NO_MEMORY: return talk->world->has_memory_faults;
    default: return false;
    }
}

static void feed_one(struct talk *talk) {
    struct world *world = talk->world;
    if (talk->must_wait || talk->fed == FED_MAX) {
        return;
    }
    uint64_t most = talk->feed_max < 4000 ? talk->feed_max : 4000;
    size_t len = 1 + (size_t)pick(world, most);
    len = len < FED_MAX - talk->fed ? len : (size_t)(FED_MAX - talk->fed);
    bool is_lent = chance(world, 50);
    const char *data = talk->pattern + talk->fed;
    int32_t code = quoit_feed(world->engine, talk->handle, data, len, is_lent ? count_release : NULL, talk);
    if (code == 0) {
        CHECK(!talk->has_ended && !talk->has_finished && talk->mode <= MODE_RESET, "talk %u was fed", talk->number);
        talk->fed += len;
        talk->num_lent += is_lent;
    } else if (code == QUOIT_ERR_FEED_FULL) {
        talk->must_wait = true;
        seen.fulls++;
    } else {
        CHECK(may_be(talk, code), "talk %u (mode %d): feed gave %s", talk->number, (int)talk->mode,
              quoit_error_name(code));
    }
}

static void finish(struct talk *talk) {
    int32_t code = quoit_feed_end(talk->world->engine, talk->handle);
    talk->has_finished |= code == 0;
    CHECK(code == 0 || may_be(talk, code), "talk %u: feed_end gave %s", talk->number, quoit_error_name(code));
}

static void cancel(struct talk *talk) {
    talk->was_canceled = true;
    int32_t code = quoit_cancel(talk->world->engine, talk->handle);
    CHECK(code == 0 || code == QUOIT_ERR_STALE_HANDLE, "cancel gave %s", quoit_error_name(code));
}

static void check_end(struct talk *talk, const struct quoit_event *event) {
    int32_t code = event->u.summary.failure.code;
    talk->has_ended = true;
    talk->code = code;
    seen.done += code == 0;
    seen.failed += code != 0;
    seen.by_code[(uint32_t)code % 1000]++;
    bool may_end = false;
    switch (code) {
    case QUOIT_OK: may_end = talk->mode <= MODE_TALK || talk->mode == MODE_REFUSE; break;
    case QUOIT_ERR_CONNECTION_RESET: may_end = talk->mode == MODE_RESET; break;
    case QUOIT_ERR_HTTP_UNEXPECTED_UPGRADE: may_end = talk->mode == MODE_WRONG; break;
    case QUOIT_ERR_CANCELED: may_end = talk->was_canceled; break;
    case QUOIT_ERR_CLOSED: may_end = talk->world->is_closing; break;
    case QUOIT_ERR_TIMEOUT_IDLE: may_end = talk->has_idle_bound; break;
    case QUOIT_ERR_TIMEOUT_TLS:
    case QUOIT_ERR_TIMEOUT_CONNECT: may_end = talk->world->has_jumps; break; // thirty seconds are over in no time
    case QUOIT_ERR_NO_MEMORY: may_end = talk->world->has_memory_faults; break;
    default: break;
    }
    CHECK(may_end, "talk %u (mode %d) ended with %s in %s", talk->number, (int)talk->mode, quoit_error_name(code),
          quoit_phase_name(event->u.summary.failure.phase));
    CHECK(code != 0 || talk->received == talk->said, "talk %u (mode %d): done with %llu of %llu", talk->number,
          (int)talk->mode, (unsigned long long)talk->received, (unsigned long long)talk->said);
}

static void check_event(struct world *world, const struct quoit_event *event) {
    CHECK(!world->port_closed, "an event behind CLOSED");
    if (event->type == QUOIT_EVENT_CLOSED) {
        world->port_closed = true;
        return;
    }
    CHECK(event->user_data >= 1 && event->user_data <= world->num_talks, "an event of nobody");
    struct talk *talk = &world->talks[event->user_data - 1];
    CHECK(!talk->has_ended, "talk %u: event %u behind its end", talk->number, event->type);
    uint64_t tag = talk->mode == MODE_ECHO ? talk->number : talk->number + PEER_TAG;
    switch (event->type) {
    case QUOIT_EVENT_UPGRADED:
        CHECK(!talk->has_head && talk->mode <= MODE_RESET && event->u.head.status == 101, "upgraded?");
        talk->is_upgraded = talk->has_head = true;
        seen.upgraded++;
        break;
    case QUOIT_EVENT_HEAD:
        CHECK(!talk->has_head && talk->mode == MODE_REFUSE && event->u.head.status == 200, "a head?");
        talk->has_head = true;
        break;
    case QUOIT_EVENT_DATA:
        CHECK(talk->has_head && event->u.data.offset == talk->received, "talk %u: data out of order", talk->number);
        CHECK(q_simhttp_matches(tag, talk->received, event->u.data.data, event->u.data.len),
              "talk %u: foreign data at %llu", talk->number, (unsigned long long)talk->received);
        talk->received += event->u.data.len;
        break;
    case QUOIT_EVENT_ROOM:
        CHECK(talk->is_upgraded, "talk %u: room for nothing", talk->number);
        talk->must_wait = false;
        seen.rooms++;
        break;
    case QUOIT_EVENT_DONE:
    case QUOIT_EVENT_FAILED: check_end(talk, event); break;
    default: CHECK(false, "event type %u", event->type);
    }
}

static void on_event(void *context, const struct quoit_event *event) {
    struct world *world = context;
    check_event(world, event);
    if (event->type != QUOIT_EVENT_CLOSED && chance(world, 30)) {
        feed_one(&world->talks[event->user_data - 1]); // from inside a callback
    }
}

static void drain(struct world *world) {
    struct quoit_event events[DRAIN];
    int32_t max = 1 + (int32_t)pick(world, DRAIN);
    int32_t count = quoit_port_drain(world->port, events, sizeof events[0], (size_t)max);
    CHECK(count >= 0, "drain gave %s", quoit_error_name(-count));
    for (int32_t i = 0; i < count; i++) {
        check_event(world, &events[i]);
    }
    CHECK(quoit_port_advance(world->port) == 0, "advance");
    world->must_drain = count == max;
}

// --- driving ---------------------------------------------------------------------------------------------------------

static void *world_allocate(void *context, size_t size) {
    return q_failalloc_alloc(context)->allocate(q_failalloc_alloc(context)->context, size);
}

static void world_release(void *context, void *ptr, size_t size) {
    q_failalloc_alloc(context)->release(q_failalloc_alloc(context)->context, ptr, size);
}

static bool is_readable(struct world *world, int fd) {
    return fd >= 0 && q_sim_eventfd_count(world->sim, fd) > 0;
}

static bool wants_tick(struct world *world) {
    return world->ticks_again || q_sim_now(world->sim) >= world->tick_at_ns ||
           is_readable(world, quoit_engine_fd(world->engine));
}

static bool wants_drain(struct world *world) {
    return !world->is_inline && !world->port_closed && (!world->is_starving || world->is_settling) &&
           (world->must_drain || is_readable(world, quoit_port_fd(world->port)));
}

static void tick(struct world *world) {
    int32_t result = quoit_engine_tick(world->engine);
    CHECK(result >= 0, "tick gave %s", quoit_error_name(-result));
    world->ticks_again = result == 1;
    int64_t timeout_ms = result == 1 ? 0 : quoit_engine_timeout_ms(world->engine);
    world->tick_at_ns = timeout_ms < 0 ? UINT64_MAX : q_sim_now(world->sim) + (uint64_t)timeout_ms * Q_NS_PER_MS;
    CHECK(q_sim_violations(world->sim) == 0, "%s", q_sim_violation(world->sim, 0));
    CHECK(q_ledger_violations(world->ledger) == 0, "%s", q_ledger_violation(world->ledger));
}

static void step(struct world *world) {
    bool did = wants_tick(world);
    if (did) {
        tick(world);
    }
    if (wants_drain(world) && (world->is_settling || chance(world, 70))) {
        drain(world);
        did = true;
    }
    uint64_t until_ns = q_sim_now(world->sim) + 1 + pick(world, 2 * Q_NS_PER_MS);
    until_ns = until_ns < world->tick_at_ns ? until_ns : world->tick_at_ns;
    while (!did && q_sim_step(world->sim, until_ns)) {
        did = wants_tick(world) || wants_drain(world);
    }
}

static void act(struct world *world) {
    struct talk *talk = world->num_talks > 0 ? &world->talks[pick(world, world->num_talks)] : NULL;
    uint64_t what = pick(world, 100);
    if (what < 20 || talk == NULL) {
        submit(world);
    } else if (what < 80) {
        feed_one(talk);
    } else if (what < 90) {
        CHECK(quoit_grant(world->engine, talk->handle, 1 + pick(world, 20000)) <= QUOIT_ERR_STALE_HANDLE, "grant");
    } else if (what < 93) {
        finish(talk);
    } else if (what == 93) {
        cancel(talk);
    } else if (what == 94 && chance(world, 10)) {
        world->is_closing = true;
        CHECK(quoit_engine_close(world->engine, pick(world, 20)) == 0, "close");
    } else if (world->has_memory_faults) {
        q_failalloc_fail_at(world->failalloc, pick(world, 3));
    }
}

// The host behaves from here on: it feeds what it has left, ends its direction, and takes everything.
static void behave(struct world *world) {
    for (uint32_t i = 0; i < world->num_talks; i++) {
        struct talk *talk = &world->talks[i];
        if (talk->has_ended) {
            continue;
        }
        if (talk->is_manual) {
            talk->is_manual = false; // once: each call wakes the engine, and no time would pass
            (void)quoit_grant(world->engine, talk->handle, UINT64_C(1) << 40);
        }
        if (talk->is_upgraded && !talk->has_finished && !talk->must_wait) {
            feed_one(talk);
        }
        if (talk->is_upgraded && !talk->has_finished && (talk->fed == FED_MAX || chance(world, 10))) {
            finish(talk);
        }
    }
}

static uint32_t pending(const struct world *world) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < world->num_talks; i++) {
        count += !world->talks[i].has_ended;
    }
    return count;
}

static void describe(struct world *world) {
    for (uint32_t i = 0; i < world->num_talks; i++) {
        const struct talk *talk = &world->talks[i];
        struct quoit_request_state state = {.struct_size = sizeof state};
        if (!talk->has_ended) {
            (void)quoit_request_state(world->engine, talk->handle, &state);
            print_error("talk %u: mode %d, upgraded %d finished %d waits %d, fed %llu got %llu, said %llu received "
                        "%llu, %s\n",
                        talk->number, (int)talk->mode, talk->is_upgraded, talk->has_finished, talk->must_wait,
                        (unsigned long long)talk->fed, (unsigned long long)talk->got, (unsigned long long)talk->said,
                        (unsigned long long)talk->received, quoit_stage_name((int32_t)state.stage));
        }
    }
}

static void settle(struct world *world) {
    world->is_settling = true;
    q_failalloc_fail_at(world->failalloc, 0);
    for (unsigned i = 0; pending(world) > 0; i++) {
        if (i == STEPS_TO_SETTLE) {
            describe(world);
            CHECK(false, "%u talks do not end", pending(world));
        }
        behave(world);
        step(world);
    }
    world->is_closing = true;
    CHECK(quoit_engine_close(world->engine, pick(world, 20)) == 0, "close");
    for (unsigned i = 0; !world->port_closed; i++) {
        CHECK(i < STEPS_TO_SETTLE, "the engine does not close");
        step(world);
    }
}

static struct world *world_new(uint64_t seed) {
    struct world *world = calloc(1, sizeof *world);
    world->sim = q_sim_new(&(struct q_sim_options){.seed = seed});
    world->ledger = q_ledger_new(q_sim_sys(world->sim));
    world->failalloc = q_failalloc_new();
    world->allocator = (struct quoit_allocator){world_allocate, world_release, world->failalloc};
    struct q_simhttp_options route = {0};
    sim_route_begin(seed);
    world->front = sim_route_open(world->sim, false, &route);
    q_sim_listen(world->sim, "127.0.0.1", 80,
                 &(struct q_sim_listener){
                     .peer = &k_peer, .context = world, .filter = route.filter, .filter_context = route.filter_context});
    struct quoit_engine_options options = {.struct_size = sizeof options,
                                           .mode = QUOIT_ENGINE_HOST_DRIVEN,
                                           .requests_max = 16,
                                           .memory_max = UINT64_C(2) << 20,
                                           .allocator = &world->allocator,
                                           .hosts_file = "/nonexistent"};
    struct q_engine_seams seams = {
        .sys = q_ledger_sys(world->ledger), .clock = q_sim_clock(world->sim), .has_seed = true, .seed = seed};
    struct q_error error = q_engine_create(&options, &seams, &world->engine);
    CHECK(!q_error_is(error), "create gave %s", q_error_name(error.code));
    world->is_inline = chance(world, 40);
    world->ticks_again = world->must_drain = true;
    world->has_memory_faults = chance(world, 10);
    world->has_jumps = chance(world, 20);
    world->is_starving = chance(world, 20);
    struct quoit_port_options port = {.struct_size = sizeof port,
                                      .mode = world->is_inline ? QUOIT_PORT_INLINE : QUOIT_PORT_EVENTFD,
                                      .capacity = 16u << pick(world, 3),
                                      .on_event = on_event,
                                      .context = world};
    CHECK(quoit_port_create(world->engine, &port, &world->port) == 0, "port_create");
    return world;
}

static void world_free(struct world *world) {
    char text[512] = "";
    CHECK(q_ledger_check(world->ledger, text, sizeof text), "%s", text);
    while (q_sim_step(world->sim, q_sim_now(world->sim) + Q_NS_PER_S)) {
        // what was sent arrives
    }
    CHECK(q_sim_check(world->sim, text, sizeof text), "%s", text);
    CHECK(q_failalloc_check(world->failalloc, text, sizeof text), "%s", text);
    for (uint32_t i = 0; i < world->num_talks; i++) {
        struct talk *talk = &world->talks[i];
        CHECK(talk->num_released == talk->num_lent, "talk %u: %u of %u pieces came back", talk->number,
              talk->num_released, talk->num_lent);
        CHECK(talk->got <= talk->fed, "talk %u: the peer got more than there was", talk->number);
        CHECK(talk->code != 0 || talk->got == talk->fed, "talk %u (mode %d): done, and the peer got %llu of %llu",
              talk->number, (int)talk->mode, (unsigned long long)talk->got, (unsigned long long)talk->fed);
        seen.fed += talk->fed;
        seen.received += talk->received;
        free(talk->pattern);
    }
    seen.talks += world->num_talks;
    q_sim_free(world->sim);
    const char *fault = sim_route_close(world->front);
    CHECK(fault == NULL, "%s", fault);
    q_ledger_free(world->ledger);
    q_failalloc_free(world->failalloc);
    free(world);
}

static void run(uint64_t seed) {
    struct world *world = world_new(seed);
    for (unsigned i = 0; i < STEPS && !world->is_closing; i++) {
        act(world);
        if (world->has_jumps && chance(world, 5)) {
            q_sim_jump(world->sim, (1 + pick(world, 10000)) * Q_NS_PER_S);
            seen.jumps++;
        }
        step(world);
    }
    settle(world);
    CHECK(quoit_engine_destroy(world->engine) == 0, "destroy");
    world_free(world);
}

static void streams_keep_their_promises_for_every_seed(void **state) {
    (void)state;
    uint64_t seeds = q_seeds_run(run, NULL, 0, sim_route == NULL ? SEEDS : SEEDS_BY_TLS);
    print_message("%llu seeds: %llu talks, %llu upgraded, %llu done, %llu failed, %llu octets fed, %llu received, %llu "
                  "times full, %llu times room\n",
                  (unsigned long long)seeds, (unsigned long long)seen.talks, (unsigned long long)seen.upgraded,
                  (unsigned long long)seen.done, (unsigned long long)seen.failed, (unsigned long long)seen.fed,
                  (unsigned long long)seen.received, (unsigned long long)seen.fulls, (unsigned long long)seen.rooms);
    if (seeds >= SEEDS) {
        assert_true(seen.jumps > seeds / 10 && seen.done > seen.talks / 4 && seen.fulls > seeds / 10 && seen.rooms > seeds / 20);
        static const int32_t k_errors[] = {QUOIT_ERR_CONNECTION_RESET, QUOIT_ERR_HTTP_UNEXPECTED_UPGRADE,
                                           QUOIT_ERR_CANCELED, QUOIT_ERR_CLOSED, QUOIT_ERR_TIMEOUT_IDLE};
        for (size_t i = 0; i < Q_COUNT_OF(k_errors); i++) {
            if (seen.by_code[k_errors[i]] == 0) {
                fail_msg("these seeds do not reach %s any more", quoit_error_name(k_errors[i]));
            }
        }
    }
}

int main(void) {
    q_seeds_are_dear(sim_route == NULL ? 1 : TLS_IS_DEAR);
    const struct CMUnitTest tests[] = {cmocka_unit_test(streams_keep_their_promises_for_every_seed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
