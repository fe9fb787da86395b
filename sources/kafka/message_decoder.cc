#include "sources/kafka/message_decoder.h"

#include "sources/kafka/debezium_decoder.h"
#include "sources/kafka/json_decoder.h"

namespace pgflow::sources {

void DecodedMessage::Clear() {
  kind = Kind::kChange;
  schema.reset();
  before_image = engine::BeforeImage::kNone;
  before.clear();
  after.clear();
  catch_up = key_changed = has_unchanged = restart_identity = false;
  position.clear();
  xid = 0;
  commit_time = absl::InfinitePast();
  text.clear();
}

std::unique_ptr<MessageDecoder> MakeMessageDecoder(MessageFormat format,
                                                   const std::string& unavailable_value) {
  if (format == MessageFormat::kDebezium) {
    return std::make_unique<DebeziumDecoder>(unavailable_value);
  }
  return std::make_unique<JsonDecoder>();
}

}  // namespace pgflow::sources
