#include "tests/life/thief.h"

#include "tests/life/life.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

int __real_close(int fd);
int __wrap_close(int fd);

// struct theft is a pair of sockets, both ends high up, and the stolen number, which is a second name of `near_end`.
struct theft {
    int near_end;
    int far_end;
    int fd; // -1: none yet
    ino_t file;
};

static struct {
    pthread_mutex_t lock;
    bool is_at_work;
    struct theft *thefts;
    size_t max;
    size_t next;      // to be used
    size_t num_exact; // thefts of just the number that was closed
    const char *damage;
} thief = {.lock = PTHREAD_MUTEX_INITIALIZER};

static const char k_letter[] = "not yours";

static const char *look_at(const struct theft *theft) {
    struct stat about;
    char text[2 * sizeof k_letter];
    if (fstat(theft->fd, &about) != 0) {
        return "a number was closed under its new owner";
    }
    if (about.st_ino != theft->file) {
        return "a number was closed under its new owner, and is somebody else's now";
    }
    if (recv(theft->fd, text, sizeof text, MSG_DONTWAIT | MSG_PEEK) != (ssize_t)sizeof k_letter ||
        memcmp(text, k_letter, sizeof k_letter) != 0) {
        return "somebody has read from a number that was another's";
    }
    if (recv(theft->far_end, text, sizeof text, MSG_DONTWAIT) != -1 || errno != EAGAIN) {
        return "somebody has written to a number that was another's, or shut it down";
    }
    if (fcntl(theft->fd, F_GETFD) != FD_CLOEXEC ||
        (fcntl(theft->fd, F_GETFL) & (O_NONBLOCK | O_ASYNC | O_APPEND)) != O_NONBLOCK) {
        return "somebody has changed the flags of a number that was another's";
    }
    return NULL;
}

static void note_damage(const char *damage) {
    if (thief.damage == NULL) {
        thief.damage = damage;
    }
}

// Looks at the loot and lets it go. What is not his any more he leaves to whoever has it.
static void let_go(struct theft *theft) {
    if (theft->fd < 0) {
        return;
    }
    const char *damage = look_at(theft);
    note_damage(damage);
    if (damage == NULL) {
        __real_close(theft->fd);
    }
    theft->fd = -1;
}

static void steal(int fd) {
    struct theft *theft = &thief.thefts[thief.next];
    struct stat about;
    thief.next = (thief.next + 1) % thief.max;
    // First the new one, so that what he lets go of is not the very number that he is after.
    int taken = fcntl(theft->near_end, F_DUPFD_CLOEXEC, fd);
    let_go(theft);
    if (taken < 0 || fstat(taken, &about) != 0) {
        note_damage("the thief found no number to take: raise the limit of the test");
        return;
    }
    theft->fd = taken;
    theft->file = about.st_ino;
    thief.num_exact += taken == fd;
}

int __wrap_close(int fd) {
    pthread_mutex_lock(&thief.lock);
    int result = __real_close(fd);
    int error = errno;
    if (thief.is_at_work && result == 0) {
        steal(fd);
    }
    pthread_mutex_unlock(&thief.lock);
    errno = error;
    return result;
}

int thief_close(int fd) { return __real_close(fd); }

static int move_up(int fd) {
    int high = fcntl(fd, F_DUPFD_CLOEXEC, THIEF_FLOOR);
    assert_true(high >= THIEF_FLOOR);
    __real_close(fd);
    return high;
}

void thief_begin(size_t max) {
    thief.thefts = calloc(max, sizeof *thief.thefts);
    assert_non_null(thief.thefts);
    for (size_t i = 0; i < max; i++) {
        int pair[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
        assert_int_equal(send(pair[1], k_letter, sizeof k_letter, MSG_NOSIGNAL), (ssize_t)sizeof k_letter);
        thief.thefts[i] = (struct theft){.near_end = move_up(pair[0]), .far_end = move_up(pair[1]), .fd = -1};
    }
    pthread_mutex_lock(&thief.lock);
    thief.max = max;
    thief.next = 0;
    thief.num_exact = 0;
    thief.damage = NULL;
    thief.is_at_work = true;
    pthread_mutex_unlock(&thief.lock);
}

const char *thief_stop(size_t *out_exact) {
    pthread_mutex_lock(&thief.lock);
    thief.is_at_work = false;
    for (size_t i = 0; i < thief.max; i++) {
        let_go(&thief.thefts[i]);
        __real_close(thief.thefts[i].near_end);
        __real_close(thief.thefts[i].far_end);
    }
    free(thief.thefts);
    thief.thefts = NULL;
    const char *damage = thief.damage;
    if (out_exact != NULL) {
        *out_exact = thief.num_exact;
    }
    pthread_mutex_unlock(&thief.lock);
    return damage;
}

size_t thief_end(void) {
    size_t exact;
    const char *damage = thief_stop(&exact);
    if (damage != NULL) {
        fail_msg("%s", damage);
    }
    return exact;
}
