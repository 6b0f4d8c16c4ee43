#include "engine/tls/liberror.h"

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/pkcs8.h>
#include <stdint.h>

// is_memory tells of the first line, which says where it began. Three of them mean memory without saying so: a line that
// passes on a failure further in, when nobody in there said anything; a callback's, likewise; and an encoding that did not
// find room, for reading never encodes for the bytes' sake.
static bool is_memory(uint32_t error) {
    int library = ERR_GET_LIB(error);
    int reason = ERR_GET_REASON(error);
    return reason == ERR_R_MALLOC_FAILURE || reason == ERR_R_ASN1_LIB ||
           (library == ERR_LIB_ASN1 && reason == ASN1_R_AUX_ERROR) ||
           (library == ERR_LIB_PKCS8 && reason == PKCS8_R_ENCODE_ERROR);
}

bool q_liberror_was_memory(void) {
    uint32_t error = ERR_get_error();
    bool was_memory = error == 0 || is_memory(error);
    ERR_clear_error();
    return was_memory;
}
