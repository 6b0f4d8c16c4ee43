#include "tests/e2e/nginx_tls.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/certs.h"

enum { WAIT_MS = 20000, STEP_MS = 5, LINES_LEN = 2048 };

// An authority: a root, an intermediate, and the text of the latter, which goes behind each leaf.
struct authority {
    struct q_cert *root;
    struct q_cert *middle;
};

static struct authority authority_make(const char *name, unsigned key_number) {
    struct authority authority;
    authority.root = q_certs_authority(NULL, name, key_number);
    authority.middle = q_certs_authority(authority.root, name, key_number + 1);
    return authority;
}

static void authority_free(struct authority *authority) {
    q_certs_free(authority->middle);
    q_certs_free(authority->root);
}

// Writes a leaf with its intermediate to `cert`.pem and its key to `cert`.key.
static void issue(const struct nginx_tls *tls, const struct authority *authority, const char *name,
                  const struct q_certs_spec *spec) {
    char file[64];
    struct q_cert *leaf = q_certs_make(authority->middle, spec);
    char *chain = q_certs_join(leaf->pem, authority->middle->pem, NULL);
    snprintf(file, sizeof file, "%s.pem", name);
    free(q_certs_write(tls->folder, file, chain));
    snprintf(file, sizeof file, "%s.key", name);
    free(q_certs_write(tls->folder, file, leaf->key_pem));
    free(chain);
    q_certs_free(leaf);
}

static void issue_servers(const struct nginx_tls *tls, const struct authority *authority) {
    struct q_certs_spec spec = {
        .common_name = "nginx", .alt_names = "DNS:" NGINX_TLS_HOST ",IP:127.0.0.1", .key_number = 9};
    if (tls->options.has_ecdsa) {
        issue(tls, authority, "ecdsa", &spec);
    }
    if (tls->options.has_rsa) {
        spec.key = Q_CERTS_RSA_2048;
        spec.key_usage = "digitalSignature,keyEncipherment";
        issue(tls, authority, "rsa", &spec);
    }
}

static char *path_of(const struct nginx_tls *tls, const char *name) {
    char path[512];
    int len = snprintf(path, sizeof path, "%s/%s", tls->folder, name);
    assert_true(len > 0 && (size_t)len < sizeof path);
    return strdup(path);
}

static void issue_clients(struct nginx_tls *tls, const struct authority *trusted, const struct authority *other) {
    struct q_certs_spec spec = {.common_name = "client", .extended_usage = "clientAuth", .key_number = 10};
    issue(tls, trusted, "client", &spec);
    issue(tls, other, "wrong", &spec);
    tls->client_cert = path_of(tls, "client.pem");
    tls->client_key = path_of(tls, "client.key");
    tls->wrong_cert = path_of(tls, "wrong.pem");
    tls->wrong_key = path_of(tls, "wrong.key");
    free(q_certs_write(tls->folder, "clients.pem", trusted->root->pem));
}

static void make_files(struct nginx_tls *tls) {
    struct authority now = authority_make(NGINX_TLS_AUTHORITY, NGINX_TLS_AUTHORITY_KEY);
    struct authority next = authority_make("next authority", 13);
    char *both = q_certs_join(now.root->pem, next.root->pem, NULL);
    tls->folder = q_certs_folder_new();
    tls->roots = q_certs_write(tls->folder, "roots.pem", now.root->pem);
    tls->next_roots = q_certs_write(tls->folder, "next.pem", next.root->pem);
    tls->both_roots = q_certs_write(tls->folder, "both.pem", both);
    issue_servers(tls, &now);
    issue_clients(tls, &now, &next);
    free(both);
    authority_free(&now);
    authority_free(&next);
}

static void write_server_lines(const struct nginx_tls *tls, char *out) {
    const struct nginx_tls_options *options = &tls->options;
    FILE *file = fmemopen(out, LINES_LEN, "w");
    assert_non_null(file);
    fprintf(file, "    ssl_protocols %s;\n", options->protocols == NULL ? "TLSv1.2 TLSv1.3" : options->protocols);
    for (int i = 0; i < 2; i++) {
        if (i == 0 ? options->has_ecdsa : options->has_rsa) {
            const char *name = i == 0 ? "ecdsa" : "rsa";
            fprintf(file, "    ssl_certificate %s/%s.pem;\n    ssl_certificate_key %s/%s.key;\n", tls->folder, name,
                    tls->folder, name);
        }
    }
    fprintf(file, "    ssl_session_tickets %s;\n    ssl_session_cache %s;\n", options->has_no_tickets ? "off" : "on",
            options->has_no_cache ? "off" : "shared:sessions:1m");
    // Asked here, and not when the line is written: then the handshake is over.
    fprintf(file, "    set $was_early $ssl_early_data;\n");
    if (options->has_early_data) {
        fprintf(file, "    ssl_early_data on;\n"
                      "    location /too_early/ { if ($ssl_early_data) { return 425; } rewrite ^/too_early(/.*)$ $1 break; }\n");
    }
    if (options->wants_client) {
        fprintf(file,
                "    ssl_verify_client on;\n    ssl_verify_depth 3;\n    ssl_client_certificate %s/clients.pem;\n",
                tls->folder);
    }
    fprintf(file, "%s", options->more == NULL ? "" : options->more);
    assert_int_equal(fclose(file), 0);
}

struct nginx_tls nginx_tls_start(const struct nginx_tls_options *options) {
    struct nginx_tls tls = {.options = *options};
    char http[512];
    char server[LINES_LEN];
    tls.options.has_ecdsa |= !tls.options.has_rsa;
    make_files(&tls);
    snprintf(http, sizeof http,
             "  log_format tls '$ssl_protocol $ssl_cipher $ssl_session_reused early$was_early $status $ssl_client_verify';\n"
             "  access_log %s/access.log tls;\n",
             tls.folder);
    write_server_lines(&tls, server);
    tls.nginx = nginx_start_with(&(struct nginx_more){.http = http, .listen = " ssl", .server = server});
    return tls;
}

void nginx_tls_stop(struct nginx_tls *tls) {
    nginx_stop(&tls->nginx);
    q_certs_folder_remove(tls->folder);
    char *const owned[] = {tls->folder,      tls->roots,      tls->next_roots, tls->both_roots,
                           tls->client_cert, tls->client_key, tls->wrong_cert, tls->wrong_key};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) {
        free(owned[i]);
    }
}

// A line that is not whole yet is none.
static bool read_line(const char *path, unsigned index, char *out, size_t size) {
    FILE *file = fopen(path, "re");
    bool is_there = false;
    for (unsigned i = 0; file != NULL && i <= index; i++) {
        is_there = fgets(out, (int)size, file) != NULL && strchr(out, '\n') != NULL;
    }
    if (file != NULL) {
        fclose(file);
    }
    return is_there;
}

// nginx writes a line when it is done with the request, and its client may be done before it.
struct nginx_tls_line nginx_tls_wait_line(const struct nginx_tls *tls, unsigned index) {
    struct nginx_tls_line line = {0};
    char text[512];
    char *path = path_of(tls, "access.log");
    int left_ms = WAIT_MS;
    while (!read_line(path, index, text, sizeof text)) {
        assert_true(left_ms > 0);
        poll(NULL, 0, STEP_MS);
        left_ms -= STEP_MS;
    }
    free(path);
    bool is_early = strstr(text, " early1 ") != NULL;
    memcpy(line.early, is_early ? "1" : "-", 2);
    if (sscanf(text, "%15s %63s %7s %*s %d %127[^\n]", line.protocol, line.cipher, line.reused, &line.status,
               line.verify) != 5) {
        fail_msg("not a line of the log: %s", text);
    }
    return line;
}

void nginx_tls_rotate(struct nginx_tls *tls) {
    struct authority next = authority_make("next authority", 13);
    issue_servers(tls, &next);
    authority_free(&next);
    nginx_signal(&tls->nginx, SIGHUP);
}

enum { CHILDREN_MAX = 16 };

static int children_of(const struct nginx_tls *tls, long out[CHILDREN_MAX]) {
    char path[64];
    int count = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)tls->nginx.pid, (int)tls->nginx.pid);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    while (count < CHILDREN_MAX && fscanf(file, "%ld", &out[count]) == 1) {
        count++;
    }
    fclose(file);
    return count;
}

static bool have_any(const long *list, int count, const long *wanted, int num_wanted) {
    for (int i = 0; i < count * num_wanted; i++) {
        if (list[i % count] == wanted[i / count]) {
            return true;
        }
    }
    return false;
}

void nginx_tls_rotate_wholly(struct nginx_tls *tls) {
    long old[CHILDREN_MAX];
    long now[CHILDREN_MAX];
    int num_old = children_of(tls, old);
    int num_now = num_old;
    assert_true(num_old > 0);
    nginx_tls_rotate(tls);
    memcpy(now, old, sizeof now);
    for (int left_ms = WAIT_MS; num_now == 0 || have_any(now, num_now, old, num_old); left_ms -= STEP_MS) {
        assert_true(left_ms > 0);
        poll(NULL, 0, STEP_MS);
        num_now = children_of(tls, now);
    }
}
