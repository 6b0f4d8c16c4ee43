// The intrusive list.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/base/list.h"
#include "tests/engine/base/dies.h"

struct item {
    int number;
    struct q_list_node node;
};

static struct item g_items[4];

static int setup(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        g_items[i] = (struct item){.number = i};
    }
    return 0;
}

// The numbers in order, as one decimal number; the links back must agree. -1 when they do not.
static int digits_of(const struct q_list *list) {
    int digits = 0;
    const struct q_list_node *prev = &list->head;
    for (const struct q_list_node *node = list->head.next; node != &list->head; node = node->next) {
        if (node->prev != prev) {
            return -1;
        }
        digits = digits * 10 + q_container_of(node, struct item, node)->number;
        prev = node;
    }
    return list->head.prev == prev ? digits : -1;
}

static void an_empty_list_has_neither_end(void **state) {
    (void)state;
    struct q_list list;
    q_list_init(&list);
    assert_true(q_list_is_empty(&list));
    assert_null(q_list_first(&list));
    assert_null(q_list_last(&list));
    assert_null(q_list_pop_front(&list));
}

static void nodes_stand_where_they_were_put(void **state) {
    (void)state;
    struct q_list list;
    q_list_init(&list);
    q_list_push_back(&list, &g_items[2].node);
    q_list_push_front(&list, &g_items[1].node);
    q_list_push_back(&list, &g_items[3].node);
    assert_int_equal(digits_of(&list), 123);
    assert_ptr_equal(q_list_first(&list), &g_items[1].node);
    assert_ptr_equal(q_list_last(&list), &g_items[3].node);
    q_list_insert_before(&g_items[2].node, &g_items[0].node);
    assert_int_equal(digits_of(&list), 1023);
}

static void a_removed_node_is_in_no_list(void **state) {
    (void)state;
    struct q_list list;
    q_list_init(&list);
    for (int i = 1; i < 4; i++) {
        assert_false(q_list_is_linked(&g_items[i].node));
        q_list_push_back(&list, &g_items[i].node);
        assert_true(q_list_is_linked(&g_items[i].node));
    }
    q_list_remove(&g_items[2].node);
    assert_false(q_list_is_linked(&g_items[2].node));
    assert_int_equal(digits_of(&list), 13);
    q_list_push_back(&list, &g_items[2].node);
    assert_int_equal(digits_of(&list), 132);
}

static void popping_goes_from_the_front(void **state) {
    (void)state;
    struct q_list list;
    q_list_init(&list);
    for (int i = 0; i < 4; i++) {
        q_list_push_back(&list, &g_items[i].node);
    }
    for (int i = 0; i < 4; i++) {
        assert_ptr_equal(q_list_pop_front(&list), &g_items[i].node);
        assert_false(q_list_is_linked(&g_items[i].node));
    }
    assert_true(q_list_is_empty(&list));
}

static void taking_moves_everything_behind(void **state) {
    (void)state;
    struct q_list into, from;
    q_list_init(&into);
    q_list_init(&from);
    q_list_take(&into, &from);
    assert_true(q_list_is_empty(&into));
    q_list_push_back(&from, &g_items[1].node);
    q_list_push_back(&from, &g_items[2].node);
    q_list_take(&into, &from);
    assert_int_equal(digits_of(&into), 12);
    assert_true(q_list_is_empty(&from));
    q_list_push_back(&from, &g_items[3].node);
    q_list_take(&into, &from);
    assert_int_equal(digits_of(&into), 123);
    assert_true(q_list_is_empty(&from));
}

static void link_twice(void *context) {
    q_list_push_back(context, &g_items[0].node);
    q_list_push_back(context, &g_items[0].node);
}

static void unlink_what_is_in_no_list(void *context) {
    (void)context;
    q_list_remove(&g_items[0].node);
}

static void misuse_dies(void **state) {
    (void)state;
    struct q_list list;
    q_list_init(&list);
    assert_true(dies_saying(link_twice, &list, "node->next =="));
    assert_true(dies_saying(unlink_what_is_in_no_list, NULL, "node->next !="));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_empty_list_has_neither_end, setup),
        cmocka_unit_test_setup(nodes_stand_where_they_were_put, setup),
        cmocka_unit_test_setup(a_removed_node_is_in_no_list, setup),
        cmocka_unit_test_setup(popping_goes_from_the_front, setup),
        cmocka_unit_test_setup(taking_moves_everything_behind, setup),
        cmocka_unit_test_setup(misuse_dies, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
