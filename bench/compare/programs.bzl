"""What compare measures with, for itself and for its test."""

_PROGRAMS = {
    "bare": "//bench/peers:bare",
    "bare-tls": "//bench/peers:bare_tls",
    "curl": "//bench/peers:curl",
    "epoll": "//bench/peers:epoll",
    "quoit": "//bench/driver:quoit-bench",
    "server": "//bench/server",
    "wake": "//bench/peers:wake",
}

COMPARE_ARGS = ["--program-%s=$(location %s)" % program for program in _PROGRAMS.items()]

COMPARE_DATA = ["//bench/compare:parts"] + _PROGRAMS.values()
