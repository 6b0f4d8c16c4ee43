#!/usr/bin/python3
"""Quoit from Python: ctypes and asyncio on the port's eventfd. What a language binding looks like.

Usage: asyncio_host.py LIBQUOIT URL...

Gets all URLs at once and prints a line for each. A body comes as slices: memory of the engine's that Python reads in
place and gives back. A task that is cancelled cancels its request.
"""

import asyncio
import ctypes
import sys
from ctypes import POINTER, byref, c_char_p, c_int32, c_size_t, c_uint8, c_uint16, c_uint32, c_uint64, c_void_p

OK, STALE_HANDLE, CANCELED = 0, 110, 800
INFORMATIONAL, HEAD, DATA, TRAILERS, DONE, FAILED, CLOSED = range(1, 8)
EVENTS = 64


def struct(name, *fields):
    """A ctypes structure with the fields of a C one, in its order."""
    return type(name, (ctypes.Structure,), {"_fields_": list(fields)})


Handle = struct("Handle", ("id", c_uint64))
Slice = struct("Slice", ("data", c_void_p), ("len", c_size_t), ("owner", c_void_p), ("cookie", c_uint64))
Failure = struct("Failure", ("code", c_int32), ("os_errno", c_int32), ("phase", c_uint8), ("retry_safe", c_uint8),
                 ("reserved", c_uint8 * 6))
Head = struct("Head", ("status", c_uint16), ("http_version", c_uint16), ("reserved", c_uint32),
              ("headers", c_void_p))
Data = struct("Data", ("data", c_void_p), ("len", c_size_t), ("offset", c_uint64))
Address = struct("Address", ("family", c_uint16), ("port", c_uint16), ("ip", c_uint8 * 16))
Summary = struct("Summary", ("failure", Failure), ("bytes_in", c_uint64), ("bytes_out", c_uint64), ("leased_ns", c_uint64),
                 ("head_ns", c_uint64), ("end_ns", c_uint64), ("connection_id", c_uint32), ("status", c_uint16),
                 ("attempts", c_uint8), ("reused", c_uint8), ("spent_ns", c_uint64 * 16), ("redirects", c_void_p),
                 ("remote", Address), ("local", Address))
Union = type("Union", (ctypes.Union,), {"_fields_": [("head", Head), ("data", Data), ("summary", Summary)]})
Event = struct("Event", ("type", c_uint32), ("cookie", c_uint32), ("request", Handle), ("user_data", c_uint64), ("u", Union))


class QuoitError(Exception):
    pass


class Engine:
    """An engine and a port on the running loop. Close it with `await engine.close()`."""

    def __init__(self, path):
        self.quoit = ctypes.CDLL(path)
        self.quoit.quoit_error_name.restype = c_char_p
        self.quoit.quoit_request_new.argtypes = (c_char_p, c_char_p, POINTER(c_void_p))
        self.quoit.quoit_request_release.argtypes = (c_void_p,)
        self.quoit.quoit_submit.argtypes = (Handle, Handle, c_void_p, c_uint64, POINTER(Handle))
        self.quoit.quoit_port_drain.argtypes = (Handle, POINTER(Event), c_size_t, c_size_t)
        self.engine, self.port = Handle(), Handle()
        self.check(self.quoit.quoit_engine_create(None, byref(self.engine), None))
        self.check(self.quoit.quoit_port_create(self.engine, None, byref(self.port)))
        self.requests = {}
        self.serial = 0
        self.closed = asyncio.get_running_loop().create_future()
        self.events = (Event * EVENTS)()
        asyncio.get_running_loop().add_reader(self.quoit.quoit_port_fd(self.port), self.drain)
        self.drain()  # arms the descriptor

    def check(self, code):
        if code != OK:
            raise QuoitError(self.quoit.quoit_error_name(code).decode())

    def drain(self):
        """The port's descriptor is readable. Gives each event to its request; bodies are taken, not copied."""
        count = EVENTS
        while count == EVENTS:
            count = self.quoit.quoit_port_drain(self.port, self.events, ctypes.sizeof(Event), EVENTS)
            for event in self.events[:max(count, 0)]:
                if event.type == CLOSED:
                    self.closed.set_result(None)
                else:
                    self.give(event)
            self.quoit.quoit_port_advance(self.port)

    def give(self, event):
        queue = self.requests[event.user_data]
        if event.type == HEAD:
            queue.put_nowait((HEAD, event.u.head.status))
        elif event.type == DATA:
            piece = Slice()
            self.check(self.quoit.quoit_port_take(self.port, byref(event), byref(piece)))
            queue.put_nowait((DATA, piece))
        elif event.type in (DONE, FAILED):
            queue.put_nowait((event.type, event.u.summary.failure.code))
            del self.requests[event.user_data]

    async def get(self, url):
        """Yields the status, then the body's pieces, each a memoryview that is valid until the next one is asked for."""
        request, handle = c_void_p(), Handle()
        self.check(self.quoit.quoit_request_new(b"GET", url.encode(), byref(request)))
        self.serial += 1
        queue = self.requests[self.serial] = asyncio.Queue()
        code = self.quoit.quoit_submit(self.engine, self.port, request, self.serial, byref(handle))
        self.quoit.quoit_request_release(request)
        if code != OK:
            del self.requests[self.serial]
        self.check(code)
        kind = None
        try:
            while kind not in (DONE, FAILED):
                kind, value = await queue.get()
                if kind == HEAD:
                    yield value
                elif kind == DATA:
                    try:
                        yield memoryview((ctypes.c_char * value.len).from_address(value.data))
                    finally:
                        self.quoit.quoit_slice_release(self.engine, byref(value))
            self.check(value)
        finally:
            if kind not in (DONE, FAILED):  # the task was cancelled, or the caller has had enough
                self.quoit.quoit_cancel(self.engine, handle)
                while kind not in (DONE, FAILED):
                    kind, value = await queue.get()
                    if kind == DATA:
                        self.quoit.quoit_slice_release(self.engine, byref(value))

    async def close(self):
        self.quoit.quoit_engine_close(self.engine, 0)
        await self.closed
        asyncio.get_running_loop().remove_reader(self.quoit.quoit_port_fd(self.port))
        self.check(self.quoit.quoit_engine_destroy(self.engine))


async def fetch(engine, url):
    """One URL; gives False when it failed."""
    status, size = None, 0
    try:
        async for piece in engine.get(url):
            if status is None:
                status = piece
            else:
                size += len(piece)
    except QuoitError as error:
        print("%s: %s" % (url, error))
        return False
    print("%s: status %d, %d bytes" % (url, status, size))
    return True


async def main(path, urls):
    engine = Engine(path)
    try:
        good = await asyncio.gather(*(fetch(engine, url) for url in urls))
    finally:
        await engine.close()
    return all(good)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(0 if asyncio.run(main(sys.argv[1], sys.argv[2:])) else 1)
