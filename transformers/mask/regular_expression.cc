#include "transformers/mask/regular_expression.h"

#include <algorithm>
#include <utility>

#include "base/status.h"

namespace pgflow::transformers {
namespace {

using Kind = PatternNode::Kind;

constexpr size_t kProgramMax = 20'000;
constexpr uint32_t kOpenTimes = 8;  // What * and + may generate.
constexpr size_t kNone = std::string_view::npos;

bool IsWord(std::string_view text, size_t at) {
  if (at >= text.size()) return false;
  const char c = text[at];
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

uint32_t TimesMax(const PatternNode& repeat) {
  return repeat.most == PatternNode::kNoEnd ? std::max(repeat.least, kOpenTimes) : repeat.most;
}

void AppendUtf8(char32_t point, std::string& out) {
  if (point < 0x80) {
    out.push_back(static_cast<char>(point));
    return;
  }
  const unsigned more = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
  static constexpr unsigned kLeads[] = {0, 0xC0, 0xE0, 0xF0};
  out.push_back(static_cast<char>(kLeads[more] | point >> (6 * more)));
  for (unsigned i = more; i > 0; --i) {
    out.push_back(static_cast<char>(0x80U | (point >> (6 * (i - 1)) & 0x3FU)));
  }
}

// Leaves of each class those that can be printed and are ASCII; all when none is.
void KeepPrintable(PatternNode& node) {
  for (PatternNode& child : node.children) KeepPrintable(child);
  CodePoints printable;
  for (const auto& [first, last] : node.points) {
    const char32_t least = std::max<char32_t>(first, ' ');
    const char32_t most = std::min<char32_t>(last, '~');
    if (least <= most) printable.emplace_back(least, most);
  }
  if (!printable.empty()) node.points = std::move(printable);
}

void Generate(const PatternNode& node, BitStream& bits, std::string& out) {
  switch (node.kind) {
    case Kind::kClass: {
      uint64_t count = 0;
      for (const auto& [first, last] : node.points) count += last - first + 1;
      uint64_t drawn = bits.Below(count);
      for (const auto& [first, last] : node.points) {
        const uint64_t size = last - first + 1;
        if (drawn < size) return AppendUtf8(first + static_cast<char32_t>(drawn), out);
        drawn -= size;
      }
      return;
    }
    case Kind::kAlternatives:
      return Generate(node.children[bits.Below(node.children.size())], bits, out);
    case Kind::kRepeat: {
      const uint64_t times = node.least + bits.Below(uint64_t{TimesMax(node)} - node.least + 1);
      for (uint64_t i = 0; i < times; ++i) Generate(node.children[0], bits, out);
      return;
    }
    default:
      for (const PatternNode& child : node.children) Generate(child, bits, out);
      return;
  }
}

uint64_t GeneratedMax(const PatternNode& node) {
  constexpr uint64_t kEnough = 1'000'000'000;
  uint64_t size = node.kind == Kind::kClass ? 1 : 0;
  for (const PatternNode& child : node.children) {
    const uint64_t one = GeneratedMax(child);
    size = node.kind == Kind::kAlternatives ? std::max(size, one) : size + one;
  }
  if (node.kind == Kind::kRepeat) size *= TimesMax(node);
  return std::min(size, kEnough);
}

}  // namespace

uint32_t RegularExpression::Add(Instruction instruction) {
  program_.push_back(instruction);
  return static_cast<uint32_t>(program_.size() - 1);
}

bool RegularExpression::EmitRepeat(const PatternNode& node) {
  const PatternNode& child = node.children[0];
  // `first` is the way to try first: into the child, or past it.
  const auto aim = [&](uint32_t split, uint32_t into, uint32_t past) {
    program_[split].first = node.greedy ? into : past;
    program_[split].second = node.greedy ? past : into;
  };
  const auto here = [this] { return static_cast<uint32_t>(program_.size()); };
  for (uint32_t i = 0; i < node.least; ++i) {
    if (!Emit(child)) return false;
  }
  if (node.most == PatternNode::kNoEnd) {
    const uint32_t split = Add({Instruction::Kind::kSplit});
    if (!Emit(child)) return false;
    Add({Instruction::Kind::kJump, split});
    aim(split, split + 1, here());
    return true;
  }
  std::vector<uint32_t> splits;
  for (uint32_t i = node.least; i < node.most; ++i) {
    splits.push_back(Add({Instruction::Kind::kSplit}));
    if (!Emit(child)) return false;
  }
  for (const uint32_t split : splits) aim(split, split + 1, here());
  return true;
}

bool RegularExpression::Emit(const PatternNode& node) {
  if (program_.size() > kProgramMax) return false;
  switch (node.kind) {
    case Kind::kClass: {
      const auto found = std::ranges::find(classes_, node.points);
      Add({Instruction::Kind::kClass, static_cast<uint32_t>(found - classes_.begin())});
      if (found == classes_.end()) classes_.push_back(node.points);
      return true;
    }
    case Kind::kSequence:
      return std::ranges::all_of(node.children, [this](const auto& each) { return Emit(each); });
    case Kind::kAlternatives: {
      std::vector<uint32_t> ends;
      for (size_t i = 0; i + 1 < node.children.size(); ++i) {
        const uint32_t split = Add({Instruction::Kind::kSplit});
        if (!Emit(node.children[i])) return false;
        ends.push_back(Add({Instruction::Kind::kJump}));
        program_[split].first = split + 1;
        program_[split].second = static_cast<uint32_t>(program_.size());
      }
      if (!Emit(node.children.back())) return false;
      for (const uint32_t end : ends) program_[end].first = static_cast<uint32_t>(program_.size());
      return true;
    }
    case Kind::kRepeat:
      return EmitRepeat(node);
    case Kind::kGroup:
      if (node.group > 0) Add({Instruction::Kind::kSave, 2 * node.group});
      if (!Emit(node.children[0])) return false;
      if (node.group > 0) Add({Instruction::Kind::kSave, 2 * node.group + 1});
      return true;
    case Kind::kBegin:
      Add({Instruction::Kind::kBegin});
      return true;
    case Kind::kEnd:
      Add({Instruction::Kind::kEnd});
      return true;
    case Kind::kBoundary:
      Add({Instruction::Kind::kBoundary});
      return true;
  }
  return false;
}

absl::StatusOr<RegularExpression> RegularExpression::Make(std::string_view pattern) {
  PGFLOW_ASSIGN_OR_RETURN(PatternTree tree, ParsePattern(pattern));
  RegularExpression made;
  made.root_ = std::move(tree.root);
  made.group_count_ = tree.group_count;
  made.generated_max_ = GeneratedMax(made.root_);
  made.Add({Instruction::Kind::kSave, 0});
  const bool small = made.Emit(made.root_);
  made.Add({Instruction::Kind::kSave, 1});
  made.Add({Instruction::Kind::kMatch});
  if (!small || made.program_.size() > kProgramMax) {
    return base::MakeStatus(
        absl::StatusCode::kInvalidArgument,
        "`pattern` '{}' repeats too much: written out it has more than {} steps", pattern,
        kProgramMax);
  }
  return made;
}

void RegularExpression::Generate(BitStream& bits, std::string& out) const {
  transformers::Generate(root_, bits, out);
}

// One search: the threads are the ways through the program that the text so far leaves open, each
// with the groups it has seen.
class Search {
 public:
  using Threads = RegularExpression::Scratch::Threads;
  using Step = RegularExpression::Instruction::Kind;

  Search(const RegularExpression& expression, std::string_view text,
         RegularExpression::Scratch& scratch)
      : expression_(expression),
        text_(text),
        scratch_(scratch),
        slots_(2 * (size_t{expression.group_count_} + 1)) {
    for (Threads* threads : {&scratch_.now_, &scratch_.next_}) {
      threads->order.clear();
      threads->places.resize(std::max(threads->places.size(), expression.program_.size()));
      threads->groups.resize(std::max(threads->groups.size(), expression.program_.size() * slots_));
    }
    scratch_.groups_.assign(slots_, kNone);
  }

  bool Run(size_t at) {
    bool found = false;
    while (true) {
      if (!found) {
        scratch_.pending_.assign(slots_, kNone);
        Follow(0, at, scratch_.now_);
      }
      if (scratch_.now_.order.empty()) {
        if (found || at >= text_.size()) return found;
      }
      size_t size = 0;
      const char32_t character = at < text_.size() ? CharacterAt(text_, at, size) : 0;
      scratch_.next_.order.clear();
      for (const uint32_t place : scratch_.now_.order) {
        const auto& instruction = expression_.program_[place];
        const size_t* groups = scratch_.now_.groups.data() + place * slots_;
        if (instruction.kind == Step::kMatch) {
          scratch_.groups_.assign(groups, groups + slots_);
          found = true;
          break;  // What is behind it in the order is of lower rank.
        }
        if (instruction.kind != Step::kClass || size == 0) continue;
        if (!Contains(expression_.classes_[instruction.first], character)) continue;
        scratch_.pending_.assign(groups, groups + slots_);
        Follow(place + 1, at + size, scratch_.next_);
      }
      std::swap(scratch_.now_, scratch_.next_);
      if (size == 0) return found;
      at += size;
    }
  }

 private:
  // Adds the thread at `place` with the groups that are pending, and all that it reaches without
  // reading. The depth is bounded by the program's length.
  void Follow(uint32_t place, size_t at, Threads& threads) {
    static constexpr uint32_t kNoSlot = RegularExpression::Scratch::kNoSlot;
    auto& open = scratch_.open_;
    open.push_back({place, kNoSlot, 0});
    while (!open.empty()) {
      const auto visit = open.back();
      open.pop_back();
      if (visit.slot != kNoSlot) {
        scratch_.pending_[visit.slot] = visit.value;
        continue;
      }
      uint32_t& seen = threads.places[visit.place];
      if (seen < threads.order.size() && threads.order[seen] == visit.place) continue;
      seen = static_cast<uint32_t>(threads.order.size());
      threads.order.push_back(visit.place);
      const auto& instruction = expression_.program_[visit.place];
      switch (instruction.kind) {
        case Step::kJump:
          open.push_back({instruction.first, kNoSlot, 0});
          break;
        case Step::kSplit:
          open.push_back({instruction.second, kNoSlot, 0});
          open.push_back({instruction.first, kNoSlot, 0});
          break;
        case Step::kSave:
          open.push_back({0, instruction.first, scratch_.pending_[instruction.first]});
          scratch_.pending_[instruction.first] = at;
          open.push_back({visit.place + 1, kNoSlot, 0});
          break;
        case Step::kBegin:
          if (at == 0) open.push_back({visit.place + 1, kNoSlot, 0});
          break;
        case Step::kEnd:
          if (at == text_.size()) open.push_back({visit.place + 1, kNoSlot, 0});
          break;
        case Step::kBoundary:
          if ((at > 0 && IsWord(text_, at - 1)) != IsWord(text_, at)) {
            open.push_back({visit.place + 1, kNoSlot, 0});
          }
          break;
        case Step::kClass:
        case Step::kMatch:
          std::ranges::copy(scratch_.pending_,
                            threads.groups.begin() + static_cast<ptrdiff_t>(visit.place * slots_));
          break;
      }
    }
  }

  const RegularExpression& expression_;
  std::string_view text_;
  RegularExpression::Scratch& scratch_;
  size_t slots_;
};

bool RegularExpression::Find(std::string_view text, size_t from, Scratch& scratch) const {
  return Search(*this, text, scratch).Run(from);
}

}  // namespace pgflow::transformers
