#include "engine/testing/scratch_kafka.h"

#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include <absl/time/clock.h>

#include "base/status.h"
#include "engine/testing/scratch_cluster.h"
#include "kafka/admin.h"
#include "kafka/producer.h"

namespace pgflow::engine {
namespace {

constexpr absl::Duration kPatience = absl::Minutes(2);
// Any will do; the same for all, as nothing is shared.
constexpr const char* kClusterId = "cGdmbG93LXNjcmF0Y2gtMQ";
constexpr const char* kReadyTopic = "scratch_ready";

constexpr std::pair<const char*, const char*> kDefaults[] = {
    {"process.roles", "broker,controller"},
    {"node.id", "1"},
    {"controller.listener.names", "CONTROLLER"},
    {"listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"},
    {"auto.create.topics.enable", "false"},
    // The one controller waits that long for a broker that was killed before it takes its next
    // life.
    {"broker.session.timeout.ms", "2000"},
    {"broker.heartbeat.interval.ms", "300"},
    {"num.network.threads", "2"},
    {"num.io.threads", "2"},
    {"num.partitions", "1"},
    {"default.replication.factor", "1"},
    {"offsets.topic.replication.factor", "1"},
    {"offsets.topic.num.partitions", "1"},
    {"transaction.state.log.replication.factor", "1"},
    {"transaction.state.log.min.isr", "1"},
    {"transaction.state.log.num.partitions", "2"},
    {"share.coordinator.state.topic.replication.factor", "1"},
    {"share.coordinator.state.topic.min.isr", "1"},
    {"group.initial.rebalance.delay.ms", "0"}};

// A value of several lines, for a file of properties.
std::string OneLine(const std::string& text) {
  std::string line;
  for (const char c : text) line += c == '\n' ? std::string("\\n") : std::string(1, c);
  return line;
}

std::string SecurityText(const ScratchKafkaSecurity& security, int port, int controller_port,
                         int sasl_port, int tls_port) {
  std::string users;
  for (const auto& [name, password] : security.users) {
    users += fmt::format(" user_{}=\"{}\"", name, password);
  }
  return fmt::format(
      "listeners=PLAINTEXT://127.0.0.1:{0},CONTROLLER://127.0.0.1:{1},SASL_SSL://127.0.0.1:{2},"
      "SSL://127.0.0.1:{3}\n"
      "advertised.listeners=PLAINTEXT://127.0.0.1:{0},SASL_SSL://127.0.0.1:{2},"
      "SSL://127.0.0.1:{3}\n"
      "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,"
      "SSL:SSL\n"
      "ssl.keystore.type=PEM\nssl.keystore.certificate.chain={4}\nssl.keystore.key={5}\n"
      "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256\n"
      "listener.name.sasl_ssl.plain.sasl.jaas.config="
      "org.apache.kafka.common.security.plain.PlainLoginModule required{6};\n"
      "listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config="
      "org.apache.kafka.common.security.scram.ScramLoginModule required;\n"
      "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n"
      "super.users=User:ANONYMOUS\n",
      port, controller_port, sasl_port, tls_port, OneLine(security.certificate.certificate),
      OneLine(security.certificate.key), users);
}

absl::Status ProduceOne(const std::string& bootstrap, absl::Duration patience) {
  kafka::Settings settings = {{"bootstrap.servers", bootstrap}};
  PGFLOW_ASSIGN_OR_RETURN(const std::unique_ptr<kafka::Admin> admin,
                          kafka::Admin::Make({.settings = settings, .patience = patience}));
  PGFLOW_RETURN_IF_ERROR(admin->CreateTopic(
      {.name = kReadyTopic, .partitions = 1, .replication_factor = 1, .settings = {}}, {}));
  PGFLOW_ASSIGN_OR_RETURN(
      const std::unique_ptr<kafka::Producer> producer,
      kafka::Producer::Make(
          {.settings = std::move(settings), .transactional_id = "", .patience = patience}));
  kafka::Message message;
  PGFLOW_ASSIGN_OR_RETURN(message.topic, producer->TopicIndex(kReadyTopic));
  message.has_value = true;
  message.value = "ready";
  PGFLOW_RETURN_IF_ERROR(producer->Send(message, {}));
  return producer->Flush({});
}

}  // namespace

absl::StatusOr<std::unique_ptr<ScratchKafka>> ScratchKafka::Make(
    const ScratchKafkaOptions& options) {
  std::unique_ptr<ScratchKafka> server(new ScratchKafka());
  PGFLOW_ASSIGN_OR_RETURN(server->archives_, FindServerArchives("kafka"));
  PGFLOW_ASSIGN_OR_RETURN(server->port_, FindFreePort());
  do {
    PGFLOW_ASSIGN_OR_RETURN(server->controller_port_, FindFreePort());
  } while (server->controller_port_ == server->port_);
  PGFLOW_ASSIGN_OR_RETURN(server->sasl_port_, FindFreePort());
  PGFLOW_ASSIGN_OR_RETURN(server->tls_port_, FindFreePort());
  PGFLOW_ASSIGN_OR_RETURN(server->directory_, MakeScratchDirectory("kafkascratch-", RunAs()));
  PGFLOW_RETURN_IF_ERROR(server->WriteSettings(options));
  std::vector<std::string> format = {"kafka.tools.StorageTool",
                                     "format",
                                     "--config",
                                     server->directory_ + "/server.properties",
                                     "--cluster-id",
                                     kClusterId,
                                     "--ignore-formatted"};
  if (options.security.has_value()) {
    for (const auto& [name, password] : options.security->users) {
      format.insert(format.end(), {"--add-scram", fmt::format("SCRAM-SHA-256=[name={},password={}]",
                                                              name, password)});
    }
  }
  PGFLOW_RETURN_IF_ERROR(RunProgram(server->Java(std::move(format)), RunAs()).status());
  PGFLOW_RETURN_IF_ERROR(server->Start());
  return server;
}

absl::Status ScratchKafka::WriteSettings(const ScratchKafkaOptions& options) const {
  std::ofstream file(directory_ + "/server.properties");
  for (const auto& [name, value] : kDefaults) file << name << '=' << value << '\n';
  file << fmt::format(
      "controller.quorum.voters=1@127.0.0.1:{0}\n"
      "listeners=PLAINTEXT://127.0.0.1:{1},CONTROLLER://127.0.0.1:{0}\n"
      "advertised.listeners=PLAINTEXT://127.0.0.1:{1}\n"
      "log.dirs={2}/log\n",
      controller_port_, port_, directory_);
  if (options.security.has_value()) {
    file << SecurityText(*options.security, port_, controller_port_, sasl_port_, tls_port_);
  }
  for (const auto& [name, value] : options.settings) file << name << '=' << value << '\n';
  file.close();
  if (file) return absl::OkStatus();
  return base::MakeStatus(absl::StatusCode::kInternal, "cannot write into {}", directory_);
}

std::vector<std::string> ScratchKafka::Java(std::vector<std::string> arguments) const {
  std::vector<std::string> command = {"/usr/bin/java",           "-Xmx256m", "-XX:+UseSerialGC",
                                      "-XX:TieredStopAtLevel=1", "-cp",      archives_ + "/*"};
  // Its log goes to standard output.
  command.insert(command.begin() + 1, "-Dlog4j2.level=WARN");
  command.insert(command.end(), std::make_move_iterator(arguments.begin()),
                 std::make_move_iterator(arguments.end()));
  return command;
}

ScratchKafka::~ScratchKafka() {
  if (frozen_) static_cast<void>(Thaw());
  // It is thrown away: no need for it to say goodbye.
  static_cast<void>(Kill9());
  server_.reset();
  std::error_code ignored;
  if (!directory_.empty()) std::filesystem::remove_all(directory_, ignored);
}

absl::Status ScratchKafka::Start() {
  if (running()) return absl::OkStatus();
  PGFLOW_ASSIGN_OR_RETURN(
      server_,
      Subprocess::Start({.command = Java({"kafka.Kafka", directory_ + "/server.properties"}),
                         .run_as = RunAs(),
                         .output_file = directory_ + "/server.log",
                         .death_signal = SIGKILL}));
  return WaitUntilReady();
}

absl::Status ScratchKafka::WaitUntilReady() {
  const absl::Time deadline = absl::Now() + kPatience;
  absl::Status last;
  while (absl::Now() < deadline && running()) {
    last = ProduceOne(bootstrap(), absl::Seconds(10));
    if (last.ok()) return absl::OkStatus();
  }
  return base::MakeStatus(absl::StatusCode::kUnavailable,
                          "scratch broker at port {} did not start ({}); its log ends:\n{}", port_,
                          base::Message(last), LogTail());
}

absl::Status ScratchKafka::Stop() {
  if (!running()) return absl::OkStatus();
  server_->Signal(SIGTERM);
  if (server_->Wait(kPatience).has_value()) return absl::OkStatus();
  return base::MakeStatus(absl::StatusCode::kDeadlineExceeded,
                          "scratch broker at port {} does not stop; its log ends:\n{}", port_,
                          LogTail());
}

absl::Status ScratchKafka::Kill9() {
  if (!running()) return absl::OkStatus();
  server_->Signal(SIGKILL);
  server_->Wait(kPatience);
  frozen_ = false;
  return absl::OkStatus();
}

absl::Status ScratchKafka::Restart() {
  PGFLOW_RETURN_IF_ERROR(Stop());
  return Start();
}

absl::Status ScratchKafka::Freeze() {
  if (!running()) return absl::Status(absl::StatusCode::kFailedPrecondition, "it does not run");
  frozen_ = true;
  server_->Signal(SIGSTOP);
  return absl::OkStatus();
}

absl::Status ScratchKafka::Thaw() {
  frozen_ = false;
  if (!running()) return absl::Status(absl::StatusCode::kFailedPrecondition, "it does not run");
  server_->Signal(SIGCONT);
  return absl::OkStatus();
}

bool ScratchKafka::running() { return server_ != nullptr && server_->running(); }

absl::Status ScratchKafka::Allow(const std::vector<std::string>& rules) const {
  std::vector<std::string> arguments = {
      std::string(PGFLOW_SOURCE_DIRECTORY) + "/engine/testing/servers/KafkaAcls.java", bootstrap()};
  arguments.insert(arguments.end(), rules.begin(), rules.end());
  return RunProgram(Java(std::move(arguments)), RunAs()).status();
}

std::string ScratchKafka::sasl_bootstrap() const { return fmt::format("127.0.0.1:{}", sasl_port_); }

std::string ScratchKafka::tls_bootstrap() const { return fmt::format("127.0.0.1:{}", tls_port_); }

std::string ScratchKafka::bootstrap() const { return fmt::format("127.0.0.1:{}", port_); }

std::string ScratchKafka::LogTail() const { return TailOfFile(directory_ + "/server.log"); }

}  // namespace pgflow::engine
