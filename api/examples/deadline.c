#include "api/examples/deadline.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

// How often the signal comes behind the deadline: this long a call may still wait that began just behind a signal.
#define AGAIN_MS 50

static uint64_t deadline_ms = UINT64_MAX; // of the monotonic clock

static uint64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void wake(int signal_number) { (void)signal_number; } // that a handler ran is all that is needed: EINTR

void deadline_set(uint64_t ms) {
    deadline_ms = now_ms() + ms;
    struct sigaction action = {.sa_handler = wake};
    sigaction(SIGALRM, &action, NULL);
    const struct itimerval timer = {.it_value = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000) * 1000},
                                    .it_interval = {.tv_usec = AGAIN_MS * 1000}};
    setitimer(ITIMER_REAL, &timer, NULL);
}

uint64_t deadline_left_ms(void) {
    uint64_t now = now_ms();
    return deadline_ms == UINT64_MAX ? UINT64_MAX : deadline_ms > now ? deadline_ms - now : 0;
}

// True when errno is that of a call which may be made again.
static bool may_go_on(uint64_t until_ms) { return errno == EINTR && now_ms() < until_ms; }

bool deadline_write(int fd, const char *data, size_t len, uint64_t grace_ms) {
    uint64_t now = now_ms();
    uint64_t until_ms = (deadline_ms > now ? deadline_ms : now) + (deadline_ms == UINT64_MAX ? 0 : grace_ms);
    while (len > 0) {
        ssize_t written = write(fd, data, len);
        if (written < 0 && !may_go_on(until_ms)) {
            return false;
        }
        data += written > 0 ? written : 0;
        len -= written > 0 ? (size_t)written : 0;
        if (len > 0 && now_ms() >= until_ms) { // also of one that takes a little each time
            errno = EINTR;
            return false;
        }
    }
    return true;
}

// Reads to the end of an open file into *buffer, which is the caller's whatever comes of it.
static bool read_all(int fd, char **buffer, size_t *out_len) {
    size_t size = 0;
    size_t len = 0;
    for (;;) {
        if (len == size) {
            size = size == 0 ? 65536 : size * 2;
            char *larger = realloc(*buffer, size);
            if (larger == NULL) {
                return false;
            }
            *buffer = larger;
        }
        ssize_t got = read(fd, *buffer + len, size - len);
        if (got < 0 && !may_go_on(deadline_ms)) {
            return false;
        }
        if (got == 0) {
            *out_len = len;
            return true;
        }
        len += got > 0 ? (size_t)got : 0;
    }
}

char *deadline_read_file(const char *path, size_t *out_len) {
    int fd;
    do {
        fd = open(path, O_RDONLY | O_CLOEXEC);
    } while (fd < 0 && may_go_on(deadline_ms));
    if (fd < 0) {
        return NULL;
    }
    char *buffer = NULL;
    bool is_read = read_all(fd, &buffer, out_len);
    int error = errno;
    close(fd);
    if (!is_read) {
        free(buffer);
        buffer = NULL;
        errno = error;
    }
    return buffer;
}
