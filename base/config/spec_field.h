// The fields inside a ConfigSpec: one class for a value, one for a section, and the modifiers that
// can be chained on a value. Used through config_spec.h.
#pragma once

#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/config/spec_description.h"
#include "base/config/value_traits.h"
#include "base/config/values.h"

namespace pgflow::config {

template <typename C>
struct AnyField {
  virtual ~AnyField() = default;
  virtual void Parse(const Node& node, C& config, Problems& problems) const = 0;
  virtual FieldDescription Describe(const C& defaults) const = 0;

  FieldDescription description;
};

template <typename C, typename M>
struct ValueField final : AnyField<C> {
  using T = typename Optional<M>::Value;

  explicit ValueField(M C::*bound) : member(bound) { this->description.type = ValueTypeOf<T>(); }

  void Parse(const Node& node, C& config, Problems& problems) const override {
    T value{};
    if (node.is_null() && Optional<M>::value) return;
    if (!choices.empty() || std::is_enum_v<T>) {
      if (!ReadChoice(node, value)) return AddWrongChoice(node, this->description, problems);
    } else if (!Read(node, value)) {
      return AddWrongType(node, this->description, problems);
    }
    if (this->description.required && IsEmpty(value)) {
      return AddEmpty(node, this->description, problems);
    }
    if (outside && outside(value)) return AddOutOfRange(node, this->description, problems);
    config.*member = std::move(value);
  }

  FieldDescription Describe(const C& defaults) const override {
    FieldDescription described = this->description;
    PGFLOW_CHECK(!std::is_enum_v<T> || !choices.empty(), "an enum field needs Choice()");
    if (described.required) return described;
    if constexpr (Optional<M>::value) {
      if ((defaults.*member).has_value()) described.default_text = PrintOne(*(defaults.*member));
    } else {
      described.default_text = PrintOne(defaults.*member);
    }
    return described;
  }

  M C::*member;
  std::vector<std::pair<std::string, T>> choices;
  std::function<bool(const T&)> outside;  // Of the range; unset: no range.

 private:
  static bool Read(const Node& node, T& value) {
    if constexpr (kIsInteger<T>) {
      using Wide = std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>;
      Wide wide{};
      if (!ReadValue(node, wide)) return false;
      if (wide < Wide{std::numeric_limits<T>::min()} ||
          wide > Wide{std::numeric_limits<T>::max()}) {
        return false;
      }
      value = static_cast<T>(wide);
      return true;
    } else if constexpr (std::is_enum_v<T>) {
      return false;
    } else {
      return ReadValue(node, value);
    }
  }

  bool ReadChoice(const Node& node, T& value) const {
    for (const auto& [text, choice] : choices) {
      if (node.is_scalar() && node.text() == text) {
        value = choice;
        return true;
      }
    }
    return false;
  }

  static bool IsEmpty(const T& value) {
    if constexpr (requires { value.empty(); }) return value.empty();
    return false;
  }

  std::string PrintOne(const T& value) const {
    if constexpr (std::equality_comparable<T>) {
      for (const auto& [text, choice] : choices) {
        if (choice == value) return text;
      }
    }
    if constexpr (std::is_enum_v<T>) {
      return "";
    } else {
      return Print(value);
    }
  }
};

template <typename C>
struct SectionField final : AnyField<C> {
  using ParseFunction = std::function<bool(const Node&, C&, Problems&)>;

  explicit SectionField(ParseFunction function) : parse(std::move(function)) {}
  void Parse(const Node& node, C& config, Problems& problems) const override {
    parse(node, config, problems);
  }
  FieldDescription Describe(const C&) const override { return this->description; }

  ParseFunction parse;
};

}  // namespace pgflow::config
