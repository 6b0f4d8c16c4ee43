// The peers' side: what they are sent must be whole requests of ours, each to whom it belongs.
#include "tests/fuzz/engine_stage.h"

#include <string.h>

void stage_peer_send(struct stage *stage, struct q_sim_conn *conn, const void *data, size_t len) {
    stage->peers_sent += len;
    q_sim_conn_send(conn, data, len);
}

// find_field gives the value of a field of a head that ends with NUL, up to its CR; NULL when there is none.
static const char *find_field(const char *head, const char *name) {
    const char *at = strstr(head, name);
    return at == NULL ? NULL : at + strlen(name);
}

static void check_lines(const char *head) {
    uint32_t hosts = 0;
    const char *line = head;
    for (const char *end = strstr(line, "\r\n"); end != line; line = end + 2, end = strstr(line, "\r\n")) {
        FUZZ_CHECK(end != NULL);
        for (const char *at = line; at < end; at++) {
            FUZZ_CHECK(((unsigned char)*at >= 0x20 && (unsigned char)*at < 0x7f) || (unsigned char)*at >= 0x80);
        }
        hosts += strncmp(line, "Host: ", 6) == 0;
        bool is_first = line == head;
        const char *colon = memchr(line, ':', (size_t)(end - line));
        FUZZ_CHECK(is_first ? strncmp(end - 9, " HTTP/1.1", 9) == 0 : colon != NULL);
    }
    FUZZ_CHECK(hosts == 1);
}

static void on_head(struct stage_conn *peer) {
    struct stage *stage = peer->stage;
    check_lines(peer->head);
    const char *number = find_field(peer->head, "\r\nX-Number: ");
    FUZZ_CHECK(number != NULL);
    unsigned long which = strtoul(number, NULL, 10);
    FUZZ_CHECK(which >= 1 && which <= stage->num_requests);
    struct stage_request *request = &stage->requests[which - 1];
    request->heads_at_peers++;
    FUZZ_CHECK(request->heads_at_peers == 1 || request->is_idempotent || request->redirects_max > 0);
    FUZZ_CHECK(peer->place == PLACE_PLAIN || strstr(peer->head, STAGE_SECRET) == NULL);
    const char *length = find_field(peer->head, "\r\nContent-Length: ");
    peer->body_left = length == NULL ? 0 : strtoull(length, NULL, 10);
    FUZZ_CHECK(peer->body_left == 0 || (request->has_body && peer->body_left == request->body_len));
    peer->is_unread = find_field(peer->head, "\r\nUpgrade: ") != NULL;
    stage_note(stage, which << 8 | peer->place);
    const struct quoit_slice *reply = &stage->replies[peer->place];
    if (reply->len > 0) {
        stage_peer_send(stage, peer->conn, reply->data, reply->len);
    }
}

static void on_open(void *context, struct q_sim_conn *conn) {
    const struct quoit_slice *greeting = context; // its place in the stage says which peer this is
    struct stage *stage = (struct stage *)(uintptr_t)greeting->owner;
    if (greeting->len > 0) {
        stage_peer_send(stage, conn, greeting->data, greeting->len);
    }
    stage_note(stage, (uint64_t)(greeting - stage->greetings));
    if (stage->num_conns == STAGE_CONNS) {
        return;
    }
    struct stage_conn *peer = &stage->conns[stage->num_conns++];
    peer->stage = stage;
    peer->conn = conn;
    peer->place = (enum stage_place)(greeting - stage->greetings);
    peer->head_len = 0;
    peer->body_left = 0;
    peer->is_unread = false;
    q_sim_conn_set_user(conn, peer);
}

static void read_byte(struct stage_conn *peer, char byte) {
    if (peer->body_left > 0) {
        peer->body_left--;
        return;
    }
    if (peer->head_len == sizeof peer->head - 1) {
        peer->is_unread = true;
        return;
    }
    FUZZ_CHECK(byte != 0);
    peer->head[peer->head_len++] = byte;
    if (peer->head_len >= 4 && memcmp(peer->head + peer->head_len - 4, "\r\n\r\n", 4) == 0) {
        peer->head[peer->head_len] = 0;
        peer->head_len = 0;
        on_head(peer);
    }
}

static void on_bytes(void *context, struct q_sim_conn *conn, const char *data, size_t len) {
    (void)context;
    struct stage_conn *peer = q_sim_conn_user(conn);
    if (peer == NULL) {
        return;
    }
    for (size_t i = 0; i < len && !peer->is_unread; i++) {
        read_byte(peer, data[i]);
    }
    stage_note(peer->stage, len);
}

static void on_fin(void *context, struct q_sim_conn *conn) {
    (void)context;
    q_sim_conn_close(conn);
}

const struct q_sim_peer k_stage_peer = {.on_open = on_open, .on_bytes = on_bytes, .on_fin = on_fin};
