// PEM: certificates, keys and lists as texts hold them (RFC 7468): blocks between "-----BEGIN LABEL-----" and
// "-----END LABEL-----", with whatever else around them. Only finds blocks and decodes their bodies; what they mean is
// somebody else's. A block that never ends, or whose end has another label, is not a block; what follows it is read on.
// Thread-free: no state; slices are borrowed from the text.
#ifndef QUOIT_ENGINE_TLS_PEM_H
#define QUOIT_ENGINE_TLS_PEM_H

#include "engine/base/check.h"
#include "engine/base/slice.h"

struct q_pem_block {
    struct q_slice label; // "CERTIFICATE"
    struct q_slice body;  // between the two lines, headers included
    struct q_slice whole; // from the first hyphen to the last
};

// q_pem_is_text tells whether there is a PEM block in `data`; otherwise it is taken for DER.
bool q_pem_is_text(struct q_slice data);

// q_pem_next cuts `rest` behind its next block and gives that; false when there is none left.
Q_MUST_USE bool q_pem_next(struct q_slice *rest, struct q_pem_block *out);

// q_pem_label_is compares a label.
bool q_pem_label_is(const struct q_pem_block *block, const char *label);

// q_pem_decode writes the bytes of a body to `out`, which has room for 3 bytes for each 4 of it and 3 more, and their
// number to `out_len`. False when the body is not base64 through and through, or empty.
Q_MUST_USE bool q_pem_decode(const struct q_pem_block *block, uint8_t *out, size_t *out_len);

// q_pem_decoded_max is the room that q_pem_decode needs.
size_t q_pem_decoded_max(const struct q_pem_block *block);

#endif
