#include "bench/server/body.h"

#include <pthread.h>
#include <string.h>

static uint8_t g_table[BENCH_BODY_PERIOD + BENCH_BODY_RUN_MAX];
static pthread_once_t g_table_once = PTHREAD_ONCE_INIT;

static void build_table(void) {
    for (size_t i = 0; i < sizeof g_table; i++)
        g_table[i] = bench_server_body_byte(i);
}

const uint8_t *bench_body_at(uint64_t offset) {
    pthread_once(&g_table_once, build_table);
    return g_table + offset % BENCH_BODY_PERIOD;
}

// mix takes one word into the state. The shift brings the high bits, where a multiplication collects its entropy, down.
static inline uint64_t mix(uint64_t state, uint64_t word) {
    state = (state ^ word) * 0x100000001b3u;
    return state ^ (state >> 32);
}

static inline uint64_t load_word(const uint8_t *p) {
    uint64_t word;
    memcpy(&word, p, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

void bench_hash_init(struct bench_hash *hash) {
    *hash = (struct bench_hash){.state = 0xcbf29ce484222325u};
}

void bench_hash_add(struct bench_hash *hash, const void *data, size_t len) {
    const uint8_t *p = data;
    size_t held = (size_t)(hash->len % 8);
    hash->len += len;
    if (held > 0) {
        size_t take = len < 8 - held ? len : 8 - held;
        memcpy(hash->tail + held, p, take);
        p += take;
        len -= take;
        if (held + take < 8)
            return;
        hash->state = mix(hash->state, load_word(hash->tail));
    }
    uint64_t state = hash->state;
    for (; len >= 8; p += 8, len -= 8)
        state = mix(state, load_word(p));
    hash->state = state;
    if (len > 0)
        memcpy(hash->tail, p, len);
}

uint64_t bench_hash_end(const struct bench_hash *hash) {
    uint64_t state = hash->state;
    size_t held = (size_t)(hash->len % 8);
    if (held > 0) {
        uint8_t word[8] = {0};
        memcpy(word, hash->tail, held);
        state = mix(state, load_word(word));
    }
    return mix(mix(state, hash->len), 0);
}

uint64_t bench_server_body_hash(uint64_t len) {
    struct bench_hash hash;
    bench_hash_init(&hash);
    for (uint64_t at = 0; at < len;) {
        uint64_t run = len - at < BENCH_BODY_RUN_MAX ? len - at : BENCH_BODY_RUN_MAX;
        bench_hash_add(&hash, bench_body_at(at), (size_t)run);
        at += run;
    }
    return bench_hash_end(&hash);
}
