#include "api/quoit.h"
#include "engine/base/error.h"

#define TEXT_OF(x) TEXT(x)
#define TEXT(x) #x

const char *quoit_error_name(int32_t code) { return q_error_name(code); }

const char *quoit_error_sentence(int32_t code) { return q_error_sentence(code); }

int32_t quoit_error_category(int32_t code) {
    return code > 0 && code / 100 <= QUOIT_CATEGORY_ENDED ? code / 100 : QUOIT_CATEGORY_NONE;
}

int32_t quoit_error_is_retryable(int32_t code) { return q_error_is_retryable(code); }

const char *quoit_phase_name(int32_t phase) { return q_phase_name(phase < 0 ? 0u : (unsigned)phase); }

const char *quoit_errno_name(int32_t os_errno) { return q_errno_name(os_errno); }

const char *quoit_version(void) {
    return TEXT_OF(QUOIT_VERSION_MAJOR) "." TEXT_OF(QUOIT_VERSION_MINOR) "." TEXT_OF(QUOIT_VERSION_PATCH);
}

uint32_t quoit_abi_version(void) { return QUOIT_ABI_VERSION; }
