#include "engine/conn/feed.h"

#include <string.h>

struct q_feed *q_feed_new(const struct q_alloc *alloc, struct q_handle request, const void *data, size_t len,
                          void (*release)(void *context, const void *data, size_t len), void *context) {
    bool is_copied = release == NULL;
    size_t size = sizeof(struct q_feed) + (is_copied ? len : 0);
    struct q_feed *feed = alloc->allocate(alloc->context, size);
    if (feed == NULL) {
        return NULL;
    }
    *feed = (struct q_feed){
        .command = {.kind = Q_COMMAND_FEED},
        .request = request,
        .alloc = alloc,
        .size = size,
        .data = is_copied ? feed->copy : data,
        .len = len,
        .release = release,
        .context = context,
    };
    if (is_copied && len > 0) {
        memcpy(feed->copy, data, len);
    }
    return feed;
}

void q_feed_free(struct q_feed *feed) {
    q_alloc_free(feed->alloc, feed, feed->size);
}

void q_feed_drop(struct q_feed *feed) {
    if (feed->release != NULL) {
        feed->release(feed->context, feed->data, feed->len);
    }
    q_feed_free(feed);
}

static void say_farewell(struct q_task *task) {
    q_feed_drop(q_container_of(task, struct q_feed, farewell));
}

void q_feed_drop_on_loop(struct q_feed *feed, struct q_loop *loop) {
    feed->farewell.run = say_farewell;
    q_loop_post_farewell(loop, &feed->farewell);
}
