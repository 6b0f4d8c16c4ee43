// The public structs, octet by octet: what a host was compiled with stays where it is. A field that is added at the end
// of a size-tagged struct adds a line here; nothing else may change one.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "api/quoit.h"

#define SIZE(type, size)        _Static_assert(sizeof(struct type) == (size), #type)
#define AT(type, field, offset) _Static_assert(offsetof(struct type, field) == (offset), #type "." #field)

SIZE(quoit_engine, 8);
SIZE(quoit_port, 8);
SIZE(quoit_handle, 8);

SIZE(quoit_slice, 32);
AT(quoit_slice, data, 0);
AT(quoit_slice, len, 8);
AT(quoit_slice, owner, 16);
AT(quoit_slice, cookie, 24);

SIZE(quoit_failure, 16);
AT(quoit_failure, code, 0);
AT(quoit_failure, os_errno, 4);
AT(quoit_failure, phase, 8);
AT(quoit_failure, retry_safe, 9);
AT(quoit_failure, alert, 10);

SIZE(quoit_allocator, 24);
AT(quoit_allocator, allocate, 0);
AT(quoit_allocator, release, 8);
AT(quoit_allocator, context, 16);

SIZE(quoit_static_name, 24);
SIZE(quoit_engine_options, 176);
AT(quoit_engine_options, struct_size, 0);
AT(quoit_engine_options, mode, 4);
AT(quoit_engine_options, capabilities_off, 8);
AT(quoit_engine_options, requests_max, 12);
AT(quoit_engine_options, connections_max, 16);
AT(quoit_engine_options, connections_per_origin_max, 20);
AT(quoit_engine_options, waiters_per_origin_max, 24);
AT(quoit_engine_options, idle_timeout_ms, 28);
AT(quoit_engine_options, memory_max, 32);
AT(quoit_engine_options, head_bytes_max, 40);
AT(quoit_engine_options, headers_max, 44);
AT(quoit_engine_options, allocator, 48);
AT(quoit_engine_options, log, 56);
AT(quoit_engine_options, log_context, 64);
AT(quoit_engine_options, log_level, 72);
AT(quoit_engine_options, hosts_file, 80);
AT(quoit_engine_options, line_bytes_max, 88);
AT(quoit_engine_options, informational_max, 92);
AT(quoit_engine_options, chunk_extension_bytes_max, 96);
AT(quoit_engine_options, trailer_bytes_max, 100);
AT(quoit_engine_options, spin_us, 104);
AT(quoit_engine_options, tls, 112);
AT(quoit_engine_options, environment, 120);
AT(quoit_engine_options, resolv_conf_file, 128);
AT(quoit_engine_options, dns_servers, 136);
AT(quoit_engine_options, static_names, 144);
AT(quoit_engine_options, dns_cache_max, 156);
AT(quoit_engine_options, dns_stale_s, 168);

SIZE(quoit_tls_identity, 64);
AT(quoit_tls_identity, chain_source, 4);
AT(quoit_tls_identity, key_source, 8);
AT(quoit_tls_identity, chain, 16);
AT(quoit_tls_identity, chain_len, 24);
AT(quoit_tls_identity, key, 32);
AT(quoit_tls_identity, key_len, 40);
AT(quoit_tls_identity, passphrase, 48);
AT(quoit_tls_identity, passphrase_len, 56);

SIZE(quoit_engine_info, 216);
AT(quoit_engine_info, capabilities, 4);
AT(quoit_engine_info, requests_pending, 16);
AT(quoit_engine_info, requests_done, 24);
AT(quoit_engine_info, wakes, 120);
AT(quoit_engine_info, dns_lookups, 128);
AT(quoit_engine_info, name_service, 184);

SIZE(quoit_probe_result, 24);
AT(quoit_probe_result, capabilities, 4);
AT(quoit_probe_result, failure, 8);

SIZE(quoit_head, 16);
AT(quoit_head, status, 0);
AT(quoit_head, http_version, 2);
AT(quoit_head, headers, 8);

SIZE(quoit_data, 24);
AT(quoit_data, data, 0);
AT(quoit_data, len, 8);
AT(quoit_data, offset, 16);

SIZE(quoit_address, 20);
AT(quoit_address, family, 0);
AT(quoit_address, port, 2);
AT(quoit_address, ip, 4);

SIZE(quoit_summary, 320);
AT(quoit_summary, failure, 0);
AT(quoit_summary, bytes_in, 16);
AT(quoit_summary, bytes_out, 24);
AT(quoit_summary, leased_ns, 32);
AT(quoit_summary, head_ns, 40);
AT(quoit_summary, end_ns, 48);
AT(quoit_summary, connection_id, 56);
AT(quoit_summary, status, 60);
AT(quoit_summary, attempts, 62);
AT(quoit_summary, reused, 63);
AT(quoit_summary, spent_ns, 64);
AT(quoit_summary, redirects, 192);
AT(quoit_summary, remote, 200);
AT(quoit_summary, local, 220);
AT(quoit_summary, num_redirects, 240);
AT(quoit_summary, tls_version, 248);
AT(quoit_summary, tls_cipher, 250);
AT(quoit_summary, tls_resumed, 252);
AT(quoit_summary, tls_handshake_ns, 256);
AT(quoit_summary, tls_report, 264);
AT(quoit_summary, tls_alpn, 272);
AT(quoit_summary, dials, 304);
AT(quoit_summary, num_dials, 312);

SIZE(quoit_der, 16);
AT(quoit_der, len, 8);

SIZE(quoit_certificates, 16);
AT(quoit_certificates, count, 8);

SIZE(quoit_tls_report, 64);
AT(quoit_tls_report, certificates, 0);
AT(quoit_tls_report, staple, 16);
AT(quoit_tls_report, message, 32);
AT(quoit_tls_report, subject, 40);
AT(quoit_tls_report, issuer, 48);
AT(quoit_tls_report, depth, 56);

SIZE(quoit_request_bounds, 96);
AT(quoit_request_bounds, total_ms, 8);
AT(quoit_request_bounds, body_bytes_max, 64);
AT(quoit_request_bounds, answer_ms, 72);
AT(quoit_request_bounds, tls_ms, 80);
AT(quoit_request_bounds, resolve_ms, 88);

SIZE(quoit_dial_options, 72);
AT(quoit_dial_options, family, 4);
AT(quoit_dial_options, flags, 8);
AT(quoit_dial_options, attempt_delay_ms, 12);
AT(quoit_dial_options, mark, 16);
AT(quoit_dial_options, keepalive_idle_s, 20);
AT(quoit_dial_options, keepalive_interval_s, 24);
AT(quoit_dial_options, keepalive_count, 28);
AT(quoit_dial_options, user_timeout_ms, 32);
AT(quoit_dial_options, vsock_cid, 36);
AT(quoit_dial_options, vsock_port, 40);
AT(quoit_dial_options, interface_name, 48);
AT(quoit_dial_options, unix_path, 56);
AT(quoit_dial_options, unix_path_len, 64);

SIZE(quoit_dial, 48);
AT(quoit_dial, code, 4);
AT(quoit_dial, os_errno, 8);
AT(quoit_dial, address, 12);
AT(quoit_dial, began_ns, 32);
AT(quoit_dial, took_ns, 40);

SIZE(quoit_redirect_options, 16);
AT(quoit_redirect_options, limit, 4);
AT(quoit_redirect_options, ask, 12);

SIZE(quoit_question, 152);
AT(quoit_question, kind, 0);
AT(quoit_question, status, 4);
AT(quoit_question, token, 8);
AT(quoit_question, url, 16);
AT(quoit_question, url_len, 24);
AT(quoit_question, method, 32);
AT(quoit_question, method_len, 40);
AT(quoit_question, hop, 48);
AT(quoit_question, context, 56);
AT(quoit_question, host, 64);
AT(quoit_question, verify_name, 80);
AT(quoit_question, certificates, 96);
AT(quoit_question, staple, 112);
AT(quoit_question, message, 128);
AT(quoit_question, verdict, 144);
AT(quoit_question, port, 148);
AT(quoit_question, algorithm, 150);

SIZE(quoit_der, 16);
AT(quoit_der, len, 8);

SIZE(quoit_certificates, 16);
AT(quoit_certificates, count, 8);

SIZE(quoit_request_state, 144);
AT(quoit_request_state, stage_ns, 8);
AT(quoit_request_state, spent_ns, 16);

SIZE(quoit_event, 344);
AT(quoit_event, type, 0);
AT(quoit_event, cookie, 4);
AT(quoit_event, request, 8);
AT(quoit_event, user_data, 16);
AT(quoit_event, u, 24);

SIZE(quoit_port_options, 40);
AT(quoit_port_options, mode, 4);
AT(quoit_port_options, capacity, 8);
AT(quoit_port_options, on_event, 16);
AT(quoit_port_options, context, 24);
AT(quoit_port_options, key_log, 32);

SIZE(quoit_key_log, 24);
AT(quoit_key_log, line_len, 8);
AT(quoit_key_log, lost, 16);

_Static_assert(sizeof(enum quoit_error) == 4, "an error fits int32_t");

static void structs_and_numbers_are_where_they_were(void **state) {
    (void)state; // the compiler has looked at the structs
    assert_int_equal(QUOIT_EVENT_INFORMATIONAL, 1);
    assert_int_equal(QUOIT_EVENT_HEAD, 2);
    assert_int_equal(QUOIT_EVENT_DATA, 3);
    assert_int_equal(QUOIT_EVENT_TRAILERS, 4);
    assert_int_equal(QUOIT_EVENT_DONE, 5);
    assert_int_equal(QUOIT_EVENT_FAILED, 6);
    assert_int_equal(QUOIT_EVENT_CLOSED, 7);
    assert_int_equal(QUOIT_EVENT_QUESTION, 10);
    assert_int_equal(QUOIT_QUESTION_REDIRECT, 1);
    assert_int_equal(QUOIT_QUESTION_TLS_VERIFY, 2);
    assert_int_equal(QUOIT_QUESTION_TLS_SIGN, 3);
    assert_int_equal(QUOIT_TLS_ASK_NEVER, 0);
    assert_int_equal(QUOIT_TLS_ASK_BEFORE_TRUSTING, 1);
    assert_int_equal(QUOIT_TLS_ASK_ALWAYS_AND_TRUST_WHOM_THE_HOST_TRUSTS, 0x0a5caa11);
    assert_int_equal(QUOIT_ANSWER_YES, 1);
    assert_int_equal(QUOIT_ANSWER_STOP, 2);
    assert_int_equal(QUOIT_ANSWER_REFUSE, 3);
    assert_int_equal(QUOIT_ENGINE_THREAD, 0);
    assert_int_equal(QUOIT_ENGINE_HOST_DRIVEN, 1);
    assert_int_equal(QUOIT_PORT_EVENTFD, 0);
    assert_int_equal(QUOIT_PORT_INLINE, 1);
    assert_int_equal(QUOIT_CAP_DEFER_TASKRUN, 1);
    assert_int_equal(QUOIT_CAP_HIDDEN_RING, 2);
    assert_int_equal(QUOIT_CAP_DIRECT_SOCKET, 4);
    assert_int_equal(QUOIT_CAP_FUTEX_DOORBELL, 8);
    assert_int_equal(QUOIT_CAP_NO_IOWAIT, 16);
    assert_int_equal(QUOIT_CAP_DIRECT_BIND, 32);
    assert_int_equal(QUOIT_CAP_RECV_MULTISHOT, 64);
    assert_int_equal(QUOIT_CAP_RECV_BUNDLE, 128);
    assert_int_equal(QUOIT_TLS_SYSTEM, 0);
    assert_int_equal(QUOIT_TLS_FILE, 1);
    assert_int_equal(QUOIT_TLS_FOLDER, 2);
    assert_int_equal(QUOIT_TLS_MEMORY, 3);
    assert_int_equal(QUOIT_TLS_VERIFY_FULL, 0);
    assert_int_equal(QUOIT_TLS_VERIFY_OFF_ANYBODY_MAY_READ_AND_CHANGE_EVERYTHING, 0x0ff5afe0);
    assert_int_equal(QUOIT_TLS_1_2, 0x0303);
    assert_int_equal(QUOIT_TLS_1_3, 0x0304);
    assert_int_equal(QUOIT_TLS_SNI_HOST, 0);
    assert_int_equal(QUOIT_TLS_SNI_NAME, 1);
    assert_int_equal(QUOIT_TLS_SNI_OFF, 2);
    assert_int_equal(QUOIT_TLS_TICKETS, 1);
    assert_int_equal(QUOIT_TLS_EARLY_DATA, 2);
    assert_int_equal(QUOIT_TLS_GREASE, 4);
    assert_int_equal(QUOIT_TLS_STAPLE, 8);
    assert_int_equal(QUOIT_TLS_KEY_LOG_EVENTS, 16);
    assert_int_equal(QUOIT_EVENT_KEY_LOG, 11);
    assert_int_equal(QUOIT_TLS_COMPRESSION, 32);
    assert_int_equal(QUOIT_ABI_VERSION, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(structs_and_numbers_are_where_they_were),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
