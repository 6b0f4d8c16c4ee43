// Each state and each event is called something, and nothing twice.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/exchange/exchange.h"

static void states_and_events_have_names_of_their_own(void **state) {
    (void)state;
    for (int i = 0; i < Q_X_STATES; i++) {
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(q_exchange_state_name((enum q_exchange_state)i),
                                    q_exchange_state_name((enum q_exchange_state)j));
        }
    }
    for (int i = 0; i < Q_X_EVENTS; i++) {
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(q_exchange_event_name((enum q_exchange_event)i),
                                    q_exchange_event_name((enum q_exchange_event)j));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_and_events_have_names_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
