// Masks by regular expressions: texts made of one, and texts in which it is replaced.
#include <utility>

#include "base/status.h"
#include "transformers/mask/drawn_text.h"

namespace pgflow::transformers {
namespace {

using schemas::Value;

class RegexpMask final : public DrawnText {
 public:
  RegexpMask(const Drawing& drawing, const ColumnType& type, RegularExpression expression)
      : DrawnText(drawing, type), expression_(std::move(expression)) {}

 private:
  void Draw(std::string_view, HashBits seed, std::string& out) const override {
    BitStream bits(seed);
    expression_.Generate(bits, out);
  }

  RegularExpression expression_;
};

// A piece of a replacement: a text, or what a group found.
struct Piece {
  std::string text;
  std::optional<uint32_t> group{};
};

class ReplaceMask final : public ColumnMask {
 public:
  ReplaceMask(RegularExpression expression, std::vector<Piece> pieces, uint32_t characters_max)
      : expression_(std::move(expression)),
        pieces_(std::move(pieces)),
        characters_max_(characters_max) {}

  MaskOutcome Append(const Value& value, MaskScratch& scratch, std::string& out) const override {
    const std::string_view text = value.view();
    const size_t begin = out.size();
    size_t done = 0;
    size_t at = 0;
    bool adjoins = false;  // A match that was not empty ends at `done`.
    RegularExpression::Scratch& found = scratch.expression;
    while (at <= text.size() && expression_.Find(text, at, found)) {
      const bool empty = found.end(0) == found.begin(0);
      if (!empty || !adjoins || found.begin(0) > done) {
        out.append(text.substr(done, found.begin(0) - done));
        AppendReplacement(text, found, out);
        done = found.end(0);
      }
      adjoins = !empty;
      at = found.end(0);
      if (!empty) continue;
      // Go on behind the next character.
      size_t size = 1;
      if (at < text.size()) CharacterAt(text, at, size);
      at += size;
    }
    out.append(text.substr(done));
    if (characters_max_ != 0) {
      out.resize(begin + PrefixBytes(std::string_view(out).substr(begin), characters_max_));
    }
    return MaskOutcome::kWritten;
  }

 private:
  void AppendReplacement(std::string_view text, const RegularExpression::Scratch& found,
                         std::string& out) const {
    for (const Piece& piece : pieces_) {
      out.append(piece.text);
      if (!piece.group.has_value() || found.begin(*piece.group) == std::string_view::npos) continue;
      const size_t begin = found.begin(*piece.group);
      out.append(text.substr(begin, found.end(*piece.group) - begin));
    }
  }

  RegularExpression expression_;
  std::vector<Piece> pieces_;
  uint32_t characters_max_;
};

absl::StatusOr<std::vector<Piece>> ReadReplacement(std::string_view text, uint32_t group_count) {
  std::vector<Piece> pieces(1);
  while (!text.empty()) {
    const char c = text.front();
    text.remove_prefix(1);
    if (c != '\\') {
      pieces.back().text.push_back(c);
      continue;
    }
    const char next = text.empty() ? ' ' : text.front();
    const bool digit = next >= '1' && next <= '9';
    if (next == '\\') {
      pieces.back().text.push_back(next);
    } else if (next == '&' || (digit && static_cast<uint32_t>(next - '0') <= group_count)) {
      pieces.back().group = next == '&' ? 0 : static_cast<uint32_t>(next - '0');
      pieces.emplace_back();
    } else {
      return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                              "`replacement`: behind \\ must be &, \\ or the number of one of the "
                              "{} groups of `pattern`",
                              group_count);
    }
    text.remove_prefix(1);
  }
  return pieces;
}

// Anchors may forbid what is made.
absl::Status TryOut(const RegularExpression& expression) {
  RegularExpression::Scratch scratch;
  std::string made;
  for (uint64_t i = 0; i < 64; ++i) {
    BitStream bits({i, i});
    made.clear();
    expression.Generate(bits, made);
    if (expression.Find(made, 0, scratch) && scratch.begin(0) == 0 &&
        scratch.end(0) <= made.size()) {
      continue;
    }
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "regexp: what `pattern` makes, as '{}', it does not match itself; "
                            "leave out ^, $ and \\b inside of it",
                            made);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ColumnMaskPtr> MakePatternMask(const MaskRule& rule, std::string_view key,
                                              const ColumnType& type) {
  PGFLOW_ASSIGN_OR_RETURN(RegularExpression expression, RegularExpression::Make(*rule.pattern));
  if (rule.with == MaskKind::kRegexpReplace) {
    PGFLOW_ASSIGN_OR_RETURN(std::vector<Piece> pieces,
                            ReadReplacement(*rule.replacement, expression.group_count()));
    return std::make_unique<ReplaceMask>(std::move(expression), std::move(pieces),
                                         type.characters_max);
  }
  constexpr uint64_t kMadeMax = 10'000;
  const uint64_t most = type.characters_max == 0 ? kMadeMax : type.characters_max;
  if (expression.generated_max() > most) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "regexp: `pattern` may make {} characters, at most {} fit; write "
                            "{{m,n}} instead of * and +",
                            expression.generated_max(), most);
  }
  PGFLOW_RETURN_IF_ERROR(TryOut(expression));
  return std::make_unique<RegexpMask>(Drawing(rule, key, "regexp"), type, std::move(expression));
}

}  // namespace pgflow::transformers
