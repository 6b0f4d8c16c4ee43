#include "engine/tls/liberror.h"

#include <openssl/asn1.h>
#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/pkcs8.h>
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
