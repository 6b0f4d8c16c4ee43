// One feed: its memory, and what the host lent with it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/conn/feed.h"
#include "tests/support/failalloc.h"

static const struct q_handle k_name = {.index = 3, .generation = 7};
static int num_released;

static void count_release(void *context, const void *data, size_t len) {
    assert_ptr_equal(context, &num_released);
    assert_string_equal(data, "text");
    assert_int_equal(len, 4);
    num_released++;
}

static void assert_empty(struct q_failalloc *failalloc) {
    char text[256];
    if (!q_failalloc_check(failalloc, text, sizeof text)) {
        fail_msg("%s", text);
    }
}

static void bytes_are_copied_in_the_one_allocation(void **state) {
    (void)state;
    struct q_failalloc *failalloc = q_failalloc_new();
    char text[] = "text";
    struct q_feed *feed = q_feed_new(q_failalloc_alloc(failalloc), k_name, text, 4, NULL, NULL);
    assert_non_null(feed);
    text[0] = 'x';
    assert_memory_equal(feed->data, "text", 4);
    assert_int_equal(feed->len, 4);
    assert_int_equal(feed->command.kind, Q_COMMAND_FEED);
    assert_int_equal(feed->request.index, 3);
    assert_int_equal(feed->request.generation, 7);
    assert_int_equal(q_failalloc_calls(failalloc), 1);
    q_feed_drop(feed);
    assert_empty(failalloc);
    q_failalloc_free(failalloc);
}

static void what_is_lent_goes_back_once_unless_it_was_refused(void **state) {
    (void)state;
    struct q_failalloc *failalloc = q_failalloc_new();
    const struct q_alloc *alloc = q_failalloc_alloc(failalloc);
    static const char k_text[] = "text";
    num_released = 0;
    struct q_feed *feed = q_feed_new(alloc, k_name, k_text, 4, count_release, &num_released);
    assert_ptr_equal(feed->data, k_text);
    q_feed_free(feed);
    assert_int_equal(num_released, 0);
    feed = q_feed_new(alloc, k_name, k_text, 4, count_release, &num_released);
    q_feed_drop(feed);
    assert_int_equal(num_released, 1);
    assert_empty(failalloc);
    q_failalloc_free(failalloc);
}

static void without_memory_there_is_none(void **state) {
    (void)state;
    struct q_failalloc *failalloc = q_failalloc_new();
    num_released = 0;
    q_failalloc_fail_from(failalloc, 1);
    assert_null(q_feed_new(q_failalloc_alloc(failalloc), k_name, "text", 4, NULL, NULL));
    assert_null(q_feed_new(q_failalloc_alloc(failalloc), k_name, "text", 4, count_release, &num_released));
    assert_int_equal(num_released, 0);
    assert_empty(failalloc);
    q_failalloc_free(failalloc);
}

static void a_loop_lets_go_at_its_publish_step(void **state) {
    (void)state;
    static const struct q_loop_steps k_steps;
    struct q_failalloc *failalloc = q_failalloc_new();
    struct q_loop loop;
    q_loop_init(&loop, NULL, q_clock_monotonic(), NULL, 1, &k_steps, NULL);
    q_loop_bind(&loop);
    num_released = 0;
    struct q_feed *feed = q_feed_new(q_failalloc_alloc(failalloc), k_name, "text", 4, count_release, &num_released);
    q_feed_drop_on_loop(feed, &loop);
    assert_int_equal(num_released, 0);
    q_loop_say_farewells(&loop);
    assert_int_equal(num_released, 1);
    assert_empty(failalloc);
    q_failalloc_free(failalloc);
}

static void small_pieces_count_for_their_node(void **state) {
    (void)state;
    assert_int_equal(q_feed_bytes(1), 128);
    assert_int_equal(q_feed_bytes(128), 128);
    assert_int_equal(q_feed_bytes(129), 129);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_copied_in_the_one_allocation),
        cmocka_unit_test(what_is_lent_goes_back_once_unless_it_was_refused),
        cmocka_unit_test(without_memory_there_is_none),
        cmocka_unit_test(a_loop_lets_go_at_its_publish_step),
        cmocka_unit_test(small_pieces_count_for_their_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
