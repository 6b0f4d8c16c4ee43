// What an exchange hears: from its connection, and from the pool that finds it one. Here is what is made of that (a head that is
// the host's, a redirect, an answer that came too early; a bound that is passed; bytes that the sink has no room for); what
// follows from it is the table's, in exchange.c. For the exchange itself. Loop's thread.
#ifndef QUOIT_ENGINE_EXCHANGE_EXCHANGE_INTERNAL_H
#define QUOIT_ENGINE_EXCHANGE_EXCHANGE_INTERNAL_H

#include "engine/exchange/exchange.h"

extern const struct q_conn_user_events q_exchange_user_events;
extern const struct q_lease_events q_exchange_lease_events;

// q_exchange_note_report takes over a hold, in the place of what was known of an earlier connection. NULL: nothing is known.
void q_exchange_note_report(struct q_exchange *exchange, struct q_tls_report *report);

// q_exchange_add_progress adds what a connection that is given back has done for the exchange; takes over the report's hold.
void q_exchange_add_progress(struct q_exchange *exchange, const struct q_conn_progress *progress);

// q_exchange_offer_room tells the host of an upgraded exchange that it may feed again, when that is due.
void q_exchange_offer_room(struct q_exchange *exchange);

// q_exchange_offer_question asks the host about a connection, when that stands. Like a piece of body, it waits for room in the
// port.
void q_exchange_offer_question(struct q_exchange *exchange);

#endif
