// Names of an exchange's states and events, for logs and tests.
#include "engine/exchange/exchange.h"

static const char *const k_state_names[Q_X_STATES] = {
    [Q_X_ASKING] = "asking",     [Q_X_VOUCHING] = "vouching",
    [Q_X_NEW] = "new",           [Q_X_LEASING] = "leasing",   [Q_X_AWAITING] = "awaiting",
    [Q_X_RECEIVING] = "receiving", [Q_X_DISCARDING] = "discarding", [Q_X_DECIDING] = "deciding", [Q_X_ENDED] = "ended",
    [Q_X_UPGRADED] = "upgraded", [Q_X_FLUSHING] = "flushing",
};

static const char *const k_event_names[Q_X_EVENTS] = {
    [Q_X_EV_QUESTION] = "question", [Q_X_EV_ANSWERED] = "answered",       [Q_X_EV_UNASKED] = "unasked",
    [Q_X_EV_START] = "start",       [Q_X_EV_LEASED] = "leased",           [Q_X_EV_LEASE_FAILED] = "lease failed",
    [Q_X_EV_HEAD] = "head",         [Q_X_EV_REDIRECT] = "redirect",       [Q_X_EV_CUT] = "cut",
    [Q_X_EV_UPGRADE] = "upgrade",   [Q_X_EV_PEER_END] = "peer end",       [Q_X_EV_FLUSHED] = "flushed",
    [Q_X_EV_END] = "end",                 [Q_X_EV_CONN_FAILED] = "connection failed",
    [Q_X_EV_REPLAY] = "replay",     [Q_X_EV_GIVE_UP] = "give up",         [Q_X_EV_CANCEL] = "cancel",
};

const char *q_exchange_state_name(enum q_exchange_state state) { return k_state_names[state]; }

const char *q_exchange_event_name(enum q_exchange_event event) { return k_event_names[event]; }
