// pgflow test: runs the tests that a pipeline file has for its transformers, without any network.
#include <fmt/format.h>

#include "cli/command.h"
#include "engine/topology/chain_test_runner.h"

namespace pgflow::cli {
namespace {

ExitCode Test(const Invocation& invocation, const PipelineInput& input) {
  config::Problems problems(input.name());
  const std::optional<config::Node> root = input.Read(problems);
  if (!root.has_value()) return Fail(invocation.console, problems.ToString(), ExitCode::kUsage);
  const auto parts = engine::BuildPipeline(*root, invocation.registry, problems);
  if (!parts.has_value()) return Fail(invocation.console, problems.ToString(), ExitCode::kUsage);
  const config::Node tests = root->Find("tests");
  if (tests.is_absent()) {
    return Fail(invocation.console, input.name() + ": it has no `tests`", ExitCode::kUsage);
  }
  const std::vector<engine::ChainTestResult> results =
      engine::RunChainTests(tests, parts->transformers, problems);
  if (!problems.empty()) return Fail(invocation.console, problems.ToString(), ExitCode::kUsage);
  size_t failed = 0;
  for (const engine::ChainTestResult& result : results) {
    const bool passed = result.differences.empty();
    invocation.console.out << fmt::format("{}  {}\n", passed ? "ok    " : "FAILED", result.name);
    for (const std::string& line : result.differences) {
      invocation.console.out << "        " << line << "\n";
    }
    failed += passed ? 0 : 1;
  }
  invocation.console.out << fmt::format("{}: {} of {} tests passed\n", input.name(),
                                        results.size() - failed, results.size());
  return failed == 0 ? ExitCode::kDone : ExitCode::kDifference;
}

}  // namespace

void AddTest(CommandLine& line, const Invocation& invocation) {
  auto input = std::make_shared<PipelineInput>(invocation.registry);
  input->AddTo(line.Add("test", "Run the tests that the file has for its transformers",
                        [&invocation, input] { return Test(invocation, *input); }));
}

}  // namespace pgflow::cli
