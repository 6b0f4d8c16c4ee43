#include "engine/tls/report.h"

#include "engine/tls/tls_stream.h"

#include <openssl/pool.h>
#include <openssl/ssl.h>
#include <stdio.h>

#define MESSAGE_MAX 1200 // a sentence, and the words of a verdict

// What a report is made of.
struct parts {
    const STACK_OF(CRYPTO_BUFFER) *chain; // NULL: none
    size_t num_certificates;
    size_t chain_bytes;
    struct q_slice staple;
    const struct q_verify_verdict *verdict; // of a failure that is about a certificate; NULL: of none
    const char *message;
};

// --- memory ----------------------------------------------------------------------------------------------------------

static char *put_text(char **at, const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = memcpy(*at, text, size);
    *at += size;
    return copy;
}

static void leave_out_what_is_too_much(const struct q_tls_reports *all, struct parts *parts) {
    if (all->bytes + parts->chain_bytes > Q_TLS_REPORTS_BYTES_MAX) {
        parts->num_certificates = 0;
        parts->chain_bytes = 0;
    }
    if (all->bytes + parts->chain_bytes + parts->staple.len > Q_TLS_REPORTS_BYTES_MAX) {
        parts->staple = (struct q_slice){0};
    }
}

// The certificates' bytes are shared, and held one by one. False: out of memory.
static bool hold_chain(struct q_tls_report *report, const struct parts *parts) {
    if (parts->num_certificates == 0) {
        return true;
    }
    STACK_OF(CRYPTO_BUFFER) *stack = sk_CRYPTO_BUFFER_new_null();
    report->stack = stack;
    struct q_slice *slices = (struct q_slice *)(report + 1);
    for (size_t i = 0; stack != NULL && i < parts->num_certificates; i++) {
        CRYPTO_BUFFER *buffer = sk_CRYPTO_BUFFER_value(parts->chain, i);
        if (!sk_CRYPTO_BUFFER_push(stack, buffer)) {
            return false;
        }
        CRYPTO_BUFFER_up_ref(buffer);
        slices[i] = q_slice_make(CRYPTO_BUFFER_data(buffer), CRYPTO_BUFFER_len(buffer));
    }
    report->view.certificates = slices;
    report->view.num_certificates = parts->num_certificates;
    return stack != NULL;
}

static void free_report(struct q_tls_report *report) {
    sk_CRYPTO_BUFFER_pop_free(report->stack, CRYPTO_BUFFER_free);
    report->all->bytes -= report->bytes;
    q_alloc_free(report->all->alloc, report, report->size);
}

// Behind the struct: the slices, the texts, the staple.
static struct q_tls_report *make(struct q_tls_reports *all, struct parts *parts) {
    leave_out_what_is_too_much(all, parts);
    const char *subject = parts->verdict == NULL ? "" : parts->verdict->subject;
    const char *issuer = parts->verdict == NULL ? "" : parts->verdict->issuer;
    size_t slices_size = parts->num_certificates * sizeof(struct q_slice);
    size_t size = sizeof(struct q_tls_report) + slices_size + strlen(parts->message) + strlen(subject) + strlen(issuer) + 3 +
                  parts->staple.len;
    struct q_tls_report *report = q_alloc_new(all->alloc, size);
    if (report == NULL) {
        return NULL;
    }
    char *at = (char *)(report + 1) + slices_size;
    *report = (struct q_tls_report){
        .all = all, .holders = 1, .size = size, .bytes = parts->chain_bytes + parts->staple.len};
    all->bytes += report->bytes;
    report->view.message = put_text(&at, parts->message);
    report->view.subject = put_text(&at, subject);
    report->view.issuer = put_text(&at, issuer);
    report->view.depth = parts->verdict == NULL ? -1 : parts->verdict->depth;
    if (parts->staple.len > 0) {
        report->view.staple = q_slice_make(memcpy(at, parts->staple.ptr, parts->staple.len), parts->staple.len);
    }
    if (!hold_chain(report, parts)) {
        free_report(report);
        return NULL;
    }
    return report;
}

struct q_tls_report *q_tls_report_hold(struct q_tls_report *report) {
    if (report != NULL) {
        report->holders++;
    }
    return report;
}

void q_tls_report_drop(struct q_tls_report *report) {
    if (report != NULL && --report->holders == 0) {
        free_report(report);
    }
}

// --- what is told ------------------------------------------------------------------------------------------------------

static const STACK_OF(CRYPTO_BUFFER) *chain_of(const struct q_tls_stream *tls, struct parts *parts) {
    const STACK_OF(CRYPTO_BUFFER) *chain = tls->ssl == NULL ? NULL : SSL_get0_peer_certificates(tls->ssl);
    size_t count = chain == NULL ? 0 : sk_CRYPTO_BUFFER_num(chain);
    parts->num_certificates = count < Q_VERIFY_CHAIN_MAX ? count : Q_VERIFY_CHAIN_MAX; // more are refused, and not looked at
    for (size_t i = 0; i < parts->num_certificates; i++) {
        parts->chain_bytes += CRYPTO_BUFFER_len(sk_CRYPTO_BUFFER_value(chain, i));
    }
    return chain;
}

// A sentence of ours, and then what stands in the certificate, quoted: no part of it can be taken for ours.
static void write_message(char out[MESSAGE_MAX], const struct q_tls_stream *tls, struct q_error error,
                          const struct q_verify_verdict *verdict) {
    const char *sentence = q_error_sentence(error.code);
    const char *why = q_tls_stream_why(tls);
    if (verdict != NULL && verdict->subject[0] != '\0') {
        (void)snprintf(out, MESSAGE_MAX, "%s: certificate %d, subject \"%s\", issuer \"%s\"%s%s", sentence,
                       (int)verdict->depth, verdict->subject, verdict->issuer, verdict->more[0] == '\0' ? "" : "; ",
                       verdict->more);
    } else if (verdict != NULL && verdict->more[0] != '\0') {
        (void)snprintf(out, MESSAGE_MAX, "%s: certificate %d: %s", sentence, (int)verdict->depth, verdict->more);
    } else if (error.alert != 0) {
        (void)snprintf(out, MESSAGE_MAX, "%s: %s (%u)", sentence, SSL_alert_desc_string_long(error.alert), error.alert);
    } else {
        (void)snprintf(out, MESSAGE_MAX, "%s%s%s", sentence, why[0] == '\0' ? "" : ": ", why);
    }
}

struct q_tls_report *q_tls_report_of_stream(struct q_tls_reports *all, const struct q_tls_stream *tls,
                                            struct q_error error) {
    char message[MESSAGE_MAX] = "";
    struct parts parts = {.staple = q_tls_stream_staple(tls), .message = message};
    parts.chain = chain_of(tls, &parts);
    if (q_error_is(error)) {
        const struct q_verify_verdict *verdict = q_tls_stream_verdict(tls);
        parts.verdict = verdict != NULL && verdict->error.code == error.code ? verdict : NULL;
        write_message(message, tls, error, parts.verdict);
    }
    return make(all, &parts);
}

struct q_tls_report *q_tls_report_of_text(struct q_tls_reports *all, struct q_error error, const char *text) {
    char message[MESSAGE_MAX + Q_TLS_REPORT_TEXT_MAX];
    (void)snprintf(message, sizeof message, "%s: %s", q_error_sentence(error.code), text);
    return make(all, &(struct parts){.message = message});
}
