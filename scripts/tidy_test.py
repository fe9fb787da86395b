#!/usr/bin/env python3
"""Shows of each rule of tidy.py that it can fail, and that what is right passes."""

import unittest

import tidy


def tree(**files):
    result = tidy.Tree("/", [])
    result.text = {path: text for path, text in files["files"].items()}
    return result


def found(files, check):
    return [message for _, _, message in check(tree(files=files))]


HEADER = "// What it is.\n#pragma once\n"


class TidyTest(unittest.TestCase):
    def assert_finds(self, check, files, word):
        messages = found(files, check)
        self.assertTrue(any(word in m for m in messages), messages)

    def assert_clean(self, check, files):
        self.assertEqual(found(files, check), [])

    def test_layers(self):
        check = tidy.check_layers
        bad = {
            "base/a.cc": '#include "schemas/value.h"',
            "postgres/wire/a.cc": '#include "postgres/client/connection.h"',
            "engine/api/a.h": '#include "engine/runtime/lane.h"',
            "sinks/stdout/a.cc": '#include "sinks/postgres/writer.h"',
            "sinks/postgres/a.cc": '#include "engine/runtime/lane.h"',
            "engine/topology/a.cc": '#include "cli/run.h"',
            "engine/runtime/a.cc": '#include "engine/testing/fake_sink.h"',
            "schemas/value.cc": '#include "postgres/client/connection.h"',
            "unknown/a.cc": '#include "base/bytes.h"',
        }
        for path, text in bad.items():
            self.assert_finds(check, {path: text}, "layer")
        self.assert_clean(check, {
            "base/a.cc": '#include "base/a.h"',
            "schemas/catalog_reader.cc": '#include "postgres/client/connection.h"',
            "sinks/stdout/a.cc": '#include "sinks/encoding/json.h"',
            "engine/runtime/a_test.cc": '#include "engine/testing/fake_sink.h"',
            "cli/run.cc": '#include "sinks/postgres/writer.h"',
        })

    def test_third_party(self):
        check = tidy.check_third_party
        self.assert_finds(check, {"sinks/postgres/a.cc": "#include <libpq-fe.h>"}, "libpq")
        self.assert_finds(check, {"engine/api/a.cc": "#include <gtest/gtest.h>"}, "for tests")
        self.assert_finds(check, {
            "base/config/a.h": "#include <yaml-cpp/yaml.h>",
            "cli/a.cc": "#include <base/config/a.h>",
        }, "reaches")
        self.assert_clean(check, {"postgres/client/a.cc": "#include <libpq-fe.h>",
                                  "base/a_test.cc": "#include <gtest/gtest.h>"})

    def test_function_length(self):
        check = tidy.check_sizes
        body = "  a = {1};\n" * 69
        long = "namespace x {\nclass Y {\n void F() const {\n" + body + "  b();\n }\n};\n}\n"
        self.assert_finds(check, {"base/a.cc": long}, "a function of 72 lines")
        short = "namespace x {\n" + ("void F() {\n" + body[:-11] + "}\n") * 2 + "}\n"
        self.assert_clean(check, {"base/a.cc": short})

    def test_file_header_and_line_length(self):
        check = tidy.check_sizes
        self.assert_finds(check, {"base/a.cc": "\n" * 601}, "601 lines")
        self.assert_finds(check, {"base/a.h": "\n" * 151}, "a header of 151")
        self.assert_finds(check, {"base/a.cc": "x" * 101}, "101 columns")
        self.assert_finds(check, {"base/a.cc": "int x; \n"}, "blank")
        self.assert_clean(check, {"base/a.h": "x" * 100})

    def test_names(self):
        check = tidy.check_names
        for text in ("class SinkManager;", "struct RowHelper {", "int DoWork();",
                     "void ProcessRow(int x) {", "Status HandleMessage(int x) {",
                     "std::string data;", "int info = 1;", "void F(std::string& data)"):
            self.assert_finds(check, {"base/a.cc": text}, "name")
        self.assert_finds(check, {"base/string_util.h": HEADER}, "a file called")
        self.assert_clean(check, {
            "base/a.cc": "// class Manager\nx.data(); Document d(); return data;"
                                               "\nconst char* s = \"class Helper\";"})

    def test_comments(self):
        check = tidy.check_comments
        self.assert_finds(check, {"base/a.h": "#pragma once\n"}, "header opens")
        self.assert_finds(check, {"base/a.h": "// What it is.\n"}, "pragma")
        self.assert_finds(check, {"base/a.cc": "// TO" + "DO: later\n"}, "finish it")
        self.assert_finds(check, {"scripts/x": "#!/bin/bash\nset -e\n"}, "what it is for")
        self.assert_clean(check, {"base/a.h": HEADER, "scripts/x": "#!/bin/bash\n# Builds.\n"})

    def test_orphans(self):
        check = tidy.check_orphans
        files = {"base/a.cc": "", "base/CMakeLists.txt": "pgflow_library(SRCS b.cc)"}
        self.assert_finds(check, files, "orphan")
        self.assert_clean(check, {"base/a.cc": "", "base/CMakeLists.txt": "SRCS a.cc"})


if __name__ == "__main__":
    unittest.main()
