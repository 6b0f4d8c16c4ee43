#include "engine/net/resolver_internal.h"

#include <string.h>

static struct q_resolver *resolver_of(struct q_names *names) { return q_container_of(names, struct q_resolver, names); }

static bool has_waiters(const struct q_lookup *lookup) {
    return !q_list_is_empty(&lookup->untold) || !q_list_is_empty(&lookup->told);
}

// --- the life of a lookup ------------------------------------------------------------------------------------------

static bool is_quiet(const struct q_lookup *lookup) {
    for (unsigned i = 0; lookup->asks != NULL && i < NUM_FAMILIES; i++) {
        if (!q_dns_exchange_is_quiet(&lookup->asks->halves[i].exchange)) {
            return false;
        }
    }
    return true;
}

static void unlink_if(struct q_list_node *node) {
    if (q_list_is_linked(node)) {
        q_list_remove(node);
    }
}

// The next in line may ask.
static void call_next_in_line(struct q_resolver *resolver) {
    struct q_list_node *node = q_list_pop_front(&resolver->line);
    if (node != NULL) {
        struct q_lookup *lookup = q_container_of(node, struct q_lookup, line_link);
        lookup->state = NEW; // by now somebody else may have found it out
        q_lookup_post(lookup);
    }
}

static void stop_asking(struct q_lookup *lookup) {
    if (lookup->asks != NULL) {
        q_alloc_free(lookup->resolver->alloc, lookup->asks, sizeof *lookup->asks);
        lookup->asks = NULL;
        lookup->resolver->num_asking--;
        call_next_in_line(lookup->resolver);
    }
}

static void free_if_unused(struct q_lookup *lookup) {
    struct q_resolver *resolver = lookup->resolver;
    if (lookup->is_running || lookup->state != DONE || has_waiters(lookup) || !is_quiet(lookup)) {
        return;
    }
    stop_asking(lookup);
    q_loop_unpost(&lookup->task);
    q_loop_disarm(resolver->loop, &lookup->timer);
    unlink_if(&lookup->bucket_link);
    unlink_if(&lookup->line_link);
    q_list_remove(&lookup->live_link);
    if (lookup->servers != NULL) {
        q_name_servers_release(lookup->servers, resolver->alloc);
    }
    resolver->num_lookups--;
    q_alloc_free(resolver->alloc, lookup, sizeof *lookup);
}

// Nobody joins it any more, and queries that are in flight end.
static void be_done(struct q_lookup *lookup) {
    lookup->state = DONE;
    q_loop_disarm(lookup->resolver->loop, &lookup->timer);
    unlink_if(&lookup->bucket_link);
    unlink_if(&lookup->line_link);
    for (unsigned i = 0; lookup->asks != NULL && i < NUM_FAMILIES; i++) {
        q_dns_exchange_stop(&lookup->asks->halves[i].exchange);
    }
}

void q_lookup_know(struct q_lookup *lookup, unsigned i) {
    struct q_lookup_family *family = &lookup->families[i];
    if (family->is_known || !q_lookup_wants(lookup, i)) {
        return;
    }
    family->is_known = true;
    // Those who had heard everything have not any more.
    q_list_take(&lookup->untold, &lookup->told);
}

// No address will be found, of none of the families that are not known.
void q_lookup_fail(struct q_lookup *lookup, struct q_error error) {
    for (unsigned i = 0; i < NUM_FAMILIES; i++) {
        if (!lookup->families[i].is_known) {
            lookup->families[i].count = 0;
            lookup->families[i].error = error;
            q_lookup_know(lookup, i);
        }
    }
    be_done(lookup);
}

// --- names that need no query --------------------------------------------------------------------------------------

static void add_address(struct q_lookup_family *family, const uint8_t address[16]) {
    if (family->count < Q_RESOLVE_ADDRESSES_MAX) {
        memcpy(family->addresses[family->count++], address, 16);
    }
}

static bool find_loopback(struct q_lookup *lookup) {
    if (!q_hosts_is_localhost(q_lookup_name(lookup))) {
        return false;
    }
    for (unsigned i = 0; i < NUM_FAMILIES; i++) {
        bool is_v6 = k_families[i] == Q_RESOLVE_V6;
        add_address(&lookup->families[i], is_v6 ? (const uint8_t[16]){[15] = 1} : (const uint8_t[16]){127, 0, 0, 1});
    }
    return true;
}

static bool find_static(struct q_lookup *lookup) {
    const struct q_resolver_options *options = &lookup->resolver->options;
    bool is_there = false;
    for (uint32_t k = 0; k < options->num_statics; k++) {
        const struct q_static_name *entry = &options->statics[k];
        if ((entry->port == 0 || entry->port == lookup->port) && q_slice_equal(entry->name, q_lookup_name(lookup))) {
            add_address(&lookup->families[entry->is_v6 ? 0 : 1], entry->address);
            is_there = true;
        }
    }
    return is_there;
}

static bool find_in_file(struct q_lookup *lookup) {
    bool is_there = false;
    for (unsigned i = 0; i < NUM_FAMILIES; i++) {
        struct q_lookup_family *family = &lookup->families[i];
        family->count = q_hosts_find_family(&lookup->resolver->files->hosts, q_lookup_name(lookup),
                                            k_families[i] == Q_RESOLVE_V6, family->addresses, Q_RESOLVE_ADDRESSES_MAX,
                                            &is_there);
    }
    return is_there;
}

// Names that exist nowhere, by definition, or cannot.
static bool is_impossible(struct q_slice name) {
    static const char k_invalid[] = ".invalid";
    size_t len = sizeof k_invalid - 1;
    bool is_invalid = q_slice_equal(name, Q_SLICE("invalid")) ||
                      (name.len > len && memcmp(name.ptr + name.len - len, k_invalid, len) == 0);
    return is_invalid || !q_dns_name_check(name);
}

// What is known besides by whom it was asked for is for both families; where one has no address, the name has none of it.
static bool find_here(struct q_lookup *lookup) {
    if (!find_loopback(lookup) && !find_static(lookup) && !find_in_file(lookup)) {
        return false;
    }
    for (unsigned i = 0; i < NUM_FAMILIES; i++) {
        lookup->families[i].error = lookup->families[i].count > 0 ? Q_OK : q_lookup_error(Q_ERR_NAME_NO_ADDRESS);
        q_lookup_know(lookup, i);
    }
    be_done(lookup);
    return true;
}

// --- telling -------------------------------------------------------------------------------------------------------

// How much an error says about the whole of a request.
static int weight_of(struct q_error error) {
    return error.code == Q_ERR_OK ? 0 : error.code == Q_ERR_NAME_NOT_FOUND ? 1 : error.code == Q_ERR_NAME_NO_ADDRESS ? 2 : 3;
}

static void tell_one(struct q_lookup *lookup, struct q_resolve *request, unsigned i) {
    const struct q_lookup_family *family = &lookup->families[i];
    request->families &= (uint8_t)~k_families[i];
    struct q_resolve_answer answer = {
        .addresses = (const uint8_t(*)[16])family->addresses,
        .count = family->count,
        .ttl_s = family->ttl_s,
        .family = k_families[i],
        .is_last = request->families == 0,
        .is_stale = family->is_stale,
        .error = family->count > 0 ? Q_OK : family->error,
    };
    request->has_addresses |= answer.count > 0;
    if (answer.count == 0 && weight_of(answer.error) >= weight_of(request->error)) {
        request->error = answer.error;
    }
    if (answer.is_last) {
        request->of = NULL;
        answer.error = request->has_addresses ? answer.error : request->error;
    } else {
        q_list_push_back(&lookup->untold, &request->link);
    }
    request->events->on_answer(request, &answer);
}

// The family that a waiter is told next; NUM_FAMILIES: none.
static unsigned next_known(const struct q_lookup *lookup, const struct q_resolve *request) {
    for (unsigned i = 0; i < NUM_FAMILIES; i++) {
        if ((request->families & k_families[i]) != 0 && lookup->families[i].is_known) {
            return i;
        }
    }
    return NUM_FAMILIES;
}

// Tells the waiters what is known. They may cancel, and ask again, from inside. Whoever joins meanwhile is told in another
// run, so that this one has an end.
static void tell(struct q_lookup *lookup) {
    struct q_list now;
    q_list_init(&now);
    q_list_take(&now, &lookup->untold);
    struct q_list_node *node;
    while ((node = q_list_pop_front(&now)) != NULL) {
        struct q_resolve *request = q_container_of(node, struct q_resolve, link);
        unsigned i = next_known(lookup, request);
        if (i == NUM_FAMILIES) {
            q_list_push_back(&lookup->told, node);
        } else {
            tell_one(lookup, request, i);
        }
    }
    if (!q_list_is_empty(&lookup->untold)) {
        q_lookup_post(lookup);
    }
}

// --- the task ------------------------------------------------------------------------------------------------------

static void look_here(struct q_lookup *lookup) {
    struct q_resolver *resolver = lookup->resolver;
    if (is_impossible(q_lookup_name(lookup))) {
        q_lookup_fail(lookup, q_lookup_error(Q_ERR_NAME_NOT_FOUND));
        return;
    }
    if (q_name_files_check(resolver->files)) {
        lookup->state = UNREAD;
        q_list_push_back(&resolver->unread, &lookup->line_link);
        return;
    }
    if (find_here(lookup)) {
        return;
    }
    if (lookup->servers == NULL) {
        lookup->servers = q_name_servers_acquire(resolver->files->servers);
    }
    q_lookup_begin(lookup);
}

static void run(struct q_task *task) {
    struct q_lookup *lookup = q_container_of(task, struct q_lookup, task);
    lookup->is_running = true;
    if (lookup->state == NEW) {
        look_here(lookup);
    }
    if (lookup->state == ASKING) {
        q_lookup_go_on(lookup);
    }
    tell(lookup);
    if (lookup->state != DONE && !has_waiters(lookup) && !lookup->goes_on_alone) {
        be_done(lookup);
    }
    lookup->is_running = false;
    free_if_unused(lookup);
}

// --- asking and cancelling -----------------------------------------------------------------------------------------

static void tell_refused(struct q_task *task) {
    struct q_resolver *resolver = q_container_of(task, struct q_resolver, task);
    struct q_list now;
    q_list_init(&now);
    q_list_take(&now, &resolver->refused);
    struct q_list_node *node;
    while ((node = q_list_pop_front(&now)) != NULL) {
        struct q_resolve *request = q_container_of(node, struct q_resolve, link);
        uint8_t family = request->families & Q_RESOLVE_V6 ? Q_RESOLVE_V6 : Q_RESOLVE_V4;
        request->families &= (uint8_t)~family;
        struct q_resolve_answer answer = {.family = family, .is_last = request->families == 0, .error = request->error};
        if (answer.is_last) {
            request->of = NULL;
        } else {
            q_list_push_back(&now, node);
        }
        request->events->on_answer(request, &answer);
    }
}

static void refuse(struct q_resolver *resolver, struct q_resolve *request, struct q_error error) {
    resolver->stats.refused++;
    request->of = resolver;
    request->error = error;
    q_list_push_back(&resolver->refused, &request->link);
    q_loop_post(resolver->loop, &resolver->task);
}

static struct q_list *bucket_of(struct q_resolver *resolver, struct q_slice name) {
    return &resolver->buckets[q_hash_keyed(resolver->hash_key, name.ptr, name.len) % Q_RESOLVER_BUCKETS];
}

// The port tells two lookups of one name apart only where static addresses could.
static struct q_lookup *find_lookup(const struct q_list *bucket, struct q_slice name, uint16_t port, unsigned families,
                                  bool is_rooted) {
    for (struct q_list_node *node = bucket->head.next; node != &bucket->head; node = node->next) {
        struct q_lookup *lookup = q_container_of(node, struct q_lookup, bucket_link);
        if (lookup->wanted == families && lookup->is_rooted == is_rooted && lookup->port == port &&
            q_slice_equal(q_lookup_name(lookup), name)) {
            return lookup;
        }
    }
    return NULL;
}

static struct q_lookup *new_lookup(struct q_resolver *resolver, struct q_list *bucket, struct q_slice name, uint16_t port,
                                 unsigned families, bool is_rooted) {
    bool is_full = resolver->num_lookups == Q_RESOLVER_LOOKUPS_MAX;
    struct q_lookup *lookup = is_full ? NULL : q_alloc_new(resolver->alloc, sizeof *lookup);
    if (lookup == NULL) {
        return NULL;
    }
    lookup->resolver = resolver;
    lookup->task.run = run;
    lookup->timer.fired = q_lookup_waited;
    q_list_init(&lookup->untold);
    q_list_init(&lookup->told);
    lookup->port = port;
    lookup->wanted = (uint8_t)families;
    lookup->is_rooted = is_rooted;
    lookup->name_len = (uint16_t)name.len;
    memcpy(lookup->name, name.ptr, name.len);
    q_list_push_back(bucket, &lookup->bucket_link);
    q_list_push_back(&resolver->live, &lookup->live_link);
    resolver->num_lookups++;
    return lookup;
}

static void ask(struct q_names *names, struct q_resolve *request, struct q_slice name, uint16_t port,
                unsigned families) {
    struct q_resolver *resolver = resolver_of(names);
    Q_CHECK(request->of == NULL && families != 0 && families <= Q_RESOLVE_BOTH);
    request->families = (uint8_t)families;
    request->has_addresses = false;
    request->error = Q_OK;
    resolver->stats.lookups++;
    bool is_rooted = name.len > 1 && name.ptr[name.len - 1] == '.';
    name.len -= is_rooted;
    if (resolver->is_closing || name.len == 0 || name.len > Q_RESOLVE_NAME_MAX) {
        refuse(resolver, request, q_lookup_error(resolver->is_closing ? Q_ERR_CLOSED : Q_ERR_NAME_NOT_FOUND));
        return;
    }
    port = resolver->options.num_statics > 0 ? port : 0;
    struct q_list *bucket = bucket_of(resolver, name);
    struct q_lookup *lookup = find_lookup(bucket, name, port, families, is_rooted);
    resolver->stats.merged += lookup != NULL;
    if (lookup == NULL) {
        lookup = new_lookup(resolver, bucket, name, port, families, is_rooted);
    }
    if (lookup == NULL) {
        refuse(resolver, request, q_lookup_error(Q_ERR_NO_MEMORY));
        return;
    }
    request->of = lookup;
    q_list_push_back(&lookup->untold, &request->link);
    q_lookup_post(lookup);
}

static void cancel(struct q_names *names, struct q_resolve *request) {
    struct q_resolver *resolver = resolver_of(names);
    struct q_lookup *lookup = request->of == resolver ? NULL : request->of;
    q_list_remove(&request->link);
    request->of = NULL;
    if (lookup == NULL || lookup->is_running || has_waiters(lookup) || lookup->goes_on_alone) {
        return; // a task that runs looks for itself
    }
    be_done(lookup);
    free_if_unused(lookup);
}

static const struct q_names_vtable k_names = {.ask = ask, .cancel = cancel};

// --- files ---------------------------------------------------------------------------------------------------------

static void on_ready(struct q_name_files *files) {
    struct q_resolver *resolver = files->owner;
    if (files->servers_changed) {
        files->servers_changed = false;
        q_name_cache_clear(&resolver->cache);
    }
    struct q_list_node *node;
    while ((node = q_list_pop_front(&resolver->unread)) != NULL) {
        struct q_lookup *lookup = q_container_of(node, struct q_lookup, line_link);
        lookup->state = NEW;
        q_lookup_post(lookup);
    }
}

static void on_stopped(struct q_name_files *files) { (void)files; }

static const struct q_name_files_events k_files_events = {.on_ready = on_ready, .on_stopped = on_stopped};

// --- the resolver --------------------------------------------------------------------------------------------------

void q_resolver_init(struct q_resolver *resolver, const struct q_alloc *alloc, struct q_loop *loop,
                     struct q_name_files *files, const struct q_resolver_options *options) {
    *resolver = (struct q_resolver){.names = {.v = &k_names}, .alloc = alloc, .loop = loop, .files = files,
                                    .options = *options, .env = {.loop = loop, .alloc = alloc}};
    uint64_t *const k_keys[] = {resolver->hash_key, resolver->env.id_key};
    for (size_t i = 0; i < Q_COUNT_OF(k_keys); i++) {
        k_keys[i][0] = q_random_next(&loop->random);
        k_keys[i][1] = q_random_next(&loop->random);
    }
    q_name_cache_init(&resolver->cache, alloc, &options->cache, resolver->hash_key);
    for (size_t i = 0; i < Q_RESOLVER_BUCKETS; i++) {
        q_list_init(&resolver->buckets[i]);
    }
    q_list_init(&resolver->live);
    q_list_init(&resolver->unread);
    q_list_init(&resolver->line);
    q_list_init(&resolver->refused);
    resolver->task.run = tell_refused;
    files->owner = resolver;
    q_name_files_start(files, loop, &k_files_events);
}

static void let_go_all(struct q_list *waiters) {
    struct q_list_node *node;
    while ((node = q_list_pop_front(waiters)) != NULL) {
        q_container_of(node, struct q_resolve, link)->of = NULL;
    }
}

void q_resolver_close(struct q_resolver *resolver) {
    resolver->is_closing = true;
    q_name_files_stop(resolver->files);
    let_go_all(&resolver->refused);
    q_loop_unpost(&resolver->task);
    struct q_list_node *next;
    for (struct q_list_node *node = resolver->live.head.next; node != &resolver->live.head; node = next) {
        next = node->next;
        struct q_lookup *lookup = q_container_of(node, struct q_lookup, live_link);
        let_go_all(&lookup->untold);
        let_go_all(&lookup->told);
        lookup->goes_on_alone = false;
        be_done(lookup);
        free_if_unused(lookup);
    }
}

bool q_resolver_is_quiet(const struct q_resolver *resolver) {
    return resolver->num_lookups == 0 && !q_name_files_is_reading(resolver->files);
}

void q_resolver_deinit(struct q_resolver *resolver) {
    if (resolver->alloc == NULL) {
        return;
    }
    Q_CHECK(q_resolver_is_quiet(resolver));
    q_name_cache_clear(&resolver->cache);
    *resolver = (struct q_resolver){0};
}
