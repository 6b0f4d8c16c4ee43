#include "tests/boringssl/probe.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <string.h>

enum {
    HANDSHAKE_ROUNDS_MAX = 16, // TLS 1.3 needs three; a handshake that takes more turns in circles
    MESSAGE_MAX = 256,
};

void quoit_probe_init(void) {
    CRYPTO_library_init();
}

const char *quoit_probe_version(void) {
    return SSLeay_version(SSLEAY_VERSION);
}

void quoit_probe_sha256(const void *data, size_t len, uint8_t out_digest[32]) {
    SHA256(data, len, out_digest);
}

// make_identity gives `server` a fresh P-256 key and a certificate that it signs itself.
static bool make_identity(SSL_CTX *server) {
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    EVP_PKEY *key = EVP_PKEY_new();
    X509 *cert = X509_new();
    bool made = ec != NULL && key != NULL && cert != NULL && EC_KEY_generate_key(ec) && EVP_PKEY_set1_EC_KEY(key, ec) &&
                X509_set_version(cert, 2) && ASN1_INTEGER_set(X509_get_serialNumber(cert), 1) &&
                X509_gmtime_adj(X509_get_notBefore(cert), 0) != NULL &&
                X509_gmtime_adj(X509_get_notAfter(cert), 3600) != NULL &&
                X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                                           (const unsigned char *)"probe", -1, -1, 0) &&
                X509_set_issuer_name(cert, X509_get_subject_name(cert)) && X509_set_pubkey(cert, key) &&
                X509_sign(cert, key, EVP_sha256()) && SSL_CTX_use_certificate(server, cert) &&
                SSL_CTX_use_PrivateKey(server, key);
    X509_free(cert);
    EVP_PKEY_free(key);
    EC_KEY_free(ec);
    return made;
}

// run_handshake lets both ends move in turn until both are done.
static bool run_handshake(SSL *client, SSL *server) {
    for (int round = 0; round < HANDSHAKE_ROUNDS_MAX; round++) {
        int client_done = SSL_do_handshake(client);
        int server_done = SSL_do_handshake(server);
        if (client_done == 1 && server_done == 1) {
            return true;
        }
    }
    return false;
}

// pass_message writes at the client and compares what the server reads.
static bool pass_message(SSL *client, SSL *server, const void *data, int len) {
    char got[MESSAGE_MAX];
    return SSL_write(client, data, len) == len && SSL_read(server, got, sizeof got) == len &&
           memcmp(got, data, (size_t)len) == 0;
}

// join_ends connects the two sessions with a pair of memory BIOs. The sessions own the BIOs.
static bool join_ends(SSL *client, SSL *server) {
    BIO *client_end = NULL;
    BIO *server_end = NULL;
    if (!BIO_new_bio_pair(&client_end, 0, &server_end, 0)) {
        return false;
    }
    SSL_set_bio(client, client_end, client_end);
    SSL_set_bio(server, server_end, server_end);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    return true;
}

int quoit_probe_handshake(const void *data, size_t len) {
    SSL_CTX *client_ctx = SSL_CTX_new(TLS_method());
    SSL_CTX *server_ctx = SSL_CTX_new(TLS_method());
    SSL *client = NULL;
    SSL *server = NULL;
    int failed = 0;
    if (client_ctx == NULL || server_ctx == NULL || len > MESSAGE_MAX) {
        failed = 1;
    } else if (!make_identity(server_ctx)) {
        failed = 2;
    } else if ((client = SSL_new(client_ctx)) == NULL || (server = SSL_new(server_ctx)) == NULL ||
               !join_ends(client, server)) {
        failed = 3;
    } else if (!run_handshake(client, server)) {
        failed = 4;
    } else if (SSL_version(client) != TLS1_3_VERSION || !pass_message(client, server, data, (int)len)) {
        failed = 5;
    }
    SSL_free(client);
    SSL_free(server);
    SSL_CTX_free(client_ctx);
    SSL_CTX_free(server_ctx);
    return failed;
}
