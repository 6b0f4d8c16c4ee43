#include "api/examples/json_line.h"

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
    return fclose(out) == 0 ? text : NULL;
}

void json_write_line(FILE *out, const struct json_result *result) {
    fprintf(out, "{\"status\":%d,\"http_version\":", result->status);
    if (result->http_version == 0) {
        fputs("null", out);
    } else {
        fprintf(out, "\"%d.%d\"", result->http_version / 10, result->http_version % 10);
    }
    fprintf(out, ",\"headers\":%s,\"error\":", result->headers == NULL ? "[]" : result->headers);
    if (result->failure.code == QUOIT_OK) {
        fputs("null}\n", out);
        return;
    }
    fprintf(out, "\"%s\",\"message\":\"%s\",\"phase\":\"%s\",\"os_error\":\"%s\",\"retry_safe\":%s}\n",
            quoit_error_name(result->failure.code), quoit_error_sentence(result->failure.code),
            quoit_phase_name(result->failure.phase), quoit_errno_name(result->failure.os_errno),
            result->failure.retry_safe ? "true" : "false");
}
