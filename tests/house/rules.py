"""The house rules. Each rule is a function of a Tree that yields Findings; each finding says what to do instead.

A rule is shown to work by tests/house/rules_test.py, which breaks it in a small tree of its own.
"""

import collections
import os
import re

import csource

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 700
LINE_LENGTH_MAX = 130  # clang-format wraps code at 120; the words of a comment may hang over a little

Finding = collections.namedtuple("Finding", "rule path line name message")


class Tree:
    """The files under test: {path from the root: text}, and the rows of floors."""

    def __init__(self, files, floors):
        self.files = files
        self.floors = floors

    def under(self, *folders, ext=(".c", ".h")):
        """(path, text) of files in the folders, in order."""
        for path in sorted(self.files):
            if path.endswith(ext) and path.startswith(tuple(f + "/" for f in folders)):
                yield path, self.files[path]

    def below(self, floor):
        """Floors that `floor` may include from, itself too; None for a floor that is not on the list."""
        seen = []
        for row in self.floors:
            if floor in row:
                return set(seen) | {floor}
            seen += row
        return None


def floor_of(path):
    parts = path.split("/")
    return parts[1] if parts[0] == "engine" and len(parts) > 2 else None


# --- where the parts are -------------------------------------------------------------------------------------------

def include_direction(tree):
    """A file includes from its own floor and the floors below it."""
    for path, text in tree.under("engine"):
        floor = floor_of(path)
        allowed = tree.below(floor)
        if allowed is None:
            yield Finding("floor", path, 1, floor, "this folder is no floor; add it to bazel/layers.bzl or move the file")
            continue
        for line, name, quoted in csource.includes(text):
            other = floor_of(name)
            if other and other not in allowed:
                yield Finding("direction", path, line, name,
                              "floor '%s' may not include from '%s': declare what you need here and let the upper floor "
                              "supply it" % (floor, other))
            elif quoted and name.split("/")[0] in ("tests", "bench"):
                yield Finding("direction", path, line, name, "the engine never includes from %s/" % name.split("/")[0])


def is_public_header(path):
    return path == "api/quoit.h" or path.startswith("api/quoit/")


def include_form(tree):
    """Own headers are quoted and named from the root, so that one file has one name. Public headers lie elsewhere once
    they are installed, so they name each other from where they are."""
    for path, text in tree.under("engine", "api", "tests", "bench"):
        for line, name, quoted in csource.includes(text):
            found = os.path.join(os.path.dirname(path), name) if is_public_header(path) else name
            if quoted and found not in tree.files:
                yield Finding("include", path, line, name, "name the header from the root, as in \"engine/base/slice.h\"")


def clients_see_the_contract_alone(tree):
    """Examples are written against the public header: what they need and it lacks belongs into it."""
    for path, text in tree.under("api"):
        for line, name, quoted in csource.includes(text):
            if quoted and not is_public_header(path) and not name.startswith("api/"):
                yield Finding("contract", path, line, name, "api/ includes api/ alone; offer what is missing in quoit.h")


def units(tree):
    """{unit: {(unit, path, line)}}: x.c, x.h and x_internal.h are one unit, and an include between units is an edge."""
    def unit_of(path):
        return re.sub(r"(_internal)?\.[ch]$", "", path)

    graph = {}
    for path, text in tree.under("engine"):
        edges = graph.setdefault(unit_of(path), set())
        for line, name, quoted in csource.includes(text):
            if quoted and name in tree.files and unit_of(name) != unit_of(path):
                edges.add((unit_of(name), path, line))
    return graph


def include_circles(tree):
    """No two units of the engine include each other, directly or round about."""
    graph = units(tree)
    reported = set()

    def visit(unit, trail):
        for other, path, line in sorted(graph.get(unit, ())):
            if other in trail:
                circle = trail[trail.index(other):]
                key = frozenset(circle)
                if key not in reported:
                    reported.add(key)
                    yield Finding("circle", path, line, os.path.basename(other), "circle: %s. Move what both need into a third "
                                  "file below them" % " -> ".join(circle + [other]))
            elif other not in done:
                yield from visit(other, trail + [other])
        done.add(unit)

    done = set()
    for unit in sorted(graph):
        if unit not in done:
            yield from visit(unit, [unit])


# Each outside world enters through one place; the rest of the house talks to that place.
_OUTSIDE = [
    (r"liburing(/.*)?\.h$", r"engine/loop/uring_abi\.h$|bench/peers/\w+\.[ch]$",
     "engine/loop/uring_abi.h, and bench/peers/ for what the engine is measured against"),
    (r"curl/", r"bench/peers/curl\.c$", "bench/peers/curl.c: it is a rival, never a dependency"),
    (r"linux/io_uring\.h$", r"engine/loop/uring_abi\.h$", "engine/loop/uring_abi.h"),
    (r"llhttp\.h$", r"engine/wire/h1_\w+\.c$", "the HTTP/1 adapter, engine/wire/h1_*.c"),
    (r"idn2\.h$", r"engine/wire/idna\.c$", "engine/wire/idna.c"),
    (r"nghttp2/", r"engine/wire/h2_\w+\.c$", "the HTTP/2 adapter, engine/wire/h2_*.c"),
    (r"openssl/", r"(engine/tls/|tests/engine/tls/|tests/boringssl/|tests/neighbours/|bench/server/(tls|cert)\.c$|bench/peers/bare_tls\w*\.[ch]$|tests/support/(certs\w*|bad_tls\w*|tls_front|signer|libmemory|simtls\w*|deterministic/\w+)\.c$)",
     "engine/tls/, and the tests of it"),
    (r"ares(_\w+)?\.h$", r"engine/net/dns_message\.c$|tests/engine/net/dns_message_test\.c$",
     "engine/net/dns_message.c, and its test, which holds it beside c-ares' own readers"),
    (r"(zlib|zstd)\.h$|brotli/", r"engine/wire/content\w*\.c$|(engine|tests/engine)/tls/decompress(_test)?\.c$|tests/support/cert_pack\.c$",
     "the content decoders, engine/wire/content*.c, and engine/tls/decompress.c with its test and the test server's side of it"),
    (r"netdb\.h$", r"(?!)", "nowhere: the engine never uses libc's resolver"),
    (r"locale\.h$", r"(?!)", "nowhere: nothing here depends on a locale"),
    (r"cmocka\.h$", r"tests/", "tests/"),
]


def outside_headers(tree):
    """One place includes each outside world."""
    for path, text in tree.under("engine", "api", "tests", "bench"):
        for line, name, _ in csource.includes(text):
            for pattern, place, words in _OUTSIDE:
                if re.match(pattern, name) and not re.match(place, path):
                    yield Finding("outside", path, line, name, "<%s> is included in one place: %s" % (name, words))


# --- what is called ------------------------------------------------------------------------------------------------

_MEMORY = "the allocator that was given: q_alloc_get, q_alloc_free (engine/base/alloc.h)"
_BOUNDED = "a bounded copy: memcpy with a checked length, or struct q_slice"
_NUMBERS = "a parser that refuses what it does not know (engine/wire/token.h)"
_BANNED_IN_ENGINE = {
    "getenv secure_getenv setenv putenv unsetenv clearenv": "nothing: no environment after create; the host passes options",
    "strerror strerror_r perror gai_strerror": "the code's name: quoit_errno_name; strerror reads the locale",
    "getaddrinfo getnameinfo gethostbyname gethostbyname_r gethostbyaddr getservbyname res_init res_query":
        "the engine's own resolver; libc's blocks, reads the environment and loads plugins",
    "localtime localtime_r gmtime ctime ctime_r asctime mktime tzset strftime strptime":
        "UTC from numbers; libc's reads TZ and the locale",
    "setlocale newlocale uselocale nl_langinfo": "ASCII tables; nothing here depends on a locale",
    "signal sigaction raise kill pthread_kill": "nothing: a library leaves signals alone",
    "atexit on_exit exit _exit quick_exit": "an explicit close and destroy",
    "fork vfork system popen execv execve posix_spawn daemon": "nothing: a library starts no process",
    "dlopen dlsym": "linking",
    "strcpy strcat stpcpy strncpy strncat": _BOUNDED,
    "sprintf vsprintf": "snprintf with a checked result",
    "gets scanf sscanf fscanf atoi atol atoll atof strtol strtoul strtoll strtoull strtod": _NUMBERS,
    "strtok strtok_r": _NUMBERS,
    "sleep usleep nanosleep clock_nanosleep sched_yield": "a timer of the wheel; the loop never blocks but in its one enter",
    "malloc calloc realloc reallocarray free strdup strndup asprintf vasprintf aligned_alloc posix_memalign alloca":
        _MEMORY,
    "printf fprintf vprintf vfprintf puts putchar fputs dprintf": "the host's log sink (engine/base/log.h)",
    "rand srand random srandom rand_r drand48 getrandom": "the seam for randomness (engine/base/random.h)",
    "time gettimeofday clock_gettime": "the seam for time (engine/base/clock.h)",
}
_BANNED_IN_TESTS = {
    "sleep usleep nanosleep clock_nanosleep": "a rendezvous hook, a pipe or simulated time; a sleep is a race with a delay",
}


def _calls(text, banned):
    flat = {name: remedy for names, remedy in banned.items() for name in names.split()}
    code = csource.blank(text)
    pattern = re.compile(r"(?<![\w.])(?<!->)(%s)\s*\(" % "|".join(sorted(flat)))
    for number, line in enumerate(code.split("\n"), 1):
        if line.lstrip().startswith("#define"):
            line = line.split("define", 1)[1]
        for match in pattern.finditer(line):
            yield number, match.group(1), flat[match.group(1)]


def banned_calls(tree):
    """Ambient authority, unbounded copies and blocking calls are not called, whoever reviews."""
    for folder, banned in (("engine", _BANNED_IN_ENGINE), ("tests", _BANNED_IN_TESTS)):
        for path, text in tree.under(folder):
            for line, name, remedy in _calls(text, banned):
                yield Finding("call", path, line, name, "%s() is not called here; instead: %s" % (name, remedy))


# --- how large it is -----------------------------------------------------------------------------------------------

def function_length(tree):
    for path, text in tree.under("engine", "api", "tests", "bench"):
        for first, last, name in csource.functions(text):
            if last - first + 1 > FUNCTION_LINES_MAX:
                yield Finding("function", path, first, name, "%s has %d lines; at most %d. A function is a conductor or a "
                              "parser: split it by step" % (name, last - first + 1, FUNCTION_LINES_MAX))


def file_length(tree):
    for path, text in tree.under("engine", "api", "tests", "bench", "bazel", ext=(".c", ".h", ".py", ".sh", ".bzl")):
        count = text.count("\n")
        if count > FILE_LINES_MAX:
            yield Finding("file", path, 1, os.path.basename(path), "%d lines; at most %d. Split it where its vocabulary "
                          "changes" % (count, FILE_LINES_MAX))


def line_form(tree):
    for path, text in tree.under("engine", "api", "tests", "bench"):
        for number, line in enumerate(text.split("\n"), 1):
            if len(line) > LINE_LENGTH_MAX:
                yield Finding("line", path, number, str(number), "%d columns; at most %d" % (len(line), LINE_LENGTH_MAX))
            elif "\t" in line or line != line.rstrip():
                yield Finding("line", path, number, str(number), "tabs and trailing blanks: let clang-format at it")


# --- what is there and what is left over ---------------------------------------------------------------------------

def mirrored_tests(tree):
    """engine/<floor>/<module>.c has tests/engine/<floor>/<module>_test.c."""
    for path, _ in tree.under("engine", ext=(".c",)):
        test = "tests/" + path[:-2] + "_test.c"
        if test not in tree.files:
            yield Finding("test", path, 1, os.path.basename(path), "has no %s" % test)


def tests_are_built(tree):
    """A test file that no BUILD file names would never run, and nobody would see it."""
    for path, _ in tree.under("tests", ext=("_test.c", "_test.sh", "_test.py")):
        folder, name = os.path.split(path)
        build = tree.files.get(folder + "/BUILD", "")
        stem = os.path.splitext(name)[0]
        # By name, or by module in a list that a comprehension puts "_test" behind, or by pattern.
        by_module = '"_test' in build and '"%s"' % stem[:-len("_test")] in build
        if not re.search(r'"%s(\.\w+)?"' % re.escape(stem), build) and not by_module and "*_test" not in build:
            yield Finding("built", path, 1, name, "no target in %s/BUILD runs it" % folder)


_MARKERS = "TO" "DO|FIX" "ME|XX" "X|HA" "CK"


def leftover_markers(tree):
    """What is unfinished is finished, or written down where work is planned; the tree holds no promises."""
    for path in sorted(tree.files):
        for number, line in enumerate(tree.files[path].split("\n"), 1):
            match = re.search(r"\b(%s)\b" % _MARKERS, line)
            if match:
                yield Finding("marker", path, number, match.group(1), "a leftover marker: finish it or take it out")


_PLACES = r"(?<![\w.-])/wo" r"rk/|\bfar" r"m-\w"


def nothing_of_the_workplace(tree):
    """No path and no tool of the machine that somebody worked on."""
    for path in sorted(tree.files):
        for number, line in enumerate(tree.files[path].split("\n"), 1):
            match = re.search(_PLACES, line)
            if match:
                yield Finding("place", path, number, match.group(0), "names somebody's workplace; use a path from the root")


def build_names_no_host(tree):
    """What the build needs comes from Debian's packages by name, so that it works offline and behind any mirror."""
    for path in sorted(tree.files):
        name = os.path.basename(path)
        if path.startswith(("bazel/", ".ci/")) or name in ("WORKSPACE", "BUILD", ".bazelrc"):
            for number, line in enumerate(tree.files[path].split("\n"), 1):
                match = re.search(r"\b(https?|ftp|git|ssh)://[\w.-]+", line)
                if match:
                    yield Finding("host", path, number, match.group(0), "the build names no host; take a Debian package")


# --- what is said --------------------------------------------------------------------------------------------------

def public_symbols_explained(tree):
    """Every public function has its contract above it, and the contract begins with its name."""
    for path, text in tree.under("api", ext=(".h",)):
        for line, name in csource.declarations(text, marker="QUOIT_API"):
            comment = csource.comment_above(text, line)
            if comment is None:
                yield Finding("contract", path, line, name, "%s has no comment: what, who owns what, which thread, what can "
                              "fail, what next" % name)
            elif not re.match(r"`?%s\b" % re.escape(name), comment):
                yield Finding("contract", path, line, name, "the comment's first word is the symbol: %s" % name)


def engine_functions_explained(tree):
    """Every function of an engine header has a comment; it begins with the symbol unless several functions share it."""
    for path, text in tree.under("engine", ext=(".h",)):
        sharing = collections.Counter()
        declared = [(line, name, csource.comment_above(text, line)) for line, name in csource.declarations(text)]
        for _, _, comment in declared:
            sharing[comment] += 1
        for line, name, comment in declared:
            if comment is None:
                yield Finding("comment", path, line, name, "%s has no comment: what, who owns what, which thread, what can "
                              "fail, what next" % name)
            elif (sharing[comment] == 1 and not path.endswith("_internal.h") and
                  not re.match(r"`?%s\b" % re.escape(name), comment)):
                yield Finding("comment", path, line, name, "the comment's first word is the symbol: %s" % name)


def headers_open_with_a_paragraph(tree):
    """A header says first what it is about, and its guard is its path."""
    for path, text in tree.under("engine", "tests", "bench", ext=(".h",)):
        if not text.startswith("//"):
            yield Finding("header", path, 1, "paragraph", "begins with a comment: vocabulary, invariants, life cycle, thread "
                          "rule")
        guard = re.match(r"(?://[^\n]*\n|\s*\n)*#ifndef (\w+)\n#define (\w+)", text)
        want = "QUOIT_" + re.sub(r"\W", "_", path).upper()
        if "#ifndef" in text and guard and guard.group(1) != want:
            yield Finding("header", path, 1, "guard", "the include guard is its path: %s" % want)


RULES = [
    include_direction,
    include_form,
    clients_see_the_contract_alone,
    include_circles,
    outside_headers,
    banned_calls,
    function_length,
    file_length,
    line_form,
    mirrored_tests,
    tests_are_built,
    leftover_markers,
    nothing_of_the_workplace,
    build_names_no_host,
    public_symbols_explained,
    engine_functions_explained,
    headers_open_with_a_paragraph,
]


# --- what is allowed all the same ----------------------------------------------------------------------------------

class Allowances:
    """tests/house/allow: `rule path[:name] # reason` per line. One that nothing needs any more is a finding itself."""

    def __init__(self, text, path="tests/house/allow"):
        self.entries = {}
        self.findings = []
        self.used = set()
        for number, line in enumerate(text.split("\n"), 1):
            if not line.strip() or line.startswith("#"):
                continue
            match = re.match(r"(\w+)\s+([^\s:]+)(?::(\S+))?\s+#\s+(\S.*)$", line)
            if not match:
                self.findings.append(Finding("allow", path, number, line, "is: rule path[:name] # reason. The reason is "
                                             "the point"))
                continue
            rule, where, name, _ = match.groups()
            self.entries[(rule, where, name)] = number

    def covers(self, finding):
        for key in ((finding.rule, finding.path, finding.name), (finding.rule, finding.path, None)):
            if key in self.entries:
                self.used.add(key)
                return True
        return False

    def stale(self, path="tests/house/allow"):
        for key, number in sorted(self.entries.items(), key=lambda item: item[1]):
            if key not in self.used:
                yield Finding("allow", path, number, key[1], "nothing needs this allowance any more; take it out")


def inspect(tree, allowances):
    """{rule function's name: [findings]} of everything that is not allowed, and the allow file's own findings."""
    result = collections.OrderedDict()
    for rule in RULES:
        result[rule.__name__] = [f for f in rule(tree) if not allowances.covers(f)]
    result["allowances_are_needed"] = allowances.findings + list(allowances.stale())
    return result
