// docs/components is what the declarations say.
#include "cli/component_docs.h"

#include <filesystem>
#include <set>

#include <gtest/gtest.h>

#include "base/config/yaml_reader.h"
#include "cli/components.h"

namespace pgflow::cli {
namespace {

constexpr char kRemedy[] =
    "run `pgflow describe --write-docs docs/components`, and remove files of components that are "
    "gone";

TEST(ComponentDocsTest, AreUpToDate) {
  const std::string directory = PGFLOW_SOURCE_DIRECTORY "/docs/components";
  const auto expected = WriteComponentDocs(AllComponents());
  std::set<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    found.insert(entry.path().filename());
  }
  for (const auto& [name, contents] : expected) {
    const auto text = config::ReadTextFile(directory + "/" + name);
    EXPECT_TRUE(text.ok() && *text == contents) << name << " is out of date: " << kRemedy;
    found.erase(name);
  }
  for (const std::string& name : found) ADD_FAILURE() << name << " is not generated: " << kRemedy;
}

}  // namespace
}  // namespace pgflow::cli
