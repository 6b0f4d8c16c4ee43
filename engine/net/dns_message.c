#define CARES_NO_DEPRECATED // 1.28 marks what 1.18 has; both are to be built with
#include "engine/net/dns_message.h"

#include <ares.h>

#define HEADER_LEN 12
#define NAME_WIRE_MAX 255
#define LABEL_MAX 63
#define JUMPS_MAX 32 // pointers in one name; writers use one
#define TYPE_CNAME 5
#define TYPE_SOA 6
#define TYPE_OPT 41
#define CLASS_IN 1
#define SOA_NUMBERS_LEN 20

// Of the rcodes those that mean something of their own here.
enum { RCODE_OK = 0, RCODE_FORMERR = 1, RCODE_NXDOMAIN = 3, RCODE_NOTIMP = 4, RCODE_BADVERS = 16 };

struct message {
    const uint8_t *bytes;
    size_t len;
};

struct record {
    size_t owner; // where its name begins
    uint16_t type;
    uint16_t class;
    uint32_t ttl;
    size_t data;
    size_t data_len;
};

// Where each part of a message lies, once it has been walked as a whole.
struct layout {
    size_t answers;
    size_t authorities;
    uint16_t num_answers;
    uint16_t num_authorities;
    uint16_t rcode; // with the OPT record's upper bits
};

static uint16_t u16_at(struct message message, size_t at) {
    return (uint16_t)(message.bytes[at] << 8 | message.bytes[at + 1]);
}

static uint32_t u32_at(struct message message, size_t at) {
    return (uint32_t)u16_at(message, at) << 16 | u16_at(message, at + 2);
}

// RFC 2181 section 8: the uppermost bit is no part of a TTL, and with it the whole is taken for zero.
static uint32_t ttl_of(uint32_t word) { return word > INT32_MAX ? 0 : word; }

static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

// --- names ---------------------------------------------------------------------------------------------------------

bool q_dns_name_check(struct q_slice name) {
    if (name.len > 0 && name.ptr[name.len - 1] == '.') {
        name.len--;
    }
    if (name.len == 0 || name.len > Q_RESOLVE_NAME_MAX) {
        return false;
    }
    size_t label_len = 0;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (c == '.' && label_len == 0) {
            return false;
        }
        label_len = c == '.' ? 0 : label_len + 1;
        if (c <= 0x20 || c == 0x7f || c == '\\' || label_len > LABEL_MAX) { // a char may be signed: 0x80 and up too
            return false;
        }
    }
    return label_len > 0;
}

// A walk along a name: zeroed but for `at` and `floor`, which are where the name begins.
struct walk {
    size_t at;    // the label
    size_t floor; // where the walk came from last
    size_t end;   // where the name ends that is being walked, once that is known; never 0 then
    int jumps;
};

static struct walk walk_from(size_t at) { return (struct walk){.at = at, .floor = at}; }

// Follows pointers until a label stands at `walk->at`. Gives the label's length, 0 for the root, -1 when the name is
// broken. A pointer leads to before the place that the walk came from last, so that no walk is without end.
static int next_label(struct message message, struct walk *walk) {
    while (walk->at < message.len) {
        uint8_t first = message.bytes[walk->at];
        if (first <= LABEL_MAX) {
            walk->end = walk->end == 0 && first == 0 ? walk->at + 1 : walk->end;
            return walk->at + 1 + first <= message.len ? first : -1;
        }
        if (first < 0xc0 || walk->at + 2 > message.len || ++walk->jumps > JUMPS_MAX) {
            return -1; // the two other forms of a label were never used
        }
        walk->end = walk->end == 0 ? walk->at + 2 : walk->end;
        walk->at = (size_t)(first & 0x3f) << 8 | message.bytes[walk->at + 1];
        if (walk->at >= walk->floor) {
            return -1;
        }
        walk->floor = walk->at;
    }
    return -1;
}

// Gives where the name at `at` ends, or 0 when it is broken.
static size_t skip_name(struct message message, size_t at) {
    struct walk walk = walk_from(at);
    size_t wire_len = 1;
    int label;
    while ((label = next_label(message, &walk)) > 0) {
        wire_len += 1 + (size_t)label;
        if (wire_len > NAME_WIRE_MAX) {
            return 0;
        }
        walk.at += 1 + (size_t)label;
    }
    return label < 0 ? 0 : walk.end;
}

static bool is_same_label(const uint8_t *a, const uint8_t *b, size_t len) {
    return q_slice_equal_nocase(q_slice_make(a, len), q_slice_make(b, len));
}

// Both names have been walked by skip_name.
static bool is_same_name(struct message message, size_t a, size_t b) {
    struct walk left = walk_from(a);
    struct walk right = walk_from(b);
    for (;;) {
        int label = next_label(message, &left);
        if (label != next_label(message, &right) || label < 0) {
            return false;
        }
        if (label == 0 || left.at == right.at) {
            return true;
        }
        if (!is_same_label(message.bytes + left.at + 1, message.bytes + right.at + 1, (size_t)label)) {
            return false;
        }
        left.at += 1 + (size_t)label;
        right.at += 1 + (size_t)label;
    }
}

// --- queries -------------------------------------------------------------------------------------------------------

struct q_error q_dns_query_make(struct q_dns_query *out, struct q_slice name, enum q_dns_type type, uint16_t id,
                                bool with_edns) {
    char text[Q_RESOLVE_NAME_MAX + 2];
    Q_CHECK(q_dns_name_check(name) && name.len < sizeof text);
    memcpy(text, name.ptr, name.len);
    text[name.len] = 0;
    unsigned char *bytes = NULL;
    int len = 0;
    int result = ares_create_query(text, CLASS_IN, type, id, 1, &bytes, &len, with_edns ? Q_DNS_UDP_MAX : 0);
    if (result != ARES_SUCCESS) {
        struct q_error error = q_error_make(result == ARES_ENOMEM ? Q_ERR_NO_MEMORY : Q_ERR_NAME_NOT_FOUND,
                                            Q_PHASE_RESOLVE);
        error.retry_safe = 1;
        return error;
    }
    size_t name_wire_len = name.len + 2 - (name.ptr[name.len - 1] == '.');
    Q_CHECK(len > 0 && (size_t)len <= sizeof out->bytes && (size_t)len >= HEADER_LEN + name_wire_len + 4);
    *out = (struct q_dns_query){.len = (uint16_t)len, .question_len = (uint16_t)(name_wire_len + 4),
                                .type = (uint16_t)type, .has_edns = with_edns};
    memcpy(out->bytes, bytes, (size_t)len);
    ares_free_string(bytes);
    return Q_OK;
}

// --- answers -------------------------------------------------------------------------------------------------------

// Reads the record at `*at` and goes behind it.
static bool next_record(struct message message, size_t *at, struct record *out) {
    size_t fixed = skip_name(message, *at);
    if (fixed == 0 || message.len - fixed < 10) {
        return false;
    }
    *out = (struct record){.owner = *at, .type = u16_at(message, fixed), .class = u16_at(message, fixed + 2),
                           .ttl = ttl_of(u32_at(message, fixed + 4)), .data = fixed + 10,
                           .data_len = u16_at(message, fixed + 8)};
    if (message.len - out->data < out->data_len) {
        return false;
    }
    *at = out->data + out->data_len;
    return true;
}

// Walks all sections: every record must lie in the message, and no byte behind the last.
static bool lay_out(struct message message, size_t at, struct layout *out) {
    *out = (struct layout){.answers = at, .num_answers = u16_at(message, 6), .num_authorities = u16_at(message, 8),
                           .rcode = message.bytes[3] & 0x0f};
    uint32_t behind_answers = out->num_answers;
    uint32_t total = behind_answers + out->num_authorities + u16_at(message, 10);
    if (total > Q_DNS_RECORDS_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < total; i++) {
        struct record record;
        if (i == behind_answers) {
            out->authorities = at;
        }
        if (!next_record(message, &at, &record)) {
            return false;
        }
        if (record.type == TYPE_OPT && i >= behind_answers + out->num_authorities) {
            // The upper bits of the rcode are where other records have the first byte of their TTL.
            out->rcode |= (uint16_t)(message.bytes[record.data - 6] << 4);
        }
    }
    return at == message.len;
}

static bool is_question_ours(struct message message, const struct q_dns_query *query) {
    size_t len = query->question_len;
    if (u16_at(message, 4) != 1 || message.len < HEADER_LEN + len) {
        return false;
    }
    // The question stands first, so its name cannot be compressed; a label's length is never a letter.
    const uint8_t *ours = query->bytes + HEADER_LEN;
    const uint8_t *theirs = message.bytes + HEADER_LEN;
    return is_same_label(ours, theirs, len - 4) && memcmp(ours + len - 4, theirs + len - 4, 4) == 0;
}

static bool is_answer_to(struct message message, const struct q_dns_query *query) {
    bool is_response = message.len >= HEADER_LEN && (message.bytes[2] & 0x80) != 0;
    return is_response && memcmp(message.bytes, query->bytes, 2) == 0 && (message.bytes[2] & 0x78) == 0;
}

// Looks for the CNAME of the name at `owner`, anywhere among the answers: not every server keeps a chain in its order.
// True: there is one, `*target` is where it leads.
static bool find_cname(struct message message, const struct layout *layout, size_t owner, size_t *target,
                       uint32_t *ttl) {
    size_t at = layout->answers;
    struct record record;
    for (uint16_t i = 0; i < layout->num_answers && next_record(message, &at, &record); i++) {
        if (record.type == TYPE_CNAME && record.class == CLASS_IN && is_same_name(message, record.owner, owner) &&
            skip_name(message, record.data) == record.data + record.data_len) {
            *target = record.data;
            *ttl = least(*ttl, record.ttl);
            return true;
        }
    }
    return false;
}

static void read_addresses(struct q_dns_answer *out, struct message message, const struct layout *layout, uint16_t type,
                           size_t owner) {
    size_t at = layout->answers;
    size_t address_len = type == Q_DNS_A ? 4 : 16;
    struct record record;
    for (uint16_t i = 0; i < layout->num_answers && next_record(message, &at, &record); i++) {
        if (record.type != type || record.class != CLASS_IN || record.data_len != address_len ||
            !is_same_name(message, record.owner, owner)) {
            continue;
        }
        out->ttl_s = least(out->ttl_s, record.ttl);
        if (out->count < Q_RESOLVE_ADDRESSES_MAX) {
            memcpy(out->addresses[out->count++], message.bytes + record.data, address_len);
        }
    }
}

// What the SOA record of a negative answer says about how long it holds (RFC 2308 section 5).
static void read_soa(struct q_dns_answer *out, struct message message, const struct layout *layout) {
    size_t at = layout->authorities;
    struct record record;
    for (uint16_t i = 0; i < layout->num_authorities && next_record(message, &at, &record); i++) {
        if (record.type != TYPE_SOA || record.class != CLASS_IN) {
            continue;
        }
        size_t mailbox = skip_name(message, record.data);
        size_t numbers = mailbox == 0 ? 0 : skip_name(message, mailbox);
        if (numbers != 0 && numbers + SOA_NUMBERS_LEN == record.data + record.data_len) {
            out->has_ttl = true;
            out->ttl_s = least(out->ttl_s, least(record.ttl, ttl_of(u32_at(message, numbers + 16))));
            return;
        }
    }
}

// No addresses, and nothing that says since when and for how long: who is not asked to look further, and knows nothing
// itself, refers to others.
static bool is_referral(const struct q_dns_answer *out, struct message message) {
    bool is_authority = (message.bytes[2] & 0x04) != 0;
    bool looks_further = (message.bytes[3] & 0x80) != 0;
    return !out->has_ttl && !is_authority && !looks_further;
}

static enum q_dns_verdict read_sections(struct q_dns_answer *out, const struct q_dns_query *query,
                                        struct message message, const struct layout *layout) {
    size_t owner = HEADER_LEN;
    out->ttl_s = INT32_MAX;
    for (int hops = 0; find_cname(message, layout, owner, &owner, &out->ttl_s); hops++) {
        if (hops == Q_DNS_CHAIN_MAX) {
            return Q_DNS_MALFORMED; // or it goes round in a circle
        }
    }
    if (layout->rcode == RCODE_OK) {
        read_addresses(out, message, layout, query->type, owner);
    }
    if (out->count > 0) {
        out->has_ttl = true;
        return Q_DNS_FOUND;
    }
    read_soa(out, message, layout);
    if (layout->rcode == RCODE_NXDOMAIN) {
        return Q_DNS_NO_NAME;
    }
    return is_referral(out, message) ? Q_DNS_SERVER_FAILED : Q_DNS_NO_DATA;
}

static enum q_dns_verdict failure_of(const struct q_dns_query *query, uint16_t rcode) {
    bool is_about_edns = rcode == RCODE_FORMERR || rcode == RCODE_NOTIMP || rcode == RCODE_BADVERS;
    return is_about_edns && query->has_edns ? Q_DNS_NO_EDNS : Q_DNS_SERVER_FAILED;
}

static enum q_dns_verdict read_answer(struct q_dns_answer *out, const struct q_dns_query *query, struct message message,
                                      bool is_tcp) {
    if (!is_answer_to(message, query)) {
        return Q_DNS_STRANGE;
    }
    out->rcode = message.bytes[3] & 0x0f;
    if (message.len == HEADER_LEN && u16_at(message, 4) == 0 && out->rcode != RCODE_OK && out->rcode != RCODE_NXDOMAIN) {
        return failure_of(query, out->rcode); // some servers send no more than that with what they do not like
    }
    if (!is_question_ours(message, query)) {
        return Q_DNS_STRANGE;
    }
    if ((message.bytes[2] & 0x02) != 0) {
        return is_tcp ? Q_DNS_MALFORMED : Q_DNS_TRUNCATED;
    }
    struct layout layout;
    if (!lay_out(message, HEADER_LEN + query->question_len, &layout)) {
        return Q_DNS_MALFORMED;
    }
    out->rcode = layout.rcode;
    if (layout.rcode != RCODE_OK && layout.rcode != RCODE_NXDOMAIN) {
        return failure_of(query, layout.rcode);
    }
    return read_sections(out, query, message, &layout);
}

void q_dns_answer_read(struct q_dns_answer *out, const struct q_dns_query *query, struct q_slice message, bool is_tcp) {
    out->has_ttl = false;
    out->rcode = 0;
    out->ttl_s = 0;
    out->count = 0;
    if (message.len > Q_DNS_MESSAGE_MAX) {
        out->verdict = Q_DNS_MALFORMED;
        return;
    }
    struct message bytes = {.bytes = (const uint8_t *)message.ptr, .len = message.len};
    out->verdict = (uint8_t)read_answer(out, query, bytes, is_tcp);
}
