// The kernel's io_uring words. The one place that includes liburing.h, and the one place that names constants which
// Debian 12's liburing 2.3 lacks (values from the kernel's include/uapi/linux/io_uring.h, which never change).
// From liburing only constants, structs and static-inline prep helpers are used: see ring.c for why.
#ifndef QUOIT_ENGINE_LOOP_URING_ABI_H
#define QUOIT_ENGINE_LOOP_URING_ABI_H

#ifndef _GNU_SOURCE
#error "define _GNU_SOURCE before the first include: liburing.h wants it"
#endif
#include <liburing.h>

// Opcodes are an enum in the header, so they cannot be tested for with #ifdef; our own names hold the numbers.
enum {
    Q_URING_OP_URING_CMD = 46,  // 5.19; socket commands 6.7
    Q_URING_OP_FUTEX_WAIT = 51, // 6.7
    Q_URING_OP_BIND = 56,       // 6.11
    Q_URING_CMD_SETSOCKOPT = 3, // SOCKET_URING_OP_SETSOCKOPT, 6.7
};

#define Q_URING_FEAT_REG_REG_RING (1U << 13)              // 6.3: register calls through the registered ring fd
#define Q_URING_REGISTER_USE_REGISTERED_RING (1U << 31)   // flag on the opcode of io_uring_register
#define Q_URING_RECVSEND_BUNDLE (1U << 4)                 // 6.10, an ioprio flag
#define Q_URING_FEAT_RECVSEND_BUNDLE (1U << 14)           // 6.10
#define Q_URING_ENTER_NO_IOWAIT (1U << 7)                 // 6.15
#define Q_URING_FEAT_NO_IOWAIT (1U << 17)                 // 6.15
#define Q_URING_FUTEX2_SIZE_U32 2U                        // FUTEX2_SIZE_U32 of linux/futex.h
#define Q_URING_FUTEX2_PRIVATE 128U
#define Q_URING_FUTEX_MATCH_ANY UINT64_C(0xffffffff)

#endif
