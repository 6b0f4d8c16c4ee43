#include "engine/tls/liberror.h"

#include <openssl/asn1.h>
#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/pkcs8.h>
#include <openssl/ssl.h>
#include <stdint.h>

// A line that means memory, whether it says so or not: an encoding that did not find room, for reading never encodes for the
// bytes' sake; and what a handshake calls internal, which is a message that it could not write.
static bool says_memory(uint32_t error) {
    int library = ERR_GET_LIB(error);
    int reason = ERR_GET_REASON(error);
    return reason == ERR_R_MALLOC_FAILURE || (library == ERR_LIB_PKCS8 && reason == PKCS8_R_ENCODE_ERROR) ||
           (library == ERR_LIB_BN && reason == BN_R_ENCODE_ERROR) ||
           (library == ERR_LIB_ECDSA && reason == ECDSA_R_ENCODE_ERROR) ||
           (library == ERR_LIB_SSL && reason == ERR_R_INTERNAL_ERROR);
}

// is_memory tells of the first line, which says where it began. Two more of them mean memory there: a line that passes on a
// failure further in, when nobody in there said anything; and a callback's, likewise.
static bool is_memory(uint32_t error) {
    int reason = ERR_GET_REASON(error);
    return says_memory(error) || reason == ERR_R_ASN1_LIB ||
           (ERR_GET_LIB(error) == ERR_LIB_ASN1 && reason == ASN1_R_AUX_ERROR);
}

bool q_liberror_was_memory(void) {
    uint32_t error = ERR_get_error();
    bool was_memory = error == 0 || is_memory(error);
    ERR_clear_error();
    return was_memory;
}

bool q_liberror_has_memory(void) {
    bool has_memory = false;
    for (uint32_t error = ERR_get_error(); error != 0; error = ERR_get_error()) {
        has_memory = has_memory || says_memory(error);
    }
    return has_memory;
}

static const struct {
    int reason;
    enum q_error_code code;
} k_kinds[] = {
    {SSL_R_UNSUPPORTED_PROTOCOL, Q_ERR_TLS_NOTHING_IN_COMMON},
    {SSL_R_WRONG_SSL_VERSION, Q_ERR_TLS_NOTHING_IN_COMMON},
    {SSL_R_UNKNOWN_CIPHER_RETURNED, Q_ERR_TLS_NOTHING_IN_COMMON},
    {SSL_R_WRONG_CIPHER_RETURNED, Q_ERR_TLS_NOTHING_IN_COMMON},
    {SSL_R_WRONG_CURVE, Q_ERR_TLS_NOTHING_IN_COMMON},
    {SSL_R_UNSUPPORTED_ELLIPTIC_CURVE, Q_ERR_TLS_NOTHING_IN_COMMON},
    {SSL_R_NO_SHARED_GROUP, Q_ERR_TLS_NOTHING_IN_COMMON},
    {SSL_R_WRONG_SIGNATURE_TYPE, Q_ERR_TLS_NOTHING_IN_COMMON},
    {SSL_R_WRONG_CERTIFICATE_TYPE, Q_ERR_TLS_NOTHING_IN_COMMON},
    {SSL_R_NO_COMMON_SIGNATURE_ALGORITHMS, Q_ERR_TLS_NOTHING_IN_COMMON},
    {SSL_R_INVALID_ALPN_PROTOCOL, Q_ERR_TLS_BAD_ALPN},
    {SSL_R_BAD_SIGNATURE, Q_ERR_TLS_BAD_SIGNATURE},
    {SSL_R_CANNOT_PARSE_LEAF_CERT, Q_ERR_TLS_BAD_CHAIN},
    {SSL_R_UNCOMPRESSED_CERT_TOO_LARGE, Q_ERR_TLS_BAD_CHAIN},
    {SSL_R_CERT_DECOMPRESSION_FAILED, Q_ERR_TLS_BAD_CHAIN},
    {SSL_R_UNKNOWN_CERT_COMPRESSION_ALG, Q_ERR_TLS_BAD_CHAIN},
    {SSL_R_ECC_CERT_NOT_FOR_SIGNING, Q_ERR_TLS_BAD_PURPOSE},
    {SSL_R_KEY_USAGE_BIT_INCORRECT, Q_ERR_TLS_BAD_PURPOSE},
};

enum q_error_code q_liberror_kind(uint32_t packed) {
    for (size_t i = 0; i < Q_COUNT_OF(k_kinds) && ERR_GET_LIB(packed) == ERR_LIB_SSL; i++) {
        if (k_kinds[i].reason == ERR_GET_REASON(packed)) {
            return k_kinds[i].code;
        }
    }
    return Q_ERR_TLS_PROTOCOL;
}
