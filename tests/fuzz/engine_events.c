// The host's side: each event against what the public header promises.
#include "tests/fuzz/engine_stage.h"

#include <string.h>

static void check_headers(const struct quoit_headers *headers) {
    const char *name, *value;
    size_t name_len, value_len;
    FUZZ_CHECK(headers != NULL);
    for (size_t i = 0; quoit_headers_at(headers, i, &name, &name_len, &value, &value_len) == 1; i++) {
        FUZZ_CHECK(name_len > 0 && memchr(name, ':', name_len) == NULL && memchr(name, ' ', name_len) == NULL);
        for (size_t at = 0; at < value_len; at++) {
            FUZZ_CHECK(strchr("\r\n", value[at]) == NULL); // and the NUL at its end
        }
        const char *first;
        size_t first_len;
        FUZZ_CHECK(quoit_headers_get(headers, name, name_len, &first, &first_len) == 1);
    }
}

// promised_len gives how long the body must be when its head says so in plain digits; UINT64_MAX: it does not.
static uint64_t promised_len(const struct stage_request *request, const struct quoit_head *head) {
    const char *value;
    size_t len;
    if (request->is_head_method || head->status == 204 || head->status == 304) {
        return 0;
    }
    if (quoit_headers_get(head->headers, "transfer-encoding", 17, &value, &len) == 1 ||
        quoit_headers_get(head->headers, "content-length", 14, &value, &len) == 0 || len > 18) {
        return UINT64_MAX;
    }
    uint64_t promised = 0;
    for (size_t i = 0; i < len; i++) {
        if (value[i] < '0' || value[i] > '9') {
            return UINT64_MAX;
        }
        promised = promised * 10 + (uint64_t)(value[i] - '0');
    }
    return promised;
}

static void on_head(struct stage_request *request, const struct quoit_event *event) {
    const struct quoit_head *head = &event->u.head;
    FUZZ_CHECK(!request->has_head && !request->is_upgraded);
    check_headers(head->headers);
    FUZZ_CHECK(head->http_version == 10 || head->http_version == 11);
    if (event->type == QUOIT_EVENT_INFORMATIONAL) {
        FUZZ_CHECK(head->status >= 100 && head->status < 200 && head->status != 101);
        return;
    }
    bool is_switch = event->type == QUOIT_EVENT_UPGRADED;
    FUZZ_CHECK(is_switch ? head->status == 101 && request->wants_upgrade : head->status >= 200 && head->status < 1000);
    FUZZ_CHECK(!request->was_refused && (request->is_answered || request->token == 0));
    request->has_head = !is_switch;
    request->is_upgraded = is_switch;
    request->promised = is_switch ? UINT64_MAX : promised_len(request, head);
    request->token = 0; // what follows is no answer to it
}

static void on_data(struct stage_request *request, const struct quoit_event *event) {
    const struct quoit_data *data = &event->u.data;
    FUZZ_CHECK((request->has_head && !request->is_head_method) || request->is_upgraded);
    FUZZ_CHECK(!request->has_trailers && data->len > 0 && data->offset == request->received);
    request->received += data->len;
    FUZZ_CHECK(request->received <= request->promised);
    request->held += data->len;
    uint64_t counted = request->is_manual ? request->received : request->held;
    FUZZ_CHECK(counted <= request->credit + Q_ENGINE_BUFFER_BYTES);
    FUZZ_CHECK(request->is_upgraded || request->body_max == 0 || request->received <= request->body_max);
    FUZZ_CHECK(request->received <= request->stage->peers_sent);
}

static void on_question(struct stage_request *request, const struct quoit_event *event) {
    const struct quoit_question *question = &event->u.question;
    FUZZ_CHECK(!request->has_head && !request->is_upgraded && question->kind == QUOIT_QUESTION_REDIRECT);
    FUZZ_CHECK(question->token != 0 && question->token != request->token);
    FUZZ_CHECK(request->token == 0 || request->is_answered);
    FUZZ_CHECK(question->hop == ++request->questions && question->hop <= request->redirects_max);
    FUZZ_CHECK(question->url_len > 7 && memcmp(question->url, "http://", 7) == 0);
    FUZZ_CHECK(memchr(question->url, '#', question->url_len) == NULL);
    FUZZ_CHECK(question->method_len > 0);
    request->token = question->token;
    request->is_answered = false;
}

// What only the script can have caused; everything else a peer can.
static bool may_fail_with(const struct stage_request *request, int32_t code) {
    const struct stage *stage = request->stage;
    switch (code) {
    case QUOIT_ERR_CANCELED: return request->was_canceled;
    case QUOIT_ERR_CLOSED: return stage->is_closing;
    case QUOIT_ERR_NO_MEMORY: return stage->has_memory_faults;
    case QUOIT_ERR_TIMEOUT_TOTAL: return q_sim_now(stage->sim) >= request->due_ns;
    case QUOIT_ERR_TIMEOUT_FIRST_BYTE:
    case QUOIT_ERR_TIMEOUT_IDLE:
    case QUOIT_ERR_TIMEOUT_LOW_SPEED: return request->has_bounds;
    case QUOIT_ERR_BODY_TOO_LARGE: return request->body_max > 0;
    case QUOIT_ERR_REDIRECT_REFUSED: return request->was_refused;
    case QUOIT_ERR_TIMEOUT_ANSWER: return request->questions > 0;
    case QUOIT_ERR_TOO_MANY_REDIRECTS: return request->redirects_max > 0;
    case QUOIT_ERR_HTTP_BAD_LOCATION: return request->redirects_max > 0;
    default: return code > 0 && quoit_error_category(code) != QUOIT_CATEGORY_USAGE;
    }
}

static void on_end(struct stage_request *request, const struct quoit_event *event) {
    const struct quoit_summary *summary = &event->u.summary;
    int32_t code = summary->failure.code;
    request->has_ended = true;
    stage_note(request->stage, (uint64_t)code << 32 | summary->failure.phase);
    stage_note(request->stage, summary->bytes_in << 32 | summary->bytes_out);
    FUZZ_CHECK(summary->bytes_in <= request->stage->peers_sent);
    if (event->type == QUOIT_EVENT_DONE) {
        FUZZ_CHECK(code == 0 && (request->has_head || request->is_upgraded) && !request->was_refused);
        FUZZ_CHECK(request->promised == UINT64_MAX || request->received == request->promised);
    } else {
        FUZZ_CHECK(may_fail_with(request, code));
        FUZZ_CHECK(summary->failure.retry_safe == 0 || request->heads_at_peers == 0);
    }
    FUZZ_CHECK(summary->redirects == NULL || quoit_headers_count(summary->redirects) <= request->redirects_max);
    FUZZ_CHECK(summary->redirects == NULL || quoit_headers_count(summary->redirects) > 0);
    FUZZ_CHECK(quoit_headers_count(summary->redirects) <= summary->num_redirects);
}

static void on_closed(struct stage_port *port) {
    struct stage *stage = port->stage;
    FUZZ_CHECK(stage->is_closing);
    port->is_closed = true;
    for (uint32_t i = 0; i < stage->num_requests; i++) {
        FUZZ_CHECK(&stage->ports[stage->requests[i].port] != port || stage->requests[i].has_ended);
    }
}

void stage_check_event(struct stage_port *port, const struct quoit_event *event) {
    struct stage *stage = port->stage;
    FUZZ_CHECK(!port->is_closed);
    stage_note(stage, event->user_data << 8 | event->type);
    stage_note(stage, q_sim_now(stage->sim));
    if (event->type == QUOIT_EVENT_CLOSED) {
        on_closed(port);
        return;
    }
    FUZZ_CHECK(event->user_data >= 1 && event->user_data <= stage->num_requests);
    struct stage_request *request = &stage->requests[event->user_data - 1];
    FUZZ_CHECK(port == &stage->ports[request->port] && !request->has_ended);
    FUZZ_CHECK(request->handle.id == event->request.id);
    switch (event->type) {
    case QUOIT_EVENT_INFORMATIONAL:
    case QUOIT_EVENT_UPGRADED:
    case QUOIT_EVENT_HEAD: on_head(request, event); break;
    case QUOIT_EVENT_DATA: on_data(request, event); break;
    case QUOIT_EVENT_QUESTION: on_question(request, event); break;
    case QUOIT_EVENT_TRAILERS:
        FUZZ_CHECK(request->has_head && !request->has_trailers && !request->is_head_method);
        check_headers(event->u.head.headers);
        request->has_trailers = true;
        break;
    case QUOIT_EVENT_ROOM:
        FUZZ_CHECK(request->is_upgraded && request->is_full);
        request->is_full = false;
        break;
    case QUOIT_EVENT_DONE:
    case QUOIT_EVENT_FAILED: on_end(request, event); break;
    default: FUZZ_CHECK(false);
    }
}

void stage_give_back(struct stage_port *port, const struct quoit_event *event) {
    if (event->type == QUOIT_EVENT_DATA) {
        port->stage->requests[event->user_data - 1].held -= event->u.data.len;
    }
}

bool stage_take(struct stage_port *port, const struct quoit_event *event) {
    struct stage *stage = port->stage;
    if (event->type != QUOIT_EVENT_DATA || stage->num_slices == STAGE_SLICES || stage->is_settling) {
        return false;
    }
    struct stage_slice *held = &stage->slices[stage->num_slices];
    uint64_t sum = stage_sum(event->u.data.data, event->u.data.len);
    int32_t code = quoit_port_take(port->handle, event, &held->slice);
    if (code != 0) {
        FUZZ_CHECK(code == QUOIT_ERR_NO_MEMORY && stage->has_memory_faults);
        return false;
    }
    held->number = (uint32_t)event->user_data;
    held->sum = sum;
    FUZZ_CHECK(held->slice.len == event->u.data.len);
    stage->num_slices++;
    return true;
}

// An inline port's event; it is advanced over when this returns.
void stage_on_event(void *context, const struct quoit_event *event) {
    struct stage_port *port = context;
    struct stage *stage = port->stage;
    stage_check_event(port, event);
    uint8_t reaction = stage->reaction;
    stage->reaction = 0;
    if (reaction % 8 != 1 || !stage_take(port, event)) {
        stage_give_back(port, event);
    }
    if (reaction != 0 && event->type != QUOIT_EVENT_CLOSED) {
        stage_react(stage, &stage->requests[event->user_data - 1], reaction);
    }
}
