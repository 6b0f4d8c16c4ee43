// What day it is for sessions and certificates, by a clock with a calendar and by one without.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "engine/tls/calendar.h"
#include "tests/engine/tls/tls_rig.h"

#include <openssl/ssl.h>

static int64_t the_day;

static int64_t tell_day(const struct q_clock *clock) {
    (void)clock;
    return the_day;
}

// A rig in the calendar's hands: its certificates are good from 2020 to 2050.
static struct tls_rig *rig_on(int64_t day) {
    struct tls_rig *rig = tls_rig_new(&(struct tls_rig_options){.version = TLS1_2_VERSION});
    rig->policy.now_s = 0;
    the_day = day;
    rig->clock.calendar_s = day == 0 ? NULL : tell_day;
    q_calendar_set(rig->client_context, &rig->clock);
    return rig;
}

static void sessions_begin_on_the_day_of_the_clock(void **state) {
    (void)state;
    struct tls_rig *rig = rig_on(Q_CERTS_NOW);
    tls_rig_open(rig);
    assert_int_equal(SSL_SESSION_get_time(SSL_get_session(rig->tls.ssl)), Q_CERTS_NOW);
    tls_rig_close(rig);
    tls_rig_free(rig);
}

static void without_a_calendar_it_is_the_systems(void **state) {
    (void)state;
    uint64_t before = (uint64_t)time(NULL);
    struct tls_rig *rig = rig_on(0);
    tls_rig_open(rig);
    uint64_t at = SSL_SESSION_get_time(SSL_get_session(rig->tls.ssl));
    assert_in_range(at, before, (uint64_t)time(NULL));
    tls_rig_close(rig);
    tls_rig_free(rig);
}

static void certificates_expire_on_the_day_of_the_clock(void **state) {
    (void)state;
    static const struct {
        int64_t day;
        int32_t code;
    } k_days[] = {{Q_CERTS_2020 - 1, Q_ERR_TLS_CERT_NOT_YET_VALID},
                  {Q_CERTS_2020, 0},
                  {Q_CERTS_2050 - 1, 0},
                  {Q_CERTS_2050, Q_ERR_TLS_CERT_EXPIRED}};
    for (size_t i = 0; i < sizeof k_days / sizeof k_days[0]; i++) {
        struct tls_rig *rig = rig_on(k_days[i].day);
        tls_rig_connect(rig);
        tls_rig_run(rig);
        assert_int_equal(rig->connect_error.code, k_days[i].code);
        tls_rig_close(rig);
        tls_rig_free(rig);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sessions_begin_on_the_day_of_the_clock),
        cmocka_unit_test(without_a_calendar_it_is_the_systems),
        cmocka_unit_test(certificates_expire_on_the_day_of_the_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
