// Masks that write dates and timestamps.
#include <algorithm>
#include <limits>
#include <optional>

#include "base/bytes.h"
#include "base/status.h"
#include "sinks/encoding/type_binary.h"
#include "transformers/mask/column_mask.h"

namespace pgflow::transformers {
namespace {

using schemas::Value;

constexpr int64_t kMicrosPerDay = 86'400'000'000;
// The server's own limits, in microseconds since 2000: 4713 BC and the year 294276.
constexpr int64_t kMicrosMin = -211'813'488'000'000'000;
constexpr int64_t kMicrosMax = 9'223'371'331'199'999'999;

int64_t FloorDays(int64_t micros) {
  const int64_t days = micros / kMicrosPerDay;
  return days * kMicrosPerDay > micros ? days - 1 : days;
}

// Counts in steps of a day or a microsecond; infinities stay.
class TimeMask final : public ColumnMask {
 public:
  struct Range {
    bool shifts = false;
    int64_t least = 0;  // Of what is drawn: a moment, or how far it moves. In steps.
    int64_t most = 0;
    // Of what comes of a move, in microseconds.
    int64_t floor = kMicrosMin;
    int64_t ceiling = kMicrosMax;
  };

  TimeMask(const Drawing& drawing, const ColumnType& type, bool by_day, Range range)
      : drawing_(drawing), type_(type), by_day_(by_day), range_(range) {}

  MaskOutcome Append(const Value& value, MaskScratch& scratch, std::string& out) const override {
    const bool is_date = type_.value_class == ValueClass::kDate;
    int64_t micros = 0;
    if (!ReadMoment(value, micros)) {
      scratch.refusal = "the value is no date or timestamp that can be read";
      return MaskOutcome::kRefused;
    }
    if (micros == std::numeric_limits<int64_t>::min() ||
        micros == std::numeric_limits<int64_t>::max()) {
      return MaskOutcome::kKept;
    }
    const HashBits bits =
        drawing_.Of({reinterpret_cast<const char*>(&micros), sizeof(micros)}, scratch);
    // Unsigned: the longest ranges are longer than a signed number of microseconds can be.
    const auto least = static_cast<uint64_t>(range_.least);
    const uint64_t count = static_cast<uint64_t>(range_.most) - least + 1;
    auto drawn = static_cast<int64_t>(least + BitStream(bits).Below(count));
    const int64_t step = by_day_ ? kMicrosPerDay : 1;
    if (range_.shifts) {
      micros =
          std::clamp(micros, kMicrosMin - range_.least * step, kMicrosMax - range_.most * step);
      drawn = (by_day_ ? FloorDays(micros) : micros) + drawn;
      drawn = std::clamp(drawn, by_day_ ? FloorDays(range_.floor) : range_.floor,
                         by_day_ ? FloorDays(range_.ceiling) : range_.ceiling);
    }
    scratch.work.clear();
    if (is_date) {
      base::AppendBigEndian(scratch.work, static_cast<int32_t>(by_day_ ? drawn : FloorDays(drawn)));
    } else {
      base::AppendBigEndian(scratch.work, drawn * step);
    }
    AppendInForm(scratch.work, value.kind, type_, out);
    return MaskOutcome::kWritten;
  }

 private:
  // A date as its midnight, so that it moves as a timestamp of that moment does.
  bool ReadMoment(const Value& value, int64_t& micros) const {
    if (type_.value_class == ValueClass::kTimestamp) return ReadMicros(value, micros);
    int32_t days = 0;
    if (!ReadDays(value, days)) return false;
    if (days == std::numeric_limits<int32_t>::min()) {
      micros = std::numeric_limits<int64_t>::min();
    } else if (days == std::numeric_limits<int32_t>::max()) {
      micros = std::numeric_limits<int64_t>::max();
    } else {
      // Dates reach further than timestamps; those beyond are masked as if they were the last one.
      micros = std::clamp<int64_t>(days, kMicrosMin / kMicrosPerDay, kMicrosMax / kMicrosPerDay) *
               kMicrosPerDay;
    }
    return true;
  }

  Drawing drawing_;
  ColumnType type_;
  bool by_day_;
  Range range_;
};

bool IsInfinite(int64_t micros) {
  return micros == std::numeric_limits<int64_t>::min() ||
         micros == std::numeric_limits<int64_t>::max();
}

}  // namespace

absl::StatusOr<ColumnMaskPtr> MakeTimeMask(const MaskRule& rule, std::string_view key,
                                           const ColumnType& type) {
  const bool by_day = rule.with == MaskKind::kDate ||
                      (rule.with == MaskKind::kNoise && type.value_class == ValueClass::kDate);
  // All kinds draw alike: a date column and a timestamp column of one moment stay together.
  const Drawing drawing(rule, key, "moment");
  const int64_t step = by_day ? kMicrosPerDay : 1;
  TimeMask::Range range;
  if (rule.min.has_value() || rule.max.has_value()) {
    const auto read = [](const std::optional<std::string>& text, int64_t otherwise) {
      return text.has_value() ? sinks::ParseTimestamp(*text) : otherwise;
    };
    const std::optional<int64_t> least = read(rule.min, kMicrosMin);
    const std::optional<int64_t> most = read(rule.max, kMicrosMax);
    if (!least.has_value() || !most.has_value() || IsInfinite(*least) || IsInfinite(*most) ||
        *least > *most) {
      return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                              "`min` '{}' and `max` '{}' must be dates (YYYY-MM-DD, a time may "
                              "follow) in this order",
                              rule.min.value_or(""), rule.max.value_or(""));
    }
    range = {false, *least, *most, *least, *most};
  }
  if (rule.shift.has_value()) {
    const int64_t most = absl::ToInt64Microseconds(*rule.shift) / step;
    if (most <= 0 || most > 100'000 * (kMicrosPerDay / step)) {
      return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                              "`shift` must be {} at least and 100000 days at most",
                              by_day ? "a day" : "a microsecond");
    }
    range = {true, -most, most, range.floor, range.ceiling};
  } else if (by_day) {
    range.least = FloorDays(range.least);
    range.most = FloorDays(range.most);
  }
  return std::make_unique<TimeMask>(drawing, type, by_day, range);
}

}  // namespace pgflow::transformers
