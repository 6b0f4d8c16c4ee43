#include "engine/net/name_files.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

static const uint32_t k_sizes[Q_FILES] = {
    [Q_FILE_HOSTS] = Q_HOSTS_FILE_MAX,
    [Q_FILE_RESOLV_CONF] = Q_RESOLV_FILE_MAX,
};

static const char *path_of(const struct q_name_files *files, unsigned which) {
    return which == Q_FILE_HOSTS ? files->options.hosts_path : files->options.resolv_conf_path;
}

// Looks a path up, and opens nothing.
static struct q_file_id identity_of(const char *path) {
    struct stat found;
    if (path == NULL || stat(path, &found) != 0) {
        return (struct q_file_id){0};
    }
    return (struct q_file_id){
        .device = found.st_dev,
        .inode = found.st_ino,
        .size = (uint64_t)found.st_size,
        .modified_ns = (uint64_t)found.st_mtim.tv_sec * Q_NS_PER_S + (uint64_t)found.st_mtim.tv_nsec,
        .changed_ns = (uint64_t)found.st_ctim.tv_sec * Q_NS_PER_S + (uint64_t)found.st_ctim.tv_nsec,
    };
}

static bool is_same_file(const struct q_file_id *a, const struct q_file_id *b) {
    return a->device == b->device && a->inode == b->inode && a->size == b->size && a->modified_ns == b->modified_ns &&
           a->changed_ns == b->changed_ns;
}

// --- what was read -------------------------------------------------------------------------------------------------

void q_name_servers_release(struct q_name_servers *servers, const struct q_alloc *alloc) {
    Q_CHECK(servers->holders > 0);
    if (--servers->holders == 0) {
        q_alloc_free(alloc, servers, sizeof *servers);
    }
}

static void use_own_servers(struct q_resolv_conf *conf, const struct q_name_files_options *options) {
    for (uint32_t i = 0; i < options->num_servers; i++) {
        conf->servers[i] = options->servers[i];
        conf->zones[i] = (struct q_resolv_zone){0};
    }
    conf->num_servers = options->num_servers > 0 ? options->num_servers : conf->num_servers;
}

static struct q_error take_resolv_conf(struct q_name_files *files, struct q_slice text, q_resolv_zone_fn *zone_of,
                                       const void *context) {
    struct q_name_servers *servers = q_alloc_new(files->alloc, sizeof *servers);
    if (servers == NULL) {
        return q_error_make(Q_ERR_NO_MEMORY, Q_PHASE_CREATE);
    }
    struct utsname machine;
    struct q_slice hostname = uname(&machine) == 0 ? q_slice_of_string(machine.nodename) : (struct q_slice){0};
    servers->holders = 1;
    q_resolv_conf_parse(&servers->conf, text, hostname, zone_of, context);
    if (files->options.resolv_conf_path == NULL) {
        servers->conf.num_servers = 0; // nobody is asked but who is named
        servers->conf.num_search = 0;
    }
    use_own_servers(&servers->conf, &files->options);
    if (files->servers != NULL) {
        q_name_servers_release(files->servers, files->alloc);
    }
    files->servers = servers;
    files->servers_changed = true;
    return Q_OK;
}

static struct q_error take_hosts(struct q_name_files *files, struct q_slice text) {
    struct q_hosts hosts;
    struct q_error error = q_hosts_parse(&hosts, files->alloc, text);
    if (!q_error_is(error)) {
        if (files->hosts.alloc != NULL) {
            q_hosts_deinit(&files->hosts);
        }
        files->hosts = hosts;
    }
    return error;
}

// --- at first, by number -------------------------------------------------------------------------------------------

// Reads at most `size` bytes; what cannot be read is empty.
static size_t read_whole(const char *path, char *into, size_t size) {
    int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // a FIFO must not block create
    size_t len = 0;
    while (fd >= 0 && len < size) {
        ssize_t got = read(fd, into + len, size - len);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            break;
        }
        len += (size_t)got;
    }
    if (fd >= 0) {
        close(fd);
    }
    return len;
}

// The kernel tells an interface's index where its name is a folder.
static uint32_t zone_of_kernel(const void *context, struct q_slice name) {
    (void)context;
    static const char k_before[] = "/sys/class/net/";
    static const char k_behind[] = "/ifindex";
    char path[sizeof k_before + Q_RESOLV_ZONE_MAX + sizeof k_behind];
    char text[16];
    uint64_t index = 0;
    memcpy(path, k_before, sizeof k_before - 1);
    memcpy(path + sizeof k_before - 1, name.ptr, name.len);
    memcpy(path + sizeof k_before - 1 + name.len, k_behind, sizeof k_behind);
    struct q_slice number = q_slice_make(text, read_whole(path, text, sizeof text));
    while (number.len > 0 && number.ptr[number.len - 1] == '\n') {
        number.len--;
    }
    return q_slice_to_u64(number, &index) && index <= UINT32_MAX ? (uint32_t)index : 0;
}

struct q_error q_name_files_load(struct q_name_files *files, const struct q_alloc *alloc,
                                 const struct q_name_files_options *options) {
    *files = (struct q_name_files){.alloc = alloc, .options = *options, .reading = Q_FILES};
    Q_CHECK(options->num_servers <= Q_RESOLV_SERVERS_MAX);
    char *text = q_alloc_new(alloc, Q_HOSTS_FILE_MAX); // the largest of them
    if (text == NULL) {
        return q_error_make(Q_ERR_NO_MEMORY, Q_PHASE_CREATE);
    }
    for (unsigned i = 0; i < Q_FILES; i++) {
        files->ids[i] = identity_of(path_of(files, i)); // before it is read: what changes in between is seen later
    }
    struct q_error error = take_hosts(files, q_slice_make(text, read_whole(options->hosts_path, text, Q_HOSTS_FILE_MAX)));
    if (!q_error_is(error)) {
        size_t len = read_whole(options->resolv_conf_path, text, Q_RESOLV_FILE_MAX);
        error = take_resolv_conf(files, q_slice_make(text, len), zone_of_kernel, NULL);
    }
    q_nsswitch_parse(&files->nsswitch,
                     q_slice_make(text, read_whole(options->nsswitch_path, text, Q_NSSWITCH_FILE_MAX)));
    q_alloc_free(alloc, text, Q_HOSTS_FILE_MAX);
    files->servers_changed = false;
    if (q_error_is(error)) {
        q_name_files_deinit(files);
    }
    return error;
}

void q_name_files_deinit(struct q_name_files *files) {
    if (files->alloc == NULL) {
        return;
    }
    Q_CHECK(files->reading == Q_FILES);
    if (files->hosts.alloc != NULL) {
        q_hosts_deinit(&files->hosts);
    }
    if (files->servers != NULL) {
        Q_CHECK(files->servers->holders == 1);
        q_name_servers_release(files->servers, files->alloc);
    }
    *files = (struct q_name_files){0};
}

// --- later, through the ring ---------------------------------------------------------------------------------------

static void read_next(struct q_name_files *files);

static void take_text(struct q_name_files *files, struct q_slice text) {
    struct q_error error = files->reading == Q_FILE_HOSTS
                               ? take_hosts(files, text)
                               : take_resolv_conf(files, text, q_resolv_conf_zone, &files->servers->conf);
    if (!q_error_is(error)) { // else what was known holds, until the next check
        files->ids[files->reading] = files->new_id;
        files->num_reloads++;
    }
}

static void close_file(struct q_name_files *files) {
    files->is_closing = true;
    q_io_close(files->loop->io, files->slot, &files->close_op);
}

static void read_done(struct q_io_op *op) {
    struct q_name_files *files = q_container_of(op, struct q_name_files, read_op);
    if (files->is_stopping) {
        return; // closing already
    }
    if (op->result >= 0) {
        take_text(files, q_slice_make(files->file.into, (size_t)op->result));
    } else if (op->result == -ENOENT) {
        take_text(files, (struct q_slice){0});
    }
    close_file(files);
}

static void close_done(struct q_io_op *op) {
    struct q_name_files *files = q_container_of(op, struct q_name_files, close_op);
    q_alloc_free(files->alloc, files->file.into, files->file.size);
    files->file = (struct q_io_file){0};
    files->is_changed[files->reading] = false;
    files->is_closing = false;
    files->reading = Q_FILES;
    if (files->is_stopping) {
        files->events->on_stopped(files);
        return;
    }
    read_next(files);
    if (files->reading == Q_FILES) {
        files->events->on_ready(files);
    }
}

// Begins with a file that has changed, if there is one, and memory and a slot for it.
static void read_next(struct q_name_files *files) {
    for (unsigned i = 0; i < Q_FILES && files->reading == Q_FILES; i++) {
        if (!files->is_changed[i]) {
            continue;
        }
        void *into = q_alloc_new(files->alloc, k_sizes[i]);
        if (into == NULL || q_error_is(q_io_open(files->loop->io, &files->slot))) {
            q_alloc_free(files->alloc, into, k_sizes[i]);
            files->is_changed[i] = false; // the next check finds it again
            continue;
        }
        files->reading = (uint8_t)i;
        files->file = (struct q_io_file){.path = path_of(files, i), .into = into, .size = k_sizes[i]};
        files->new_id = identity_of(files->file.path);
        q_io_read_file(files->loop->io, files->slot, &files->read_op, &files->file);
    }
}

void q_name_files_start(struct q_name_files *files, struct q_loop *loop, const struct q_name_files_events *events) {
    files->loop = loop;
    files->events = events;
    files->checked_ns = loop->now_ns;
    files->read_op.done = read_done;
    files->close_op.done = close_done;
}

bool q_name_files_check(struct q_name_files *files) {
    uint64_t now_ns = files->loop->now_ns;
    if (files->is_stopping || q_name_files_is_reading(files) || now_ns - files->checked_ns < Q_NAME_FILES_CHECK_NS) {
        return q_name_files_is_reading(files);
    }
    files->checked_ns = now_ns;
    for (unsigned i = 0; i < Q_FILES; i++) {
        if (path_of(files, i) != NULL) {
            struct q_file_id found = identity_of(path_of(files, i));
            files->is_changed[i] = !is_same_file(&found, &files->ids[i]);
        }
    }
    read_next(files);
    return q_name_files_is_reading(files);
}

bool q_name_files_stop(struct q_name_files *files) {
    files->is_stopping = true;
    if (!q_name_files_is_reading(files)) {
        return true;
    }
    if (!files->is_closing) {
        close_file(files);
    }
    return false;
}
