#!/usr/bin/python3
"""The link audit: what the engine's own objects ask of the C library, symbol by symbol.

The house test reads what we write; this test reads what the compiler made of it, macros and inline functions of other
people's headers included. A library that lives in somebody else's process has no business with that process's
environment, locale, signals, descriptors 1 and 2, or the hooks that run at its exit.

Usage: link_audit_test.py ALLOW ARCHIVE...
"""

import os
import re
import subprocess
import sys

# What no object may ask for, by reason. Patterns of whole names, after normalisation (see plain_name).
DENIED = [
    ("environment", "getenv|secure_getenv|setenv|unsetenv|putenv|clearenv|_*environ"),
    ("locale", "setlocale|newlocale|uselocale|freelocale|duplocale|localeconv|nl_langinfo(_l)?|strcoll|strxfrm|strcasecmp|"
               "strncasecmp|__ctype_\\w+|to(upper|lower)|is(alpha|digit|alnum|space|xdigit|print|cntrl)|strtod|strtof|"
               "strtold|atof|strftime|strptime|iconv\\w*|mbs\\w+|wcs\\w+"),
    ("messages by locale", "strerror(_r|_l)?|__xpg_strerror_r|perror|psignal|strsignal|gai_strerror|err|errx|warn|warnx"),
    ("libc's resolver", "getaddrinfo(_a)?|freeaddrinfo|getnameinfo|gethost\\w+|getserv\\w+|getproto\\w+|getnet\\w+|res_\\w+|"
                        "__res_\\w+|ns_\\w+|if_nametoindex"),
    ("signals", "signal|sigaction|sigprocmask|sigwait\\w*|raise|kill|tgkill|pthread_kill|alarm|setitimer|signalfd|"
                "sigaltstack|siglongjmp|__sigsetjmp"),
    ("standard streams", "printf|vprintf|fprintf|vfprintf|puts|fputs|putchar|putc|fputc|fwrite|dprintf|vdprintf|stdout|"
                         "stderr|stdin|syslog|openlog|vsyslog|getchar|gets|fgets|scanf|fscanf"),
    ("stdio on files", "fopen|fdopen|freopen|fclose|fread|fseek|ftell|getline|tmpfile|tmpnam|mktemp"),
    ("loading code", "dlopen|dlmopen|dlsym|dlclose|dladdr|dl_iterate_phdr"),
    ("hooks at exit or fork", "atexit|on_exit|at_quick_exit|__cxa_atexit|__cxa_thread_atexit\\w*|exit|_exit|_Exit|"
                              "quick_exit|pthread_atfork|__register_atfork"),
    ("processes", "fork|vfork|_Fork|system|popen|exec[vl]\\w*|posix_spawn\\w*|daemon|wait|waitpid|clone"),
    ("time zones", "localtime(_r)?|mktime|timelocal|tzset|ctime(_r)?|asctime(_r)?|gmtime|timezone|daylight|tzname"),
    ("shared random state", "rand|srand|rand_r|random|srandom|\\w?rand48"),
    ("unbounded copies", "strcpy|strcat|stpcpy|sprintf|vsprintf|strtok|sscanf|vsscanf|atoi|atol|atoll"),
    ("blocking waits", "sleep|usleep|nanosleep|clock_nanosleep|select|pselect"),
    ("memory outside the allocator", "malloc|calloc|realloc|reallocarray|free|strdup|strndup|asprintf|vasprintf|"
                                     "posix_memalign|aligned_alloc|memalign|valloc"),
    ("time outside its seam", "time|gettimeofday|clock_gettime|ftime"),
    ("randomness outside its seam", "getrandom|getentropy|arc4random\\w*"),
    ("stopping the process", "abort|__assert_fail|__assert_perror_fail"),
    ("a C++ runtime", "_Z\\w+|__cxa_\\w+|__gxx_\\w+|_Unwind_\\w+"),
]
RUN_AT_LOAD = re.compile(r"^\.(pre)?init_array|^\.fini_array|^\.[cd]tors")


def run(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout


def plain_name(symbol):
    """The function that was called, whatever name headers gave it: __sprintf_chk is sprintf, __isoc99_sscanf sscanf."""
    symbol = symbol.split("@")[0]
    symbol = re.sub(r"^__isoc\d+_", "", symbol)
    symbol = re.sub(r"^__(\w+)_chk$", r"\1", symbol)
    return re.sub(r"^(fopen|lseek|fseeko|ftello|mkstemp)64$", r"\1", symbol)


def undefined(archive):
    """(member, symbol) that each object of the archive leaves open."""
    member = os.path.basename(archive)
    for line in run("nm", "-u", archive).split("\n"):
        match = re.match(r"(\S+):$", line)
        if match:
            member = match.group(1)
        match = re.match(r"\s+[Uw] (\S+)$", line)
        if match:
            yield member, match.group(1)


def sections(archive):
    member = os.path.basename(archive)
    for line in run("readelf", "-SW", archive).split("\n"):
        match = re.match(r"File: .*\((.*)\)$", line)
        if match:
            member = match.group(1)
        match = re.match(r"\s*\[\s*\d+\] (\S+)", line)
        if match:
            yield member, match.group(1)


def module(member):
    """alloc.pic.o, alloc.c.o and alloc.o are alloc."""
    return re.sub(r"(\.c)?(\.pic)?\.(o|ol|os)$", "", member)


def read_allowances(path):
    """{(symbol, module)} of the reviewed exceptions: `symbol module # reason`."""
    entries = {}
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip() or line.startswith("#"):
                continue
            match = re.match(r"(\S+)\s+(\S+)\s+#\s+\S", line)
            if not match:
                sys.exit("%s:%d: is: symbol module # reason" % (path, number))
            entries[match.groups()] = number
    return entries


class Report:
    def __init__(self):
        self.passed = self.failed = 0

    def case(self, title, offenders):
        print("[%s] %s" % ("  FAILED  " if offenders else "       OK ", title))
        for offender in offenders:
            print("    " + offender)
        self.passed += not offenders
        self.failed += bool(offenders)

    def end(self):
        if self.failed:
            print("[  FAILED  ] %d test(s)." % self.failed)
        print("[  PASSED  ] %d test(s)." % self.passed)
        return int(self.failed > 0)


def main():
    allow = read_allowances(sys.argv[1])
    archives = sys.argv[2:]
    asked = {(module(m), plain_name(s)) for a in archives for m, s in undefined(a)}
    report = Report()
    used = set()
    report.case("there_is_something_to_audit", [] if len(archives) > 1 and asked else ["no archive or no symbol"])
    for reason, pattern in DENIED:
        offenders = []
        for where, symbol in sorted(asked):
            if not re.fullmatch(pattern, symbol):
                continue
            if (symbol, where) in allow:
                used.add((symbol, where))
            else:
                offenders.append("%s asks for %s" % (where, symbol))
        report.case("no_object_asks_for_" + re.sub(r"\W", "_", reason), offenders)
    report.case("no_object_runs_code_when_it_is_loaded",
                sorted({"%s has %s" % (m, s) for a in archives for m, s in sections(a) if RUN_AT_LOAD.match(s)}))
    report.case("no_exception_is_left_over", ["%s %s: nothing needs it any more" % key for key in allow if key not in used])
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
