#include "engine/conn/h1_feeds.h"

void q_h1_feeds_begin(struct q_h1_feeds *feeds) {
    Q_CHECK(!feeds->is_open);
    *feeds = (struct q_h1_feeds){.is_open = true};
    q_list_init(&feeds->waiting);
    q_list_init(&feeds->sending);
}

// Gives the bytes of all that is in the list, and what the host lent with them.
static uint64_t drop_all(struct q_list *list, struct q_loop *loop) {
    uint64_t bytes = 0;
    struct q_list_node *node;
    while ((node = q_list_pop_front(list)) != NULL) {
        struct q_feed *feed = q_container_of(node, struct q_feed, link);
        bytes += q_feed_bytes(feed->len);
        q_feed_drop_on_loop(feed, loop);
    }
    return bytes;
}

uint64_t q_h1_feeds_take(struct q_h1_feeds *feeds, struct q_feed *feed, struct q_loop *loop) {
    Q_CHECK(feeds->is_open);
    if (feed->len == 0) {
        feeds->is_end_due = true;
        q_feed_drop_on_loop(feed, loop);
        return 0;
    }
    if (feeds->is_broken || feeds->is_end_due) { // behind the end: from a thread that did not wait for who ended it
        uint64_t bytes = q_feed_bytes(feed->len);
        q_feed_drop_on_loop(feed, loop);
        return bytes;
    }
    q_list_push_back(&feeds->waiting, &feed->link);
    return 0;
}

enum q_h1_feeds_next q_h1_feeds_next(struct q_h1_feeds *feeds, struct iovec *parts, unsigned max,
                                     unsigned *out_num_parts) {
    Q_CHECK(q_list_is_empty(&feeds->sending));
    unsigned num_parts = 0;
    size_t len = 0;
    while (num_parts < max && len < Q_H1_FEEDS_GATHER_MAX && !q_list_is_empty(&feeds->waiting)) {
        struct q_list_node *node = q_list_pop_front(&feeds->waiting);
        struct q_feed *feed = q_container_of(node, struct q_feed, link);
        q_list_push_back(&feeds->sending, node);
        parts[num_parts++] = (struct iovec){.iov_base = (char *)(uintptr_t)feed->data, .iov_len = feed->len};
        len += feed->len;
    }
    *out_num_parts = num_parts;
    if (num_parts > 0) {
        return Q_H1_FEEDS_SEND;
    }
    if (!feeds->is_end_due || feeds->has_ended || feeds->is_broken) {
        return Q_H1_FEEDS_NOTHING;
    }
    feeds->has_ended = true;
    return Q_H1_FEEDS_END;
}

uint64_t q_h1_feeds_sent(struct q_h1_feeds *feeds, bool has_failed, struct q_loop *loop) {
    uint64_t bytes = drop_all(&feeds->sending, loop);
    if (has_failed) {
        feeds->is_broken = true;
        bytes += drop_all(&feeds->waiting, loop);
    }
    return bytes;
}

void q_h1_feeds_drop(struct q_h1_feeds *feeds, struct q_loop *loop) {
    if (feeds->is_open) {
        (void)drop_all(&feeds->sending, loop);
        (void)drop_all(&feeds->waiting, loop);
    }
    *feeds = (struct q_h1_feeds){0};
}
