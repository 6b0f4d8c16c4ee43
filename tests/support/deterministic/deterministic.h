// The TLS library's chance, taken away: random bytes are a function of a number. For programs that link the objects which
// this folder's BUILD compiles a second time.
//
// What has drawn bytes before keeps what it has: keys, and the blinding of RSA keys that were used (which is drawn anew
// after 32 uses). So what a run uses is made after its reset, or is never random; what a whole process draws once (the key
// of the configurations' digests) is drawn before.
// Thread rule: one thread uses the library.
#ifndef QUOIT_TESTS_SUPPORT_DETERMINISTIC_DETERMINISTIC_H
#define QUOIT_TESTS_SUPPORT_DETERMINISTIC_DETERMINISTIC_H

#include <stdint.h>

// q_deterministic_reset has the calling thread's random bytes begin again, with those that belong to `seed`.
void q_deterministic_reset(uint64_t seed);

#endif
