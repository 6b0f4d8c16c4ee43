// Debian's nginx, and a host that decides and signs by itself: a client's key that the engine has not, by both versions and
// both kinds of key; and what nginx staples, in front of who is asked whether to trust it.
#include "tests/engine/core/asked.h"

#include "engine/base/check.h"
#include "tests/e2e/nginx_tls.h"

static const char *const k_protocols[] = {"TLSv1.2", "TLSv1.3"};

static struct q_cert *the_root; // whom nginx trusts: the same name and key as its own
static struct q_cert *the_clients[2];
static struct q_cert *the_stranger;

static int set_up(void **state) {
    (void)state;
    the_root = q_certs_authority(NULL, NGINX_TLS_AUTHORITY, NGINX_TLS_AUTHORITY_KEY);
    struct q_certs_spec spec = {.common_name = "client", .extended_usage = "clientAuth", .key_number = 51};
    the_clients[0] = q_certs_make(the_root, &spec);
    the_stranger = q_certs_make(NULL, &spec);
    spec.key = Q_CERTS_RSA_2048;
    the_clients[1] = q_certs_make(the_root, &spec);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    q_certs_free(the_clients[0]);
    q_certs_free(the_clients[1]);
    q_certs_free(the_stranger);
    q_certs_free(the_root);
    return 0;
}

static struct quoit_tls *builder_trusting(const struct nginx_tls *nginx) {
    struct quoit_tls *tls = NULL;
    assert_int_equal(quoit_tls_new(&tls), QUOIT_OK);
    assert_int_equal(quoit_tls_set_roots(tls, QUOIT_TLS_FILE, nginx->roots, strlen(nginx->roots)), QUOIT_OK);
    return tls;
}

// A GET of one byte by `tls`, which is frozen here and released.
static const struct host_record *get_by(const struct nginx_tls *nginx, uint32_t index, struct quoit_tls *tls) {
    char url[HOST_URL_MAX];
    assert_int_equal(quoit_tls_freeze(tls, NULL), QUOIT_OK);
    asked_get(index, nginx_url(&nginx->nginx, "/1.bin", url, sizeof url), tls);
    quoit_tls_release(tls);
    return host_wait(&asked_host, index);
}

static struct quoit_tls *signing_by(const struct nginx_tls *nginx, const struct q_cert *client,
                                    struct quoit_tls_point *point) {
    struct quoit_tls *tls = builder_trusting(nginx);
    assert_int_equal(quoit_tls_set_sign_question(tls, QUOIT_TLS_MEMORY, client->pem, strlen(client->pem), point), QUOIT_OK);
    asked.signer = client;
    return tls;
}

// The second visit goes by the connection of the first: nobody signs twice. A refusal is of this side, and nginx hears of no
// request; a stranger's signature is good, and its certificate is not.
static void a_key_that_the_engine_has_not_opens_nginx(void **state) {
    (void)state;
    for (size_t i = 0; i < 2 * Q_COUNT_OF(k_protocols); i++) {
        struct asked_point owner;
        const char *protocol = k_protocols[i / 2];
        const struct q_cert *client = the_clients[i % 2];
        struct nginx_tls nginx =
            nginx_tls_start(&(struct nginx_tls_options){.protocols = protocol, .wants_client = true});
        nginx_add_file(&nginx.nginx, "1.bin", 1);
        asked_start(NULL, NULL);
        asked_point_new(&owner);
        asked.answer = ASKED_SIGN;
        for (uint32_t k = 0; k < 2; k++) {
            host_assert_done(get_by(&nginx, k, signing_by(&nginx, client, owner.point)), 1);
            struct nginx_tls_line line = nginx_tls_wait_line(&nginx, k);
            assert_string_equal(line.protocol, protocol);
            assert_string_equal(line.verify, "SUCCESS");
        }
        assert_int_equal(asked.num, 1);
        assert_int_equal(asked.questions[0].kind, QUOIT_QUESTION_TLS_SIGN);
        assert_ptr_equal(asked.questions[0].context, &owner);
        const struct host_record *stranger = get_by(&nginx, 2, signing_by(&nginx, the_stranger, owner.point));
        assert_int_equal(stranger->status, 400);
        assert_memory_equal(nginx_tls_wait_line(&nginx, 2).verify, "FAILED:", 7);
        asked.answer = ASKED_REFUSE;
        struct asked_point other;
        asked_point_new(&other);
        const struct host_record *refused = get_by(&nginx, 3, signing_by(&nginx, client, other.point));
        host_assert_failed(refused, QUOIT_ERR_TLS_SIGN_REFUSED, QUOIT_PHASE_TLS);
        assert_int_equal(asked.num, 3);
        quoit_tls_point_release(other.point);
        quoit_tls_point_release(owner.point);
        host_stop(&asked_host);
        assert_int_equal(owner.num_released, 1);
        assert_int_equal(other.num_released, 1);
        nginx_tls_stop(&nginx);
    }
}

// Octet by octet what nginx has in its file (here a responder's "try later", RFC 6960 section 4.2.1), when it was asked for.
static void what_is_stapled_is_shown_to_who_decides(void **state) {
    static const uint8_t k_try_later[] = {0x30, 0x03, 0x0a, 0x01, 0x03};
    char more[1024];
    (void)state;
    char *folder = q_certs_folder_new();
    char *path = q_certs_write_bytes(folder, "staple.der", k_try_later, sizeof k_try_later);
    snprintf(more, sizeof more, "    ssl_stapling on;\n    ssl_stapling_file %s;\n", path);
    for (size_t i = 0; i < 2 * Q_COUNT_OF(k_protocols); i++) {
        struct asked_point owner;
        bool is_wanted = i % 2 == 0;
        struct nginx_tls nginx =
            nginx_tls_start(&(struct nginx_tls_options){.protocols = k_protocols[i / 2], .more = more});
        nginx_add_file(&nginx.nginx, "1.bin", 1);
        asked_start(NULL, NULL);
        asked_point_new(&owner);
        asked.answer = ASKED_YES;
        struct quoit_tls *tls = builder_trusting(&nginx);
        assert_int_equal(quoit_tls_set_switch(tls, QUOIT_TLS_STAPLE, is_wanted), QUOIT_OK);
        assert_int_equal(quoit_tls_set_verify_question(tls, QUOIT_TLS_ASK_BEFORE_TRUSTING, owner.point), QUOIT_OK);
        host_assert_done(get_by(&nginx, 0, tls), 1);
        assert_int_equal(asked.num, 1);
        assert_int_equal(asked.questions[0].kind, QUOIT_QUESTION_TLS_VERIFY);
        assert_int_equal(asked.questions[0].num_certs, 2); // the server's own and its intermediate
        assert_int_equal(asked.questions[0].staple_len, is_wanted ? sizeof k_try_later : 0);
        assert_memory_equal(asked.questions[0].staple, k_try_later, asked.questions[0].staple_len);
        quoit_tls_point_release(owner.point);
        host_stop(&asked_host);
        assert_int_equal(owner.num_released, 1);
        nginx_tls_stop(&nginx);
    }
    free(path);
    q_certs_folder_remove(folder);
    free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_that_the_engine_has_not_opens_nginx),
        cmocka_unit_test(what_is_stapled_is_shown_to_who_decides),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
