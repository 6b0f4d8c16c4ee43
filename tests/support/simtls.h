// TLS servers on the simulated network: a filter (simnet.h) between a scripted peer, such as simhttp, and the wire. Each
// connection has a session of the library's, in memory, and a *script*: how its records travel, what it does against the
// rules, and where. The zero script is a good server that hurries.
//
// It checks its client too: what comes must be records, and of the kinds that there are; nothing may come in the clear, and
// nothing of the client's own before the handshake's end, but where early data is taken. What is wrong is a fault.
//
// Time is the kernel's, so tickets and sessions expire by it. Random bytes are the library's: a run is the same again only
// with tests/support/deterministic, and with keys whose signing keeps nothing (not RSA).
// Thread rule as for simkernel.h; one kernel at a time has such servers.
#ifndef QUOIT_TESTS_SUPPORT_SIMTLS_H
#define QUOIT_TESTS_SUPPORT_SIMTLS_H

#include "tests/support/certs.h"
#include "tests/support/simnet.h"

#define Q_SIMTLS_CHAIN_MAX 4

enum q_simtls_fault {
    Q_SIMTLS_NO_FAULT,
    Q_SIMTLS_FIN,     // its stream ends there
    Q_SIMTLS_RESET,
    Q_SIMTLS_SILENCE, // nothing comes any more, not even the end
    Q_SIMTLS_GARBLE,  // one bit of that byte is wrong
};

enum q_simtls_end {
    Q_SIMTLS_GOODBYE, // close_notify, then FIN
    Q_SIMTLS_RUDE,    // FIN alone
};

// What costs a server nothing, many times.
enum q_simtls_flood {
    Q_SIMTLS_TICKETS,    // 1.3
    Q_SIMTLS_UPDATES,    // 1.3: key updates that ask for none
    Q_SIMTLS_EMPTY,      // records without data
    Q_SIMTLS_WARNINGS,
    Q_SIMTLS_REQUESTS,   // 1.2: HelloRequest, for a renegotiation
    Q_SIMTLS_FLOODS,
};

// What becomes of early data, where the server takes any.
enum q_simtls_early {
    Q_SIMTLS_TAKE,
    Q_SIMTLS_REJECT,    // of this connection; its tickets allow it all the same
    Q_SIMTLS_TOO_EARLY, // takes it, and answers 425 in place of the peer
    Q_SIMTLS_EARLY_FIN, // its stream ends when the data is there, in front of its first flight
};

struct q_simtls_script {
    size_t piece;              // bytes of the wire that arrive together; 0: as many as there are
    uint64_t piece_delay_ns;   // between pieces; 0: a microsecond
    uint64_t piece_until;      // what begins behind so many bytes goes whole; 0: nothing does
    uint64_t flight_delay_ns;  // before each flight of the handshake
    size_t record_max;         // plaintext of a record; 0: 16384
    enum q_simtls_fault fault;
    uint64_t fault_at;         // in front of this byte of all that it sends
    bool is_fault_at_record;   // fault_at counts records
    uint64_t silence_ns;       // behind which a silent one resets; 0: never
    uint64_t alert_at;         // behind so many bytes of the peer's it ends with a fatal alert, if not 0
    enum q_simtls_end end;
    unsigned num_updates;      // 1.3: key updates in front of each of the peer's sends
    bool asks_updates;         // each wants one in return
    unsigned num_floods;       // records in front of the peer's first send
    enum q_simtls_flood flood;
    enum q_simtls_early early; // 1.3
};

struct q_simtls_options {
    const struct q_cert *chain[Q_SIMTLS_CHAIN_MAX]; // the server's own first
    uint16_t version;           // 0x0303, 0x0304; 0: both
    bool has_no_tickets;
    bool takes_early;           // its sessions allow early data
    bool wants_certificate;     // of the client; any will do
    struct q_simtls_script script;

    // Called for each connection, for a script of its own. May be NULL.
    void (*on_open)(void *context, struct q_sim_conn *conn, struct q_simtls_script *script);
    void *context;

    // Called with true before the server uses the library, and with false behind that. May be NULL.
    void (*on_library)(bool is_inside);
};

struct q_simtls_stats {
    uint64_t connections;
    uint64_t handshakes;    // whole ones
    uint64_t resumed;       // of them
    uint64_t early;         // connections whose first bytes were early
    uint64_t opened;        // bytes of the client's own
    uint64_t goodbyes;      // of clients
    uint64_t alerts;        // fatal ones
    uint8_t last_alert;
    uint64_t last_serial;   // of the last client's certificate, 0: none
    uint64_t faults;
    char first_fault[128];
};

struct q_simtls;

// q_simtls_new makes a kind of server; certificates are read now and may go, unless it is restarted. Never NULL. Free it
// after the kernel.
struct q_simtls *q_simtls_new(struct q_sim *sim, const struct q_simtls_options *options);
void q_simtls_free(struct q_simtls *server);

// q_simtls_filter is for listeners; the filter's context is the struct q_simtls.
const struct q_sim_filter *q_simtls_filter(void);

const struct q_simtls_stats *q_simtls_stats(const struct q_simtls *server);

// q_simtls_restart has it forget all sessions, and show another certificate (NULL: the same) from here on.
void q_simtls_restart(struct q_simtls *server, const struct q_cert *leaf);

// q_simtls_set_script is for connections from here on.
void q_simtls_set_script(struct q_simtls *server, const struct q_simtls_script *script);

// What the server of a connection, which is alive and has shaken hands, does of its own accord. close_notify alone ends no
// stream below.
void q_simtls_say_goodbye(struct q_sim_conn *conn);
void q_simtls_alert(struct q_sim_conn *conn, uint8_t alert);
void q_simtls_flood(struct q_sim_conn *conn, enum q_simtls_flood flood, unsigned count);

// q_simtls_is_open tells whether a connection's handshake is over, q_simtls_sent how many bytes its server has sent.
bool q_simtls_is_open(const struct q_sim_conn *conn);
uint64_t q_simtls_sent(const struct q_sim_conn *conn);

#endif
