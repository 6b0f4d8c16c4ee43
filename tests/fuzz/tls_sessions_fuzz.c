// An import of sessions. The first byte says whether what follows is the whole export, or what is sealed in one under the right
// key: nobody but the host could make that, and it must do no harm either. `sessions` of the corpus is the inside of a real
// export, of a session of TLS 1.3 and one of 1.2: what is changed of it gets as far as into the store.
#include "engine/tls/sessions_export.h"
#include "tests/engine/tls/contexts_rig.h"
#include "tests/engine/tls/sealed.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

enum { OUT_MAX = 1 << 17 };

#define NOW INT64_C(1800000000)

static const struct q_sessions_seal k_seal = {.key = {"sixteen bytes ..", 16}, .version = {"1", 1}};

static bool count_one(void *context, const struct q_sessions_view *view) {
    FUZZ_CHECK(view->left_s > 0 && view->age_s + view->left_s <= Q_SESSIONS_LIFE_S);
    ++*(uint32_t *)context;
    return true;
}

// What was taken up can be given, and exported again.
static void use(struct q_sessions *store, uint8_t *out) {
    uint32_t count = 0;
    size_t len;
    (void)q_sessions_walk(store, count_one, &count);
    FUZZ_CHECK(count == store->stats.sessions);
    FUZZ_CHECK(q_sessions_export(store, &k_seal, NOW, NULL, 0, &len).code == 0 && len <= OUT_MAX);
    FUZZ_CHECK(q_sessions_export(store, &k_seal, NOW, out, OUT_MAX, &len).code == 0);
    q_sessions_validate(store);
    q_sessions_drop_all(store);
    FUZZ_CHECK(q_sessions_import(store, &k_seal, NOW, q_slice_make(out, len), &count).code == 0);
    q_sessions_validate(store);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct q_sessions_options k_options = {
        .max = 8, .peer_max = 2, .bytes_max = 1 << 16, .peer_bytes_max = 1 << 15};
    static uint8_t out[OUT_MAX];
    struct q_sessions store;
    uint32_t count;
    if (size == 0 || size > OUT_MAX / 2) {
        return 0;
    }
    struct scene *scene = scene_open();
    q_sessions_init(&store, q_alloc_libc(), &scene->loop, &k_options);
    bool is_sealed = data[0] % 2 == 1;
    size_t len = size - 1;
    memcpy(out, data + 1, len);
    if (is_sealed) {
        len = sealed_write(&k_seal, data + 1, size - 1, out);
    }
    struct q_error error = q_sessions_import(&store, &k_seal, NOW, q_slice_make(out, len), &count);
    FUZZ_CHECK(error.code == 0 || error.code == Q_ERR_TLS_BAD_SESSIONS);
    FUZZ_CHECK(is_sealed || error.code != 0); // the corpus has none that is whole
    q_sessions_validate(&store);
    use(&store, out);
    q_sessions_deinit(&store);
    scene_close(scene);
    return 0;
}
