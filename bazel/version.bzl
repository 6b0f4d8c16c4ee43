"""Quoit's version, once. The soname changes when the library breaks its hosts."""

VERSION = "0.1.0"
SONAME = "libquoit.so.0"
