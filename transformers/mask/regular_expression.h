// RegularExpression: finds texts, and makes texts that it finds.
//
// Leftmost; of several matches there the one that Perl takes. Time is the text's length times the
// expression's, whatever they are: all ways are followed at once, none is tried and taken back.
// Immutable; thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

#include "transformers/mask/keyed_hash.h"
#include "transformers/mask/pattern_tree.h"

namespace pgflow::transformers {

class Search;

class RegularExpression {
 public:
  // What a search works with. One thread.
  class Scratch {
   public:
    // Of group `number` of the last match (0: all of it); npos: it took no part.
    size_t begin(uint32_t number) const { return groups_[2 * size_t{number}]; }
    size_t end(uint32_t number) const { return groups_[2 * size_t{number} + 1]; }

   private:
    friend class RegularExpression;
    friend class Search;
    struct Threads {
      std::vector<uint32_t> order;  // Instructions, the first to try in front.
      std::vector<uint32_t> places;
      std::vector<size_t> groups;
    };
    struct Visit {
      uint32_t place;
      uint32_t slot;  // kNoSlot, or a group's end that is to be put back,
      size_t value;   // to this.
    };
    static constexpr uint32_t kNoSlot = UINT32_MAX;
    Threads now_;
    Threads next_;
    std::vector<Visit> open_;
    std::vector<size_t> pending_;
    std::vector<size_t> groups_;
  };

  // kInvalidArgument: malformed, or too long when its repetitions are written out.
  static absl::StatusOr<RegularExpression> Make(std::string_view pattern);

  uint32_t group_count() const { return group_count_; }
  // The first match that begins at `from` or behind it.
  bool Find(std::string_view text, size_t from, Scratch& scratch) const;

  // Appends a text of printable ASCII where the expression leaves the choice.
  void Generate(BitStream& bits, std::string& out) const;
  // Of what Generate makes, in characters at most.
  uint64_t generated_max() const { return generated_max_; }

 private:
  friend class Search;
  struct Instruction {
    enum class Kind : uint8_t { kClass, kSplit, kJump, kSave, kBegin, kEnd, kBoundary, kMatch };
    Kind kind;
    uint32_t first = 0;   // Where to go on; of kClass the class, of kSave the number.
    uint32_t second = 0;  // Of kSplit: where else.
  };

  bool Emit(const PatternNode& node);
  bool EmitRepeat(const PatternNode& node);
  uint32_t Add(Instruction instruction);

  PatternNode root_;  // For Generate.
  uint32_t group_count_ = 0;
  uint64_t generated_max_ = 0;
  std::vector<Instruction> program_;
  std::vector<CodePoints> classes_;
};

}  // namespace pgflow::transformers
