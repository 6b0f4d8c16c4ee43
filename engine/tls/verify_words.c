#include "engine/tls/verify_words.h"

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

const char *q_verify_reason(const struct q_verify_verdict *verdict) {
    return verdict->reason == 0 ? "" : X509_verify_cert_error_string(verdict->reason);
}

// --- text ------------------------------------------------------------------------------------------------------------

#define CUT "..."

// Appends; what does not fit is cut, and says so. Whoever writes here has printable text.
static void append(char out[Q_VERIFY_WORDS_MAX], const char *text, size_t len) {
    size_t used = strlen(out);
    size_t room = Q_VERIFY_WORDS_MAX - 1 - used;
    memcpy(out + used, text, len < room ? len : room);
    out[used + (len < room ? len : room)] = '\0';
    if (len > room) {
        memcpy(out + Q_VERIFY_WORDS_MAX - sizeof CUT, CUT, sizeof CUT);
    }
}

static void append_text(char out[Q_VERIFY_WORDS_MAX], const char *text) { append(out, text, strlen(text)); }

// What a certificate says, octet by octet.
static void append_foreign(char out[Q_VERIFY_WORDS_MAX], const uint8_t *bytes, size_t len) {
    for (size_t i = 0; i < len && i < Q_VERIFY_WORDS_MAX; i++) {
        char text[4] = {(char)bytes[i], '\0'};
        if (bytes[i] <= ' ' || bytes[i] > '~' || bytes[i] == '\\' || bytes[i] == ',') {
            (void)snprintf(text, sizeof text, "\\%02X", bytes[i]);
        }
        append_text(out, text);
    }
}

// What the library has written.
static void append_bio(char out[Q_VERIFY_WORDS_MAX], BIO *bio) {
    const uint8_t *bytes = NULL;
    size_t len = 0;
    if (BIO_mem_contents(bio, &bytes, &len)) {
        append(out, (const char *)bytes, len);
    }
}

// --- what stands in a certificate --------------------------------------------------------------------------------------

static void write_name(char out[Q_VERIFY_WORDS_MAX], const X509_NAME *name) {
    BIO *bio = BIO_new(BIO_s_mem());
    if (bio != NULL && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0) {
        append_bio(out, bio);
    }
    BIO_free(bio);
}

static void write_time(char out[Q_VERIFY_WORDS_MAX], const char *what, const ASN1_TIME *when) {
    BIO *bio = BIO_new(BIO_s_mem());
    if (bio != NULL && ASN1_TIME_print(bio, when)) {
        append_text(out, what);
        append_bio(out, bio);
    }
    BIO_free(bio);
}

static void write_address(char out[Q_VERIFY_WORDS_MAX], const ASN1_OCTET_STRING *address) {
    const uint8_t *bytes = ASN1_STRING_get0_data(address);
    int len = ASN1_STRING_length(address);
    char text[8];
    for (int i = 0; i < len && i < 16; i += len == 4 ? 1 : 2) {
        if (len == 4) {
            (void)snprintf(text, sizeof text, "%s%u", i == 0 ? "" : ".", (unsigned)bytes[i]);
        } else if (i + 1 < len) {
            (void)snprintf(text, sizeof text, "%s%x", i == 0 ? "" : ":", (unsigned)(bytes[i] << 8 | bytes[i + 1]));
        }
        append_text(out, text);
    }
}

static void write_names(char out[Q_VERIFY_WORDS_MAX], const X509 *cert) {
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    const char *before = "it is for ";
    for (size_t i = 0; names != NULL && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_DNS) {
            append_text(out, before);
            const ASN1_IA5STRING *text = name->d.dNSName;
            append_foreign(out, ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text));
        } else if (name->type == GEN_IPADD) {
            append_text(out, before);
            write_address(out, name->d.iPAddress);
        } else {
            continue;
        }
        before = ", ";
    }
    if (out[0] == '\0') {
        append_text(out, "it is for no host at all");
    }
    GENERAL_NAMES_free(names);
}

static void write_key(char out[Q_VERIFY_WORDS_MAX], const X509 *cert) {
    EVP_PKEY *key = X509_get_pubkey((X509 *)(uintptr_t)cert);
    char text[64];
    if (key != NULL) {
        (void)snprintf(text, sizeof text, "its key has %d bits", EVP_PKEY_bits(key));
        append_text(out, text);
    }
    EVP_PKEY_free(key);
}

static void write_signature(char out[Q_VERIFY_WORDS_MAX], const X509 *cert) {
    const char *name = OBJ_nid2sn(X509_get_signature_nid(cert));
    append_text(out, "signed with ");
    append_text(out, name == NULL ? "what is not known" : name);
}

static void write_more(const X509 *cert, struct q_slice name, struct q_verify_verdict *verdict) {
    char *out = verdict->more;
    switch ((enum q_error_code)verdict->error.code) {
    case Q_ERR_TLS_CERT_EXPIRED: write_time(out, "valid until ", X509_get0_notAfter(cert)); break;
    case Q_ERR_TLS_CERT_NOT_YET_VALID: write_time(out, "valid from ", X509_get0_notBefore(cert)); break;
    case Q_ERR_TLS_NAME_MISMATCH:
        append_text(out, "not for ");
        append_foreign(out, (const uint8_t *)name.ptr, name.len);
        append_text(out, ": ");
        char names[Q_VERIFY_WORDS_MAX] = "";
        write_names(names, cert);
        append_text(out, names);
        break;
    case Q_ERR_TLS_WEAK_KEY: write_key(out, cert); break;
    case Q_ERR_TLS_WEAK_SIGNATURE: write_signature(out, cert); break;
    case Q_ERR_TLS_SELF_SIGNED:
    case Q_ERR_TLS_PIN_MISMATCH: break; // the kind says it all
    default: append_text(out, q_verify_reason(verdict)); break;
    }
}

void q_verify_words(const struct x509_st *cert, struct q_slice name, struct q_verify_verdict *verdict) {
    verdict->subject[0] = verdict->issuer[0] = verdict->more[0] = '\0';
    if (cert == NULL) {
        append_text(verdict->more, verdict->reason == 0 ? "it cannot be read" : q_verify_reason(verdict));
        return;
    }
    write_name(verdict->subject, X509_get_subject_name(cert));
    write_name(verdict->issuer, X509_get_issuer_name(cert));
    write_more(cert, name, verdict);
    ERR_clear_error();
}
