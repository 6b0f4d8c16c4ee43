// A client of plain blocking sockets for the tests of the bench servers: it shares no code with the engine.
//
// Every read gives up after ten seconds, which fails the test. A test's own thread only.
#ifndef QUOIT_TESTS_BENCH_RAW_CLIENT_H
#define QUOIT_TESTS_BENCH_RAW_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// struct raw_client is a connection and what was read from it and not taken yet.
struct raw_client {
    int fd;
    uint8_t *memory, *held; // `held` points into `memory`, behind what was taken
    size_t held_len, memory_size;
    bool eof;       // a read has returned 0
    int read_error; // errno of the read that failed, 0 for none
};

// struct raw_response is one response, its body without framing.
struct raw_response {
    char *head; // as it came, with the empty line, and NUL-terminated; final one only
    unsigned status;
    unsigned num_early; // 1xx heads before it
    uint8_t *body;
    size_t body_len, body_size;
    char *trailers; // lines after the last chunk, "" for none
};

// raw_connect connects to a loopback port; raw_connect_unix to a path; raw_connect_6 to ::1. They fail the test if they
// cannot.
struct raw_client raw_connect(uint16_t port);
struct raw_client raw_connect_unix(const char *path);
struct raw_client raw_connect_6(uint16_t port);

// raw_close closes the connection and frees what was held.
void raw_close(struct raw_client *client);

// raw_reset closes the connection with a reset.
void raw_reset(struct raw_client *client);

// raw_send sends a whole text.
void raw_send(struct raw_client *client, const char *text);

// raw_send_bytes sends `len` bytes.
void raw_send_bytes(struct raw_client *client, const void *data, size_t len);

// raw_read reads more; false at the end of the stream or on an error, which `eof` and `read_error` tell apart.
bool raw_read(struct raw_client *client);

// raw_read_to_end reads until the stream ends or fails.
void raw_read_to_end(struct raw_client *client);

// raw_take_response reads one response; `is_head` for HEAD. It fails the test when it is not well-formed. The caller
// frees it.
struct raw_response raw_take_response(struct raw_client *client, bool is_head);

// raw_response_free frees what raw_take_response gave.
void raw_response_free(struct raw_response *response);

// raw_get sends a GET for `target` and takes the response.
struct raw_response raw_get(struct raw_client *client, const char *target);

// raw_assert_body fails the test unless the body is the first `len` bytes that bench/server/body.h describes.
void raw_assert_body(const struct raw_response *response, size_t len);

// raw_num_fds counts the descriptors of the process.
unsigned raw_num_fds(void);

#endif
