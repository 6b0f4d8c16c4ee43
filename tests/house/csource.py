"""Reads C as far as the house rules need it: code without comments and strings, functions, declarations, includes.

Not a parser. It relies on how this tree is laid out: a function's opening brace ends its last line of signature, its
closing brace stands in column 0.
"""

import re


def blank(text, keep_strings=False):
    """The text with comments, and string and character literals, turned to spaces; lines stay where they are."""
    out = []
    pattern = re.compile(
        r"(?P<comment>//[^\n]*|/\*.*?\*/)|(?P<string>\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*')", re.S)
    last = 0
    for match in pattern.finditer(text):
        out.append(text[last:match.start()])
        if match.group("string") and keep_strings:
            out.append(match.group(0))
        else:
            out.append(re.sub(r"[^\n]", " ", match.group(0)))
        last = match.end()
    out.append(text[last:])
    return "".join(out)


def includes(text):
    """(line, name, is_quoted) of each #include."""
    code = blank(text, keep_strings=True)
    for number, line in enumerate(code.split("\n"), 1):
        match = re.match(r"\s*#\s*include\s*([<\"])([^>\"]+)[>\"]", line)
        if match:
            yield number, match.group(2), match.group(1) == '"'


def functions(text):
    """(first line, last line, name) of each function definition. The first line is the signature's."""
    lines = blank(text).split("\n")
    start = None
    for number, line in enumerate(lines, 1):
        if start is None:
            if line.endswith("{") and not line[0].isspace() and not line.startswith(("#", "}")):
                first = number
                # A signature over several lines: its continuation lines are indented.
                while first > 1 and lines[first - 1][:1].isspace():
                    first -= 1
                signature = " ".join(lines[first - 1:number])
                match = re.search(r"(\w+)\s*\(", re.sub(r"__attribute__\s*\(\(.*?\)\)", "", signature))
                start = (first, match.group(1)) if match and "=" not in signature.split("(")[0] else (first, None)
            elif re.match(r"\s+[^#].*\)\s*\{$", line) and number > 1:
                # The signature's last line, indented under its first.
                first = number
                while first > 1 and lines[first - 1][:1].isspace():
                    first -= 1
                if re.match(r"[A-Za-z_].*\(", lines[first - 1]) and "=" not in lines[first - 1].split("(")[0]:
                    match = re.search(r"(\w+)\s*\(", re.sub(r"__attribute__\s*\(\(.*?\)\)", "", lines[first - 1]))
                    start = (first, match.group(1) if match else None)
        elif line.startswith("}"):
            if start[1]:
                yield start[0], number, start[1]
            start = None


def declarations(text, marker=""):
    """(line, name) of each function declared at the top level of a header; with `marker`, only those that have it."""
    code = re.sub(r"^\s*#(?:[^\n]*\\\n)*[^\n]*", lambda m: re.sub(r"[^\n]", " ", m.group(0)), blank(text), flags=re.M)
    depth = 0
    statement, first = "", None
    for number, line in enumerate(code.split("\n"), 1):
        for char in line + "\n":
            if char == "{":
                if depth == 0 and not re.search(r"extern\s*$", statement):
                    depth += 1
                elif depth:
                    depth += 1
                else:
                    statement = ""
                continue
            if char == "}":
                depth = max(0, depth - 1)
                if depth == 0:
                    statement = "" if "(" in statement else statement
                continue
            if depth:
                continue
            if char == ";":
                found = declared_name(statement, marker)
                if found:
                    yield first, found
                statement = ""
                continue
            if not statement.strip() and not char.isspace():
                first = number
            statement += char


def declared_name(statement, marker):
    statement = " ".join(statement.split())
    if "(" not in statement or statement.startswith(("typedef", "struct {", "_Static_assert", "enum")):
        return None
    if marker and marker not in statement:
        return None
    # Macros that stand for an attribute have no parameters here, so the word before the first parenthesis is the name;
    # with nothing in front of it, or with a star behind, this is no function.
    head = re.sub(r"__attribute__\s*\(\(.*?\)\)", "", statement).strip()
    match = re.match(r".*?[\s*](\w+)\s*\((?!\s*\*)", head)
    return match.group(1) if match and not match.group(0).startswith("(") and "(" not in match.group(0)[:-1] else None


def comment_above(text, line):
    """The block of // comment above `line` (1-based), without its slashes; None without one.

    Declarations that follow each other without an empty line share the comment above the first.
    """
    lines = text.split("\n")
    end = line - 2
    while end >= 0 and lines[end].strip() and not lines[end].lstrip().startswith(("//", "#", "}")):
        end -= 1
    start = end
    while start >= 0 and lines[start].startswith("//"):
        start -= 1
    if start == end:
        return None
    return "\n".join(l[2:].strip() for l in lines[start + 1:end + 1])
