// What can be said of a field when it is declared: Required, Range, Choice, Example. Used through
// config_spec.h.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/config/spec_field.h"
#include "base/config/value_traits.h"

namespace pgflow::config {

// A handle to a declared field; copying it is cheap.
template <typename C, typename M>
class FieldModifiers {
 public:
  using T = typename Optional<M>::Value;

  explicit FieldModifiers(std::shared_ptr<ValueField<C, M>> field) : field_(std::move(field)) {}

  // Must be written, and a text or list not be empty.
  FieldModifiers& Required() {
    field_->description.required = true;
    return *this;
  }
  // Both ends are allowed.
  FieldModifiers& Range(T minimum, T maximum) {
    field_->description.minimum = Print(minimum);
    field_->description.maximum = Print(maximum);
    field_->outside = [minimum, maximum](const T& value) {
      return value < minimum || maximum < value;
    };
    return *this;
  }
  FieldModifiers& Choice(std::vector<std::pair<std::string, T>> choices) {
    for (const auto& choice : choices) field_->description.choices.push_back(choice.first);
    field_->choices = std::move(choices);
    return *this;
  }
  FieldModifiers& Example(const std::string& example) {
    field_->description.example = example;
    return *this;
  }

 private:
  std::shared_ptr<ValueField<C, M>> field_;
};

}  // namespace pgflow::config
