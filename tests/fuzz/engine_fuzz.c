// The whole engine: the input is a configuration (CONFIG_BYTES), then a script of operations, one byte each with their
// arguments behind: what the host does, what the peers send, when they stop reading, close and reset, what fails, how
// time goes. After each operation the world runs for two milliseconds, unless its highest bit is set: then it comes
// together with the next one. At the end everything that was begun must come to its end; see engine_stage.h for what
// is checked. Bounded: so many operations, each with bounded time, then a settling with bounds of its own.
#include "tests/fuzz/engine_stage.h"
#include "engine/loop/uring_abi.h"

#include <errno.h>
#include <string.h>

#define CONFIG_BYTES 6
#define OPS_MAX 200
#define REACTIONS 8

static struct stage g_stage;

struct script {
    const uint8_t *at;
    size_t left;
};

static uint8_t take(struct script *script) {
    if (script->left == 0) {
        return 0;
    }
    script->left--;
    return *script->at++;
}

// --- requests ----------------------------------------------------------------------------------------------------

static void count_release(void *context, const void *data, size_t len) {
    struct stage_request *request = context;
    FUZZ_CHECK(data == request->body && len == request->body_len);
    for (size_t i = 0; i < len; i++) {
        FUZZ_CHECK(request->body[i] == 'b');
    }
    request->releases++;
}

static void must(int32_t code) { FUZZ_CHECK(code == 0); }

enum how { HOW_SECRET = 1, HOW_PORT = 2, HOW_REDIRECTS = 4, HOW_ASK = 8, HOW_MANUAL = 16, HOW_CREDIT = 32,
           HOW_BOUNDS = 64, HOW_BODY_MAX = 128 };
enum more { MORE_LOCAL = 1, MORE_DETOUR = 2, MORE_QUEUE = 4, MORE_FEED_MAX = 8, MORE_ANSWER = 16, MORE_CONNECT = 32,
            MORE_CLOSE = 64 };

static void set_options(struct stage_request *request, struct quoit_request *built, uint8_t how, uint8_t more,
                        uint64_t total_ms) {
    struct quoit_request_bounds bounds = {.struct_size = sizeof bounds,
                                          .total_ms = total_ms,
                                          .queue_ms = (more & MORE_QUEUE) != 0 ? 20 : 0,
                                          .connect_ms = (more & MORE_CONNECT) != 0 ? 10 : 0,
                                          .answer_ms = (more & MORE_ANSWER) != 0 ? 15 : 0};
    if (request->has_bounds) {
        bounds.first_byte_ms = 20;
        bounds.idle_ms = 12;
        bounds.low_speed_ms = 10;
        bounds.low_speed_bytes = 3;
    }
    bounds.body_bytes_max = request->body_max = (how & HOW_BODY_MAX) != 0 ? 10 : 0;
    must(quoit_request_set_bounds(built, &bounds));
    struct quoit_redirect_options redirects = {
        .struct_size = sizeof redirects, .limit = request->redirects_max, .ask = (how & HOW_ASK) != 0};
    must(quoit_request_set_redirects(built, &redirects));
    request->credit = 256 * 1024;
    if ((how & (HOW_MANUAL | HOW_CREDIT)) != 0) {
        request->is_manual = (how & HOW_MANUAL) != 0;
        request->credit = (how & HOW_CREDIT) != 0 ? 1 : 100;
        must(quoit_request_set_credit(built, request->credit, request->is_manual));
    }
    if ((more & MORE_LOCAL) != 0) {
        must(quoit_request_set_local_address(built, "127.0.0.3"));
    }
    if ((more & MORE_DETOUR) != 0) {
        must(quoit_request_connect_to(built, "nohost", 0, "127.0.0.2", 80));
    }
    if ((more & MORE_FEED_MAX) != 0) {
        must(quoit_request_set_feed_max(built, 128));
    }
    if ((more & MORE_CLOSE) != 0 && !request->wants_upgrade) {
        must(quoit_request_add_header(built, "Connection", 10, "close", 5));
    }
    if (request->wants_upgrade) {
        must(quoit_request_set_upgrade(built, "echo", 4));
    }
}

static struct quoit_request *build(struct stage_request *request, uint8_t what, uint8_t how, uint8_t more) {
    static const struct {
        const char *method;
        bool is_idempotent, has_body, wants_upgrade;
    } k_methods[] = {{"GET", true, false, false}, {"POST", false, true, false},  {"HEAD", true, false, false},
                     {"PUT", true, true, false},  {"DELETE", true, false, false}, {"PATCH", false, false, false},
                     {"GET", true, false, true},  {"POST", false, true, true}};
    static const char *const k_urls[PLACES] = {
        "http://127.0.0.1/a", "http://127.0.0.1:81/a", "http://127.0.0.1:82/", "http://127.0.0.1:83/",
        "http://127.0.0.1:84/", "http://127.0.0.2/a/b?c", "http://[::1]/", "http://nohost/"};
    static const uint64_t k_totals_ms[] = {31000, 50, 1000, 150000};
    unsigned method = what & 7, place = what >> 3 & 7;
    request->is_head_method = method == 2;
    request->is_idempotent = k_methods[method].is_idempotent;
    request->wants_upgrade = k_methods[method].wants_upgrade;
    request->redirects_max = (how & HOW_REDIRECTS) != 0 ? 2 : 0;
    request->has_bounds = (how & HOW_BOUNDS) != 0;
    bool is_secret = (how & HOW_SECRET) != 0 && place == PLACE_PLAIN;
    struct quoit_request *built = NULL;
    must(quoit_request_new(k_methods[method].method, is_secret ? "http://sRc3t:w0rD5@127.0.0.1/a" : k_urls[place],
                           &built));
    char number[8];
    int len = snprintf(number, sizeof number, "%u", request->number);
    must(quoit_request_add_header(built, "X-Number", 8, number, (size_t)len));
    if (k_methods[method].has_body) {
        request->has_body = true;
        memset(request->body, 'b', request->body_len);
        must(quoit_request_set_body(built, request->body, request->body_len, count_release, request));
    }
    uint64_t total_ms = k_totals_ms[what >> 6];
    request->due_ns = q_sim_now(request->stage->sim) + total_ms * Q_NS_PER_MS;
    set_options(request, built, how, more, total_ms);
    return built;
}

static void submit_as(struct stage *stage, uint8_t what, uint8_t how, uint8_t more, uint8_t body) {
    if (stage->num_requests == STAGE_REQUESTS) {
        return;
    }
    struct stage_request *request = &stage->requests[stage->num_requests];
    memset(request, 0, offsetof(struct stage_request, body));
    memset(&request->body_len, 0, sizeof *request - offsetof(struct stage_request, body_len));
    request->stage = stage;
    request->number = ++stage->num_requests;
    request->port = (how & HOW_PORT) != 0 ? 1 : 0;
    request->body_len = body * 40u;
    struct quoit_request *built = build(request, what, how, more);
    int32_t code =
        quoit_submit(stage->engine, stage->ports[request->port].handle, built, request->number, &request->handle);
    quoit_request_release(built);
    if (code != 0) {
        FUZZ_CHECK(code == QUOIT_ERR_PORT_FULL || code == QUOIT_ERR_REQUESTS_MAX ||
                   (code == QUOIT_ERR_CLOSED && stage->is_closing));
        FUZZ_CHECK(request->releases == (request->has_body ? 1 : 0));
        stage->num_requests--;
    }
}

static void op_submit(struct stage *stage, struct script *script) {
    uint8_t what = take(script), how = take(script), more = take(script);
    submit_as(stage, what, how, more, take(script));
}

// A plain GET to the place that most others go to.
static void op_get(struct stage *stage, struct script *script) { submit_as(stage, 0, take(script), 0, 0); }

// --- what the host does with a request -----------------------------------------------------------------------------

static void cancel(struct stage *stage, struct stage_request *request) {
    int32_t code = quoit_cancel(stage->engine, request->handle);
    FUZZ_CHECK(code == 0 || code == QUOIT_ERR_STALE_HANDLE);
    FUZZ_CHECK(code == 0 || request->has_ended || request->port == 1); // ended, and not drained yet
    request->was_canceled = true;
}

static void grant(struct stage *stage, struct stage_request *request, uint64_t bytes) {
    request->credit += bytes;
    int32_t code = quoit_grant(stage->engine, request->handle, bytes);
    FUZZ_CHECK(code == 0 || code == QUOIT_ERR_STALE_HANDLE);
}

static void answer(struct stage *stage, struct stage_request *request, uint32_t what) {
    if (request->token == 0) {
        return;
    }
    int32_t code = quoit_answer(stage->engine, request->token, what);
    FUZZ_CHECK(code == 0 || code == QUOIT_ERR_STALE_HANDLE);
    if (code == 0 && !request->is_answered) {
        request->is_answered = true;
        request->was_stopped = what == QUOIT_ANSWER_STOP;
        request->was_refused = what == QUOIT_ANSWER_REFUSE;
    }
}

static const char k_fed[300] = "fed";

static void on_fed(void *context, const void *data, size_t len) {
    struct stage *stage = context;
    FUZZ_CHECK(data == k_fed && len > 0 && stage->num_feeds > 0);
    stage->num_feeds--;
}

static void feed(struct stage *stage, struct stage_request *request, size_t len) {
    bool is_lent = len % 2 == 0;
    int32_t code = len == 0 ? quoit_feed_end(stage->engine, request->handle)
                            : quoit_feed(stage->engine, request->handle, k_fed, len, is_lent ? on_fed : NULL, stage);
    stage->num_feeds += code == 0 && len > 0 && is_lent;
    request->is_full = request->is_full || code == QUOIT_ERR_FEED_FULL;
    FUZZ_CHECK(code == 0 || code == QUOIT_ERR_FEED_FULL || code == QUOIT_ERR_NOT_UPGRADED ||
               code == QUOIT_ERR_STALE_HANDLE || code == QUOIT_ERR_FROZEN ||
               (code == QUOIT_ERR_INVALID_ARGUMENT && len > 128) ||
               (code == QUOIT_ERR_NO_MEMORY && stage->has_memory_faults));
    FUZZ_CHECK(code != QUOIT_ERR_NOT_UPGRADED || !request->is_upgraded);
}

// What the host does inside an event; 1 takes its slice, see stage_on_event.
void stage_react(struct stage *stage, struct stage_request *request, uint8_t reaction) {
    switch (reaction % REACTIONS) {
    case 0: cancel(stage, request); break;
    case 2: submit_as(stage, reaction & 0xf8, HOW_REDIRECTS, 0, 1); break;
    case 3: answer(stage, request, QUOIT_ANSWER_YES + reaction / REACTIONS % 3); break;
    case 4: feed(stage, request, reaction); break;
    case 5: grant(stage, request, reaction); break;
    case 6: feed(stage, request, 0); break;
    case 7: stage_close(stage, reaction / REACTIONS); break;
    default: break;
    }
}

static struct stage_request *pick(struct stage *stage, uint8_t which) {
    return stage->num_requests == 0 ? NULL : &stage->requests[stage->num_requests - 1 - which % stage->num_requests];
}

static void op_act(struct stage *stage, struct script *script) {
    struct stage_request *request = pick(stage, take(script));
    uint8_t reaction = take(script);
    if (request != NULL) {
        stage_react(stage, request, reaction);
    }
}

static void op_react(struct stage *stage, struct script *script) { stage->reaction = take(script); }

static void op_answer(struct stage *stage, struct script *script) {
    struct stage_request *request = pick(stage, 0);
    uint32_t what = QUOIT_ANSWER_YES + take(script) % 3;
    if (request != NULL) {
        answer(stage, request, what);
    }
}

static void op_look(struct stage *stage, struct script *script) {
    struct stage_request *request = pick(stage, take(script));
    struct quoit_engine_info info = {.struct_size = sizeof info};
    must(quoit_engine_info(stage->engine, &info));
    FUZZ_CHECK(info.stale_completions == 0 && info.buffer_bytes <= UINT64_C(2) << 20);
    struct quoit_request_state state = {.struct_size = sizeof state};
    int32_t code = request == NULL ? 0 : quoit_request_state(stage->engine, request->handle, &state);
    FUZZ_CHECK(code == 0 || code == QUOIT_ERR_STALE_HANDLE);
    FUZZ_CHECK(state.stage < QUOIT_STAGES);
}

static void op_lazy(struct stage *stage, struct script *script) {
    stage->ports[1].is_lazy = !stage->ports[1].is_lazy;
    if (stage->num_slices > 0) {
        stage_release_slice(stage, take(script) % stage->num_slices);
    }
}

static void op_close(struct stage *stage, struct script *script) { stage_close(stage, take(script)); }

// --- what the world does -------------------------------------------------------------------------------------------

static void op_time(struct stage *stage, struct script *script) {
    stage_run_for(stage, (UINT64_C(1) << take(script) % 17) * Q_NS_PER_MS); // at most 65 seconds
}

static struct q_sim_conn *pick_conn(struct stage *stage, uint8_t which) {
    if (stage->num_conns == 0) {
        return NULL;
    }
    struct q_sim_conn *conn = stage->conns[stage->num_conns - 1 - which % stage->num_conns].conn;
    return q_sim_conn_is_alive(conn) ? conn : NULL;
}

#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
#define THOUSAND HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED
#define PIECE(text) {.data = text, .len = sizeof(text) - 1}

// What servers say; the input can cut it, or say everything itself.
static const struct quoit_slice k_pieces[] = {
    PIECE(""),
    PIECE("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
    PIECE("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    PIECE("5\r\nhello\r\n"),
    PIECE("0\r\n\r\n"),
    PIECE("0;x=y\r\nX-Trailer: 1\r\n\r\n"),
    PIECE("HTTP/1.1 302 Found\r\nLocation: /r?s#t\r\nContent-Length: 3\r\n\r\nbye"),
    PIECE("HTTP/1.1 307 T\r\nLocation: http://127.0.0.2/\r\nContent-Length: 0\r\n\r\n"),
    PIECE("HTTP/1.1 303 S\r\nLocation: //127.0.0.1:81/s\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    PIECE("HTTP/1.1 301 M\r\nLocation: http://127.0.0.1/b\r\n\r\n"),
    PIECE("HTTP/1.1 308 P\r\nLocation: \r\nConnection: close\r\nContent-Length: 9\r\n\r\n"),
    PIECE("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"),
    PIECE("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"),
    PIECE("HTTP/1.1 100 Continue\r\n\r\n"),
    PIECE("HTTP/1.0 200 OK\r\n\r\n"),
    PIECE("HTTP/1.1 200 OK\r\nContent-Length: 30000\r\n\r\n"),
    PIECE("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" TEN),
    PIECE("HTTP/1.1 204 No Content\r\n\r\n"),
    PIECE("HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n"),
    PIECE(HUNDRED),
    PIECE(THOUSAND THOUSAND THOUSAND),
    PIECE("bb8\r\n" THOUSAND THOUSAND THOUSAND "\r\n"),
    PIECE("HTTP/1.1 200 OK\r\nX-Long: " HUNDRED HUNDRED HUNDRED "\r\nX: y\r\nX: z\r\nX: w\r\n"),
    PIECE("HTTP/1.1 302 Found\r\nLocation: /far\r\nContent-Length: 999999\r\n\r\n" THOUSAND),
};

static struct quoit_slice take_piece(struct script *script) {
    struct quoit_slice piece = k_pieces[take(script) % Q_COUNT_OF(k_pieces)];
    uint8_t cut = take(script);
    piece.len = cut > 0 && cut < piece.len ? cut : piece.len;
    return piece;
}

static void op_say(struct stage *stage, struct script *script) {
    struct quoit_slice piece = take_piece(script);
    struct q_sim_conn *conn = pick_conn(stage, 0);
    if (conn != NULL) {
        stage_peer_send(stage, conn, piece.data, piece.len);
    }
}

static void op_say_raw(struct stage *stage, struct script *script) {
    struct q_sim_conn *conn = pick_conn(stage, take(script));
    size_t len = take(script);
    len = len < script->left ? len : script->left;
    if (conn != NULL) {
        stage_peer_send(stage, conn, script->at, len);
    }
    script->at += len;
    script->left -= len;
}

// From here on the peers of a place answer each request with a piece, or greet with it.
static void op_serve(struct stage *stage, struct script *script) {
    uint8_t where = take(script);
    struct quoit_slice piece = take_piece(script);
    struct quoit_slice *at = (where & 8) != 0 ? &stage->greetings[where % PLACES] : &stage->replies[where % PLACES];
    at->data = piece.data;
    at->len = piece.len;
}

// As op_serve, with bytes of the input's.
static void op_serve_raw(struct stage *stage, struct script *script) {
    struct quoit_slice *at = &stage->replies[take(script) % PLACES];
    size_t len = take(script);
    at->len = len < script->left ? len : script->left;
    at->data = script->at;
    script->at += at->len;
    script->left -= at->len;
}

static void op_peer(struct stage *stage, struct script *script) {
    uint8_t what = take(script);
    struct q_sim_conn *conn = pick_conn(stage, what >> 3 & 7);
    if (conn == NULL) {
        return;
    }
    switch (what & 7) {
    case 0: q_sim_conn_close(conn); break;
    case 1: q_sim_conn_fin(conn); break;
    case 2: q_sim_conn_reset(conn); break;
    case 3: q_sim_conn_reset_now(conn); break;
    case 4: q_sim_conn_pause(conn, true); break;
    case 5: q_sim_conn_pause(conn, false); break;
    default: q_sim_conn_delay(conn, (what >> 6) * 7 * Q_NS_PER_MS + 1); break;
    }
}

static void op_fail(struct stage *stage, struct script *script) {
    static const unsigned k_opcodes[] = {IORING_OP_SOCKET, Q_URING_OP_URING_CMD, IORING_OP_CONNECT, IORING_OP_RECV,
                                         IORING_OP_SEND,   IORING_OP_SENDMSG,    Q_URING_OP_BIND};
    static const int k_errors[] = {EMFILE, ENOBUFS, EIO, ENETDOWN, EINTR, EAGAIN, ENOMEM, ECONNRESET};
    uint8_t what = take(script);
    unsigned nth = 1 + (what >> 3 & 3);
    if ((what & 7) == 7) {
        stage->has_memory_faults = true;
        q_failalloc_fail_at(stage->memory, 1 + (what >> 3));
    } else {
        stage->has_kernel_faults = true;
        q_sim_fail_op(stage->sim, k_opcodes[what & 7], nth, k_errors[what >> 5]);
    }
}

static void (*const k_ops[])(struct stage *stage, struct script *script) = {
    op_get, op_submit, op_say,   op_say_raw, op_serve, op_serve_raw, op_peer,  op_time,
    op_act, op_react,  op_answer, op_lazy,   op_fail,  op_close,     op_look,  op_say,
};

static uint64_t run(const uint8_t *data, size_t size) {
    struct stage *stage = &g_stage;
    struct stage_config config = {.seed = data[0], .kernel = data[1], .limits = data[2], .parser = data[3],
                                  .create = data[4], .is_fair = (data[5] & 1) != 0};
    if (!stage_open(stage, &config)) {
        return stage->trace;
    }
    struct script script = {.at = data + CONFIG_BYTES, .left = size - CONFIG_BYTES};
    for (unsigned i = 0; i < OPS_MAX && script.left > 0; i++) {
        uint8_t op = take(&script);
        k_ops[(op & 0x7f) % Q_COUNT_OF(k_ops)](stage, &script);
        if ((op & 0x80) == 0) {
            stage_run_for(stage, 2 * Q_NS_PER_MS);
        }
    }
    stage_end(stage);
    return stage->trace;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < CONFIG_BYTES) {
        return 0;
    }
    uint64_t trace = run(data, size);
    FUZZ_CHECK((data[5] & 2) == 0 || run(data, size) == trace); // the same input, the same run
    return 0;
}
