// Every case of cases/, as a snapshot and as a stream, in binary and in text: in the end the target
// has what the source has, compared by the text and the binary form of each value. All cases run at
// once: windows hold the changes of many tables, and the program starts less often.
#include <algorithm>
#include <ostream>

#include <fmt/format.h>

#include "tests/conformance/case_file.h"
#include "tests/conformance/table_contents.h"

namespace pgflow::tests {
namespace {

struct Variant {
  std::string name;
  std::vector<CaseFile> files;  // In one database, at once.
  bool stream = false;          // The rows come by the stream; else by the snapshot.
  bool binary = true;
};

std::string NameOf(const Variant& variant) {
  return fmt::format("{}_{}_{}", variant.name, variant.stream ? "stream" : "snapshot",
                     variant.binary ? "binary" : "text");
}

void PrintTo(const Variant& variant, std::ostream* out) { *out << NameOf(variant); }

class ConformanceTest : public SharedServerTest, public testing::WithParamInterface<Variant> {
 protected:
  void TearDown() override;
  bool HasWhatItNeeds(const CaseFile& file) const {
    if (source_.server->version() < file.server_min * 10000) return false;
    return std::ranges::all_of(file.extensions, [&](const std::string& extension) {
      return source_.Value(fmt::format(
                 "SELECT count(*) FROM pg_available_extensions WHERE name = '{}'", extension)) ==
             "1";
    });
  }
  void CreateSchema(const CaseFile& file) const;
};

void ConformanceTest::CreateSchema(const CaseFile& file) const {
  for (const std::string& extension : file.extensions) {
    for (const Database* database : {&source_, &target_}) {
      database->Execute(fmt::format("CREATE EXTENSION {}", extension));
    }
  }
  if (!file.both.empty()) {
    source_.Execute(file.both);
    target_.Execute(file.both);
  }
  source_.Execute(file.schema);
}

TEST_P(ConformanceTest, Case) {
  const Variant& variant = GetParam();
  std::vector<CaseFile> files = variant.files;
  std::erase_if(files, [&](const CaseFile& file) { return !HasWhatItNeeds(file); });
  if (files.empty()) GTEST_SKIP() << "this server lacks what the case needs";
  for (const CaseFile& file : files) CreateSchema(file);
  pipeline_.tables = "[\"*.*\"]";
  pipeline_.source_options = fmt::format("    binary: {}\n", variant.binary ? "auto" : "off");
  const auto insert = [&] {
    for (const CaseFile& file : files) {
      for (const std::string& rows : file.rows) source_.Execute(rows);
    }
  };
  if (!variant.stream) insert();
  const std::string output = Expect(0, "run", {"--until-current"});
  EXPECT_EQ(DifferenceOf(source_, target_), "") << "after the snapshot";
  // One case without a binary form takes it from all that share the stream.
  EXPECT_EQ(CountOf(output, "binary values") == 1, variant.binary && !files[0].text) << output;
  if (variant.stream) insert();
  for (const CaseFile& file : files) {
    for (const std::string& change : file.changes) source_.Execute(change);
  }
  RunToCurrent();
  EXPECT_EQ(DifferenceOf(source_, target_), "") << "after the stream";
}

void ConformanceTest::TearDown() {
  if (IsSkipped()) return;
  Expect(0, "destroy");  // The shared server has not so many slots.
}

std::vector<Variant> Variants() {
  std::vector<Variant> variants{{.name = "with_binary_form", .files = {}},
                                {.name = "without_binary_form", .files = {}}};
  for (const CaseFile& file : ReadCases(PGFLOW_CONFORMANCE_CASES)) {
    variants[file.text ? 1 : 0].files.push_back(file);
  }
  std::vector<Variant> all;
  for (const Variant& variant : variants) {
    for (const bool stream : {false, true}) {
      for (const bool binary : {true, false}) {
        all.push_back({variant.name, variant.files, stream, binary});
      }
    }
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Cases, ConformanceTest, testing::ValuesIn(Variants()),
                         [](const auto& parameter) { return NameOf(parameter.param); });

}  // namespace
}  // namespace pgflow::tests
