"""What several runs say together: medians, spreads, ratios, and whether a bar was held.

Clients are run in turn, round after round, so that a neighbour's load falls on all of them. A ratio is taken within a
round, and the rounds' ratios have a median and a spread of their own; ratios of medians of different rounds would not.
"""

import collections

HELD, WITHIN, MISSED, UNMEASURED = "held", "within the spread", "missed", "not measured"

# Of several values, None for none.
Figure = collections.namedtuple("Figure", "median least most")


def median(values):
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def figure(values):
    """The Figure of those values that are there; None when none is."""
    there = [value for value in values if value is not None]
    return Figure(median(there), min(there), max(there)) if there else None


def ratios(values, references):
    """Round by round, value by reference; rounds in which either is missing or nothing are left out."""
    return [value / reference for value, reference in zip(values, references) if value is not None and reference]


def differences(values, less):
    """Round by round, one value less the other; None where either is missing."""
    return [None if a is None or b is None else a - b for a, b in zip(values, less)]


def least_of(columns):
    """Round by round, the least of several clients' values; None where none of them has one."""
    rounds = []
    for values in zip(*columns):
        there = [value for value in values if value is not None]
        rounds.append(min(there) if there else None)
    return rounds


def verdict(values, most):
    """(verdict, Figure): may `values`, one a round, be said to be `most` at most? By their median. What is missed by less
    than the rounds differ is neither held nor a miss: some round did hold it. (Not by the whole width of the spread: one
    outlier upwards would excuse everything.)"""
    found = figure(values)
    if found is None:
        return UNMEASURED, None
    if found.median <= most:
        return HELD, found
    return (WITHIN if found.least <= most else MISSED), found
