// A TLS stream and a server that does anything at all: says, falls silent in the middle, lies about every byte, floods, ends.
// Whatever comes, the owner gets what the server has sealed, from its beginning and in order, or an end; the server gets
// what the owner has sent; nothing leaks, and close is always legal. The first byte chooses the set-up, each one that
// follows what happens next.
#include "tests/engine/tls/tls_rig.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

enum { SAID_MAX = 200000, ACTIONS = 16 };

static char the_bytes[SAID_MAX];

struct run {
    struct tls_rig *rig;
    size_t said;         // by the server
    size_t sent;         // handed over by the owner
    size_t seen_sends;   // letters S that were looked at
    bool is_sending;
    bool is_asking;
    bool is_shut;
    bool has_lied;       // bytes that the server did not seal have come
};

static bool is_open(const struct run *run) { return run->rig->tls.state == Q_TLS_OPEN; }

static size_t count_told(const struct run *run, char letter) {
    size_t count = 0;
    for (size_t i = 0; i < run->rig->told_len; i++) {
        count += run->rig->told[i] == letter;
    }
    return count;
}

static void look(struct run *run) {
    struct tls_rig *rig = run->rig;
    FUZZ_CHECK(rig->received_len <= run->said && memcmp(rig->received, the_bytes, rig->received_len) == 0);
    FUZZ_CHECK(rig->server_got_len <= run->sent && memcmp(rig->server_got, the_bytes, rig->server_got_len) == 0);
    FUZZ_CHECK(count_told(run, 'C') <= 1 && count_told(run, 'E') <= 1);
    if (count_told(run, 'S') > run->seen_sends) {
        run->seen_sends++;
        run->is_sending = false;
        FUZZ_CHECK(count_told(run, 'S') == run->seen_sends);
    }
    if (count_told(run, 'R') + count_told(run, 'E') > 0) {
        run->is_asking = rig->tls.wants > 0;
    }
}

static void say(struct run *run, size_t len, size_t record) {
    struct tls_rig *rig = run->rig;
    len = len < SAID_MAX - run->said ? len : SAID_MAX - run->said;
    if (tls_rig_may_say(rig) && len > 0 && rig->wire.in_len < TLS_RIG_BYTES_MAX / 4) {
        tls_rig_say(rig, the_bytes + run->said, len, record);
        run->said += len;
    }
}

static void act_as_server(struct run *run, unsigned action, unsigned number) {
    struct tls_rig *rig = run->rig;
    bool can_speak = tls_rig_may_say(rig);
    switch (action) {
    case 0: say(run, 1 + number, 1 + number % 7); break;
    case 1: say(run, (1 + number) * 200, 0); break;
    case 2:
        if (can_speak && rig->options.version == 0) {
            tls_rig_update(rig, number % 2 == 0);
            say(run, 1, 0);
        }
        break;
    case 3:
        if (can_speak) {
            tls_rig_goodbye(rig);
        }
        break;
    case 4:
        if (rig->wire.in_len > 0) {
            rig->wire.in[(number * 31) % rig->wire.in_len] ^= (char)(1 + number % 255);
            run->has_lied = true;
        }
        break;
    case 5: {
        uint8_t record[6 + 255] = {(uint8_t)(20 + number % 6), 3, 3, 0, (uint8_t)number};
        memset(record + 5, (int)number, sizeof record - 5);
        tls_rig_inject(rig, record, 5 + number);
        run->has_lied = true;
        break;
    }
    case 6: tls_rig_end(rig, number % 2 == 0 ? Q_OK : q_error_os(Q_ERR_CONNECTION_RESET, Q_PHASE_HEAD, 104)); break;
    default: rig->wire.cut = number == 0 ? TLS_RIG_ALL : number; break;
    }
}

static void act_as_owner(struct run *run, unsigned action, unsigned number) {
    struct tls_rig *rig = run->rig;
    switch (action) {
    case 8:
        if (is_open(run) && rig->tls.wants == 0 && count_told(run, 'E') == 0) {
            tls_rig_recv(rig, number == 255 ? Q_STREAM_RECV_ANY : 1 + number * number);
        }
        break;
    case 9: {
        size_t len = 1 + (size_t)number * number;
        if (is_open(run) && !run->is_sending && !run->is_shut && len <= SAID_MAX - run->sent) {
            run->is_sending = true;
            run->sent += len;
            tls_rig_send(rig, the_bytes + run->sent - len, len);
        }
        break;
    }
    case 10:
        if (is_open(run) && !run->is_sending && !run->is_shut) {
            run->is_shut = true;
            q_stream_shutdown(&rig->tls.stream);
        }
        break;
    case 11:
        if (is_open(run)) {
            (void)q_stream_has_unasked(&rig->tls.stream);
        }
        break;
    case 12: tls_rig_pass(rig, (uint64_t)number * Q_NS_PER_MS); break;
    case 13:
        rig->wire.send_error = number % 4 == 0 ? q_error_os(Q_ERR_CONNECTION_RESET, Q_PHASE_SEND, 32) : Q_OK;
        rig->wire.send_taken = number;
        break;
    default:
        for (unsigned i = 0; i <= number % 32 && tls_rig_step(rig); i++) {
            look(run);
        }
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) {
        return 0;
    }
    if (the_bytes[1] == 0) {
        for (size_t i = 0; i < SAID_MAX; i++) {
            the_bytes[i] = (char)((i * 2654435761u) >> 13 | 1);
        }
    }
    struct tls_rig_options options = {
        .version = (data[0] & 1) != 0 ? 0x0303 : 0,
        .chunk_capacity = (data[0] & 2) != 0 ? 1000 : 0,
        .server_is_mute = (data[0] & 12) == 12,
        .asks_verify = (data[0] & 16) != 0 ? Q_TLS_ASKS_ALWAYS : Q_TLS_ASKS_NEVER,
        .handshake_ns = (data[0] & 32) != 0 ? Q_NS_PER_S : 0,
    };
    struct run run = {.rig = tls_rig_new(&options)};
    tls_rig_connect(run.rig);
    if ((data[0] & 64) != 0) {
        tls_rig_run(run.rig);
    }
    for (size_t i = 1; i + 1 < size && i < 400; i += 2) {
        unsigned action = data[i] % ACTIONS;
        if (action < 8) {
            if (!options.server_is_mute || action > 3) {
                act_as_server(&run, action, data[i + 1]);
            }
        } else {
            act_as_owner(&run, action, data[i + 1]);
        }
        look(&run);
    }
    run.rig->wire.cut = run.rig->wire.cut < 100 ? 100 : run.rig->wire.cut;
    tls_rig_run(run.rig);
    look(&run);
    tls_rig_close(run.rig);
    tls_rig_free(run.rig);
    return 0;
}
