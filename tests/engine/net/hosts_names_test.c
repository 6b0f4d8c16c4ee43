// Names of the hosts file, asked as any others are.
#define _GNU_SOURCE
#include "tests/engine/net/race_rig.h"

#include "engine/net/hosts_names.h"

struct asker {
    struct q_resolve request; // first
    int num_answers, num_addresses;
    uint8_t families;
    bool is_over, cancels;
    struct q_names *names;
    int32_t code;
};

static void on_answer(struct q_resolve *request, const struct q_resolve_answer *answer) {
    struct asker *asker = q_container_of(request, struct asker, request);
    assert_false(asker->is_over);
    asker->num_answers++;
    asker->num_addresses += (int)answer->count;
    asker->families |= answer->family;
    asker->code = answer->error.code;
    asker->is_over = answer->is_last;
    assert_int_equal(answer->is_last, !q_resolve_is_asked(request));
    if (asker->cancels) {
        q_resolve_cancel(asker->names, request);
        asker->is_over = true;
    }
}

static const struct q_resolve_events k_events = {.on_answer = on_answer};

struct scene {
    struct race race;
    struct q_hosts hosts;
    struct q_hosts_names names;
};

static void open_scene(struct scene *s) {
    race_open(&s->race, 0, 0);
    struct q_slice text = Q_SLICE("192.0.2.1 both\n2001:db8::1 both\n192.0.2.2 four\n");
    assert_false(q_error_is(q_hosts_parse(&s->hosts, q_alloc_libc(), text)));
    q_hosts_names_init(&s->names, &s->race.loop, q_failalloc_alloc(s->race.memory), &s->hosts);
}

static void close_scene(struct scene *s) {
    q_hosts_names_deinit(&s->names);
    q_hosts_names_deinit(&s->names);
    q_hosts_deinit(&s->hosts);
    race_close(&s->race);
}

static void ask(struct scene *s, struct asker *asker, const char *name, unsigned families) {
    *asker = (struct asker){.request = {.events = &k_events}, .names = &s->names.names, .cancels = asker->cancels};
    q_resolve_ask(&s->names.names, &asker->request, q_slice_of_string(name), 80, families);
    assert_int_equal(asker->num_answers, 0); // never from inside the call
    assert_true(q_resolve_is_asked(&asker->request));
}

static void each_family_has_its_answer(void **state) {
    (void)state;
    struct scene s = {0};
    struct asker both = {0}, four = {0}, unknown = {0}, one = {0};
    open_scene(&s);
    ask(&s, &both, "both", Q_RESOLVE_BOTH);
    ask(&s, &four, "four.", Q_RESOLVE_BOTH);
    ask(&s, &unknown, "unknown", Q_RESOLVE_BOTH);
    ask(&s, &one, "both", Q_RESOLVE_V6);
    race_run_for(&s.race, 1);
    assert_int_equal(both.num_answers, 2);
    assert_int_equal(both.num_addresses, 2);
    assert_int_equal(both.families, Q_RESOLVE_BOTH);
    assert_int_equal(four.num_answers, 2);
    assert_int_equal(four.num_addresses, 1);
    assert_int_equal(unknown.num_answers, 2);
    assert_int_equal(unknown.code, Q_ERR_NAME_NOT_FOUND);
    assert_int_equal(one.num_answers, 1);
    assert_int_equal(one.families, Q_RESOLVE_V6);
    assert_true(both.is_over && four.is_over && unknown.is_over && one.is_over);
    close_scene(&s);
}

static void what_is_cancelled_is_not_answered(void **state) {
    (void)state;
    struct scene s = {0};
    struct asker before = {0}, inside = {.cancels = true};
    open_scene(&s);
    ask(&s, &before, "both", Q_RESOLVE_BOTH);
    ask(&s, &inside, "both", Q_RESOLVE_BOTH);
    q_resolve_cancel(&s.names.names, &before.request);
    q_resolve_cancel(&s.names.names, &before.request);
    race_run_for(&s.race, 1);
    assert_int_equal(before.num_answers, 0);
    assert_int_equal(inside.num_answers, 1);
    close_scene(&s);
}

static void without_memory_the_answer_says_so(void **state) {
    (void)state;
    struct scene s = {0};
    struct asker asker = {0};
    open_scene(&s);
    q_failalloc_fail_at(s.race.memory, 1);
    ask(&s, &asker, "both", Q_RESOLVE_BOTH);
    race_run_for(&s.race, 1);
    assert_int_equal(asker.num_answers, 2);
    assert_int_equal(asker.code, Q_ERR_NO_MEMORY);
    close_scene(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_family_has_its_answer),
        cmocka_unit_test(what_is_cancelled_is_not_answered),
        cmocka_unit_test(without_memory_the_answer_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
