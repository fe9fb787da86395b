// The vocabulary of the tests of whole masks: rules in YAML, and scripts of changes.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/config/yaml_reader.h"
#include "base/status.h"
#include "engine/testing/event_builder.h"
#include "transformers/mask/mask_transformer.h"

namespace pgflow::transformers {

class MaskTest : public testing::Test {
 protected:
  MaskTest() {
    builder_.Table("public.users (id int4 key, name text, note text, last text)");
    builder_.Table("public.orders (id int8 key, user_id int8, note text)");
    builder_.Table("public.full_users (id int4 key, name text, last text) full");
    builder_.Table("audit.log (id int4 key, note text)");
  }

  static absl::StatusOr<std::unique_ptr<engine::Transformer>> Parse(const std::string& yaml) {
    config::Problems problems("m.yaml");
    const auto root = config::ParseYaml(yaml, "m.yaml");
    if (!root.ok()) return root.status();
    auto made = MaskType().make(*root, problems);
    if (!problems.empty()) return problems.ToStatus();
    return made;
  }
  static std::unique_ptr<engine::Transformer> Make(const std::string& rules) {
    auto made = Parse("key: a key of many characters\n" + rules);
    EXPECT_TRUE(made.ok()) << made.status();
    return *std::move(made);
  }
  static std::string Problem(const std::string& yaml) {
    return std::string(base::Message(Parse("key: a key of many characters\n" + yaml).status()));
  }

  std::vector<std::string> Stream(engine::Transformer& mask, std::string_view script) {
    engine::Batch batch = builder_.StreamBatch(script);
    const absl::Status status = mask.Transform(batch);
    if (!status.ok()) return {std::string(base::Message(status))};
    return engine::Describe(batch);
  }

  engine::EventBuilder builder_;
};

}  // namespace pgflow::transformers
