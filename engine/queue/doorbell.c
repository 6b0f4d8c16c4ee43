#include "engine/queue/doorbell.h"

#include "engine/base/hook.h"

void q_doorbell_init(struct q_doorbell *bell, void (*wake)(void *context, uint32_t *word), void *context) {
    *bell = (struct q_doorbell){.fd = -1, .wake = wake, .context = context};
}

uint32_t q_doorbell_value(const struct q_doorbell *bell) {
    // Acquire: park comes after this read, for other threads too. If this read saw the ring of a push, then that push
    // happened before our park and cannot be the one which found us asleep.
    uint32_t value = __atomic_load_n(&bell->word, __ATOMIC_ACQUIRE);
    Q_HOOK("doorbell.value.after_load");
    return value;
}

void q_doorbell_ring(struct q_doorbell *bell) {
    Q_HOOK("doorbell.ring.before_bump");
    // Release: pairs with the acquire above. The word wraps; a wait would have to sleep through 2^32 rings to miss one.
    __atomic_fetch_add(&bell->word, 1, __ATOMIC_RELEASE);
    Q_HOOK("doorbell.ring.before_wake");
    bell->wake(bell->context, &bell->word);
}
