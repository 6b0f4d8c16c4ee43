// Checks. Q_CHECK guards what would corrupt memory or break a promise and stays on in what users get;
// Q_ASSERT states what the reader should know to be true and is compiled in with Q_CHECKS only (test builds).
// Thread-free. Neither returns when it fails: a broken invariant of ours must not reach a stranger's data.
#ifndef QUOIT_ENGINE_BASE_CHECK_H
#define QUOIT_ENGINE_BASE_CHECK_H

#include <stddef.h>
#include <stdint.h>

#define Q_MUST_USE __attribute__((warn_unused_result))
#define Q_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define Q_LIKELY(x) __builtin_expect(!!(x), 1)
#define Q_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define Q_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define Q_CACHE_LINE 64

// q_container_of gives the struct of `type` that embeds `member` at `ptr`.
#define q_container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

// q_panic writes one line (file, line, sentence) to stderr with write(2) and aborts. It allocates nothing,
// takes no lock and reads no locale, so that it is safe in any state. Any thread.
__attribute__((noreturn, cold)) void q_panic(const char *file, int line, const char *sentence);

#define Q_CHECK(condition) (Q_LIKELY(condition) ? (void)0 : q_panic(__FILE__, __LINE__, #condition))

#if defined(Q_CHECKS) && Q_CHECKS
#define Q_ASSERT(condition) Q_CHECK(condition)
#else
#define Q_ASSERT(condition) ((void)sizeof(!(condition)))
#endif

#define Q_UNREACHABLE(sentence) q_panic(__FILE__, __LINE__, sentence)

#endif
