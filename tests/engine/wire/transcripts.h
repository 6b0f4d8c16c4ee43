// The golden transcripts of tests/engine/wire/transcripts, read from their files: bytes of a server, and what must come of
// them. Shared by the reader's test and by the simulation, where peers send them. Stops the program when a file is not
// as transcripts/README.md says. Thread-free.
#ifndef QUOIT_TESTS_ENGINE_WIRE_TRANSCRIPTS_H
#define QUOIT_TESTS_ENGINE_WIRE_TRANSCRIPTS_H

#include "tests/engine/wire/reader_log.h"

struct transcript {
    char *name;
    struct reader_log_run run;
    char *input;
    size_t input_len;
    char *events; // the expected log
};

// transcripts_read reads all files, relative to the root of the tree, in the order of their names. The memory is the
// caller's, until transcripts_free.
struct transcript *transcripts_read(size_t *out_count);
void transcripts_free(struct transcript *list, size_t count);

// transcript_last_line gives the last line of a log, which ends with a line end: where it stands in it.
const char *transcript_last_line(const char *log);

#endif
