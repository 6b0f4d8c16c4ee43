// libcurl's multi interface as a peer, by both of its loops: its own poll, and epoll with socket actions. Easy handles
// are made once and added again, as a host that cares for speed does.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <curl/curl.h>

#include "bench/peers/meter.h"

enum { EVENTS_MAX = 512, WAIT_MS = 100 };

struct client {
    struct peer_options options;
    struct peer_meter meter;
    CURLM *multi;
    CURL **handles;
    struct curl_slist *close; // with --fresh: the server is to close first, as the other peers ask it to
    int epoll_fd;
    uint64_t timer_ns; // when libcurl wants to be called, UINT64_MAX: not
};

static _Noreturn void refuse(const char *problem) {
    fprintf(stderr, "libcurl: %s\n", problem);
    exit(PEER_EXIT_FAILED);
}

// --- what libcurl calls ---

static size_t on_octets(char *data, size_t size, size_t count, void *context) {
    (void)data;
    struct client *client = context;
    client->meter.bytes_in += size * count;
    return size * count;
}

// libcurl keeps a pointer for each socket: not NULL once the socket is watched.
static int on_socket(CURL *handle, curl_socket_t fd, int what, void *context, void *is_watched) {
    (void)handle;
    struct client *client = context;
    struct epoll_event event = {
        .events = ((what & CURL_POLL_IN) ? EPOLLIN : 0u) | ((what & CURL_POLL_OUT) ? EPOLLOUT : 0u), .data = {.fd = fd}};
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(client->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        curl_multi_assign(client->multi, fd, NULL);
    } else if (is_watched != NULL) {
        epoll_ctl(client->epoll_fd, EPOLL_CTL_MOD, fd, &event);
    } else {
        epoll_ctl(client->epoll_fd, EPOLL_CTL_ADD, fd, &event);
        curl_multi_assign(client->multi, fd, client);
    }
    return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *context) {
    (void)multi;
    struct client *client = context;
    client->timer_ns = timeout_ms < 0 ? UINT64_MAX : peer_now_ns() + (uint64_t)timeout_ms * 1000000;
    return 0;
}

// --- requests ---

static void set_tls(const struct peer_options *options, CURL *handle) {
    if (options->cacert != NULL) {
        curl_easy_setopt(handle, CURLOPT_CAINFO, options->cacert);
        curl_easy_setopt(handle, CURLOPT_CAPATH, NULL); // nobody else
    }
    if (options->tls_version > 0) {
        bool is_12 = options->tls_version == 12;
        curl_easy_setopt(handle, CURLOPT_SSLVERSION, is_12 ? CURL_SSLVERSION_TLSv1_2 | CURL_SSLVERSION_MAX_TLSv1_2
                                                           : (long)CURL_SSLVERSION_TLSv1_3);
    }
    // What the others speak comes first; a library that cannot be told so stays as it is.
    curl_easy_setopt(handle, CURLOPT_TLS13_CIPHERS, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384");
    curl_easy_setopt(handle, CURLOPT_SSL_SESSIONID_CACHE, options->resumes ? 1L : 0L);
}

static CURL *make_handle(struct client *client) {
    CURL *handle = curl_easy_init();
    if (handle == NULL) {
        refuse("no handle");
    }
    curl_easy_setopt(handle, CURLOPT_URL, client->options.url);
    curl_easy_setopt(handle, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(handle, CURLOPT_PROXY, "");
    curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, on_octets);
    curl_easy_setopt(handle, CURLOPT_WRITEDATA, client);
    if (client->options.buffer_bytes > 0) {
        curl_easy_setopt(handle, CURLOPT_BUFFERSIZE, (long)client->options.buffer_bytes);
    }
    set_tls(&client->options, handle);
    if (client->options.is_fresh) {
        curl_easy_setopt(handle, CURLOPT_FORBID_REUSE, 1L);
        curl_easy_setopt(handle, CURLOPT_HTTPHEADER, client->close);
    }
    return handle;
}

static void request(struct client *client, CURL *handle) {
    if (peer_meter_may_request(&client->meter) && curl_multi_add_handle(client->multi, handle) != CURLM_OK) {
        refuse("a request cannot be added");
    }
}

static void take_ends(struct client *client) {
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(client->multi, &left)) != NULL;) {
        if (message->msg != CURLMSG_DONE) {
            continue;
        }
        CURL *handle = message->easy_handle;
        if (message->data.result != CURLE_OK) {
            refuse(curl_easy_strerror(message->data.result));
        }
        long head_len = 0;
        curl_easy_getinfo(handle, CURLINFO_HEADER_SIZE, &head_len);
        client->meter.bytes_in += (uint64_t)head_len;
        client->meter.num_done++;
        curl_multi_remove_handle(client->multi, handle);
        request(client, handle);
    }
}

// --- the two loops ---

static void poll_once(struct client *client) {
    int running;
    curl_multi_perform(client->multi, &running);
    take_ends(client);
    curl_multi_poll(client->multi, NULL, 0, WAIT_MS, NULL);
}

static int wait_ms(const struct client *client) {
    uint64_t now_ns = client->timer_ns == UINT64_MAX ? 0 : peer_now_ns();
    if (client->timer_ns <= now_ns) {
        return 0;
    }
    uint64_t left_ms = (client->timer_ns - now_ns + 999999) / 1000000;
    return left_ms < WAIT_MS ? (int)left_ms : WAIT_MS;
}

static void socket_once(struct client *client) {
    struct epoll_event events[EVENTS_MAX];
    int running;
    int count = epoll_wait(client->epoll_fd, events, EVENTS_MAX, wait_ms(client));
    for (int i = 0; i < count; i++) {
        int what = ((events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) ? CURL_CSELECT_IN : 0) |
                   ((events[i].events & EPOLLOUT) ? CURL_CSELECT_OUT : 0);
        curl_multi_socket_action(client->multi, events[i].data.fd, what, &running);
    }
    if (client->timer_ns != UINT64_MAX && peer_now_ns() >= client->timer_ns) {
        client->timer_ns = UINT64_MAX;
        curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    take_ends(client);
}

static void make_multi(struct client *client) {
    client->timer_ns = UINT64_MAX;
    client->multi = curl_multi_init();
    client->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (client->multi == NULL || client->epoll_fd < 0) {
        refuse("cannot begin");
    }
    curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)client->options.connections + 8);
    if (client->options.loop == PEER_LOOP_SOCKET) {
        curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
        curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
        curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_timer);
        curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    }
}

// Frees the handles; the connections stay in the pool of the multi handle.
static void free_handles(struct client *client) {
    for (unsigned i = 0; i < client->options.connections; i++) {
        curl_multi_remove_handle(client->multi, client->handles[i]);
        curl_easy_cleanup(client->handles[i]);
    }
    free(client->handles);
    curl_slist_free_all(client->close);
}

static void run(struct client *client) {
    client->close = curl_slist_append(NULL, "Connection: close");
    client->handles = calloc(client->options.connections, sizeof(CURL *));
    if (client->close == NULL || client->handles == NULL) {
        refuse("no memory");
    }
    for (unsigned i = 0; i < client->options.connections; i++) {
        client->handles[i] = make_handle(client);
        request(client, client->handles[i]);
    }
    while (peer_meter_goes_on(&client->meter)) {
        if (client->options.loop == PEER_LOOP_POLL) {
            poll_once(client);
        } else {
            socket_once(client);
        }
    }
}

int main(int argc, char **argv) {
    static struct client client;
    peer_options_parse(&client.options, argc, argv);
    curl_global_init(CURL_GLOBAL_ALL);
    make_multi(&client);
    char how[64];
    snprintf(how, sizeof how, "%s-%u", client.options.loop == PEER_LOOP_POLL ? "poll" : "socket",
             client.options.buffer_bytes > 0 ? client.options.buffer_bytes : (unsigned)CURL_MAX_WRITE_SIZE);
    if (strncmp(client.options.url, "https:", strlen("https:")) == 0) {
        client.meter.tls = curl_version_info(CURLVERSION_NOW)->ssl_version;
    }
    peer_meter_idle_begin(&client.meter);
    peer_meter_begin(&client.meter, &client.options);
    run(&client);
    if (!client.options.is_idle) {
        peer_meter_report(&client.meter, "curl", how);
    }
    free_handles(&client);
    if (client.options.is_idle) { // what a pooled connection holds, without the handle that a request needs
        peer_meter_report_idle(&client.meter, "curl", how);
    }
    curl_multi_cleanup(client.multi);
    close(client.epoll_fd);
    curl_global_cleanup();
    return EXIT_SUCCESS;
}
