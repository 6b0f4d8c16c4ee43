// International domain names: from UTF-8 to ASCII, and a check of names that are ASCII already, by libidn2. This is the
// only file that knows libidn2, and it can be built without it (Q_WITHOUT_IDN2): then what is not ASCII is refused,
// and `xn--` labels are not looked into.
//
// Wanted is "domain to ASCII" of the WHATWG URL standard, not strict (UTS 46, non-transitional, no check of hyphens, no
// STD3 rules). libidn2 is IDNA2008 with UTS 46 in front, which forbids more. So it gets only the labels that need it,
// and a label that it disallows (a symbol or an emoji) is tried again by its older, transitional rules, unless it
// holds one of the few letters that those would change, or one of a right-to-left script. What still differs stands in
// a table in the tests.
//
// libidn2 reads neither locale nor environment here: its functions on UTF-8 do not (those on locale strings do, and so
// do its messages). It takes memory from libc, not from the allocator that was given, and gives it back before the
// call returns; only names that are not ASCII, or have an `xn--` label, get that far.
//
// Thread-free: pure functions.
#ifndef QUOIT_ENGINE_WIRE_IDNA_H
#define QUOIT_ENGINE_WIRE_IDNA_H

#include "engine/base/error.h"
#include "engine/base/slice.h"

// The longest result: what fits into a query of the DNS (RFC 1035 section 2.3.4). Longer names are refused.
#define Q_IDNA_DOMAIN_MAX 255

// q_idna_to_ascii writes `domain`, UTF-8 that is not all ASCII, in ASCII to `out`, which has room for Q_IDNA_DOMAIN_MAX
// bytes. The result may be empty and may hold any ASCII byte that `domain` holds or maps to: the caller checks. Gives
// Q_ERR_OK, Q_ERR_INVALID_URL or Q_ERR_NO_MEMORY.
Q_MUST_USE enum q_error_code q_idna_to_ascii(struct q_slice domain, char *out, size_t *out_len);

// q_idna_check checks the `xn--` labels of `domain`, which is ASCII in lower case: each must decode, and encode again to
// itself, and none may stand in a name of more than Q_IDNA_DOMAIN_MAX bytes. Other labels are not looked at. Gives
// Q_ERR_OK, Q_ERR_INVALID_URL or Q_ERR_NO_MEMORY.
Q_MUST_USE enum q_error_code q_idna_check(struct q_slice domain);

#endif
