// Intrusive doubly linked list. A node is in one list at most; a node whose `next` is NULL is in none, which is the
// zero state. Thread-free in itself: the owner of the list's head owns every node's links.
#ifndef QUOIT_ENGINE_BASE_LIST_H
#define QUOIT_ENGINE_BASE_LIST_H

#include "engine/base/check.h"

#include <stdbool.h>

struct q_list_node {
    struct q_list_node *next;
    struct q_list_node *prev;
};

// A list is a ring through its head: an empty list points at itself, so insertion and removal have no branch.
struct q_list {
    struct q_list_node head;
};

static inline void q_list_init(struct q_list *list) { list->head.next = list->head.prev = &list->head; }

static inline bool q_list_is_empty(const struct q_list *list) { return list->head.next == &list->head; }

static inline bool q_list_is_linked(const struct q_list_node *node) { return node->next != NULL; }

static inline void q_list_insert_before(struct q_list_node *at, struct q_list_node *node) {
    Q_ASSERT(node->next == NULL);
    node->prev = at->prev;
    node->next = at;
    at->prev->next = node;
    at->prev = node;
}

static inline void q_list_push_back(struct q_list *list, struct q_list_node *node) {
    q_list_insert_before(&list->head, node);
}

static inline void q_list_push_front(struct q_list *list, struct q_list_node *node) {
    q_list_insert_before(list->head.next, node);
}

// q_list_remove takes a linked node out, and leaves it in the zero state. O(1).
static inline void q_list_remove(struct q_list_node *node) {
    Q_ASSERT(node->next != NULL);
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->next = node->prev = NULL;
}

static inline struct q_list_node *q_list_first(const struct q_list *list) {
    return q_list_is_empty(list) ? NULL : list->head.next;
}

static inline struct q_list_node *q_list_last(const struct q_list *list) {
    return q_list_is_empty(list) ? NULL : list->head.prev;
}

static inline struct q_list_node *q_list_pop_front(struct q_list *list) {
    struct q_list_node *node = q_list_first(list);
    if (node != NULL) {
        q_list_remove(node);
    }
    return node;
}

// q_list_take moves all of `from` behind what `into` holds; `from` is empty afterwards. O(1): used to work on a
// snapshot of a list while new nodes arrive, so that a step of the loop stays bounded.
static inline void q_list_take(struct q_list *into, struct q_list *from) {
    if (q_list_is_empty(from)) {
        return;
    }
    struct q_list_node *first = from->head.next;
    struct q_list_node *last = from->head.prev;
    first->prev = into->head.prev;
    into->head.prev->next = first;
    last->next = &into->head;
    into->head.prev = last;
    q_list_init(from);
}

#endif
