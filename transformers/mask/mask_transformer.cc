#include "transformers/mask/mask_transformer.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "base/config/written_at.h"
#include "base/config/yaml_reader.h"
#include "base/log.h"
#include "base/status.h"
#include "schemas/glob.h"
#include "transformers/mask/kind_facts.h"
#include "transformers/mask/security_labels.h"

namespace pgflow::transformers {

using engine::ChangeEvent;
using schemas::TableSchema;

namespace {

bool IsPattern(const std::string& name) { return name.find_first_of("*?[\\") != std::string::npos; }

absl::Status Refused(const TableSchema& schema, size_t column, std::string_view why) {
  return base::MakeStatus(absl::StatusCode::kInvalidArgument, "mask: table {}, column '{}': {}",
                          schema.table.ToString(), schema.columns[column].name, why);
}

// The lines of a file, without an empty last one.
absl::StatusOr<std::vector<std::string>> ReadLines(const std::string& path) {
  PGFLOW_ASSIGN_OR_RETURN(const std::string text, config::ReadTextFile(path));
  std::vector<std::string> lines;
  for (std::string_view rest = text; !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.emplace_back(line);
  }
  if (lines.empty()) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument, "`file` {} is empty", path);
  }
  return lines;
}

// What can be seen of the rule before any table is.
absl::Status Complete(MaskRule& rule, const MaskConfig& config) {
  if (!rule.locale.has_value() && rule.with != MaskKind::kUnset && TakesLocale(rule.with)) {
    rule.locale = config.locale;
  }
  PGFLOW_RETURN_IF_ERROR(CheckMaskRule(rule, config.key));
  if (rule.file.has_value()) {
    PGFLOW_ASSIGN_OR_RETURN(rule.values, ReadLines(*rule.file));
  }
  if (!rule.when.has_value()) return absl::OkStatus();
  const absl::StatusOr<expressions::Expression> when = expressions::Expression::Parse(*rule.when);
  if (!when.ok()) return base::Annotate(when.status(), "mask: when");
  if (when->is_of_one_row()) return absl::OkStatus();
  return WrongRule(rule, "`when` looks at one row: without `old` and `operation`");
}

// Templates see what the others make; one of another would depend on their order.
absl::Status CheckTemplates(const TableSchema& schema, const RowMasks& masks) {
  const auto check = [&](size_t column, const TemplateMask& mask) {
    const bool good =
        std::ranges::none_of(mask.columns(), [&](size_t each) { return masks.made[each]; });
    return good ? absl::OkStatus()
                : Refused(schema, column,
                          "its template names a column that is made by a template itself");
  };
  for (const RowMasks::Template& each : masks.templates) {
    PGFLOW_RETURN_IF_ERROR(check(each.column, each.mask));
  }
  for (const RowMasks::Column& column : masks.by_row) {
    for (const RowMasks::Alternative& each : column.alternatives) {
      if (each.made.has_value()) PGFLOW_RETURN_IF_ERROR(check(column.column, *each.made));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<engine::Transformer>> MaskTransformer::Make(MaskConfig config) {
  std::vector<MaskRule> rules = std::move(config.rules);
  const bool single = !config.table.empty() || !config.column.empty();
  const bool labels_alone = !single && rules.empty() && config.security_labels;
  if (single == !rules.empty() && !labels_alone) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "mask needs either `table`, `column` and `with`, or `rules`, or "
                            "`security_labels`");
  }
  if (!single && (config.random || config.when.has_value() || config.with != MaskKind::kUnset)) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "beside `rules`, `with`, `when` and `random` mean nothing; write them "
                            "in the rules that they are for");
  }
  if (single) rules.push_back(static_cast<const MaskRule&>(config));
  for (MaskRule& rule : rules) {
    const absl::Status good = Complete(rule, config);
    if (!good.ok()) return config::AddWrittenAt(good, "rule", rule.place);
  }
  return std::make_unique<MaskTransformer>(std::move(rules), std::move(config));
}

absl::StatusOr<std::optional<MaskRule>> MaskTransformer::LabelRule(
    const std::string& table, const schemas::Column& column) const {
  std::optional<MaskRule> rule;
  if (!column.mask_label.has_value()) {
    // A label may have been there: nothing may be shown by mistake.
    if (column.identity) {
      return absl::FailedPreconditionError(
          "the catalog does not know it (any more), and so nobody knows whether a security label "
          "masks it; as a part of the key it cannot become NULL: write a rule for it");
    }
    rule.emplace().with = MaskKind::kNull;
    return rule;
  }
  if (column.mask_label->empty()) return rule;
  PGFLOW_ASSIGN_OR_RETURN(rule, RuleOfLabel(*column.mask_label));
  rule->table = table;
  rule->column = column.name;
  PGFLOW_RETURN_IF_ERROR(base::Annotate(
      Complete(*rule, config_), fmt::format("the security label '{}'", *column.mask_label)));
  return rule;
}

absl::StatusOr<std::vector<MaskRule>> MaskTransformer::RulesOf(
    const TableSchema& schema, const schemas::Column& column) const {
  const std::string table = schema.table.ToString();
  std::vector<MaskRule> found;
  for (const MaskRule& rule : rules_) {
    if (!schemas::MatchesGlob(rule.table, table) ||
        !schemas::MatchesGlob(rule.column, column.name)) {
      continue;
    }
    found.push_back(rule);
    if (!rule.when.has_value()) return found;
  }
  if (!config_.security_labels || schema.rows != schemas::RowKind::kTable) return found;
  absl::StatusOr<std::optional<MaskRule>> label = LabelRule(table, column);
  if (!label.ok()) {
    return base::Annotate(label.status(),
                          fmt::format("mask: table {}, column '{}'", table, column.name));
  }
  if (label->has_value()) found.push_back(**std::move(label));
  return found;
}

bool MaskTransformer::IsConcerned(const TableSchema& schema) const {
  const std::string table = schema.table.ToString();
  const auto names = [&](const MaskRule& rule) { return schemas::MatchesGlob(rule.table, table); };
  if (std::ranges::any_of(rules_, names)) return true;
  return config_.security_labels && schema.rows == schemas::RowKind::kTable &&
         std::ranges::any_of(schema.columns,
                             [](const auto& column) { return column.mask_label != ""; });
}

// A misspelt name would let its values pass.
absl::Status MaskTransformer::CheckNamedColumns(const std::string& table,
                                                const TableSchema& schema) const {
  for (const MaskRule& rule : rules_) {
    if (IsPattern(rule.table) || IsPattern(rule.column) || rule.table != table) continue;
    if (schema.FindColumn(rule.column).has_value()) continue;
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "mask: table {} has no column '{}'{}", table, rule.column,
                            config::WrittenAt("rule", rule.place));
  }
  return absl::OkStatus();
}

// A target with the same index takes the first of the rows that become equal and refuses the rest.
// NULLs are not equal there, unless the index says so.
std::vector<engine::Finding> MaskTransformer::Duplicates(const TableSchema& schema) const {
  std::vector<engine::Finding> findings;
  for (const schemas::Column& column : schema.columns) {
    if (column.unique_index.empty()) continue;
    const absl::StatusOr<std::vector<MaskRule>> rules = RulesOf(schema, column);
    if (!rules.ok()) continue;
    for (const MaskRule& rule : *rules) {
      // Beside another rule's values, a permutation's are not unique.
      const bool alone = rules->size() == 1 || rule.with != MaskKind::kPermute;
      if (rule.allow_duplicates || (KeepsUnique(rule) && alone)) continue;
      if (rule.with == MaskKind::kNull && !column.unique_nulls) continue;
      findings.push_back(
          {engine::Finding::Severity::kError,
           fmt::format("table {}, column {}", schema.table.ToString(), column.name),
           fmt::format("its values count in the unique index {}, and {} may make different ones "
                       "equal: a target with such an index refuses the rows{}",
                       column.unique_index, MaskKindName(rule.with),
                       config::WrittenAt("rule", rule.place)),
           "use permute, uuid, email, url, hash, aes_siv or a longer string or user_name; or "
           "allow_duplicates: true, where the target has no such index"});
    }
  }
  return findings;
}

absl::StatusOr<RowMasks::Alternative> MaskTransformer::MakeAlternative(const MaskRule& rule,
                                                                       const TableSchema& schema,
                                                                       size_t column) const {
  RowMasks::Alternative made;
  PGFLOW_ASSIGN_OR_RETURN(made.mask,
                          MakeColumnMask(rule, config_.key, schema, schema.columns[column]));
  if (rule.with == MaskKind::kTemplate) {
    PGFLOW_ASSIGN_OR_RETURN(made.made, TemplateMask::Make(*rule.value, schema, column));
  }
  if (!rule.when.has_value()) return made;
  PGFLOW_ASSIGN_OR_RETURN(const expressions::Expression parsed,
                          expressions::Expression::Parse(*rule.when));
  absl::StatusOr<expressions::Expression> bound = parsed.BindCondition(schema);
  if (!bound.ok()) return base::Annotate(bound.status(), "mask: when");
  made.when = *std::move(bound);
  return made;
}

absl::Status MaskTransformer::AddColumn(const TableSchema& schema, size_t column,
                                        RowMasks& masks) const {
  const std::string table = schema.table.ToString();
  const std::string& name = schema.columns[column].name;
  PGFLOW_ASSIGN_OR_RETURN(const std::vector<MaskRule> rules,
                          RulesOf(schema, schema.columns[column]));
  if (config_.strict && (rules.empty() || rules.back().when.has_value())) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "mask: column '{}' of table {} has no rule{}, and the mask is "
                            "strict; add one (`with: keep` lets its values pass)",
                            name, table, rules.empty() ? "" : " without `when`");
  }
  masks.masks.push_back(nullptr);
  RowMasks::Column by_row{.column = column, .alternatives = {}, .by_identity = true};
  for (const MaskRule& rule : rules) {
    absl::StatusOr<RowMasks::Alternative> made = MakeAlternative(rule, schema, column);
    if (!made.ok()) return config::AddWrittenAt(made.status(), "rule", rule.place);
    masks.touched |= made->mask != nullptr || made->made.has_value();
    if (made->made.has_value()) masks.made[column] = true;
    if (made->when.has_value()) {
      by_row.by_identity &= std::ranges::all_of(
          made->when->columns(), [&](size_t each) { return schema.columns[each].identity; });
    }
    by_row.alternatives.push_back(*std::move(made));
  }
  if (rules.empty()) return absl::OkStatus();
  if (rules.front().when.has_value()) {
    masks.by_row.push_back(std::move(by_row));
    return absl::OkStatus();
  }
  RowMasks::Alternative& only = by_row.alternatives.front();
  masks.masks.back() = std::move(only.mask);
  if (only.made.has_value()) masks.templates.push_back({column, *std::move(only.made)});
  return absl::OkStatus();
}

absl::StatusOr<RowMasks> MaskTransformer::Derive(const TableSchema& schema) const {
  RowMasks masks;
  if (!IsConcerned(schema)) return masks;
  PGFLOW_RETURN_IF_ERROR(CheckNamedColumns(schema.table.ToString(), schema));
  masks.masks.reserve(schema.columns.size());
  masks.made.resize(schema.columns.size());
  for (size_t i = 0; i < schema.columns.size(); ++i) {
    PGFLOW_RETURN_IF_ERROR(AddColumn(schema, i, masks));
  }
  PGFLOW_RETURN_IF_ERROR(CheckTemplates(schema, masks));
  for (const engine::Finding& finding : Duplicates(schema)) {
    base::LogWarning("mask: {}: {}; {}", finding.subject, finding.problem, finding.remedy);
  }
  return masks;
}

absl::StatusOr<MaskTransformer::PlanPtr> MaskTransformer::PlanOf(
    const schemas::TableSchemaPtr& schema) {
  return plans_.Get(schema, [this](const schemas::TableSchemaPtr& seen) { return Derive(*seen); });
}

absl::StatusOr<schemas::TableSchemaPtr> MaskTransformer::TransformSchema(
    const schemas::TableSchemaPtr& schema) {
  PGFLOW_RETURN_IF_ERROR(PlanOf(schema).status());
  return schema;
}

absl::Status MaskTransformer::Transform(engine::Batch& batch) {
  RowMasker masker(batch);
  PlanPtr plan;
  if (const engine::CopyRows* rows = batch.raw_rows()) {
    PGFLOW_ASSIGN_OR_RETURN(plan, PlanOf(rows->schema));
    if (!plan->touched) return absl::OkStatus();
    if (rows->format == engine::CopyFormat::kBinary && plan->by_field()) {
      return masker.MaskCopyRows(*plan);
    }
  }
  PGFLOW_ASSIGN_OR_RETURN(std::vector<ChangeEvent> * events, batch.MutableEvents());
  const TableSchema* schema = nullptr;
  for (ChangeEvent& event : *events) {
    if (event.operation == engine::Operation::kSchemaChange) continue;  // Names and columns stay.
    if (event.schema != schema) {
      schema = event.schema;
      PGFLOW_ASSIGN_OR_RETURN(plan, PlanOf(batch.OwnerOf(schema)));
    }
    if (!plan->touched) continue;
    absl::Status status = masker.MaskEvent(*plan, event);
    if (!status.ok() && !batch.is_snapshot()) {
      base::SetPayload(status, engine::kCulpritPayload, batch.PositionOf(event).ToString());
    }
    PGFLOW_RETURN_IF_ERROR(status);
  }
  return absl::OkStatus();
}

std::vector<engine::Finding> MaskTransformer::Check(
    std::span<const schemas::TableSchemaPtr> tables) const {
  std::vector<engine::Finding> findings;
  for (const MaskRule& rule : rules_) {
    const bool matched = std::ranges::any_of(tables, [&](const schemas::TableSchemaPtr& table) {
      return schemas::MatchesGlob(rule.table, table->table.ToString()) &&
             std::ranges::any_of(table->columns, [&](const schemas::Column& column) {
               return schemas::MatchesGlob(rule.column, column.name);
             });
    });
    if (matched) continue;
    findings.push_back({engine::Finding::Severity::kError,
                        fmt::format("table {}, column {}{}", rule.table, rule.column,
                                    config::WrittenAt("rule", rule.place)),
                        "no table that comes here has such a column: the rule masks nothing",
                        "mend the names, or remove the rule"});
  }
  for (const schemas::TableSchemaPtr& table : tables) {
    std::ranges::move(Duplicates(*table), std::back_inserter(findings));
  }
  return findings;
}

engine::ComponentType<engine::Transformer> MaskType() {
  return engine::MakeComponentType<engine::Transformer, MaskConfig>(
      "mask", "Puts other values in place of those that a copy must not show.", "", &MaskSpec,
      &MaskTransformer::Make);
}

}  // namespace pgflow::transformers
