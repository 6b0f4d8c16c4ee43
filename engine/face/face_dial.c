// How connections are made, and what became of those that were not.
#include "engine/core/options.h"
#include "engine/face/calls.h"

_Static_assert((int)QUOIT_DIAL_NAGLE == (int)Q_DIAL_NAGLE && (int)QUOIT_DIAL_FAST_OPEN == (int)Q_DIAL_FAST_OPEN &&
                   QUOIT_DIAL_OFF == Q_DIAL_OFF,
               "the same words");

// False: the text does not fit.
static bool copy_text(char *out, size_t room, const char *text, size_t len) {
    if (len > room) {
        return false;
    }
    if (len > 0) {
        memcpy(out, text, len);
    }
    return true;
}

static bool read_options(const struct quoit_dial_options *given, struct q_dial_options *dial, struct q_spec_via *via) {
    *dial = (struct q_dial_options){
        .flags = given->flags,
        .pace_ms = given->attempt_delay_ms,
        .mark = given->mark,
        .keepalive_idle_s = given->keepalive_idle_s,
        .keepalive_interval_s = given->keepalive_interval_s,
        .keepalive_count = given->keepalive_count,
        .user_timeout_ms = given->user_timeout_ms,
    };
    *via = (struct q_spec_via){.vsock_cid = given->vsock_cid, .vsock_port = given->vsock_port};
    switch (given->family) {
    case QUOIT_ADDRESS_NONE: break;
    case QUOIT_ADDRESS_IPV4: dial->families = Q_RESOLVE_V4; break;
    case QUOIT_ADDRESS_IPV6: dial->families = Q_RESOLVE_V6; break;
    default: return false;
    }
    const char *device = given->interface_name == NULL ? "" : given->interface_name;
    bool has_path = given->unix_path != NULL;
    via->socket_len = has_path ? (uint32_t)given->unix_path_len : 0;
    return given->reserved == 0 && (given->vsock_cid == 0 || given->vsock_port != 0) &&
           has_path == (given->unix_path_len > 0) && given->unix_path_len <= sizeof via->socket &&
           copy_text(dial->device, sizeof dial->device - 1, device, strlen(device)) &&
           copy_text(via->socket, sizeof via->socket, given->unix_path, given->unix_path_len);
}

int32_t quoit_request_set_dial(struct quoit_request *request, const struct quoit_dial_options *options) {
    struct q_spec *spec = (struct q_spec *)(void *)request;
    if (!q_spec_is_hosts(spec) || options == NULL) {
        return Q_ERR_INVALID_ARGUMENT;
    }
    struct quoit_dial_options given;
    struct q_dial_options dial;
    struct q_spec_via via;
    int32_t code = q_options_read_struct(&given, sizeof given, options);
    if (code != 0) {
        return code;
    }
    return read_options(&given, &dial, &via) ? q_spec_set_dial(spec, &dial, &via).code : Q_ERR_INVALID_ARGUMENT;
}

int32_t quoit_dials_at(const struct quoit_dials *opaque, size_t index, struct quoit_dial *out) {
    // The first header's struct ended with took_ns; what is added later stands behind it.
    enum { SIZE_MIN = offsetof(struct quoit_dial, took_ns) + sizeof out->took_ns };
    const struct q_dials *dials = (const struct q_dials *)(const void *)opaque;
    if (dials == NULL || out == NULL || index >= dials->count) {
        return Q_ERR_INVALID_ARGUMENT;
    }
    if (!q_options_is_out_size(out->struct_size, SIZE_MIN, sizeof *out)) {
        return Q_ERR_INVALID_STRUCT_SIZE;
    }
    const struct q_try *it = &dials->tries[index];
    struct quoit_dial told = {
        .struct_size = out->struct_size,
        .code = it->code,
        .os_errno = it->os_errno,
        .address = {.family = it->to.family, .port = it->to.port},
        .began_ns = it->began_ns,
        .took_ns = it->took_ns,
    };
    memcpy(told.address.ip, it->to.ip, sizeof told.address.ip);
    q_options_write_struct(out, &told, sizeof told);
    return 0;
}
