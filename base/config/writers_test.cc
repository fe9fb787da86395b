#include "base/config/writers.h"

#include <gtest/gtest.h>

#include "base/config/config_spec.h"

namespace pgflow::config {
namespace {

struct Inner {
  int depth = 2;
};
struct Outer {
  std::string name;
  absl::Duration wait = absl::Milliseconds(1500);
  Inner inner;
};

SpecDescription Describe() {
  ConfigSpec<Inner> inner;
  inner.Field("depth", &Inner::depth, "How deep.").Range(1, 9);
  ConfigSpec<Outer> outer;
  outer.Field("name", &Outer::name, "What \"it\" is | called.").Required().Example("shop");
  outer.Field("wait", &Outer::wait, "How long.");
  outer.Section("inner", &Outer::inner, inner, "More.");
  return outer.Describe();
}

TEST(WritersTest, WritesMarkdown) {
  EXPECT_EQ(WriteMarkdown(Describe()),
            "| option | type | default | what it does |\n"
            "|---|---|---|---|\n"
            "| `name` | text | **required** | What \"it\" is \\| called. Example: `shop`. |\n"
            "| `wait` | duration | `1.5s` | How long. |\n"
            "| `inner` | section |  | More. |\n"
            "| `inner.depth` | integer, 1 to 9 | `2` | How deep. |\n");
  EXPECT_EQ(WriteMarkdown({}), "It has no options.\n");
}

TEST(WritersTest, WritesText) {
  EXPECT_EQ(WriteText(Describe()),
            "  name  (text; required)\n      What \"it\" is | called.\n      example: shop\n"
            "  wait  (duration; default 1.5s)\n      How long.\n"
            "  inner  (section)\n      More.\n"
            "  inner.depth  (integer, 1 to 9; default 2)\n      How deep.\n");
}

TEST(WritersTest, WritesJsonSchema) {
  EXPECT_EQ(WriteJsonSchema(Describe(), "outer"), R"({
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "outer",
  "type": "object",
  "additionalProperties": false,
  "required": ["name"],
  "properties": {
    "name": {
      "description": "What \"it\" is | called.",
      "type": "string"
    },
    "wait": {
      "description": "How long.",
      "type": "string", "pattern": "^(0|([0-9.]+(ns|us|ms|s|m|h))+)$",
      "default": "1.5s"
    },
    "inner": {
      "description": "More.",
      "type": "object",
      "additionalProperties": false,
      "properties": {
        "depth": {
          "description": "How deep.",
          "type": "integer",
          "minimum": 1, "maximum": 9,
          "default": 2
        }
      }
    }
  }
}
)");
}

}  // namespace
}  // namespace pgflow::config
