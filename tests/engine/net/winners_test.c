// Winners: remembered, forgotten, bounded.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/base/check.h"
#include "engine/net/winners.h"

static struct q_winners winners;

static struct q_endpoint address(uint8_t last) {
    return (struct q_endpoint){.family = Q_ENDPOINT_V4, .ip = {192, 0, 2, last}};
}

static void who_won_is_known_for_ten_minutes(void **state) {
    (void)state;
    winners = (struct q_winners){0};
    struct q_endpoint one = address(1), two = address(2);
    assert_int_equal(q_winners_find(&winners, 7, 0).family, Q_ENDPOINT_NONE);
    q_winners_note(&winners, 7, &one, Q_NS_PER_S);
    assert_int_equal(q_winners_find(&winners, 7, Q_WINNERS_LIFE_NS).ip[3], 1);
    assert_int_equal(q_winners_find(&winners, 7, Q_NS_PER_S + Q_WINNERS_LIFE_NS).family, Q_ENDPOINT_NONE);
    q_winners_note(&winners, 7, &two, 2 * Q_NS_PER_S); // in its place
    assert_int_equal(q_winners_find(&winners, 7, 2 * Q_NS_PER_S).ip[3], 2);
    assert_int_equal(q_winners_find(&winners, 7 + Q_WINNERS_SETS, 2 * Q_NS_PER_S).family, Q_ENDPOINT_NONE);
    q_winners_forget(&winners, 7);
    q_winners_forget(&winners, 7);
    assert_int_equal(q_winners_find(&winners, 7, 2 * Q_NS_PER_S).family, Q_ENDPOINT_NONE);
    assert_int_equal(q_winners_find(&winners, 0, 2 * Q_NS_PER_S).family, Q_ENDPOINT_NONE);
}

static void the_oldest_of_a_set_goes(void **state) {
    (void)state;
    winners = (struct q_winners){0};
    for (uint64_t i = 1; i <= Q_WINNERS_WAYS + 1; i++) {
        struct q_endpoint it = address((uint8_t)i);
        q_winners_note(&winners, i * Q_WINNERS_SETS, &it, i);
    }
    assert_int_equal(q_winners_find(&winners, Q_WINNERS_SETS, 10).family, Q_ENDPOINT_NONE);
    for (uint64_t i = 2; i <= Q_WINNERS_WAYS + 1; i++) {
        assert_int_equal(q_winners_find(&winners, i * Q_WINNERS_SETS, 10).ip[3], i);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_won_is_known_for_ten_minutes),
        cmocka_unit_test(the_oldest_of_a_set_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
