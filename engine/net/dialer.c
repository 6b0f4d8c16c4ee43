#include "engine/net/dialer.h"

static void end(struct q_dialer *dialer) {
    q_resolve_cancel(dialer->env->names, &dialer->resolve);
    q_loop_disarm(dialer->env->loop, &dialer->timer);
}

// --- the race --------------------------------------------------------------------------------------------------------

static struct q_dialer *dialer_of(struct q_eyeballs *eyeballs) { return q_container_of(eyeballs, struct q_dialer, eyeballs); }

static void on_connected(struct q_eyeballs *eyeballs, struct q_io_slot slot) {
    struct q_dialer *dialer = dialer_of(eyeballs);
    struct q_endpoint remote = *q_eyeballs_winner(eyeballs);
    end(dialer);
    if (dialer->env->winners != NULL && dialer->target.winner != 0) {
        q_winners_note(dialer->env->winners, dialer->target.winner, &remote, dialer->env->loop->now_ns);
    }
    dialer->events->on_dialed(dialer, slot, &remote);
}

static void on_failed(struct q_eyeballs *eyeballs, struct q_error error) {
    struct q_dialer *dialer = dialer_of(eyeballs);
    end(dialer);
    if (dialer->env->winners != NULL) {
        q_winners_forget(dialer->env->winners, dialer->target.winner);
    }
    dialer->events->on_failed(dialer, error);
}

static void on_canceled(struct q_eyeballs *eyeballs) {
    struct q_dialer *dialer = dialer_of(eyeballs);
    end(dialer);
    dialer->events->on_canceled(dialer);
}

static const struct q_eyeballs_events k_race_events = {
    .on_connected = on_connected, .on_failed = on_failed, .on_canceled = on_canceled};

// --- the name --------------------------------------------------------------------------------------------------------

static void on_answer(struct q_resolve *request, const struct q_resolve_answer *answer) {
    struct q_dialer *dialer = q_container_of(request, struct q_dialer, resolve);
    struct q_endpoint list[Q_RESOLVE_ADDRESSES_MAX];
    uint32_t count = answer->count < Q_RESOLVE_ADDRESSES_MAX ? answer->count : Q_RESOLVE_ADDRESSES_MAX;
    for (uint32_t i = 0; i < count; i++) {
        bool is_v4 = answer->family == Q_RESOLVE_V4;
        list[i] = (struct q_endpoint){.family = is_v4 ? Q_ENDPOINT_V4 : Q_ENDPOINT_V6, .port = dialer->target.port};
        memcpy(list[i].ip, answer->addresses[i], is_v4 ? 4 : 16);
    }
    if (answer->is_last) {
        q_loop_disarm(dialer->env->loop, &dialer->timer);
    }
    q_eyeballs_answer(&dialer->eyeballs, answer->family, list, count, answer->error);
}

static const struct q_resolve_events k_resolve_events = {.on_answer = on_answer};

// What has not come by now is not waited for; what has is enough.
static void timer_fired(struct q_timer *timer) {
    struct q_dialer *dialer = q_container_of(timer, struct q_dialer, timer);
    struct q_error error = q_error_make(Q_ERR_TIMEOUT_RESOLVE, Q_PHASE_RESOLVE);
    q_resolve_cancel(dialer->env->names, &dialer->resolve);
    q_eyeballs_await_no_more(&dialer->eyeballs, error);
}

// From a local address only its family can be reached.
static unsigned families_of(const struct q_dial_target *target) {
    unsigned families = target->options->families == 0 ? Q_RESOLVE_BOTH : target->options->families;
    switch (target->local.family) {
    case Q_ENDPOINT_V4: return families & Q_RESOLVE_V4;
    case Q_ENDPOINT_V6: return families & Q_RESOLVE_V6;
    default: return families;
    }
}

static bool is_wanted(unsigned families, const struct q_address *address) {
    switch (address->u.any.sa_family) {
    case AF_INET: return (families & Q_RESOLVE_V4) != 0;
    case AF_INET6: return (families & Q_RESOLVE_V6) != 0;
    default: return true;
    }
}

// --- the owner -------------------------------------------------------------------------------------------------------

void q_dialer_start(struct q_dialer *dialer, const struct q_dial_env *env, const struct q_dial_target *target,
                    const struct q_dialer_events *events) {
    void *above = dialer->above;
    *dialer = (struct q_dialer){.events = events, .env = env, .above = above, .target = *target};
    dialer->resolve.events = &k_resolve_events;
    dialer->timer.fired = timer_fired;
    struct q_eyeballs_params params = {
        .loop = env->loop,
        .alloc = env->alloc,
        .sources = env->sources,
        .options = dialer->options,
        .num_options = q_dial_options_list(target->options, target->local.family != Q_ENDPOINT_NONE, dialer->options),
        .pace_ns = target->options->pace_ms * Q_NS_PER_MS,
        .local = target->local,
    };
    if (target->address.u.any.sa_family == AF_UNIX || target->address.u.any.sa_family == AF_VSOCK) {
        params.local = (struct q_endpoint){.family = Q_ENDPOINT_NONE}; // those come from nowhere
    }
    if (env->winners != NULL && target->winner != 0) {
        params.favoured = q_winners_find(env->winners, target->winner, env->loop->now_ns);
    }
    unsigned families = families_of(target);
    bool is_name = target->name.len > 0;
    q_eyeballs_init(&dialer->eyeballs, &params, is_name ? families : 0, &k_race_events);
    if (is_name && families != 0) {
        q_resolve_ask(env->names, &dialer->resolve, target->name, target->port, families);
        if (target->resolve_ns > 0) {
            q_loop_arm(env->loop, &dialer->timer, env->loop->now_ns + target->resolve_ns);
        }
    } else if (!is_name && is_wanted(families, &target->address)) {
        q_eyeballs_at(&dialer->eyeballs, &target->address);
    } else {
        q_eyeballs_give_up(&dialer->eyeballs);
    }
}

void q_dialer_cancel(struct q_dialer *dialer) {
    end(dialer);
    q_eyeballs_cancel(&dialer->eyeballs);
}

bool q_dialer_is_resolving(const struct q_dialer *dialer) { return dialer->eyeballs.num_tries == 0; }

int q_dialer_last_errno(const struct q_dialer *dialer) { return dialer->eyeballs.error.os_errno; }

struct q_error q_dialer_timeout(const struct q_dialer *dialer) {
    if (dialer != NULL && q_dialer_is_resolving(dialer)) {
        return q_error_make(Q_ERR_TIMEOUT_RESOLVE, Q_PHASE_RESOLVE);
    }
    return q_error_os(Q_ERR_TIMEOUT_CONNECT, Q_PHASE_CONNECT, dialer == NULL ? 0 : q_dialer_last_errno(dialer));
}

uint32_t q_dialer_tell(const struct q_dialer *dialer, struct q_try *out, uint32_t room) {
    return q_eyeballs_tell(&dialer->eyeballs, out, room);
}
