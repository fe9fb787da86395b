#include "engine/topology/group_builder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "base/private_directory.h"
#include "base/status.h"
#include "engine/api/part_name.h"

namespace pgflow::engine {
namespace {

// Processes of one pipeline on one machine, at most.
constexpr int kDirectoriesMax = 1000;

// A directory that this process alone uses; the lock goes with the process, however that ends.
class OwnDirectory {
 public:
  static absl::StatusOr<std::shared_ptr<OwnDirectory>> Take(const std::string& state) {
    for (int number = 0; number < kDirectoriesMax; ++number) {
      const std::string path = fmt::format("{}/process_{}", state, number);
      PGFLOW_RETURN_IF_ERROR(base::MakePrivateDirectory(path));
      const int file = ::open((path + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
      if (file < 0) {
        return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                                "{}: cannot be written; set state.directory to a writable place",
                                path);
      }
      if (::flock(file, LOCK_EX | LOCK_NB) == 0) return std::make_shared<OwnDirectory>(path, file);
      ::close(file);
    }
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "{}: {} processes of this pipeline run here already", state,
                            kDirectoriesMax);
  }

  OwnDirectory(std::string path, int file) : path_(std::move(path)), file_(file) {}
  ~OwnDirectory() { ::close(file_); }
  OwnDirectory(const OwnDirectory&) = delete;
  OwnDirectory& operator=(const OwnDirectory&) = delete;

  const std::string& path() const { return path_; }

 private:
  const std::string path_;
  const int file_;
};

absl::StatusOr<std::unique_ptr<Pipeline>> MakePart(std::optional<PipelineParts> parts,
                                                   const PipelineOptions& whole,
                                                   const OwnDirectory& directory,
                                                   const std::string& part,
                                                   std::unique_ptr<Source> source) {
  if (!parts.has_value()) return absl::InternalError("the pipeline cannot be made a second time");
  PipelineOptions& options = parts->options;
  options.name = PartName(whole.name, part);
  options.source_name = whole.source_name;
  options.until_current = whole.until_current;
  options.startup_timeout = whole.startup_timeout;
  // A sink without a place of its own for its checkpoint begins where the group stands. What an
  // earlier owner of the part wrote down here is older than that.
  options.state_directory = directory.path() + "/" + options.name;
  std::error_code ignored;
  std::filesystem::remove_all(options.state_directory, ignored);
  options.log.spool_directory = options.state_directory + "/spool";
  return std::make_unique<Pipeline>(std::move(options), std::move(source),
                                    std::move(parts->transformers), std::move(parts->sinks));
}

}  // namespace

std::unique_ptr<SourceGroup> GroupOf(Source& source) {
  auto* shared = dynamic_cast<SharedSource*>(&source);
  return shared == nullptr ? nullptr : shared->MakeGroup();
}

absl::StatusOr<std::unique_ptr<GroupRunner>> BuildGroup(
    const PipelineParts& parts, std::unique_ptr<SourceGroup> group,
    std::function<std::optional<PipelineParts>()> again) {
  PGFLOW_ASSIGN_OR_RETURN(std::shared_ptr<OwnDirectory> directory,
                          OwnDirectory::Take(parts.options.state_directory));
  GroupOptions options;
  options.name = parts.name();
  options.source_name = parts.options.source_name;
  options.until_current = parts.options.until_current;
  return std::make_unique<GroupRunner>(
      std::move(options), std::move(group),
      [whole = parts.options, again = std::move(again), directory = std::move(directory)](
          const std::string& part, std::unique_ptr<Source> source) {
        return MakePart(again(), whole, *directory, part, std::move(source));
      });
}

}  // namespace pgflow::engine
