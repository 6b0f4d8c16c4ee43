#include "engine/base/epoch.h"

#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

struct fork_page {
    _Atomic(uint32_t) epoch; // 0 in a child that has begun none, and in a new page
};

static _Atomic(struct fork_page *) the_fork_page;
static _Atomic(uint32_t) the_last_epoch; // ordinary memory: a child sees its parent's number

static struct fork_page *make_fork_page(void) {
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    struct fork_page *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        return NULL;
    }
    struct fork_page *expected = NULL;
    if (madvise(page, size, MADV_WIPEONFORK) != 0 || !atomic_compare_exchange_strong(&the_fork_page, &expected, page)) {
        munmap(page, size);
        return expected; // another thread's, or NULL
    }
    return page;
}

uint32_t q_epoch_now(void) {
    struct fork_page *page = atomic_load_explicit(&the_fork_page, memory_order_acquire);
    return page == NULL ? 0 : atomic_load_explicit(&page->epoch, memory_order_acquire);
}

uint32_t q_epoch_begin(void) {
    struct fork_page *page = atomic_load_explicit(&the_fork_page, memory_order_acquire);
    if (page == NULL) {
        page = make_fork_page();
    }
    if (page == NULL) {
        return 0;
    }
    uint32_t epoch = atomic_load_explicit(&page->epoch, memory_order_acquire);
    if (epoch != 0) {
        return epoch;
    }
    uint32_t next = atomic_fetch_add(&the_last_epoch, 1) + 1;
    // Two first calls at once may both count up; one number wins, and gaps do not matter.
    return atomic_compare_exchange_strong(&page->epoch, &epoch, next) ? next : epoch;
}
