#include "api/examples/arguments.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char k_usage[] =
    "usage: fetch [OPTION]... URL\n"
    "  -X METHOD            default GET, or POST with -d\n"
    "  -d BODY | -d @FILE   the request's body\n"
    "  -H 'NAME: VALUE'     a header field; repeatable\n"
    "  -L                   follow redirects, at most 20\n"
    "  --max-time SECONDS   end by then, whatever happens\n"
    "  --connect-to HOST:PORT:CONNECT_HOST:CONNECT_PORT\n"
    "                       connect elsewhere; empty fields match or keep everything; repeatable\n"
    "  -4 | -6              IPv4 or IPv6 addresses alone\n"
    "  --interface NAME     connect from this network interface, or from this address\n"
    "  --unix-socket PATH   connect to this socket, whatever the URL says; @NAME is an abstract one\n"
    "  --cacert FILE        PEM certificates to trust for https, and no others\n"
    "  --resolve HOST:PORT:ADDRESS[,ADDRESS]...\n"
    "                       the addresses of HOST, for this port (empty: any), whatever name servers say; repeatable\n"
    "  --dns-servers ADDRESS[,ADDRESS]...\n"
    "                       ask these name servers instead of the machine's\n";

// One option that has a value. `set` gives NULL, or what is wrong with the value. It may write into the value.
struct option {
    const char *name;
    const char *(*set)(struct arguments *arguments, char *value);
};

static const char *set_method(struct arguments *arguments, char *value) {
    arguments->method = value;
    return NULL;
}

static const char *set_body(struct arguments *arguments, char *value) {
    bool is_file = value[0] == '@';
    arguments->body = is_file ? NULL : value;
    arguments->body_file = is_file ? value + 1 : NULL;
    arguments->body_len = strlen(value); // a file's is found when it is read
    return NULL;
}

static const char *set_cacert(struct arguments *arguments, char *value) {
    arguments->cacert = value;
    return NULL;
}

static const char *set_interface(struct arguments *arguments, char *value) {
    arguments->from = value;
    return NULL;
}

static const char *set_unix_socket(struct arguments *arguments, char *value) {
    arguments->unix_path = value;
    return value[0] == 0 ? "--unix-socket wants a path" : NULL;
}

static const char *add_header(struct arguments *arguments, char *value) {
    if (arguments->num_headers == ARGUMENTS_HEADERS_MAX) {
        return "too many -H";
    }
    arguments->headers[arguments->num_headers++] = value;
    return NULL;
}

static const char *set_max_time(struct arguments *arguments, char *value) {
    char *end;
    double seconds = strtod(value, &end);
    if (end == value || *end != 0 || !isfinite(seconds) || seconds <= 0 || seconds > 864000) {
        return "--max-time wants a positive number of seconds";
    }
    arguments->max_time_ms = (uint64_t)ceil(seconds * 1000);
    return NULL;
}

// Cuts one field off *rest: up to the next colon outside of brackets, or to the end. NULL: there is none any more.
static char *cut_field(char **rest) {
    char *field = *rest;
    if (field == NULL) {
        return NULL;
    }
    char *from = field[0] == '[' ? strchr(field, ']') : field;
    char *colon = from == NULL ? NULL : strchr(from, ':');
    *rest = colon == NULL ? NULL : colon + 1;
    if (colon != NULL) {
        *colon = 0;
    }
    return field;
}

static bool read_port(const char *text, uint16_t *out) {
    unsigned port = 0;
    for (const char *at = text; *at != 0; at++) {
        if (*at < '0' || *at > '9' || port > UINT16_MAX) {
            return false;
        }
        port = port * 10 + (unsigned)(*at - '0');
    }
    *out = (uint16_t)port;
    return port <= UINT16_MAX && (port > 0 || text[0] == 0);
}

static const char *add_detour(struct arguments *arguments, char *value) {
    if (arguments->num_detours == ARGUMENTS_DETOURS_MAX) {
        return "too many --connect-to";
    }
    struct detour *detour = &arguments->detours[arguments->num_detours++];
    char *rest = value;
    detour->host = cut_field(&rest);
    char *port = cut_field(&rest);
    detour->connect_host = cut_field(&rest);
    char *connect_port = cut_field(&rest);
    if (connect_port == NULL || rest != NULL || !read_port(port, &detour->port) ||
        !read_port(connect_port, &detour->connect_port)) {
        return "--connect-to wants HOST:PORT:CONNECT_HOST:CONNECT_PORT";
    }
    return NULL;
}

static const char *add_name(struct arguments *arguments, char *value) {
    static const char k_problem[] = "--resolve wants HOST:PORT:ADDRESS[,ADDRESS]...";
    char *rest = value;
    const char *host = cut_field(&rest);
    const char *port = cut_field(&rest);
    uint16_t number;
    if (rest == NULL || host[0] == 0 || !read_port(port, &number)) {
        return k_problem;
    }
    for (char *address = strtok_r(rest, ",", &rest); address != NULL; address = strtok_r(NULL, ",", &rest)) {
        if (arguments->num_names == ARGUMENTS_NAMES_MAX) {
            return "too many --resolve";
        }
        size_t len = strlen(address);
        if (address[0] == '[' && address[len - 1] == ']') {
            address[len - 1] = 0;
            address++;
        }
        arguments->names[arguments->num_names++] =
            (struct quoit_static_name){.host = host, .address = address, .port = number};
    }
    return NULL;
}

static const char *set_dns_servers(struct arguments *arguments, char *value) {
    arguments->dns_servers = value;
    return value[0] == 0 ? "--dns-servers wants addresses" : NULL;
}

static const struct option k_options[] = {
    {"--resolve", add_name},      {"--dns-servers", set_dns_servers},
    {"-X", set_method},           {"-d", set_body},          {"-H", add_header},
    {"--interface", set_interface}, {"--unix-socket", set_unix_socket},
    {"--max-time", set_max_time}, {"--cacert", set_cacert}, {"--connect-to", add_detour},
};

static const char *take_option(struct arguments *arguments, const char *name, char *value) {
    for (size_t i = 0; i < sizeof k_options / sizeof k_options[0]; i++) {
        if (strcmp(name, k_options[i].name) == 0) {
            return value == NULL ? "an option lacks its value" : k_options[i].set(arguments, value);
        }
    }
    return "there is no such option";
}

const char *arguments_parse(int argc, char **argv, struct arguments *out) {
    for (int i = 1; i < argc; i++) {
        const char *problem = NULL;
        if (argv[i][0] != '-') {
            problem = out->url == NULL ? NULL : "more than one URL";
            out->url = argv[i];
        } else if (strcmp(argv[i], "-L") == 0) {
            out->follows = true;
        } else if (strcmp(argv[i], "-4") == 0 || strcmp(argv[i], "-6") == 0) {
            out->family = argv[i][1] - '0';
        } else {
            problem = take_option(out, argv[i], argv[i + 1]); // argv ends with NULL
            i++;
        }
        if (problem != NULL) {
            return problem;
        }
    }
    return out->url == NULL ? "there is no URL" : NULL;
}
