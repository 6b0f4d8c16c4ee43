#include "engine/net/winners.h"

static struct q_winner *find(const struct q_winners *winners, uint64_t name) {
    const struct q_winner *set = winners->table[name % Q_WINNERS_SETS];
    for (size_t i = 0; i < Q_WINNERS_WAYS; i++) {
        if (set[i].name == name && name != 0) {
            return (struct q_winner *)(uintptr_t)&set[i];
        }
    }
    return NULL;
}

void q_winners_note(struct q_winners *winners, uint64_t name, const struct q_endpoint *address, uint64_t now_ns) {
    struct q_winner *set = winners->table[name % Q_WINNERS_SETS];
    struct q_winner *place = find(winners, name);
    if (place == NULL) {
        place = set;
        for (size_t i = 1; i < Q_WINNERS_WAYS; i++) {
            place = set[i].since_ns < place->since_ns ? &set[i] : place; // an empty one is the oldest
        }
    }
    *place = (struct q_winner){.name = name, .since_ns = now_ns, .address = *address};
}

void q_winners_forget(struct q_winners *winners, uint64_t name) {
    struct q_winner *winner = find(winners, name);
    if (winner != NULL) {
        *winner = (struct q_winner){0};
    }
}

struct q_endpoint q_winners_find(const struct q_winners *winners, uint64_t name, uint64_t now_ns) {
    const struct q_winner *winner = find(winners, name);
    bool is_known = winner != NULL && now_ns - winner->since_ns < Q_WINNERS_LIFE_NS;
    return is_known ? winner->address : (struct q_endpoint){.family = Q_ENDPOINT_NONE};
}
