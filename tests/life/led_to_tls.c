// Leads a whole test to https, without a word in it: each request that host_request builds for http://127.0.0.1 goes by TLS,
// through a front (tests/support/tls_front.h) before the server that the test names. What the test looks for stays the
// same; where it does not, the test asks host_route.
//
// A test is led by linking this: it sets host_route before main, and looks behind it whether anything went by TLS at all.
#include "tests/engine/core/host.h"

#include <unistd.h>

#include "tests/support/tls_front.h"

enum { FRONTS_MAX = 24 }; // more than the servers of one case; the oldest goes

static struct {
    struct quoit_tls *tls;
    struct tls_front *fronts[FRONTS_MAX];
    uint16_t ports[FRONTS_MAX]; // that they stand before
    unsigned next;
    uint64_t num_shaken;
    pid_t pid;
} led;

static void end_front(unsigned i) {
    if (led.fronts[i] != NULL) {
        led.num_shaken += tls_front_facts(led.fronts[i]).num_shaken;
        tls_front_stop(led.fronts[i]);
        led.fronts[i] = NULL;
    }
}

static void end_fronts(void) {
    for (unsigned i = 0; i < FRONTS_MAX; i++) {
        end_front(i);
    }
}

static uint16_t front_of(uint16_t port) {
    for (size_t i = 0; i < sizeof host_route.bare_ports / sizeof host_route.bare_ports[0]; i++) {
        if (host_route.bare_ports[i] == port) {
            return port;
        }
    }
    for (unsigned i = 0; i < FRONTS_MAX; i++) {
        if (led.fronts[i] != NULL && led.ports[i] == port) {
            return tls_front_port(led.fronts[i]);
        }
    }
    unsigned i = led.next++ % FRONTS_MAX;
    end_front(i);
    led.ports[i] = port;
    led.fronts[i] = tls_front_start(&(struct tls_front_options){.port = port});
    return tls_front_port(led.fronts[i]);
}

static const char *lead(const char *url, char out[HOST_URL_MAX]) {
    unsigned port;
    int len = 0;
    if (sscanf(url, "http://127.0.0.1:%u%n", &port, &len) != 1 || port > UINT16_MAX) {
        return url;
    }
    int written = snprintf(out, HOST_URL_MAX, "https://127.0.0.1:%u%s", front_of((uint16_t)port), url + len);
    assert_in_range(written, 1, HOST_URL_MAX - 1);
    return out;
}

static void fail_led(const char *why) {
    fprintf(stderr, "led to TLS: %s\n", why);
    _exit(1);
}

__attribute__((constructor)) static void begin(void) {
    const char *roots = tls_front_roots();
    if (quoit_tls_new(&led.tls) != QUOIT_OK ||
        quoit_tls_set_roots(led.tls, QUOIT_TLS_MEMORY, roots, strlen(roots)) != QUOIT_OK ||
        quoit_tls_freeze(led.tls, NULL) != QUOIT_OK) {
        fail_led("no configuration");
    }
    led.pid = getpid();
    host_route = (struct host_route){.url = lead, .tls = led.tls, .end = end_fronts};
}

__attribute__((destructor)) static void end(void) {
    if (led.pid != getpid()) { // a child of the test's
        return;
    }
    end_fronts();
    quoit_tls_release(led.tls);
    if (led.num_shaken == 0) {
        fail_led("nothing went by it");
    }
}
