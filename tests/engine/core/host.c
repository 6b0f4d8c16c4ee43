#include "tests/engine/core/host.h"

#include <poll.h>
#include <time.h>

#include "bench/server/body.h"

enum { DRAIN_MAX = 64 };

struct host_route host_route;

const char *host_led(const char *url, char out[HOST_URL_MAX]) {
    return host_route.url != NULL ? host_route.url(url, out) : url;
}

void host_route_end(void) {
    if (host_route.end != NULL) {
        host_route.end();
    }
}

static void note_body(struct host *host, struct host_record *record, const struct quoit_data *data) {
    if (data->offset != record->body_len) {
        host->broken = "a piece of the body is not where the last one ended";
    }
    const unsigned char *bytes = data->data;
    for (size_t i = 0; i < data->len; i++) {
        record->is_foreign |= bytes[i] != bench_server_body_byte(data->offset + i);
        if (data->offset + i < HOST_TEXT_MAX - 1) {
            record->text[data->offset + i] = (char)bytes[i];
        }
    }
    record->body_len += data->len;
    record->num_data++;
}

static void note_request(struct host *host, struct host_record *record, const struct quoit_event *event) {
    if (record->num_ends > 0) {
        host->broken = "an event came behind the terminal one";
    }
    switch (event->type) {
    case QUOIT_EVENT_INFORMATIONAL:
        host->broken = record->num_heads > 0 ? "an informational head came behind the head" : host->broken;
        record->num_informational++;
        break;
    case QUOIT_EVENT_HEAD:
    case QUOIT_EVENT_UPGRADED:
        host->broken = (event->type == QUOIT_EVENT_UPGRADED) != (event->u.head.status == 101)
                           ? "a head of the other kind"
                           : host->broken;
        host->broken = record->num_heads > 0 ? "a second head" : host->broken;
        record->num_heads++;
        record->status = event->u.head.status;
        break;
    case QUOIT_EVENT_DATA:
        host->broken = record->num_heads != 1 || record->num_trailers > 0 ? "data out of order" : host->broken;
        note_body(host, record, &event->u.data);
        break;
    case QUOIT_EVENT_ROOM:
        host->broken = record->status != 101 ? "room in what was not upgraded" : host->broken;
        record->num_rooms++;
        break;
    case QUOIT_EVENT_TRAILERS:
        host->broken = record->num_heads != 1 || record->num_trailers > 0 ? "trailers out of order" : host->broken;
        record->num_trailers++;
        break;
    case QUOIT_EVENT_QUESTION:
        host->broken = record->num_heads > 0 ? "a question came behind the head" : host->broken;
        record->num_questions++;
        record->token = event->u.question.token;
        break;
    case QUOIT_EVENT_DONE:
    case QUOIT_EVENT_FAILED:
        record->num_ends++;
        record->end_type = event->type;
        record->summary = event->u.summary;
        host->num_ended++;
        break;
    default: host->broken = "an event of a type that is not known"; break;
    }
}

void host_note(struct host *host, const struct quoit_event *event) {
    pthread_mutex_lock(&host->lock);
    if (host->num_closed > 0) {
        host->broken = "an event came behind CLOSED";
    }
    if (event->type == QUOIT_EVENT_CLOSED) {
        host->num_closed++;
    } else if (event->type == QUOIT_EVENT_KEY_LOG) {
        host->num_keys++;
    } else if (event->user_data >= HOST_RECORDS_MAX) {
        host->broken = "an event of a request that nobody submitted";
    } else {
        note_request(host, &host->records[event->user_data], event);
    }
    pthread_cond_broadcast(&host->noted);
    pthread_mutex_unlock(&host->lock);
    if (host->on_event != NULL) {
        host->on_event(host, event);
    }
}

static void on_inline_event(void *context, const struct quoit_event *event) {
    host_note(context, event);
}

void host_start(struct host *host, const struct quoit_engine_options *engine_options,
                const struct quoit_port_options *port_options) {
    struct quoit_engine_options engine = engine_options != NULL ? *engine_options : (struct quoit_engine_options){0};
    struct quoit_port_options port = port_options != NULL ? *port_options : (struct quoit_port_options){0};
    struct quoit_failure failure;
    memset(host, 0, sizeof *host);
    pthread_mutex_init(&host->lock, NULL);
    pthread_cond_init(&host->noted, NULL);
    engine.struct_size = sizeof engine;
    engine.tls = engine.tls != NULL ? engine.tls : host_route.tls;
    engine.resolv_conf_file = engine.resolv_conf_file != NULL ? engine.resolv_conf_file : ""; // tests have no network
    port.struct_size = sizeof port;
    if (port.mode == QUOIT_PORT_INLINE) {
        port.on_event = on_inline_event;
        port.context = host;
    }
    host->engine_mode = engine.mode;
    host->port_mode = port.mode;
    int32_t code = quoit_engine_create(&engine, &host->engine, &failure);
    if (code != QUOIT_OK) {
        fail_msg("no engine: %s (%s)", quoit_error_name(code), quoit_errno_name(failure.os_errno));
    }
    assert_int_equal(quoit_port_create(host->engine, &port, &host->port), QUOIT_OK);
}

static void tick(struct host *host) {
    struct pollfd wait[2] = {{.fd = quoit_engine_fd(host->engine), .events = POLLIN},
                             {.fd = quoit_port_fd(host->port), .events = POLLIN}};
    int64_t timeout_ms = quoit_engine_timeout_ms(host->engine);
    int bound = timeout_ms < 0 || timeout_ms > HOST_WAIT_MS ? HOST_WAIT_MS : (int)timeout_ms;
    if (bound > 0 && poll(wait, 2, bound) == 0 && bound == HOST_WAIT_MS) {
        fail_msg("the engine wants no tick and has no event");
    }
    int32_t more;
    do {
        more = quoit_engine_tick(host->engine);
    } while (more > 0);
    assert_int_equal(more, 0);
}

static int32_t drain(struct host *host, int32_t timeout_ms) {
    struct quoit_event events[DRAIN_MAX];
    int32_t count = quoit_port_wait(host->port, events, sizeof events[0], DRAIN_MAX, timeout_ms);
    assert_true(count >= 0);
    for (int32_t i = 0; i < count; i++) {
        host_note(host, &events[i]);
    }
    if (count > 0) {
        assert_int_equal(quoit_port_advance(host->port), QUOIT_OK);
    }
    return count;
}

static void assert_not_broken(struct host *host) {
    pthread_mutex_lock(&host->lock);
    const char *broken = host->broken;
    pthread_mutex_unlock(&host->lock);
    if (broken != NULL) {
        fail_msg("%s", broken);
    }
}

void host_step(struct host *host) {
    if (host->engine_mode == QUOIT_ENGINE_HOST_DRIVEN) {
        tick(host);
        if (host->port_mode == QUOIT_PORT_EVENTFD) {
            while (drain(host, 0) == DRAIN_MAX) { // only a drain with less than it may have makes the port ring again
            }
        }
    } else if (host->port_mode == QUOIT_PORT_INLINE) {
        fail_msg("an inline host waits in host_wait");
    } else {
        int32_t count = drain(host, HOST_WAIT_MS);
        if (count <= 0) {
            fail_msg("no event came: %d", count);
        }
    }
    assert_not_broken(host);
}

struct goal {
    struct host *host;
    bool (*is_reached)(const struct host *host, uint32_t index, uint64_t value);
    uint32_t index;
    uint64_t value;
    bool is_before_end; // what comes before request `index` has ended, or never
};

// Reached, or never to be.
static bool is_over(const struct goal *goal) {
    return goal->is_reached(goal->host, goal->index, goal->value) ||
           (goal->is_before_end && goal->host->records[goal->index].num_ends > 0);
}

static bool is_over_locked(const struct goal *goal) {
    pthread_mutex_lock(&goal->host->lock);
    bool is = is_over(goal);
    pthread_mutex_unlock(&goal->host->lock);
    return is;
}

// In inline mode the look at the goal and the sleep are one step under the lock, so that no note is missed.
static void wait_for(const struct goal *goal) {
    struct host *host = goal->host;
    bool is_inline = host->port_mode == QUOIT_PORT_INLINE && host->engine_mode == QUOIT_ENGINE_THREAD;
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += HOST_WAIT_MS / 1000;
    int result = 0;
    while (!is_inline && !is_over_locked(goal)) {
        host_step(host);
    }
    pthread_mutex_lock(&host->lock);
    while (is_inline && result == 0 && !is_over(goal)) {
        result = pthread_cond_timedwait(&host->noted, &host->lock, &end);
    }
    bool is_reached = goal->is_reached(host, goal->index, goal->value);
    pthread_mutex_unlock(&host->lock);
    assert_not_broken(host);
    if (!is_reached) {
        fail_msg("what the test waits for did not come: %s", result != 0 ? "in time" : "the request has ended");
    }
}

static bool has_ended(const struct host *host, uint32_t index, uint64_t value) {
    return host->records[index].num_ends >= value;
}

static bool have_ended(const struct host *host, uint32_t index, uint64_t value) {
    (void)index;
    return host->num_ended >= value;
}

static bool has_body(const struct host *host, uint32_t index, uint64_t value) {
    return host->records[index].body_len >= value;
}

static bool has_head(const struct host *host, uint32_t index, uint64_t value) {
    return host->records[index].num_heads >= value;
}

static bool has_rooms(const struct host *host, uint32_t index, uint64_t value) {
    return host->records[index].num_rooms >= value;
}

static bool has_questions(const struct host *host, uint32_t index, uint64_t value) {
    return host->records[index].num_questions >= value;
}

static bool is_closed(const struct host *host, uint32_t index, uint64_t value) {
    (void)index;
    return host->num_closed >= value;
}

const struct host_record *host_wait(struct host *host, uint32_t index) {
    wait_for(&(struct goal){host, has_ended, index, 1, false});
    return &host->records[index];
}

void host_wait_all(struct host *host, uint32_t num) {
    wait_for(&(struct goal){host, have_ended, 0, num, false});
}

void host_wait_body(struct host *host, uint32_t index, uint64_t len) {
    wait_for(&(struct goal){host, has_body, index, len, true});
}

void host_wait_head(struct host *host, uint32_t index) {
    wait_for(&(struct goal){host, has_head, index, 1, true});
}

void host_wait_rooms(struct host *host, uint32_t index, uint32_t num) {
    wait_for(&(struct goal){host, has_rooms, index, num, true});
}

void host_wait_question(struct host *host, uint32_t index) {
    wait_for(&(struct goal){host, has_questions, index, 1, true});
}

void host_close_and_wait(struct host *host, uint64_t drain_ms) {
    assert_int_equal(quoit_engine_close(host->engine, drain_ms), QUOIT_OK);
    wait_for(&(struct goal){host, is_closed, 0, 1, false});
}

void host_destroy(struct host *host) {
    assert_int_equal(quoit_engine_destroy(host->engine), QUOIT_OK);
    assert_not_broken(host);
    for (uint32_t i = 0; i < HOST_RECORDS_MAX; i++) {
        if (host->records[i].num_ends != host->records[i].is_submitted) {
            fail_msg("request %u had %u terminal events", i, host->records[i].num_ends);
        }
    }
    pthread_cond_destroy(&host->noted);
    pthread_mutex_destroy(&host->lock);
}

void host_stop(struct host *host) {
    host_close_and_wait(host, 0);
    host_destroy(host);
}

struct quoit_request *host_request(const char *method, const char *url) {
    struct quoit_request *request = NULL;
    char elsewhere[HOST_URL_MAX];
    int32_t code = quoit_request_new(method, host_led(url, elsewhere), &request);
    if (code != QUOIT_OK) {
        fail_msg("%s %s: %s", method, url, quoit_error_name(code));
    }
    return request;
}

void host_submit(struct host *host, uint32_t index, struct quoit_request *request) {
    struct host_record *record = &host->records[index];
    assert_false(record->is_submitted);
    record->is_submitted = true;
    assert_int_equal(quoit_submit(host->engine, host->port, request, index, &record->handle), QUOIT_OK);
    quoit_request_release(request);
}

void host_get(struct host *host, uint32_t index, const char *url) {
    host_submit(host, index, host_request("GET", url));
}

void host_assert_done(const struct host_record *record, uint64_t body_len) {
    const struct quoit_failure *failure = &record->summary.failure;
    if (record->end_type != QUOIT_EVENT_DONE || record->body_len != body_len || failure->code != QUOIT_OK) {
        fail_msg("ended by %u with %s (%s) and %llu bytes of body", record->end_type, quoit_error_name(failure->code),
                 quoit_errno_name(failure->os_errno), (unsigned long long)record->body_len);
    }
    assert_int_equal(record->num_heads, 1);
}

void host_assert_failed(const struct host_record *record, int32_t code, int32_t phase) {
    const struct quoit_failure *failure = &record->summary.failure;
    if (record->end_type != QUOIT_EVENT_FAILED || failure->code != code || failure->phase != phase) {
        fail_msg("ended by %u with %s (%s) in phase %s, not with %s in phase %s", record->end_type,
                 quoit_error_name(failure->code), quoit_errno_name(failure->os_errno), quoit_phase_name(failure->phase),
                 quoit_error_name(code), quoit_phase_name(phase));
    }
}

void host_fetch(struct host *host, uint32_t index, const char *url, uint64_t len) {
    host_get(host, index, url);
    const struct host_record *record = host_wait(host, index);
    host_assert_done(record, len);
    assert_false(record->is_foreign);
}

struct quoit_engine_info host_info(const struct host *host) {
    struct quoit_engine_info info = {.struct_size = sizeof info};
    assert_int_equal(quoit_engine_info(host->engine, &info), QUOIT_OK);
    return info;
}

void host_until(struct host *host, bool (*is_so)(const struct quoit_engine_info *info, uint64_t value),
                uint64_t value) {
    for (int left_ms = HOST_WAIT_MS; left_ms > 0; left_ms--) {
        struct quoit_engine_info info = host_info(host);
        if (is_so(&info, value)) {
            return;
        }
        if (host->engine_mode == QUOIT_ENGINE_HOST_DRIVEN) {
            assert_true(quoit_engine_tick(host->engine) >= 0);
        }
        poll(NULL, 0, 1);
    }
    fail_msg("the counters did not come to what was waited for");
}

void host_until_stage(struct host *host, uint32_t index, uint32_t stage) {
    struct quoit_request_state now = {.struct_size = sizeof now};
    for (int left_ms = HOST_WAIT_MS; left_ms > 0; left_ms--) {
        assert_int_equal(quoit_request_state(host->engine, host->records[index].handle, &now), QUOIT_OK);
        if (now.stage == stage) {
            return;
        }
        if (host->engine_mode == QUOIT_ENGINE_HOST_DRIVEN) {
            assert_true(quoit_engine_tick(host->engine) >= 0);
        }
        poll(NULL, 0, 1);
    }
    fail_msg("request %u is %s, not %s", index, quoit_stage_name((int32_t)now.stage), quoit_stage_name((int32_t)stage));
}

bool host_is_open(const struct quoit_engine_info *info, uint64_t value) {
    return info->connections_open == value;
}

bool host_is_pending(const struct quoit_engine_info *info, uint64_t value) {
    return info->requests_pending == value;
}
