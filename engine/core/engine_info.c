// Counters. The loop stores a snapshot once a tick, relaxed; any thread reads it without asking the loop.
#include "engine/core/engine.h"
#include "engine/core/options.h"

#include <string.h>

enum counter {
    COUNTER_DONE,
    COUNTER_FAILED,
    COUNTER_OPEN,
    COUNTER_OPENED,
    COUNTER_REUSED,
    COUNTER_BYTES_IN,
    COUNTER_BYTES_OUT,
    COUNTER_TICKS,
    COUNTER_ENTERS,
    COUNTER_BUFFER_BYTES,
    COUNTER_STARVED,
    COUNTER_STALE,
    COUNTER_CAPABILITIES,
    COUNTER_RING_ENTRIES,
    COUNTER_DNS_LOOKUPS,
    COUNTER_DNS_MERGED,
    COUNTER_DNS_HITS,
    COUNTER_DNS_STALE,
    COUNTER_DNS_QUERIES,
    COUNTER_DNS_STRANGE,
    COUNTER_DNS_ENTRIES,
    COUNTERS,
};

static void store(struct q_engine *engine, enum counter counter, uint64_t value) {
    _Static_assert(COUNTERS <= sizeof engine->snapshot / sizeof engine->snapshot[0], "the snapshot holds them all");
    atomic_store_explicit(&engine->snapshot[counter], value, memory_order_relaxed);
}

void q_engine_snapshot(struct q_engine *engine) {
    const struct q_io_stats *io = q_io_get_stats(engine->loop.io);
    store(engine, COUNTER_DONE, engine->num_done);
    store(engine, COUNTER_FAILED, engine->num_failed);
    store(engine, COUNTER_OPEN, engine->pool.stats.open);
    store(engine, COUNTER_OPENED, engine->pool.stats.opened);
    store(engine, COUNTER_REUSED, engine->pool.stats.reused);
    store(engine, COUNTER_BYTES_IN, engine->bytes_in);
    store(engine, COUNTER_BYTES_OUT, engine->bytes_out);
    store(engine, COUNTER_TICKS, engine->loop.ticks);
    store(engine, COUNTER_ENTERS, io->enters);
    store(engine, COUNTER_BUFFER_BYTES, engine->budget.used);
    store(engine, COUNTER_STARVED, io->buffers_starved);
    store(engine, COUNTER_STALE, io->stale_completions);
    const struct q_resolver *resolver = &engine->names.resolver;
    store(engine, COUNTER_DNS_LOOKUPS, resolver->stats.lookups);
    store(engine, COUNTER_DNS_MERGED, resolver->stats.merged);
    store(engine, COUNTER_DNS_HITS, resolver->stats.hits);
    store(engine, COUNTER_DNS_STALE, resolver->stats.stale);
    store(engine, COUNTER_DNS_QUERIES, resolver->env.stats.queries);
    store(engine, COUNTER_DNS_STRANGE, resolver->env.stats.strange);
    store(engine, COUNTER_DNS_ENTRIES, resolver->cache.num_entries);
    store(engine, COUNTER_CAPABILITIES, q_ring_capabilities(engine->ring));
    store(engine, COUNTER_RING_ENTRIES,
          ((uint64_t)q_ring_sq_entries(engine->ring) << 32) | q_ring_cq_entries(engine->ring));
}

static uint64_t load(struct q_engine *engine, enum counter counter) {
    return atomic_load_explicit(&engine->snapshot[counter], memory_order_relaxed);
}

int32_t q_engine_info(struct q_engine *engine, struct quoit_engine_info *out) {
    struct quoit_engine_info info = {
        .capabilities = (uint32_t)load(engine, COUNTER_CAPABILITIES),
        .ring_sq_entries = (uint32_t)(load(engine, COUNTER_RING_ENTRIES) >> 32),
        .ring_cq_entries = (uint32_t)load(engine, COUNTER_RING_ENTRIES),
        .requests_pending = q_pending_requests(&engine->entry->pending),
        .requests_done = load(engine, COUNTER_DONE),
        .requests_failed = load(engine, COUNTER_FAILED),
        .connections_open = load(engine, COUNTER_OPEN),
        .connections_opened = load(engine, COUNTER_OPENED),
        .connections_reused = load(engine, COUNTER_REUSED),
        .bytes_in = load(engine, COUNTER_BYTES_IN),
        .bytes_out = load(engine, COUNTER_BYTES_OUT),
        .ticks = load(engine, COUNTER_TICKS),
        .enters = load(engine, COUNTER_ENTERS),
        .buffer_bytes = load(engine, COUNTER_BUFFER_BYTES),
        .buffers_starved = load(engine, COUNTER_STARVED),
        .stale_completions = load(engine, COUNTER_STALE),
        .wakes = atomic_load_explicit(&engine->num_wakes, memory_order_relaxed),
        .dns_lookups = load(engine, COUNTER_DNS_LOOKUPS),
        .dns_merged = load(engine, COUNTER_DNS_MERGED),
        .dns_cache_hits = load(engine, COUNTER_DNS_HITS),
        .dns_stale = load(engine, COUNTER_DNS_STALE),
        .dns_queries = load(engine, COUNTER_DNS_QUERIES),
        .dns_strange = load(engine, COUNTER_DNS_STRANGE),
        .dns_cache_entries = load(engine, COUNTER_DNS_ENTRIES),
    };
    _Static_assert(sizeof info.name_service == Q_NSSWITCH_SERVICE_MAX, "they hold the same");
    memcpy(info.name_service, engine->names.files.nsswitch.first, sizeof info.name_service); // constant once made
    info.struct_size = out->struct_size;
    q_options_write_struct(out, &info, sizeof info);
    return 0;
}
