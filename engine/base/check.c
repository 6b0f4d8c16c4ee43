#include "engine/base/check.h"

#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

void q_panic(const char *file, int line, const char *sentence) {
    char digits[12];
    size_t at = sizeof digits;
    unsigned rest = line > 0 ? (unsigned)line : 0;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest != 0);
    const struct iovec parts[] = {
        {.iov_base = (char *)"quoit: broken invariant at ", .iov_len = 27},
        {.iov_base = (char *)file, .iov_len = strlen(file)},
        {.iov_base = (char *)":", .iov_len = 1},
        {.iov_base = digits + at, .iov_len = sizeof digits - at},
        {.iov_base = (char *)": ", .iov_len = 2},
        {.iov_base = (char *)sentence, .iov_len = strlen(sentence)},
        {.iov_base = (char *)"\n", .iov_len = 1},
    };
    ssize_t ignored = writev(STDERR_FILENO, parts, (int)Q_COUNT_OF(parts));
    (void)ignored;
    abort();
}
