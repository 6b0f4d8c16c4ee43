#include "engine/tls/dossier.h"

static size_t bytes_of_chain(const struct q_tls_stream *tls, size_t *out_count) {
    struct q_slice certificate;
    size_t bytes = 0;
    size_t count = 0;
    while (q_tls_stream_peer_certificate(tls, count, &certificate)) {
        bytes += certificate.len;
        count++;
    }
    *out_count = count;
    return bytes + count * sizeof(struct q_slice);
}

static struct q_slice put(char **at, struct q_slice bytes) {
    if (bytes.len == 0) {
        return (struct q_slice){0};
    }
    struct q_slice copy = q_slice_make(memcpy(*at, bytes.ptr, bytes.len), bytes.len);
    *at += bytes.len;
    return copy;
}

// The slices first: they want to be aligned, as the struct before them is.
static void put_chain(struct q_tls_dossier *dossier, char **at, const struct q_tls_stream *tls, size_t count) {
    struct q_slice *list = (struct q_slice *)(void *)*at;
    *at += count * sizeof *list;
    for (size_t i = 0; i < count; i++) {
        struct q_slice certificate;
        bool is_there = q_tls_stream_peer_certificate(tls, i, &certificate);
        Q_CHECK(is_there);
        list[i] = put(at, certificate);
    }
    dossier->certificates = count > 0 ? list : NULL;
    dossier->num_certificates = count;
}

struct q_tls_dossier *q_tls_dossier_new(struct q_tls_dossiers *all, const struct q_tls_stream *tls,
                                        const struct q_tls_question *question, struct q_slice host, uint16_t port) {
    bool is_verify = question->kind == Q_TLS_ASK_VERIFY;
    struct q_slice name = tls->params->verify_name;
    struct q_slice staple = is_verify ? q_tls_stream_staple(tls) : (struct q_slice){0};
    size_t num_certificates = 0;
    size_t size = sizeof(struct q_tls_dossier) + (is_verify ? bytes_of_chain(tls, &num_certificates) : 0) + host.len +
                  name.len + staple.len + question->input.len;
    bool is_too_much = size > Q_TLS_DOSSIERS_MAX - all->bytes;
    struct q_tls_dossier *dossier = is_too_much ? NULL : q_alloc_new(all->alloc, size);
    if (dossier == NULL) {
        return NULL;
    }
    char *at = (char *)(dossier + 1);
    all->bytes += size;
    *dossier = (struct q_tls_dossier){
        .all = all,
        .size = size,
        .holds = 1,
        .kind = question->kind,
        .algorithm = question->algorithm,
        .port = port,
        .point = question->point != NULL ? *question->point : (struct q_tls_point){0},
        .verdict = is_verify ? question->verdict->error : Q_OK,
    };
    q_tls_point_hold(&dossier->point);
    put_chain(dossier, &at, tls, num_certificates);
    dossier->host = put(&at, host);
    dossier->verify_name = put(&at, name);
    dossier->staple = put(&at, staple);
    dossier->message = put(&at, question->input);
    Q_CHECK(at == (char *)dossier + size);
    return dossier;
}

struct q_tls_dossier *q_tls_dossier_acquire(struct q_tls_dossier *dossier) {
    dossier->holds++;
    return dossier;
}

void q_tls_dossier_release(struct q_tls_dossier *dossier) {
    if (dossier == NULL || --dossier->holds > 0) {
        return;
    }
    struct q_tls_dossiers *all = dossier->all;
    struct q_tls_point point = dossier->point;
    all->bytes -= dossier->size;
    q_alloc_free(all->alloc, dossier, dossier->size);
    q_tls_point_drop(&point);
}
