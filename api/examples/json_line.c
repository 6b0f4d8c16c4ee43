#include "api/examples/json_line.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

// Length of the valid UTF-8 sequence at `at`, or 0. (RFC 3629: no overlong forms, no surrogates, up to U+10FFFF.)
static size_t sequence_len(const unsigned char *at, size_t left) {
    static const struct {
        unsigned char first_low, first_high, second_low, second_high;
        unsigned char len;
    } k_forms[] = {
        {0x00, 0x7f, 0x00, 0xff, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < sizeof k_forms / sizeof k_forms[0]; i++) {
        size_t len = k_forms[i].len;
        if (at[0] < k_forms[i].first_low || at[0] > k_forms[i].first_high || len > left) {
            continue;
        }
        bool is_valid = len == 1 || (at[1] >= k_forms[i].second_low && at[1] <= k_forms[i].second_high);
        for (size_t k = 2; k < len && is_valid; k++) {
            is_valid = at[k] >= 0x80 && at[k] <= 0xbf;
        }
        return is_valid ? len : 0;
    }
    return 0;
}

// Writes one string. A byte that is no UTF-8 is shown as the Latin-1 character of its number.
static void write_string(FILE *out, const char *text, size_t len) {
    const unsigned char *at = (const unsigned char *)text;
    fputc('"', out);
    for (size_t i = 0; i < len;) {
        size_t width = sequence_len(at + i, len - i);
        if (width == 0 || at[i] < 0x20 || at[i] == 0x7f) {
            fprintf(out, "\\u%04x", at[i]);
            width = 1;
        } else if (at[i] == '"' || at[i] == '\\') {
            fprintf(out, "\\%c", at[i]);
        } else {
            fwrite(at + i, 1, width, out);
        }
        i += width;
    }
    fputc('"', out);
}

char *json_headers(const struct quoit_headers *headers) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) {
        return NULL;
    }
    fputc('[', out);
    for (size_t i = 0; i < quoit_headers_count(headers); i++) {
        const char *name;
        const char *value;
        size_t name_len;
        size_t value_len;
        quoit_headers_at(headers, i, &name, &name_len, &value, &value_len);
        fputs(i == 0 ? "[" : ",[", out);
        write_string(out, name, name_len);
        fputc(',', out);
        write_string(out, value, value_len);
        fputc(']', out);
    }
    fputc(']', out);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

static void write_text(FILE *out, const char *text) { write_string(out, text, strlen(text)); }

// What was found wrong with a certificate of the server's.
static void write_certificate(FILE *out, const struct json_result *result) {
    if (result->subject == NULL || result->issuer == NULL) {
        return;
    }
    fprintf(out, ",\"certificate\":{\"depth\":%d,\"subject\":", result->tls_depth);
    write_text(out, result->subject);
    fputs(",\"issuer\":", out);
    write_text(out, result->issuer);
    fputc('}', out);
}

static void write_failure(FILE *out, const struct json_result *result) {
    const struct quoit_failure *failure = &result->failure;
    if (failure->code == QUOIT_OK) {
        fputs("null", out);
        return;
    }
    fprintf(out, "\"%s\",\"message\":", quoit_error_name(failure->code));
    write_text(out, result->message != NULL ? result->message : quoit_error_sentence(failure->code));
    fprintf(out, ",\"phase\":\"%s\",\"os_error\":\"%s\",\"retry_safe\":%s", quoit_phase_name(failure->phase),
            quoit_errno_name(failure->os_errno), failure->retry_safe ? "true" : "false");
    if (failure->alert != 0) {
        fprintf(out, ",\"alert\":%u", failure->alert);
    }
    write_certificate(out, result);
}

static void write_ms(FILE *out, uint64_t ns) {
    fprintf(out, "%llu.%03llu", (unsigned long long)(ns / 1000000), (unsigned long long)(ns / 1000 % 1000));
}

// Of the connection that was used last; nothing when it spoke no TLS.
static void write_tls(FILE *out, const struct json_result *result) {
    if (result->tls_version != 0) {
        fprintf(out, ",\"tls\":{\"version\":\"1.%d\",\"cipher\":\"0x%04x\",\"resumed\":%s,\"handshake_ms\":",
                result->tls_version - QUOIT_TLS_1_2 + 2, result->tls_cipher, result->tls_resumed ? "true" : "false");
        write_ms(out, result->tls_handshake_ns);
        if (result->tls_alpn[0] != '\0') {
            fputs(",\"alpn\":", out);
            write_text(out, result->tls_alpn);
        }
        fputc('}', out);
    }
}

// "192.0.2.1:80" or "[2001:db8::1]:80"; "" when it has no such text.
static void address_text(const struct quoit_address *address, char *out, size_t size) {
    char ip[INET6_ADDRSTRLEN];
    bool is_v6 = address->family == QUOIT_ADDRESS_IPV6;
    out[0] = 0;
    if ((is_v6 || address->family == QUOIT_ADDRESS_IPV4) &&
        inet_ntop(is_v6 ? AF_INET6 : AF_INET, address->ip, ip, sizeof ip) != NULL) {
        snprintf(out, size, is_v6 ? "[%s]:%u" : "%s:%u", ip, address->port);
    }
}

// Nothing when there was no connection.
static void write_remote(FILE *out, const struct quoit_address *remote) {
    char text[INET6_ADDRSTRLEN + 16];
    address_text(remote, text, sizeof text);
    if (text[0] != 0) {
        fprintf(out, ",\"remote\":\"%s\"", text);
    }
}

char *json_attempts(const struct quoit_dials *dials, uint32_t count) {
    char *text = NULL;
    size_t len;
    FILE *out = count == 0 ? NULL : open_memstream(&text, &len);
    if (out == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct quoit_dial dial = {.struct_size = sizeof dial};
        char address[INET6_ADDRSTRLEN + 16];
        quoit_dials_at(dials, i, &dial);
        address_text(&dial.address, address, sizeof address);
        fprintf(out, "%s{\"address\":\"%s\",\"error\":", i == 0 ? "[" : ",", address);
        if (dial.code == QUOIT_OK) {
            fputs("null", out); // it was given up
        } else {
            fprintf(out, "\"%s\"", quoit_error_name(dial.code));
        }
        fprintf(out, ",\"os_error\":\"%s\",\"began_ms\":", quoit_errno_name(dial.os_errno));
        write_ms(out, dial.began_ns);
        fputs(",\"took_ms\":", out);
        write_ms(out, dial.took_ns);
        fputc('}', out);
    }
    fputc(']', out);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

// Milliseconds in each stage that it came to.
static void write_timings(FILE *out, const uint64_t *spent_ns) {
    const char *comma = "";
    fputs(",\"timings\":{", out);
    for (int32_t i = 0; i < QUOIT_STAGES; i++) {
        if (spent_ns[i] > 0) {
            fprintf(out, "%s\"%s\":", comma, quoit_stage_name(i));
            write_ms(out, spent_ns[i]);
            comma = ",";
        }
    }
    fputc('}', out);
}

char *json_line(const struct json_result *result, size_t *out_len) {
    char *text = NULL;
    FILE *out = open_memstream(&text, out_len);
    if (out == NULL) {
        return NULL;
    }
    fprintf(out, "{\"status\":%d,\"http_version\":", result->status);
    if (result->http_version == 0) {
        fputs("null", out);
    } else {
        fprintf(out, "\"%d.%d\"", result->http_version / 10, result->http_version % 10);
    }
    fprintf(out, ",\"headers\":%s,\"error\":", result->headers == NULL ? "[]" : result->headers);
    write_failure(out, result);
    if (result->attempts != NULL) {
        fprintf(out, ",\"attempts\":%s", result->attempts);
    }
    write_remote(out, &result->remote);
    write_tls(out, result);
    write_timings(out, result->spent_ns);
    fputs("}\n", out);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
