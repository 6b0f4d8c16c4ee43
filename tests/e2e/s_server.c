#include "tests/e2e/s_server.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/certs.h"

enum { WAIT_MS = 20000, ARGUMENTS_MAX = 32 };

static void write_leaf(struct s_server *server, const struct q_cert *issuer, const char *name,
                       const struct q_certs_spec *spec, char **out_cert, char **out_key) {
    char file[64];
    struct q_cert *leaf = q_certs_make(issuer, spec);
    snprintf(file, sizeof file, "%s.pem", name);
    *out_cert = q_certs_write(server->folder, file, leaf->pem);
    snprintf(file, sizeof file, "%s.key", name);
    *out_key = q_certs_write(server->folder, file, leaf->key_pem);
    q_certs_free(leaf);
}

static void make_files(struct s_server *server, char **out_cert, char **out_key) {
    struct q_cert *root = q_certs_authority(NULL, "s_server root", 17);
    struct q_cert *other = q_certs_authority(NULL, "stranger root", 18);
    struct q_certs_spec spec = {
        .common_name = "s_server", .alt_names = "DNS:" S_SERVER_HOST ",IP:127.0.0.1", .key_number = 19};
    server->folder = q_certs_folder_new();
    server->roots = q_certs_write(server->folder, "roots.pem", root->pem);
    write_leaf(server, root, "server", &spec, out_cert, out_key);
    spec = (struct q_certs_spec){.common_name = "client", .extended_usage = "clientAuth", .key_number = 20};
    write_leaf(server, root, "client", &spec, &server->client_cert, &server->client_key);
    write_leaf(server, other, "wrong", &spec, &server->wrong_cert, &server->wrong_key);
    q_certs_free(root);
    q_certs_free(other);
}

static void run(const struct s_server *server, const char *cert, const char *key, const char *const *arguments,
                int orders, int output) {
    const char *argv[ARGUMENTS_MAX] = {"openssl", "s_server", "-accept", "127.0.0.1:0", "-CAfile", server->roots};
    int num = 6;
    int has_cert = 1;
    for (int i = 0; arguments[i] != NULL && num < ARGUMENTS_MAX - 5; i++) {
        has_cert &= strcmp(arguments[i], "-nocert") != 0;
        argv[num++] = arguments[i];
    }
    if (has_cert) {
        const char *const own[] = {"-cert", cert, "-key", key};
        memcpy(&argv[num], own, sizeof own);
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL); // a test that crashes leaves nobody behind
    dup2(orders, STDIN_FILENO);
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    execv("/usr/bin/openssl", (char *const *)(uintptr_t)argv);
    _exit(127);
}

// Reads what has come, and waits for some if there is none.
static void hear(struct s_server *server) {
    struct pollfd ready = {.fd = server->output, .events = POLLIN};
    size_t room = sizeof server->said - 1 - server->said_len;
    assert_true(room > 0);
    assert_int_equal(poll(&ready, 1, WAIT_MS), 1);
    ssize_t len = read(server->output, server->said + server->said_len, room);
    if (len <= 0) {
        fail_msg("s_server has ended: %s", server->said);
    }
    server->said_len += (size_t)len;
    server->said[server->said_len] = 0;
}

void s_server_wait(struct s_server *server, const char *text) {
    while (strstr(server->said, text) == NULL) {
        hear(server);
    }
}

void s_server_order(struct s_server *server, const char *line) {
    int left_ms = WAIT_MS;
    int unread = 1;
    assert_int_equal(write(server->orders, line, strlen(line)), strlen(line));
    while (ioctl(server->orders, FIONREAD, &unread) == 0 && unread > 0) {
        assert_true(left_ms-- > 0);
        poll(NULL, 0, 1);
    }
}

void s_server_start(struct s_server *server, const char *const *arguments) {
    char *cert;
    char *key;
    int orders[2];
    int output[2];
    unsigned port = 0;
    memset(server, 0, sizeof *server);
    make_files(server, &cert, &key);
    assert_int_equal(pipe2(orders, O_CLOEXEC), 0);
    assert_int_equal(pipe2(output, O_CLOEXEC), 0);
    fflush(NULL);
    server->pid = fork();
    assert_true(server->pid >= 0);
    if (server->pid == 0) {
        run(server, cert, key, arguments, orders[0], output[1]);
    }
    close(orders[0]);
    close(output[1]);
    free(cert);
    free(key);
    server->orders = orders[1];
    server->output = output[0];
    const char *at;
    while ((at = strstr(server->said, "ACCEPT ")) == NULL || strchr(at, '\n') == NULL) {
        hear(server);
    }
    assert_int_equal(sscanf(at, "ACCEPT 127.0.0.1:%u", &port), 1);
    server->port = (uint16_t)port;
}

void s_server_stop(struct s_server *server) {
    kill(server->pid, SIGKILL);
    assert_int_equal(waitpid(server->pid, NULL, 0), server->pid);
    close(server->orders);
    close(server->output);
    q_certs_folder_remove(server->folder);
    char *const owned[] = {server->folder,     server->roots,      server->client_cert,
                           server->client_key, server->wrong_cert, server->wrong_key};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) {
        free(owned[i]);
    }
}
