// Random races: addresses that answer anyhow and at any time, answers in any order, cancels at any moment, few slots. What
// must hold is checked by the bench: one end, losers gone before it is told, nothing left. Seeds are numbers, so that a
// failure can be played again.
#define _GNU_SOURCE
#include "tests/engine/net/race_rig.h"

#define WALKS 400

static void walk(uint64_t seed) {
    struct race race;
    struct q_random random;
    q_random_seed(&random, seed);
    uint32_t num_slots = q_random_below(&random, 3) == 0 ? 3 + (uint32_t)q_random_below(&random, 4) : 0;
    race_open(&race, seed, num_slots);
    bool is_good = false;
    static const char k_families[2] = {'4', '6'};
    uint32_t counts[2];
    for (int f = 0; f < 2; f++) {
        counts[f] = (uint32_t)q_random_below(&random, 8);
        for (unsigned i = 1; i <= counts[f]; i++) {
            enum q_sim_answer answer = (enum q_sim_answer)q_random_below(&random, 4);
            race_listen(&race, k_families[f], i, answer, q_random_below(&random, 600));
            is_good |= answer == Q_SIM_ACCEPT;
        }
    }
    race_begin(&race, Q_RESOLVE_BOTH);
    race_answer(&race, q_random_below(&random, 400), Q_RESOLVE_V4, 1, counts[0]);
    race_answer(&race, q_random_below(&random, 400), Q_RESOLVE_V6, 1, counts[1]);
    bool is_canceled = q_random_below(&random, 3) == 0;
    if (is_canceled) {
        for (uint64_t left = q_random_below(&random, 1500); left > 0 && race.end == RACE_RUNS; left--) {
            race_run_for(&race, 1);
        }
        is_canceled = race.end == RACE_RUNS;
        if (is_canceled) {
            q_eyeballs_cancel(&race.eyeballs);
        }
    }
    if (race.end == RACE_RUNS) {
        race_until_over(&race);
    }
    assert_true(is_canceled ? race.end == RACE_CANCELED : race.end != RACE_CANCELED);
    if (!is_canceled && num_slots == 0) {
        assert_int_equal(race.end, is_good ? RACE_CONNECTED : RACE_FAILED);
    }
    race_close(&race);
}

static void whatever_happens_a_race_ends_once_and_holds_nothing(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= WALKS; seed++) {
        walk(seed);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_happens_a_race_ends_once_and_holds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
