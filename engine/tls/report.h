// Report: what is known of a server's certificates and of what was found wrong, to be handed to a host: made when a handshake
// has failed, or when a host has asked for it of a connection that works, and kept until the host has read it.
//
// Memory. The certificates are the library's own counted bytes and are not copied. Servers say how long they are (100 KiB
// are taken), and hosts how long they are kept: reports that are out at a time hold Q_TLS_REPORTS_BYTES_MAX of them, beyond
// which a report comes without. Nothing here is held for a connection that is merely there.
//
// Life: made with one hold of the maker's; q_tls_report_hold and _drop count; the last drop frees. Loop thread, or destroy
// behind the loop's end.
#ifndef QUOIT_ENGINE_TLS_REPORT_H
#define QUOIT_ENGINE_TLS_REPORT_H

#include "engine/base/alloc.h"
#include "engine/base/error.h"
#include "engine/base/slice.h"

#define Q_TLS_REPORTS_BYTES_MAX (UINT32_C(4) << 20)

// Of a text that q_tls_report_of_text takes; what is longer is cut.
#define Q_TLS_REPORT_TEXT_MAX 4096

struct q_tls_stream;

// All reports of a loop; outlives them.
struct q_tls_reports {
    const struct q_alloc *alloc;
    size_t bytes; // of certificates and OCSP responses
};

// What a host sees: struct quoit_tls_report, field for field, as core checks.
struct q_tls_report_view {
    const struct q_slice *certificates;
    size_t num_certificates;
    struct q_slice staple;
    const char *message;
    const char *subject;
    const char *issuer;
    int32_t depth; // -1: it is about none
    uint32_t reserved;
};

struct q_tls_report {
    struct q_tls_report_view view; // first
    struct q_tls_reports *all;
    uint32_t holders;
    size_t size;  // of this allocation
    size_t bytes; // counted in `all`
    void *stack;  // of the library's; one hold on each certificate; NULL: none
};

// q_tls_report_of_stream tells of a stream whose handshake has failed with `error`, or, with Q_OK, of one that is open. The
// stream is not closed yet. NULL: out of memory.
struct q_tls_report *q_tls_report_of_stream(struct q_tls_reports *all, const struct q_tls_stream *tls, struct q_error error);

// q_tls_report_of_text tells what more there is to say about `error`. NULL: out of memory.
struct q_tls_report *q_tls_report_of_text(struct q_tls_reports *all, struct q_error error, const char *text);

// q_tls_report_hold adds a hold; NULL is nothing. q_tls_report_drop ends one.
struct q_tls_report *q_tls_report_hold(struct q_tls_report *report);
void q_tls_report_drop(struct q_tls_report *report);

#endif
