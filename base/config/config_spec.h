// ConfigSpec: the fields of a configuration struct, each declared once and bound to its member.
// Parser, defaults (the member initialisers), bounds, documentation and schema follow from it.
//
//   ConfigSpec<Config> Spec() {
//     ConfigSpec<Config> spec;
//     spec.Field("workers", &Config::workers, "Tables read at once.").Range(1, 64);
//     spec.Field("mode", &Config::mode, "What to copy.").Choice({{"stream", Mode::kStream}, ...});
//     spec.Section("snapshot", &Config::snapshot, SnapshotSpec(), "How the snapshot is read.");
//     return spec;
//   }
//
// Members: bool, integers, double, std::string, Secret, absl::Duration, ByteSize, enums (Choice is
// then a must), vectors and maps of strings, Node (read by the component itself), std::optional of
// these. Sections: a struct, std::optional or std::vector of one.
#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/config/field_modifiers.h"
#include "base/config/node.h"
#include "base/config/spec_description.h"
#include "base/config/spec_field.h"
#include "base/config/values.h"

namespace pgflow::config {

// A value type; copies share the declarations. `C` must be default-constructible. Thread-safe once
// it is built.
template <typename C>
class ConfigSpec {
 public:
  // Modifiers are chained on what this returns; it may be dropped.
  template <typename M>
  FieldModifiers<C, M> Field(const std::string& name, M C::*member, const std::string& doc) {
    auto field = std::make_shared<ValueField<C, M>>(member);
    field->description.name = name;
    field->description.doc = doc;
    fields_.push_back(field);
    return FieldModifiers<C, M>(std::move(field));
  }

  template <typename S>
  void Section(const std::string& name, S C::*member, ConfigSpec<S> spec, const std::string& doc) {
    AddSection(name, doc, ValueType::kSection, spec,
               [member, spec](const Node& node, C& config, Problems& problems) {
                 return spec.Parse(node, config.*member, problems);
               });
    // Leaving the section out must not be a way around its required fields.
    FieldDescription& section = fields_.back()->description;
    for (const FieldDescription& field : section.nested->fields) {
      section.required = section.required || field.required;
    }
  }
  // Stays empty when it is not written.
  template <typename S>
  void Section(const std::string& name, std::optional<S> C::*member, ConfigSpec<S> spec,
               const std::string& doc) {
    AddSection(name, doc, ValueType::kSection, spec,
               [member, spec](const Node& node, C& config, Problems& problems) {
                 return spec.Parse(node, (config.*member).emplace(), problems);
               });
  }
  template <typename S>
  void Section(const std::string& name, std::vector<S> C::*member, ConfigSpec<S> spec,
               const std::string& doc) {
    FieldDescription description;
    description.type = ValueType::kSectionList;
    AddSection(name, doc, ValueType::kSectionList, spec,
               [member, spec, description](const Node& node, C& config, Problems& problems) {
                 if (!node.is_list()) {
                   AddWrongType(node, description, problems);
                   return false;
                 }
                 bool good = true;
                 for (const Node& item : node.items()) {
                   good = spec.Parse(item, (config.*member).emplace_back(), problems) && good;
                 }
                 return good;
               });
  }

  // Where the map was written.
  void Remember(Place C::*member) { place_ = member; }

  // Fills `config` from a map. False when it added to `problems`; it always looks at everything.
  bool Parse(const Node& node, C& config, Problems& problems) const {
    std::vector<std::string> names;
    for (const auto& field : fields_) names.push_back(field->description.name);
    const size_t before = problems.size();
    if (place_ != nullptr) config.*place_ = node.place();
    if (!CheckKeys(node, names, problems)) return false;
    for (const auto& field : fields_) {
      const Node value = node.Find(field->description.name);
      if (!value.is_absent()) {
        field->Parse(value, config, problems);
      } else if (field->description.required) {
        AddMissing(node, field->description, problems);
      }
    }
    return problems.size() == before;
  }

  SpecDescription Describe() const {
    SpecDescription description;
    const C defaults{};
    for (const auto& field : fields_) {
      description.fields.push_back(field->Describe(defaults));
    }
    return description;
  }

 private:
  template <typename S, typename ParseSection>
  void AddSection(const std::string& name, const std::string& doc, ValueType type,
                  const ConfigSpec<S>& spec, ParseSection parse) {
    auto field = std::make_shared<SectionField<C>>(std::move(parse));
    field->description.name = name;
    field->description.doc = doc;
    field->description.type = type;
    field->description.nested = std::make_shared<const SpecDescription>(spec.Describe());
    fields_.push_back(std::move(field));
  }

  std::vector<std::shared_ptr<AnyField<C>>> fields_;
  Place C::*place_ = nullptr;
};

}  // namespace pgflow::config
