// The host's structs, of whatever version, into ours and back; and an engine's options with every default filled in.
#ifndef QUOIT_ENGINE_CORE_OPTIONS_H
#define QUOIT_ENGINE_CORE_OPTIONS_H

#include "api/quoit.h"
#include "engine/base/error.h"

#define Q_OPTIONS_REQUESTS_MAX (UINT32_C(1) << 20) // bounds memory; and a question's token has room for that many slots

// q_options_read_struct copies a size-tagged struct into `out` of `out_size` bytes: a shorter one is filled up with
// zeros, a longer one is accepted when what we do not know of it is zero. INVALID_STRUCT_SIZE otherwise.
Q_MUST_USE int32_t q_options_read_struct(void *out, size_t out_size, const void *in);

// q_options_is_out_size tells whether `struct_size` of a struct that is to be filled makes sense: at least `least` bytes,
// and not so much more than our `known` that it can only be a mistake, which zeros behind it would turn into damage.
bool q_options_is_out_size(uint32_t struct_size, size_t least, size_t known);

// q_options_write_struct copies `in` of `in_size` bytes into the host's size-tagged struct: a shorter one gets what it has
// room for, a longer one zeros in what we do not know of it.
void q_options_write_struct(void *out, const void *in, size_t in_size);

// q_options_of_engine reads and checks the options of an engine; `in` may be NULL. Errors: INVALID_STRUCT_SIZE,
// INVALID_ARGUMENT.
Q_MUST_USE int32_t q_options_of_engine(const struct quoit_engine_options *in, struct quoit_engine_options *out);

#endif
