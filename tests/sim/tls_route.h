// The way by TLS (route.h): certificates and configurations for 127.0.0.1, and servers whose scripts are drawn from the
// kernel's seed, or set by the test. Linking it is taking it.
#ifndef QUOIT_TESTS_SIM_TLS_ROUTE_H
#define QUOIT_TESTS_SIM_TLS_ROUTE_H

#include "api/quoit.h"
#include "tests/support/simtls.h"

// tls_route_root signs what servers show, tls_route_leaf is what they show. They live as long as the process.
const struct q_cert *tls_route_root(void);
const struct q_cert *tls_route_leaf(void);

// tls_route_settings gives a hold of a new configuration that trusts that root.
struct quoit_tls *tls_route_settings(void);

// tls_route_tap has all that arrives on the wires of the kernels from here on told (simnet.h); NULL: not.
void tls_route_tap(void (*tap)(void *context, const struct q_sim_conn *conn, bool is_to_client, const char *data, size_t len),
                   void *context);

// tls_route_options gives those of a good server, with whatever the seed draws for it when the kernel is in random mode.
struct q_simtls_options tls_route_options(struct q_sim *sim, bool is_moody);

#endif
