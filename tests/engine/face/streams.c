#include "tests/engine/face/streams.h"

#include "bench/server/scripted.h"
#include "bench/server/server.h"

struct host host;
char the_url[HOST_URL_MAX];
_Atomic(uint32_t) num_released;

struct bench_server *echo_start(void) {
    struct bench_server *server = bench_server_start(NULL);
    assert_non_null(server);
    bench_server_url(server, "/upgrade", the_url, sizeof the_url);
    return server;
}

struct bench_scripted *script_start(const struct bench_step *script) {
    struct bench_scripted *scripted = bench_scripted_start_one(script);
    assert_non_null(scripted);
    bench_scripted_url(scripted, "/", the_url, sizeof the_url);
    return scripted;
}

struct quoit_request *upgrade_request(void) {
    struct quoit_request *request = host_request("GET", the_url);
    assert_int_equal(quoit_request_set_upgrade(request, "raw/1", 5), QUOIT_OK);
    return request;
}

// Submits an upgrade as request 0 and waits until it has happened.
struct quoit_handle upgrade(void) {
    host_submit(&host, 0, upgrade_request());
    host_wait_head(&host, 0);
    assert_int_equal(host.records[0].status, 101);
    return host.records[0].handle;
}

static void count_release(void *context, const void *data, size_t len) {
    assert_ptr_equal(context, &host);
    assert_true(data != NULL && len > 0);
    num_released++;
}

int32_t feed(const void *data, size_t len) {
    return quoit_feed(host.engine, host.records[0].handle, data, len, NULL, NULL);
}

int32_t lend(const void *data, size_t len) {
    return quoit_feed(host.engine, host.records[0].handle, data, len, count_release, &host);
}

void end_feeds(void) {
    assert_int_equal(quoit_feed_end(host.engine, host.records[0].handle), QUOIT_OK);
}
