#include "engine/tls/liberror.h"

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <stdint.h>

// says_only_where tells of a line that passes on a failure further in. When it is the first, whoever failed in there said
// nothing, as the library does at some allocations, and never about bytes.
static bool says_only_where(uint32_t error) {
    int reason = ERR_GET_REASON(error);
    return reason == ERR_R_ASN1_LIB || (ERR_GET_LIB(error) == ERR_LIB_ASN1 && reason == ASN1_R_AUX_ERROR);
}

bool q_liberror_was_memory(void) {
    uint32_t error = ERR_get_error();
    bool was_memory = error == 0 || says_only_where(error);
    for (; error != 0; error = ERR_get_error()) {
        was_memory = was_memory || ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE;
    }
    return was_memory;
}
