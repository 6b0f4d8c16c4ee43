// Answers of name servers: the input's first byte chooses the query and how the answer came, the rest is the answer, whose
// id and question are made to fit first, so that most of it is read. Whatever comes, the verdict and what it promises agree.
#include "engine/net/dns_message.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static void check_answer(const struct q_dns_answer *answer) {
    FUZZ_CHECK(answer->verdict <= Q_DNS_MALFORMED && answer->count <= Q_RESOLVE_ADDRESSES_MAX);
    FUZZ_CHECK((answer->verdict == Q_DNS_FOUND) == (answer->count > 0));
    if (answer->verdict == Q_DNS_FOUND) {
        FUZZ_CHECK(answer->has_ttl && answer->rcode == 0);
    }
    if (answer->has_ttl) {
        FUZZ_CHECK(answer->ttl_s <= INT32_MAX);
    }
}

static void read_answer(const struct q_dns_query *query, const uint8_t *bytes, size_t len, bool is_tcp) {
    static struct q_dns_answer answer;
    uint8_t *copy = malloc(len > 0 ? len : 1); // ends where memory does
    FUZZ_CHECK(copy != NULL);
    if (len > 0) {
        memcpy(copy, bytes, len);
    }
    q_dns_answer_read(&answer, query, q_slice_make(copy, len), is_tcp);
    check_answer(&answer);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct q_dns_query query;
    static uint8_t fitted[Q_DNS_MESSAGE_MAX];
    if (size == 0 || size > sizeof fitted) {
        return 0;
    }
    enum q_dns_type type = (data[0] & 1) != 0 ? Q_DNS_AAAA : Q_DNS_A;
    FUZZ_CHECK(!q_error_is(q_dns_query_make(&query, Q_SLICE("a.example"), type, 0x1234, (data[0] & 2) == 0)));
    bool is_tcp = (data[0] & 4) != 0;
    read_answer(&query, data + 1, size - 1, is_tcp);
    memcpy(fitted, data + 1, size - 1);
    size_t fixed = 12 + (size_t)query.question_len;
    if (size - 1 >= fixed) {
        memcpy(fitted, query.bytes, 2);
        memcpy(fitted + 4, "\0\1", 2);
        memcpy(fitted + 12, query.bytes + 12, query.question_len);
        fitted[2] = (uint8_t)((fitted[2] | 0x80) & 0x87);
        read_answer(&query, fitted, size - 1, is_tcp);
    }
    return 0;
}
