#include "engine/net/resolver_internal.h"

#include <string.h>

static struct q_slice candidate_of(const struct q_lookup *lookup) {
    return q_slice_make(lookup->candidate_name, lookup->candidate_len);
}

// --- candidates ----------------------------------------------------------------------------------------------------

static const struct q_resolv_conf *conf_of(const struct q_lookup *lookup) { return &lookup->servers->conf; }

static bool goes_first_as_it_is(const struct q_lookup *lookup) {
    uint32_t dots = 0;
    for (uint16_t i = 0; i < lookup->name_len; i++) {
        dots += lookup->name[i] == '.';
    }
    return dots >= conf_of(lookup)->ndots;
}

// Writes the candidate at lookup->candidate, or the next that is no longer than a name may be. False: there is none.
static bool make_candidate(struct q_lookup *lookup) {
    uint32_t num_search = lookup->is_rooted ? 0 : conf_of(lookup)->num_search;
    uint32_t as_it_is = goes_first_as_it_is(lookup) ? 0 : num_search;
    for (; lookup->candidate <= num_search; lookup->candidate++) {
        uint32_t index = lookup->candidate;
        memcpy(lookup->candidate_name, lookup->name, lookup->name_len);
        lookup->candidate_len = lookup->name_len;
        if (index == as_it_is) {
            return true;
        }
        struct q_slice domain = q_resolv_conf_search(conf_of(lookup), index - (index > as_it_is));
        if (lookup->name_len + 1 + domain.len <= sizeof lookup->candidate_name) {
            lookup->candidate_name[lookup->candidate_len++] = '.';
            memcpy(lookup->candidate_name + lookup->candidate_len, domain.ptr, domain.len);
            lookup->candidate_len = (uint16_t)(lookup->candidate_len + domain.len);
            return true;
        }
    }
    return false;
}

static void take_cached(struct q_lookup_family *family, const struct q_cached *cached) {
    family->count = cached->count;
    family->ttl_s = cached->ttl_s;
    family->is_stale = cached->is_stale;
    family->outcome = cached->count > 0 ? FOUND : cached->code == Q_ERR_NAME_NO_ADDRESS ? NO_DATA : NO_NAME;
    memcpy(family->addresses, cached->addresses, cached->count * sizeof family->addresses[0]);
}

static bool find_cached(struct q_lookup *lookup, unsigned i, bool takes_stale) {
    struct q_resolver *resolver = lookup->resolver;
    struct q_cached cached;
    if (!q_name_cache_find(&resolver->cache, candidate_of(lookup), k_families[i], resolver->loop->now_ns, takes_stale,
                           &cached)) {
        return false;
    }
    take_cached(&lookup->families[i], &cached);
    resolver->stats.hits += !takes_stale;
    resolver->stats.stale += lookup->families[i].is_stale;
    return true;
}

// Begins with a candidate: what the cache knows of it, and what nobody is asked for.
static void enter_candidate(struct q_lookup *lookup) {
    for (unsigned i = 0; i < NUM_FAMILIES; i++) {
        struct q_lookup_family *family = &lookup->families[i];
        if (family->is_known) {
            continue;
        }
        family->outcome = UNKNOWN;
        family->count = 0;
        if (k_families[i] == Q_RESOLVE_V6 && conf_of(lookup)->no_aaaa) {
            family->outcome = NO_DATA;
        } else if (q_lookup_wants(lookup, i)) {
            find_cached(lookup, i, false);
        }
    }
}

static const struct q_dns_exchange_events k_exchange_events;

// --- asking --------------------------------------------------------------------------------------------------------

static bool take_seat(struct q_lookup *lookup) {
    struct q_resolver *resolver = lookup->resolver;
    if (lookup->asks != NULL) {
        return true;
    }
    if (resolver->num_asking == Q_RESOLVER_ASKING_MAX) {
        lookup->state = INLINE;
        q_list_push_back(&resolver->line, &lookup->line_link);
        return false;
    }
    lookup->asks = q_alloc_new(resolver->alloc, sizeof *lookup->asks);
    if (lookup->asks == NULL) {
        q_lookup_fail(lookup, q_lookup_error(Q_ERR_NO_MEMORY));
        return false;
    }
    resolver->num_asking++;
    for (unsigned i = 0; i < NUM_FAMILIES; i++) {
        lookup->asks->halves[i].lookup = lookup;
        q_dns_exchange_init(&lookup->asks->halves[i].exchange, &resolver->env, &k_exchange_events);
    }
    return true;
}

// Asks for what is not known of the candidate: for both families at the same time, unless the servers cannot take that.
static void ask_servers(struct q_lookup *lookup) {
    struct q_resolver *resolver = lookup->resolver;
    bool is_asking = false;
    for (unsigned i = 0; i < NUM_FAMILIES; i++) {
        is_asking |= lookup->families[i].outcome == PENDING;
    }
    for (unsigned i = 0; i < NUM_FAMILIES; i++) {
        struct q_lookup_family *family = &lookup->families[i];
        if (family->is_known || !q_lookup_wants(lookup, i) || family->outcome != UNKNOWN ||
            (is_asking && conf_of(lookup)->single_request)) {
            continue;
        }
        if (!take_seat(lookup)) {
            return;
        }
        struct q_lookup_half *half = &lookup->asks->halves[i];
        if (!q_dns_exchange_is_quiet(&half->exchange)) {
            continue; // the last candidate's socket closes; its end posts the task
        }
        lookup->state = ASKING;
        family->outcome = PENDING;
        is_asking = true;
        half->has_come = false;
        resolver->stats.asked++;
        q_dns_exchange_begin(&half->exchange, candidate_of(lookup),
                             k_families[i] == Q_RESOLVE_V6 ? Q_DNS_AAAA : Q_DNS_A, conf_of(lookup),
                             conf_of(lookup)->rotate ? resolver->rotation++ : 0);
    }
    if (is_asking && resolver->options.cache.stale_s > 0 && !q_timer_is_armed(&lookup->timer)) {
        q_loop_arm(resolver->loop, &lookup->timer, resolver->loop->now_ns + Q_RESOLVER_STALE_NS);
    }
}

static void on_done(struct q_dns_exchange *exchange, struct q_error error) {
    struct q_lookup_half *half = q_container_of(exchange, struct q_lookup_half, exchange);
    half->error = error;
    half->has_come = true;
    q_lookup_post(half->lookup);
}

static void on_quiet(struct q_dns_exchange *exchange) {
    struct q_lookup *lookup = q_container_of(exchange, struct q_lookup_half, exchange)->lookup;
    q_lookup_post(lookup);
}

static const struct q_dns_exchange_events k_exchange_events = {.on_done = on_done, .on_quiet = on_quiet};

// --- what servers say ----------------------------------------------------------------------------------------------

static void take_answer(struct q_lookup *lookup, unsigned i, const struct q_dns_answer *answer) {
    struct q_resolver *resolver = lookup->resolver;
    struct q_lookup_family *family = &lookup->families[i];
    enum q_dns_verdict verdict = (enum q_dns_verdict)answer->verdict;
    int32_t code = verdict == Q_DNS_FOUND ? Q_ERR_OK : verdict == Q_DNS_NO_DATA ? Q_ERR_NAME_NO_ADDRESS : Q_ERR_NAME_NOT_FOUND;
    if (answer->has_ttl) {
        q_name_cache_put(&resolver->cache, candidate_of(lookup), k_families[i], resolver->loop->now_ns, answer->ttl_s, code,
                         answer->addresses, answer->count);
    }
    family->outcome = verdict == Q_DNS_FOUND ? FOUND : verdict == Q_DNS_NO_DATA ? NO_DATA : NO_NAME;
    if (family->is_known) {
        return; // they were told what was known before
    }
    family->is_stale = false;
    family->ttl_s = answer->ttl_s;
    family->count = answer->count;
    memcpy(family->addresses, answer->addresses, answer->count * sizeof answer->addresses[0]);
}

// No server has said anything that helps. What was known before may do.
static void take_failure(struct q_lookup *lookup, unsigned i, struct q_error error) {
    struct q_resolver *resolver = lookup->resolver;
    struct q_lookup_family *family = &lookup->families[i];
    if (error.code == Q_ERR_NAME_NOT_FOUND) {
        family->outcome = NO_NAME; // it may not be asked for
        return;
    }
    family->outcome = FAILED;
    if (resolver->options.cache.stale_s > 0) {
        q_name_cache_hold(&resolver->cache, candidate_of(lookup), k_families[i], resolver->loop->now_ns,
                          Q_RESOLVER_STALE_HOLD_S);
    }
    if (family->is_known || (resolver->options.cache.stale_s > 0 && find_cached(lookup, i, true))) {
        return;
    }
    family->error = error;
}

static void take_what_has_come(struct q_lookup *lookup) {
    for (unsigned i = 0; lookup->asks != NULL && i < NUM_FAMILIES; i++) {
        struct q_lookup_half *half = &lookup->asks->halves[i];
        if (!half->has_come || lookup->families[i].outcome != PENDING) {
            continue;
        }
        half->has_come = false;
        if (q_error_is(half->error)) {
            take_failure(lookup, i, half->error);
        } else {
            take_answer(lookup, i, &half->exchange.answer);
        }
    }
}

enum verdict { WAIT, NEXT_CANDIDATE, FINISHED };

// Looks at what both families have come to. An address of one makes this the candidate.
static enum verdict judge(struct q_lookup *lookup) {
    bool is_found = false;
    bool is_open = false;
    bool is_silent = false;
    for (unsigned i = 0; i < NUM_FAMILIES; i++) {
        const struct q_lookup_family *family = &lookup->families[i];
        if (q_lookup_wants(lookup, i)) {
            is_found |= family->outcome == FOUND || (family->is_known && family->count > 0);
            is_open |= family->outcome == UNKNOWN || family->outcome == PENDING;
            is_silent |= family->outcome == FAILED && family->error.code == Q_ERR_NAME_SERVERS_SILENT;
        }
    }
    for (unsigned i = 0; i < NUM_FAMILIES; i++) {
        struct q_lookup_family *family = &lookup->families[i];
        bool is_settled = family->outcome != UNKNOWN && family->outcome != PENDING;
        if (!q_lookup_wants(lookup, i) || family->is_known || !is_settled) {
            continue;
        }
        if (family->outcome == FOUND) {
            family->error = Q_OK;
            q_lookup_know(lookup, i);
        } else if (is_found) {
            family->error = family->outcome == FAILED ? family->error : q_lookup_error(Q_ERR_NAME_NO_ADDRESS);
            q_lookup_know(lookup, i);
        }
        lookup->has_no_data |= family->outcome == NO_DATA;
        lookup->failure = family->outcome == FAILED ? family->error : lookup->failure;
    }
    return is_open ? WAIT : is_found || is_silent ? FINISHED : NEXT_CANDIDATE;
}

static void finish(struct q_lookup *lookup) {
    struct q_error error = lookup->failure;
    if (!q_error_is(error)) {
        error = q_lookup_error(lookup->has_no_data ? Q_ERR_NAME_NO_ADDRESS : Q_ERR_NAME_NOT_FOUND);
    }
    q_lookup_fail(lookup, error);
}

void q_lookup_go_on(struct q_lookup *lookup) {
    take_what_has_come(lookup);
    for (;;) {
        enum verdict verdict = judge(lookup);
        if (verdict == WAIT) {
            ask_servers(lookup);
            return;
        }
        lookup->candidate++;
        if (verdict == FINISHED || !make_candidate(lookup)) {
            finish(lookup);
            return;
        }
        enter_candidate(lookup);
    }
}

void q_lookup_waited(struct q_timer *timer) {
    struct q_lookup *lookup = q_container_of(timer, struct q_lookup, timer);
    for (unsigned i = 0; i < NUM_FAMILIES; i++) {
        struct q_lookup_family *family = &lookup->families[i];
        if (q_lookup_wants(lookup, i) && !family->is_known && family->outcome == PENDING && find_cached(lookup, i, true)) {
            family->outcome = family->count > 0 ? PENDING : family->outcome;
            family->error = Q_OK;
            lookup->goes_on_alone = true;
            q_lookup_know(lookup, i);
        }
    }
    q_lookup_post(lookup);
}

void q_lookup_begin(struct q_lookup *lookup) {
    lookup->state = ASKING;
    lookup->candidate = 0;
    bool has_servers = conf_of(lookup)->num_servers > 0 || lookup->resolver->env.carrier != NULL;
    if (has_servers && make_candidate(lookup)) {
        enter_candidate(lookup);
    } else {
        finish(lookup);
    }
}
