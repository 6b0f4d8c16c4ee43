// A TLS stream on a test bench: below it a wire that does what the test says, behind that a server of the same library in
// the same thread, around it a loop without a kernel. Nothing happens but in tls_rig_step and what is built on it, so every
// order of events can be made. Single thread; anything unexpected fails the test.
#ifndef QUOIT_TESTS_ENGINE_TLS_TLS_RIG_H
#define QUOIT_TESTS_ENGINE_TLS_TLS_RIG_H

#include "engine/tls/tls_stream.h"
#include "tests/support/certs.h"
#include "tests/support/failalloc.h"

#include <openssl/base.h>

#define TLS_RIG_BYTES_MAX (1 << 20)
#define TLS_RIG_ALL SIZE_MAX

// What a rig is made of. Zero: TLS 1.3, a good chain for a.example, whole deliveries, sends that succeed.
struct tls_rig_options {
    uint16_t version;           // 0x0303: TLS 1.2; 0: TLS 1.3
    uint32_t chunk_capacity;    // 0: 16384
    const char *name;           // to verify and to send; NULL: a.example
    struct q_cert *leaf;        // of the server; NULL: the rig's own
    bool wants_client_certificate;
    bool has_client_key;        // the client's context has a certificate and its key
    bool asks_key;              // it has the certificate, and the key is the host's
    bool holds_sends;           // sends stay under way until tls_rig_finish_send
    bool server_is_mute;        // no server: the test injects what comes
    bool server_has_alpn;
    uint8_t asks_verify;
    bool has_early_data;        // both sides allow it
    uint64_t handshake_ns;
};

// What the owner was told, in order, as letters: C on_connected, R on_received, E on_ended, S on_sent, X on_closed,
// Q on_question, T on_session, U on_session_useless, Z on_settled.
#define TLS_RIG_LOG_MAX 4096

struct tls_rig {
    struct tls_rig_options options;
    struct q_loop loop;
    struct q_clock clock;
    struct q_log log;
    struct q_failalloc *failalloc;
    struct q_chunk_budget budget;
    struct q_chunk_pool pool;      // the stream's
    struct q_chunk_pool wire_pool; // receive buffers
    struct q_tls_env env;
    struct q_verify_policy policy;
    struct q_tls_params params;
    struct q_tls_stream tls;
    SSL_CTX *client_context;
    SSL_CTX *server_context;
    SSL *server;
    struct q_cert *root;
    struct q_cert *middle;
    struct q_cert *leaf;

    // The wire.
    struct {
        struct q_stream stream;
        bool is_connecting, is_open, is_closing, is_receiving, is_sending, is_shut, was_recv_asked;
        bool has_unasked;         // what it says of itself
        struct q_error connect_error;
        struct q_error send_error; // of the next send that ends
        size_t send_taken;         // with an error: so many bytes of it were taken
        bool has_end;              // once everything is delivered
        struct q_error end_error;
        size_t cut;                // bytes of one receive at most
        size_t limit;              // bytes in all, from the start; TLS_RIG_ALL
        size_t delivered;
        struct iovec parts[Q_IO_SEND_PARTS_MAX];
        unsigned num_parts;
        size_t num_sends;
        size_t send_max;           // the largest
        char *in;                  // from the server, not delivered yet
        size_t in_len;
        char *out;                 // everything that the client has sent
        size_t out_len;
    } wire;

    // The owner.
    char told[TLS_RIG_LOG_MAX];
    size_t told_len;
    struct q_error connect_error;
    struct q_error end_error;
    struct q_error sent_error;
    size_t sent_len;
    size_t received_max;    // in one event
    char *received;
    size_t received_len;
    uint32_t asks;          // asks again for so much behind each receive; 0: does not
    char close_at;          // closes inside the event of this letter
    const char *send_at_connect; // sends this inside on_connected
    bool goes_early;             // and it may go early
    int question_answer;    // inside on_question: 1 yes, 0 no, -1 later
    struct q_tls_question question;
    struct q_verify_verdict question_verdict;
    SSL_SESSION *session;   // the last that came
    size_t num_sessions;
    SSL_SESSION *offer;     // for the stream to take, one reference; goes with it
    const SSL_SESSION *useless; // the last that was told to be

    // The server.
    char *server_got;
    size_t server_got_len;
    bool server_is_done;   // with the handshake
    bool server_saw_close; // close_notify
    uint8_t server_secret[32]; // of its application data
    uint64_t seal_sequence;
    bool has_sealed;
};

// tls_rig_new makes one; nothing is connected yet. tls_rig_free checks that nothing leaked, and that the stream is quiet.
struct tls_rig *tls_rig_new(const struct tls_rig_options *options);
void tls_rig_free(struct tls_rig *rig);

// tls_rig_connect starts; tls_rig_open goes on until the owner was told, and demands success.
void tls_rig_connect(struct tls_rig *rig);
void tls_rig_open(struct tls_rig *rig);

// tls_rig_step lets one thing happen: an event of the wire, or the posted tasks. False: nothing is left.
bool tls_rig_step(struct tls_rig *rig);

// tls_rig_run steps until nothing is left; tls_rig_pass lets time pass, and the timers run.
void tls_rig_run(struct tls_rig *rig);
void tls_rig_pass(struct tls_rig *rig, uint64_t ns);

// tls_rig_close closes, if that has not happened, and runs.
void tls_rig_close(struct tls_rig *rig);

// tls_rig_send sends a text as one part; tls_rig_recv asks.
void tls_rig_send(struct tls_rig *rig, const char *text, size_t len);
void tls_rig_recv(struct tls_rig *rig, uint32_t most);

// tls_rig_say has the server send application data, in records of `record` bytes; 0: as the library cuts them.
void tls_rig_say(struct tls_rig *rig, const char *data, size_t len, size_t record);

// tls_rig_may_say tells whether it can: the handshake is over, and it has not said goodbye.
bool tls_rig_may_say(const struct tls_rig *rig);

// tls_rig_goodbye has it send its close_notify; tls_rig_update a key update.
void tls_rig_goodbye(struct tls_rig *rig);
void tls_rig_update(struct tls_rig *rig, bool asks_for_one);

// tls_rig_inject has bytes come that no server made.
void tls_rig_inject(struct tls_rig *rig, const void *data, size_t len);

// tls_rig_seal has a record come that is sealed with the server's keys and holds whatever the test says, TLS 1.3 alone.
// `type` is the inner one; the server itself must not say anything from the first on. tls_rig_rekey follows a key update
// that was sealed so.
void tls_rig_seal(struct tls_rig *rig, uint8_t type, const void *data, size_t len);
void tls_rig_rekey(struct tls_rig *rig);

// tls_rig_end has the wire end behind what is on it.
void tls_rig_end(struct tls_rig *rig, struct q_error error);

// tls_rig_finish_send ends a held send.
void tls_rig_finish_send(struct tls_rig *rig, struct q_error error);

// tls_rig_told compares what was told so far.
#define tls_rig_assert_told(rig, text) assert_string_equal((rig)->told, (text))

#endif
