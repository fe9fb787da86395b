#include "cli/tap_format.h"

#include <utility>

#include "base/check.h"
#include "base/status.h"
#include "sinks/encoding/event_encoder.h"

namespace pgflow::cli {
namespace {

class JsonFormat final : public engine::ChangeFormat {
 public:
  explicit JsonFormat(std::unique_ptr<sinks::EventEncoder> encoder)
      : encoder_(std::move(encoder)) {}

  void StartBatch() override { encoder_->StartBatch(); }
  absl::StatusOr<std::string_view> Line(const engine::Batch& batch,
                                        const engine::ChangeEvent& event) override {
    PGFLOW_ASSIGN_OR_RETURN(const std::span<const sinks::EncodedMessage> messages,
                            encoder_->Encode(batch, event));
    if (messages.empty()) return absl::InternalError("a change without a line");
    return messages.front().value;
  }

 private:
  const std::unique_ptr<sinks::EventEncoder> encoder_;
};

}  // namespace

engine::ChangeFormatFactory TapFormat(std::string pipeline) {
  return [pipeline = std::move(pipeline)] {
    auto encoder = sinks::EventEncoder::Make(
        {}, {.pipeline = pipeline, .database = {}, .placement = sinks::Placement::kInOrder});
    PGFLOW_CHECK(encoder.ok(), "the default encoding has no mistake");
    return std::make_unique<JsonFormat>(*std::move(encoder));
  };
}

}  // namespace pgflow::cli
