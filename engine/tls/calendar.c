#include "engine/tls/calendar.h"

#include "engine/base/check.h"

#include <openssl/ssl.h>
#include <sys/time.h>

static _Thread_local const struct q_clock *the_clock;

static void tell_time(const SSL *ssl, struct timeval *out) {
    (void)ssl; // always NULL
    Q_CHECK(the_clock != NULL);
    *out = (struct timeval){.tv_sec = (time_t)q_clock_calendar(the_clock)};
}

void q_calendar_set(struct ssl_ctx_st *context, const struct q_clock *clock) {
    if (clock->calendar_s != NULL) {
        the_clock = clock;
        SSL_CTX_set_current_time_cb(context, tell_time);
    }
}
