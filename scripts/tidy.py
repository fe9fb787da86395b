#!/usr/bin/env python3
"""The conventions of docs/STYLE.md that a program can check; exit code 1 and a line a finding.

Layers, third-party headers in their folder, length of functions, files and lines, banned names with
their replacement, header comments, files that no CMakeLists.txt names, leftover markers. Runs over
the tracked files of the repository it stands in, or over the directory given. tidy_test.py shows
that each rule can fail.
"""

import os
import re
import subprocess
import sys

FUNCTION_LINES, FILE_LINES, HEADER_LINES, COLUMNS = 70, 600, 150, 100

# Headers longer than HEADER_LINES, and why.
LONG_HEADERS = {
    "engine/api/sink.h": "the contract of a sink and of its snapshot lane, read together",
    "engine/runtime/stream_log.h": "the log and its cursor share one mutex and each other's state",
    "postgres/client/connection.h": "one class with the whole of a session's calls, read together",
    "postgres/wire/pgoutput.h": "one struct for each message of the protocol, in its order",
}

LOW = ("base", "postgres/types", "postgres/wire")
COMPONENT = (*LOW, "base/config", "base/crypto", "http", "kafka", "postgres/client", "schemas",
             "engine/api", "engine/state", "sinks/encoding", "expressions")
# Folder -> folders it may include, itself aside. cli and tests may include everything.
LAYERS = {
    "base": (),
    "base/config": ("base",),
    "base/crypto": ("base",),
    "http": ("base", "base/config"),
    "kafka": ("base", "base/config"),
    "postgres/types": ("base",),
    "postgres/wire": ("base", "postgres/types"),
    "postgres/client": LOW,
    "schemas": LOW,
    "expressions": (*LOW, "schemas", "sinks/encoding"),
    "engine/api": (*LOW, "base/config", "schemas"),
    "engine/state": (*LOW, "schemas", "engine/api"),
    "engine/runtime": (*LOW, "base/config", "base/crypto", "schemas", "engine/api", "engine/state"),
    "engine/topology": (*LOW, "base/config", "schemas", "engine/api", "engine/runtime"),
    "engine/observe": (*LOW, "base/config", "schemas", "engine/api"),
    "engine/testing": (
        *LOW, "base/config", "kafka", "postgres/client", "schemas", "engine/api"),
}
TOP = ("cli", "tests")
KINDS = ("sources", "transformers", "sinks")
# The catalog reader is the one part of schemas that talks to a server.
CATALOG = re.compile(r"^schemas/catalog\w*\.(h|cc)$")

# A third-party client header -> the folders that may include it.
CONFINED = {
    "libpq": ("postgres/client",),
    "pg_config": ("postgres/client",),
    "postgresql/": ("postgres/client",),
    "librdkafka/": ("kafka",),
    "yaml-cpp/": ("base/config",),
    "sqlite3": ("engine/state",),
    "isa-l/": ("engine/runtime",),
    "boost/": ("engine/observe", "engine/testing"),
    "openssl/": ("base/crypto", "engine/testing", "transformers/mask"),
    "curl/": ("http",),
    "zlib.h": ("http",),
    "prometheus/": ("engine/observe",),
    "CLI/": ("cli",),
    "spdlog/": ("base",),
    "pg_query": ("expressions",),
    "lua.hpp": ("transformers/script",),
}
TEST_ONLY = ("gtest/", "gmock/", "benchmark/")
TEST_FILE = re.compile(r"(_test|_fuzz|_benchmark)\.(cc|h)$")

NAMES = {  # A word in the name of a file, a type or a function -> what to write instead.
    "manager": "the noun of what it owns (Pool, Registry, Log)",
    "helper": "the verb of what it does, as a function",
    "util": "the room the function belongs to",
    "utils": "the room the function belongs to",
    "misc": "the room the function belongs to",
}
FILE_NAMES = {**NAMES, "common": "the noun it holds", "data": "what the bytes are",
              "info": "what it tells"}
VERBS = {"Do": "the verb itself", "Process": "the verb that says what becomes of it",
         "Handle": "On<Event>, or the verb that says what becomes of it"}
# A library's own name; the noun.
GOOD_NAMES = {"DoNotOptimize", "ProcessEnvironment", "ProcessLine", "ProcessLives"}
VARIABLES = {"data": "bytes, rows, payload, ...", "info": "what it tells", "tmp": "what it holds"}

MARKER = re.compile(r"\b(" + "TO" + "DO|FIX" + "ME|X" + r"XX)\b")
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]')
SOURCE_SUFFIXES = (".cc", ".h")
TEXT_SUFFIXES = (".cc", ".h", ".py", ".txt", ".cmake", ".md", ".yaml", ".sql", ".json", "")


class Tree:
    """The files under `root`, read once."""

    def __init__(self, root, paths):
        self.root = root
        self.text = {}
        for path in paths:
            try:
                with open(os.path.join(root, path), encoding="utf-8") as file:
                    self.text[path] = file.read()
            except (OSError, UnicodeDecodeError):
                pass  # Deleted in the working tree, or not text.

    def lines(self, path):
        return self.text[path].splitlines()

    def sources(self):
        return [p for p in sorted(self.text) if p.endswith(SOURCE_SUFFIXES)]


def tracked_files(root):
    command = ["git", "-c", "safe.directory=*", "-C", root, "ls-files"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def room_of(path):
    """The folder whose rules count for `path`: base/config, engine/api, sinks/postgres, schemas."""
    parts = path.split("/")[:-1]
    if not parts:
        return ""
    two = "/".join(parts[:2])
    if two in LAYERS or parts[0] in KINDS:
        return two
    return parts[0]


def without_comments(text):
    """C++ with comments and literals blanked out, line breaks kept."""
    pattern = re.compile(
        r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'',
        re.DOTALL)

    def blank(match):
        piece = match.group(0)
        if piece.startswith("'") and match.start() and text[match.start() - 1].isalnum():
            return piece  # A digit separator, not a character.
        return re.sub(r"[^\n]", " ", piece)

    return pattern.sub(blank, text)


def check_layers(tree):
    for path in tree.sources():
        room = room_of(path)
        for number, line in enumerate(tree.lines(path), 1):
            match = INCLUDE.match(line)
            if match and match.group(1) == '"':
                verdict = layer_verdict(path, room, match.group(2))
                if verdict:
                    yield path, number, verdict


def layer_verdict(path, room, included):
    other = room_of(included)
    if other == room or room in TOP:
        return None
    if other in TOP:
        return "layer: nobody includes %s" % other
    if other == "engine/testing":
        return None if TEST_FILE.search(path) else "layer: only tests include engine/testing"
    if other == "postgres/client" and room == "schemas":
        return None if CATALOG.match(path) or TEST_FILE.search(path) else (
            "layer: only the catalog reader (schemas/catalog*) includes postgres/client")
    allowed = COMPONENT if room.split("/")[0] in KINDS else LAYERS.get(room)
    if allowed is None:
        return "layer: the folder %s has no rule (scripts/tidy.py, LAYERS)" % (room or "/")
    if other in allowed:
        return None
    return "layer: %s may include %s, not %s" % (
        room, ", ".join(allowed) or "nothing of ours", other)


def check_third_party(tree):
    includers = {}
    for path in tree.sources():
        for line in tree.lines(path):
            match = INCLUDE.match(line)
            if match:
                includers.setdefault(match.group(2), []).append(path)
    for path in tree.sources():
        room = room_of(path)
        for number, line in enumerate(tree.lines(path), 1):
            match = INCLUDE.match(line)
            if not match or match.group(1) == '"':
                continue
            name = match.group(2)
            if name.startswith(TEST_ONLY) and not (
                    TEST_FILE.search(path) or room in ("engine/testing", "tests")):
                yield path, number, "third-party: <%s> is for tests" % name
            for prefix, rooms in CONFINED.items():
                if not name.startswith(prefix):
                    continue
                if room not in rooms:
                    yield path, number, "third-party: <%s> belongs to %s" % (name, ", ".join(rooms))
                elif path.endswith(".h"):
                    outside = [p for p in includers.get(path, []) if room_of(p) != room]
                    if outside:
                        yield path, number, "third-party: <%s> reaches %s through this header" % (
                            name, outside[0])


TYPE_HEAD = re.compile(r"\b(class|struct|union|enum|namespace|extern)\b")


def functions(text):
    """(first, last line) of each function body; lambdas belong to the function around them."""
    directive = re.compile(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", re.MULTILINE)
    text = directive.sub(lambda m: re.sub(r"[^\n]", " ", m.group(0)), without_comments(text))
    stack, head, line = [], "", 1
    for character in text:
        if character == "\n":
            line += 1
        if character == "{":
            outside = all(kind == "scope" for kind, _ in stack)
            if outside and TYPE_HEAD.search(head) and not head.rstrip().endswith(")"):
                stack.append(("scope", line))
            elif outside and "(" in head:
                stack.append(("function", line))
            else:
                stack.append(("other", line))
            head = ""
        elif character == "}":
            if stack:
                kind, first = stack.pop()
                if kind == "function":
                    yield first, line
            head = ""
        elif character == ";":
            head = ""
        else:
            head += character


def check_sizes(tree):
    for path, text in sorted(tree.text.items()):
        if not path.endswith((".cc", ".h", ".py", ".cmake")) and not path.startswith("scripts/"):
            continue
        lines = text.splitlines()
        if len(lines) > FILE_LINES:
            yield path, FILE_LINES, "size: %d lines, at most %d" % (len(lines), FILE_LINES)
        if path.endswith(".h") and len(lines) > HEADER_LINES and path not in LONG_HEADERS:
            yield path, HEADER_LINES, "size: a header of %d lines, at most %d" % (
                len(lines), HEADER_LINES)
        for number, line in enumerate(lines, 1):
            if len(line) > COLUMNS:
                yield path, number, "size: %d columns, at most %d" % (len(line), COLUMNS)
            if line != line.rstrip() or "\t" in line:
                yield path, number, "blank: a tab, or blanks at the end of the line"
        if path.endswith(SOURCE_SUFFIXES):
            for first, last in functions(text):
                if last - first + 1 > FUNCTION_LINES:
                    yield path, first, "size: a function of %d lines, at most %d" % (
                        last - first + 1, FUNCTION_LINES)


def words_of(name):
    return [w.lower() for w in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]


def check_names(tree):
    for path in sorted(tree.text):
        stem = os.path.splitext(os.path.basename(path))[0]
        for word in words_of(stem):
            if word in FILE_NAMES:
                yield path, 1, "name: a file called %s; rather %s" % (word, FILE_NAMES[word])
    declared = re.compile(r"\b(?:class|struct|enum class|enum)\s+(\w+)")
    called = re.compile(r"(?<![.>:\w])(?:\w+::)*([A-Z]\w*)\s*\(")
    variable = re.compile(r"[\w>&*]\s+[&*]?(" + "|".join(VARIABLES) + r")\b_?\s*(?=[;,)={\[])")
    for path in tree.sources():
        for number, line in enumerate(without_comments(tree.text[path]).splitlines(), 1):
            for name in set(declared.findall(line) + called.findall(line)) - GOOD_NAMES:
                for word in words_of(name):
                    if word in NAMES:
                        yield path, number, "name: %s; rather %s" % (name, NAMES[word])
                for verb, better in VERBS.items():
                    if re.match(verb + r"[A-Z]", name):
                        yield path, number, "name: %s; rather %s" % (name, better)
            for match in variable.finditer(line):
                if not re.search(r"\b(return|goto|case)\s+\w*$", line[: match.start(1)]):
                    yield path, number, "name: %s; rather %s" % (
                        match.group(1), VARIABLES[match.group(1)])


def check_comments(tree):
    for path, text in sorted(tree.text.items()):
        if path.endswith(".h"):
            lines = text.splitlines()
            if not lines or not lines[0].startswith("// "):
                yield path, 1, "comment: a header opens with what it is, its owner, threads"
            if "#pragma once" not in lines:
                yield path, 1, "comment: no #pragma once"
        if path.startswith("scripts/") and not re.match(r'(#![^\n]*\n)?(#(?!!)|""")', text):
            yield path, 1, "comment: a script opens with what it is for"
        if path.endswith(TEXT_SUFFIXES):
            for number, line in enumerate(text.splitlines(), 1):
                if MARKER.search(line):
                    yield path, number, "comment: finish it, or open an issue and drop the marker"


def check_orphans(tree):
    named = {}
    for path, text in tree.text.items():
        if os.path.basename(path) == "CMakeLists.txt":
            folder = os.path.dirname(path)
            for word in re.findall(r"[\w./-]+\.(?:cc|h)\b", text):
                named[os.path.normpath(os.path.join(folder, word))] = path
    for path in tree.sources():
        if path not in named and not path.startswith("docs/"):
            yield path, 1, "orphan: no CMakeLists.txt names this file"


CHECKS = (check_layers, check_third_party, check_sizes, check_names, check_comments, check_orphans)


def findings(tree):
    result = []
    for check in CHECKS:
        result += ["%s:%d: %s" % finding for finding in check(tree)]
    return result


def main():
    root = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else
                           os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    found = findings(Tree(root, tracked_files(root)))
    print("\n".join(found) if found else "tidy: nothing found")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
