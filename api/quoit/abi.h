// What each public header needs: how functions are exported, and which version this is. Hosts include quoit.h.
#ifndef QUOIT_ABI_H
#define QUOIT_ABI_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QUOIT_API __attribute__((visibility("default")))
#define QUOIT_MUST_USE __attribute__((warn_unused_result))

#define QUOIT_VERSION_MAJOR 0
#define QUOIT_VERSION_MINOR 1
#define QUOIT_VERSION_PATCH 0
#define QUOIT_ABI_VERSION 1

// quoit_version gives "MAJOR.MINOR.PATCH" of the library that is loaded. Constant text, any thread.
QUOIT_API const char *quoit_version(void);

// quoit_abi_version gives QUOIT_ABI_VERSION of the library that is loaded. Any thread.
QUOIT_API uint32_t quoit_abi_version(void);

#ifdef __cplusplus
}
#endif

#endif  // QUOIT_ABI_H
