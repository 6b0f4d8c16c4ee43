// The response reader: whatever a server sends, the events are the same whole and in pieces, every block that comes out
// is valid, and nothing is read or written beyond what was given. The first four bytes choose the request, the limits,
// the memory and the cuts.
#include "tests/engine/wire/reader_log.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static size_t cut_by_seed(void *context, size_t left) {
    uint32_t *seed = context;
    *seed = *seed * 1664525u + 1013904223u;
    size_t len = 1 + (*seed >> 16) % (1 + (*seed >> 8) % 40);
    return len < left ? len : left;
}

static size_t cut_each(void *context, size_t left) {
    (void)context;
    (void)left;
    return 1;
}

static struct reader_log_run run_of(const uint8_t *head) {
    struct reader_log_run run = {.request_flags = head[0] & 7, .eof = (head[0] & 8) != 0};
    if ((head[0] & 16) != 0) {
        run.limits = (struct q_h1_limits){.head_bytes = 20 + 4u * head[1],
                                          .headers_count = 1 + (head[1] & 15u),
                                          .line_bytes = 4 + (head[1] >> 1),
                                          .informational_count = 1 + (head[1] & 3u),
                                          .chunk_extension_bytes = 1 + (head[1] & 31u),
                                          .trailer_bytes = 4 + (head[1] >> 2)};
    }
    if ((head[0] & 32) != 0) {
        run.memory = 1 + 4u * head[2];
    }
    return run;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 4) {
        return 0;
    }
    struct reader_log_run run = run_of(data);
    struct q_slice input = q_slice_make(data + 4, size - 4);
    char *whole = reader_log(input, &run);
    uint32_t seed = data[3];
    run.cut_fn = cut_by_seed;
    run.cut_context = &seed;
    char *cut = reader_log(input, &run);
    FUZZ_CHECK(strcmp(whole, cut) == 0);
    free(cut);
    run.cut_fn = cut_each;
    cut = reader_log(input, &run);
    FUZZ_CHECK(strcmp(whole, cut) == 0);
    free(cut);
    free(whole);
    return 0;
}
