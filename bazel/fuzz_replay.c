// Stands in for libFuzzer where nothing is fuzzed: runs each file that it is given through the target, once.
//
// Prints as cmocka does, so that each input counts as a test case. The target says by crashing that an input is bad.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 1 << 20 }; // far above what any parser here accepts; a larger file is a mistake in the corpus

static int replay(const char *path) {
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(INPUT_MAX + 1);
    size_t size = file != NULL && data != NULL ? fread(data, 1, INPUT_MAX + 1, file) : INPUT_MAX + 1;
    if (file != NULL) {
        fclose(file);
    }
    if (size > INPUT_MAX) {
        fprintf(stderr, "%s: cannot be read, or is too large\n", path);
        free(data);
        return 1;
    }
    // Of exactly its size, so that a sanitizer sees one byte too many.
    uint8_t *exact = malloc(size > 0 ? size : 1);
    for (size_t i = 0; exact != NULL && i < size; i++) {
        exact[i] = data[i];
    }
    free(data);
    int refused = exact == NULL || LLVMFuzzerTestOneInput(exact, size) < 0;
    free(exact);
    return refused;
}

int main(int argc, char **argv) {
    int failed = replay("/dev/null"); // the empty input, always
    for (int i = 1; i < argc; i++) {
        printf("[ RUN      ] %s\n", argv[i]);
        fflush(stdout);
        failed += replay(argv[i]);
    }
    if (failed != 0) {
        printf("[  FAILED  ] %d test(s).\n", failed);
    }
    printf("[  PASSED  ] %d test(s).\n", argc - failed);
    return failed != 0;
}
