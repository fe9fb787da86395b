// No mistake in a pipeline file or on the command line brings a piece of a secret to the terminal.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include <gtest/gtest.h>

#include "base/config/yaml_reader.h"
#include "cli/components.h"
#include "cli/program.h"
#include "engine/topology/pipeline_builder.h"

namespace pgflow::cli {
namespace {

constexpr std::string_view kSecret = "QzWx7Kjv";

constexpr char kFile[] = R"(name: shop
source:
  postgres:
    url: postgres://app:QzWx7Kjv@127.0.0.1:1/shop
    mode: stream
sinks:
  - postgres: {url: "host=127.0.0.1 port=1 user=u password=QzWx7Kjv dbname=d"}
  - kafka:
      brokers: ["127.0.0.1:1"]
      tls: {key_file: k, certificate_file: c, key_password: QzWx7Kjv}
      sasl: {mechanism: PLAIN, username: u, password: QzWx7Kjv}
      librdkafka: {socket.timeout.ms: "5000"}
  - opensearch:
      url: http://127.0.0.1:1
      connection: {auth: {username: u, password: "QzWx7Kjv"}, proxy: "http://u:QzWx7Kjv@127.0.0.1"}
  - opensearch: {url: "https://127.0.0.1:1/base", api_key: QzWx7Kjv}
    name: second
  - webhook:
      url: https://127.0.0.1:1/hook/QzWx7Kjv
      secrets: ["whsec_QzWx7KjvQzWx7KjvQzWx7KjvQzWx7Kjv"]
      connection:
        auth: {bearer_token: QzWx7Kjv}
        headers: {X-Key: QzWx7Kjv}
)";

class SecretsTest : public ::testing::Test {
 protected:
  ~SecretsTest() override { std::filesystem::remove(path_); }

  std::string Write(const std::string& yaml) {
    std::ofstream(path_) << yaml;
    return path_;
  }
  // All that the program prints.
  static std::string Say(const std::vector<std::string>& arguments) {
    std::ostringstream out;
    std::ostringstream error;
    RunProgram(arguments, AllComponents(), {out, error});
    return out.str() + error.str();
  }
  static void ExpectNoPiece(const std::string& said, const std::string& what) {
    for (size_t i = 0; i + 3 <= kSecret.size(); ++i) {
      const std::string_view piece = kSecret.substr(i, 3);
      ASSERT_EQ(said.find(piece), std::string::npos) << said << "\nof:\n" << what;
    }
  }

  const std::string path_ =
      ::testing::TempDir() + "pgflow_secrets_test_" + std::to_string(::getpid()) + ".yaml";
};

TEST_F(SecretsTest, TheFileIsGoodAndSaysNothing) {
  const std::string said = Say({"validate", Write(kFile)});
  EXPECT_NE(said.find(": valid: "), std::string::npos) << said;
  ExpectNoPiece(said, kFile);
}

// One mistake of a random kind near a secret.
TEST_F(SecretsTest, NoMistakeInAFileShowsAPiece) {
  const uint32_t seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const engine::Registry registry = AllComponents();
  const std::string file = kFile;
  std::vector<size_t> places;
  for (size_t at = file.find(kSecret); at != std::string::npos; at = file.find(kSecret, at + 1)) {
    places.push_back(at);
  }
  const auto below = [&](size_t limit) { return random() % limit; };
  constexpr std::string_view kLetters = "@/:?&=%#'\"\\ ,;[]{}\n$x1*&!|>-\t";
  constexpr size_t kAround = 14;
  for (int i = 0; i < 1000; ++i) {
    std::string yaml = file;
    const size_t near =
        places[below(places.size())] - kAround + below(kSecret.size() + 2 * kAround);
    const size_t at = std::min(near, yaml.size() - 2);
    const char letter = kLetters[below(kLetters.size())];
    switch (below(4)) {
      case 0:
        yaml.erase(at, 1 + below(3));
        break;
      case 1:
        yaml.insert(at, 1, letter);
        break;
      case 2:
        yaml[at] = letter;
        break;
      default:
        std::swap(yaml[at], yaml[at + 1]);
    }
    config::Problems problems("shop.yaml");
    const config::Node root = config::ParseYaml(yaml, "shop.yaml", problems);
    engine::BuildPipeline(root, registry, problems);
    ExpectNoPiece(problems.ToString(), yaml);
    if (HasFatalFailure()) return;
  }
}

TEST_F(SecretsTest, NoMistakeInAReferenceShowsAPiece) {
  for (const char* url :
       {"${QzWx7Kjv x}", "${NONE:-QzWx7Kjv", "'${PGFLOW_TEST_NOT_SET:-}QzWx7Kjv'", "*QzWx7Kjv",
        "&QzWx7Kjv", "!QzWx7Kjv", "[QzWx7Kjv]", "{QzWx7Kjv: QzWx7Kjv}", "QzWx7Kjv: QzWx7Kjv"}) {
    const std::string yaml = std::string("source: {postgres: {url: ") + url +
                             "}}\nsinks:\n  - stdout: {}\n  - kafka: {sasl: " + url + "}\n";
    const std::string said = Say({"validate", Write(yaml)});
    // A key that has a value is named; here only the URL is.
    if (std::string(url).find(": Q") == std::string::npos) ExpectNoPiece(said, yaml);
  }
}

TEST_F(SecretsTest, NoMistakeOnTheCommandLineShowsAPiece) {
  const std::string url = "postgres://u:QzWx7Kjv@127.0.0.1:1/shop";
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"run", url},
           {url},
           {"run", "--postgres-urll", url},
           {"run", "--postgres-urll=" + url},
           {"run", "--postgres_url=" + url, "--sink-type", "stdout"},
           {"run", "x.yaml", url},
           {"run", "--sink-type", url, "--postgres-url", "x"},
           {"run", "--transform", url, "--postgres-url", "x", "--sink-type", "stdout"},
           {"run", "--postgres-mode", url, "--postgres-url", "x", "--sink-type", "stdout"},
           {"run", "--postgres-url", url, "--postgres-url", url},
           {"run", "--kafka-sasl-password"},
           {"validate", url},
           {"status", "u:QzWx7Kjv@127.0.0.1"},
           {"run", "x.yaml", "--until-lsn", url},
           {"describe", url},
           {"list", "--log-level", url},
           {"check", "--postgres-url", "u:QzWx7Kjv@127.0.0.1", "--sink-type", "stdout"},
           {"status", "--postgres-url", "postgres://u:QzWx7Kjv", "--sink-type", "stdout"},
           {"init", "--postgres-url", "host=127.0.0.1 PASSWORD=QzWx7Kjv", "--sink-type", "stdout"},
       }) {
    std::string what;
    for (const std::string& argument : arguments) what += argument + " ";
    ExpectNoPiece(Say(arguments), what);
  }
}

}  // namespace
}  // namespace pgflow::cli
