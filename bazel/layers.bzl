"""The floors of engine/, from the ground up. The one list: visibility (defs.bzl) and the house test both read it.

A floor uses itself and every floor below it. Floors in the same row never meet.
"""

FLOORS = [
    ["base"],
    ["queue"],
    ["buf"],  # above queue: a chunk carries the node on which its release travels
    ["loop", "wire"],
    ["net"],
    ["tls"],
    ["conn"],
    ["exchange"],
    ["core"],
    ["face"],
]

def floors_below(floor):
    """The floors that `floor` may use, besides itself."""
    below = []
    for row in FLOORS:
        if floor in row:
            return below
        below = below + row
    fail("There is no floor called '%s'; see bazel/layers.bzl" % floor)

def floors_above(floor):
    """The floors that may use `floor`, besides itself."""
    return [f for row in FLOORS for f in row if floor in floors_below(f)]
