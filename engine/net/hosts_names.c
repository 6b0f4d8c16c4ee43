#include "engine/net/hosts_names.h"

#define ANSWERS_PER_TASK 64 // as of everything, a bounded number a step

// A question that waits for the tick, with what was found.
struct asked {
    struct q_list_node link;
    struct q_resolve *request;
    struct q_addresses found;
};

static struct q_hosts_names *names_of(struct q_names *names) { return q_container_of(names, struct q_hosts_names, names); }

static struct q_error not_found(enum q_error_code code) {
    struct q_error error = q_error_make(code, Q_PHASE_RESOLVE);
    error.retry_safe = 1;
    return error;
}

// Brings one family's answer. The request may be gone behind it.
static void answer(struct q_resolve *request, const struct asked *asked) {
    unsigned family = (request->families & Q_RESOLVE_V6) != 0 ? Q_RESOLVE_V6 : Q_RESOLVE_V4;
    uint8_t bytes[Q_ADDRESSES_MAX][16] = {{0}};
    struct q_resolve_answer it = {.addresses = bytes, .ttl_s = UINT32_MAX, .family = (uint8_t)family};
    for (uint32_t i = 0; asked != NULL && i < asked->found.count; i++) {
        struct q_endpoint endpoint = q_address_endpoint(&asked->found.list[i]);
        if ((endpoint.family == Q_ENDPOINT_V6) == (family == Q_RESOLVE_V6)) {
            memcpy(bytes[it.count++], endpoint.ip, sizeof endpoint.ip);
        }
    }
    if (it.count == 0) {
        bool is_known = asked != NULL && asked->found.count > 0;
        it.error = not_found(asked == NULL ? Q_ERR_NO_MEMORY : is_known ? Q_ERR_NAME_NO_ADDRESS : Q_ERR_NAME_NOT_FOUND);
    }
    request->families &= (uint8_t)~family;
    request->has_addresses |= it.count > 0;
    it.is_last = request->families == 0;
    if (it.is_last) {
        request->of = NULL;
        q_list_remove(&request->link);
    }
    request->events->on_answer(request, &it);
}

// One answer at a time: whoever hears it may cancel what is left.
static void answer_first(struct q_hosts_names *names, struct q_list_node *node) {
    struct q_resolve *request = q_container_of(node, struct q_resolve, link);
    struct asked *asked = request->of == names ? NULL : request->of;
    struct asked copy = asked != NULL ? *asked : (struct asked){0};
    if ((request->families & (request->families - 1)) == 0) {
        q_alloc_free(names->alloc, asked, sizeof *asked); // its last one
    }
    answer(request, asked != NULL ? &copy : NULL);
}

static void run(struct q_task *task) {
    struct q_hosts_names *names = q_container_of(task, struct q_hosts_names, task);
    struct q_list_node *node;
    for (unsigned i = 0; i < ANSWERS_PER_TASK && (node = q_list_first(&names->asked)) != NULL; i++) {
        answer_first(names, node);
    }
    if (!q_list_is_empty(&names->asked)) {
        q_loop_post(names->loop, &names->task);
    }
}

static void ask(struct q_names *base, struct q_resolve *request, struct q_slice name, uint16_t port, unsigned families) {
    struct q_hosts_names *names = names_of(base);
    Q_CHECK(request->of == NULL && families != 0);
    if (name.len > 1 && name.ptr[name.len - 1] == '.') {
        name.len--; // the root's dot says nothing that the hosts file knows
    }
    struct asked *asked = q_alloc_new(names->alloc, sizeof *asked);
    if (asked != NULL) {
        (void)q_hosts_find(names->hosts, name, port, &asked->found);
    }
    request->of = asked != NULL ? (void *)asked : (void *)names;
    request->families = (uint8_t)families;
    request->has_addresses = false;
    q_list_push_back(&names->asked, &request->link);
    q_loop_post(names->loop, &names->task);
}

static void cancel(struct q_names *base, struct q_resolve *request) {
    struct q_hosts_names *names = names_of(base);
    if (request->of != names) {
        q_alloc_free(names->alloc, request->of, sizeof(struct asked));
    }
    request->of = NULL;
    q_list_remove(&request->link);
}

static const struct q_names_vtable k_vtable = {.ask = ask, .cancel = cancel};

void q_hosts_names_init(struct q_hosts_names *names, struct q_loop *loop, const struct q_alloc *alloc,
                        const struct q_hosts *hosts) {
    *names = (struct q_hosts_names){
        .names = {.v = &k_vtable}, .loop = loop, .alloc = alloc, .hosts = hosts, .task = {.run = run}};
    q_list_init(&names->asked);
}

void q_hosts_names_deinit(struct q_hosts_names *names) {
    if (names->loop == NULL) {
        return;
    }
    Q_CHECK(q_list_is_empty(&names->asked));
    q_loop_unpost(&names->task);
    *names = (struct q_hosts_names){0};
}
