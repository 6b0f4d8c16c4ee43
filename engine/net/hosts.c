#include "engine/net/hosts.h"

#include "engine/net/words.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct q_hosts_entry {
    struct q_slice name; // in hosts->text
    uint8_t address[16]; // an IPv4 one in the first 4 bytes; q_address is four times as large, and block lists are long
    uint32_t line;       // keeps the file's order among equal names
    bool is_v6;
};

static int compare_names(struct q_slice a, struct q_slice b) {
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common == 0 ? 0 : memcmp(a.ptr, b.ptr, common);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_entries(const void *left, const void *right) {
    const struct q_hosts_entry *a = left;
    const struct q_hosts_entry *b = right;
    int order = compare_names(a->name, b->name);
    return order != 0 ? order : (a->line > b->line) - (a->line < b->line);
}

static struct q_hosts_entry make_entry(struct q_slice name, const struct q_address *address, uint32_t line) {
    struct q_hosts_entry entry = {.name = name, .line = line, .is_v6 = address->u.any.sa_family == AF_INET6};
    if (entry.is_v6) {
        memcpy(entry.address, &address->u.v6.sin6_addr, 16);
    } else {
        memcpy(entry.address, &address->u.v4.sin_addr, 4);
    }
    return entry;
}

// Walks all entries; with `entries` NULL it only counts them.
static size_t walk(struct q_slice text, struct q_hosts_entry *entries) {
    size_t count = 0;
    for (uint32_t line_number = 0; text.len > 0; line_number++) {
        struct q_slice line = q_next_line(&text);
        struct q_slice word = q_next_word(&line);
        struct q_address address;
        if (!q_address_parse(word, 0, &address)) {
            continue; // empty, or a form that we do not read (an address with a zone): not ours to complain
        }
        for (word = q_next_word(&line); word.len > 0; word = q_next_word(&line)) {
            if (entries != NULL) {
                entries[count] = make_entry(word, &address, line_number);
            }
            count++;
        }
    }
    return count;
}

struct q_error q_hosts_parse(struct q_hosts *hosts, const struct q_alloc *alloc, struct q_slice text) {
    *hosts = (struct q_hosts){.alloc = alloc};
    if (text.len == 0) {
        return Q_OK;
    }
    hosts->text = q_alloc_copy(alloc, text.ptr, text.len);
    if (hosts->text == NULL) {
        return q_error_make(Q_ERR_NO_MEMORY, Q_PHASE_CREATE);
    }
    hosts->text_size = text.len + 1;
    for (size_t i = 0; i < text.len; i++) {
        hosts->text[i] = q_ascii_lower(hosts->text[i]);
    }
    struct q_slice folded = q_slice_make(hosts->text, text.len);
    hosts->num_entries = walk(folded, NULL);
    if (hosts->num_entries == 0) {
        return Q_OK;
    }
    hosts->entries_size = hosts->num_entries * sizeof *hosts->entries;
    hosts->entries = q_alloc_new(alloc, hosts->entries_size);
    if (hosts->entries == NULL) {
        q_hosts_deinit(hosts);
        return q_error_make(Q_ERR_NO_MEMORY, Q_PHASE_CREATE);
    }
    walk(folded, hosts->entries);
    qsort(hosts->entries, hosts->num_entries, sizeof *hosts->entries, compare_entries);
    return Q_OK;
}

static size_t read_all(int fd, char *into, size_t size) {
    size_t len = 0;
    while (len < size) {
        ssize_t got = read(fd, into + len, size - len);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            break;
        }
        len += (size_t)got;
    }
    return len;
}

struct q_error q_hosts_load(struct q_hosts *hosts, const struct q_alloc *alloc, const char *path) {
    *hosts = (struct q_hosts){.alloc = alloc};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // a FIFO in the file's place must not block create
    if (fd < 0) {
        return Q_OK;
    }
    char *text = alloc->allocate(alloc->context, Q_HOSTS_FILE_MAX);
    if (text == NULL) {
        close(fd);
        return q_error_make(Q_ERR_NO_MEMORY, Q_PHASE_CREATE);
    }
    size_t len = read_all(fd, text, Q_HOSTS_FILE_MAX);
    close(fd);
    struct q_error error = q_hosts_parse(hosts, alloc, q_slice_make(text, len));
    q_alloc_free(alloc, text, Q_HOSTS_FILE_MAX);
    return error;
}

void q_hosts_deinit(struct q_hosts *hosts) {
    q_alloc_free(hosts->alloc, hosts->entries, hosts->entries_size);
    q_alloc_free(hosts->alloc, hosts->text, hosts->text_size);
    *hosts = (struct q_hosts){0};
}

// localhost, and any name under it (RFC 6761 section 6.3).
bool q_hosts_is_localhost(struct q_slice name) {
    static const char k_localhost[] = "localhost";
    size_t len = sizeof k_localhost - 1;
    if (name.len < len || memcmp(name.ptr + name.len - len, k_localhost, len) != 0) {
        return false;
    }
    return name.len == len || name.ptr[name.len - len - 1] == '.';
}

static void add(struct q_addresses *out, struct q_address address) {
    if (out->count < Q_ADDRESSES_MAX) {
        out->list[out->count++] = address;
    }
}

static size_t first_at_or_behind(const struct q_hosts *hosts, struct q_slice name) {
    size_t low = 0;
    size_t high = hosts->num_entries;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_names(hosts->entries[middle].name, name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

bool q_hosts_find(const struct q_hosts *hosts, struct q_slice name, uint16_t port, struct q_addresses *out) {
    out->count = 0;
    if (q_hosts_is_localhost(name)) {
        add(out, q_address_v4((const uint8_t[4]){127, 0, 0, 1}, port));
        add(out, q_address_v6((const uint8_t[16]){[15] = 1}, port));
        return true;
    }
    for (size_t i = first_at_or_behind(hosts, name); i < hosts->num_entries; i++) {
        if (!q_slice_equal(hosts->entries[i].name, name)) {
            break;
        }
        const struct q_hosts_entry *entry = &hosts->entries[i];
        add(out, entry->is_v6 ? q_address_v6(entry->address, port) : q_address_v4(entry->address, port));
    }
    return out->count > 0;
}

uint32_t q_hosts_find_family(const struct q_hosts *hosts, struct q_slice name, bool is_v6, uint8_t (*out)[16], uint32_t room,
                             bool *out_is_there) {
    uint32_t count = 0;
    *out_is_there = false;
    for (size_t i = first_at_or_behind(hosts, name); i < hosts->num_entries; i++) {
        const struct q_hosts_entry *entry = &hosts->entries[i];
        if (!q_slice_equal(entry->name, name)) {
            break;
        }
        *out_is_there = true;
        if (entry->is_v6 == is_v6 && count < room) {
            memcpy(out[count++], entry->address, sizeof entry->address);
        }
    }
    return count;
}
