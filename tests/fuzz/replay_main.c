// Replays a corpus without libFuzzer: every file of the folder given as it is, then with seeded changes (bytes changed,
// taken out, doubled, cut off), always the same ones. A changed input that stops the process is written to stderr in
// hexadecimal first, so that it can become a file of the corpus.
//
// Usage: replay FOLDER [CHANGES-PER-FILE]
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#define INPUT_MAX (1 << 16)
#define CHANGES_DEFAULT 300

static uint8_t g_input[INPUT_MAX];
static size_t g_len;
static uint64_t g_random;

static uint32_t random_below(uint32_t bound) {
    g_random = g_random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((g_random >> 33) % bound);
}

// on_abort shows the input; write(2) alone, as a signal handler must.
static void on_abort(int number) {
    static const char k_hex[] = "0123456789abcdef";
    (void)number;
    for (size_t i = 0; i < g_len; i++) {
        char text[2] = {k_hex[g_input[i] >> 4], k_hex[g_input[i] & 15]};
        if (write(STDERR_FILENO, text, 2) != 2) {
            break;
        }
    }
    if (write(STDERR_FILENO, "\n", 1) != 1) {
        _exit(2);
    }
}

// run gives the input in a block of its own size, so that a sanitizer sees a read beyond it.
static void run(void) {
    uint8_t *own = malloc(g_len == 0 ? 1 : g_len);
    FUZZ_CHECK(own != NULL);
    memcpy(own, g_input, g_len);
    (void)LLVMFuzzerTestOneInput(own, g_len);
    free(own);
}

static void change_once(void) {
    if (g_len == 0) {
        return;
    }
    static const uint8_t k_telling[] = "\r\n\t \0:;,%/\\?#@[].0159afx\x7f\x80\xff";
    size_t at = random_below((uint32_t)g_len);
    switch (random_below(5)) {
    case 0: g_input[at] = (uint8_t)random_below(256); break;
    case 1: g_input[at] = k_telling[random_below(sizeof(k_telling) - 1)]; break;
    case 2:
        memmove(g_input + at, g_input + at + 1, g_len - at - 1);
        g_len--;
        break;
    case 3:
        if (g_len < INPUT_MAX) {
            memmove(g_input + at + 1, g_input + at, g_len - at);
            g_len++;
        }
        break;
    default: g_len = random_below(8) == 0 ? at : g_len; break;
    }
}

static size_t read_into(const char *folder, const char *name, uint8_t *out) {
    char path[1024];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    FUZZ_CHECK(file != NULL);
    size_t len = fread(out, 1, INPUT_MAX, file);
    fclose(file);
    return len;
}

static int is_file(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

int main(int argc, char **argv) {
    static uint8_t original[INPUT_MAX];
    FUZZ_CHECK(argc > 1);
    unsigned changes = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : CHANGES_DEFAULT;
    struct dirent **entries;
    int count = scandir(argv[1], &entries, is_file, alphasort);
    FUZZ_CHECK(count > 0);
    signal(SIGABRT, on_abort);
    for (int i = 0; i < count; i++) {
        size_t len = read_into(argv[1], entries[i]->d_name, original);
        fprintf(stderr, "[ RUN      ] %s\n", entries[i]->d_name);
        for (unsigned change = 0; change <= changes; change++) {
            memcpy(g_input, original, len);
            g_len = len;
            g_random = ((uint64_t)i << 32) + change;
            for (uint32_t times = change == 0 ? 0 : 1 + random_below(4); times > 0; times--) {
                change_once();
            }
            run();
        }
        fprintf(stderr, "[       OK ] %s\n", entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    printf("[  PASSED  ] %d test(s).\n", count);
    return 0;
}
