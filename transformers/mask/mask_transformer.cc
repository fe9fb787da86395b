#include "transformers/mask/mask_transformer.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/config/written_at.h"
#include "base/log.h"
#include "base/status.h"
#include "schemas/glob.h"

namespace pgflow::transformers {

using engine::ChangeEvent;
using schemas::TableSchema;
using schemas::Value;
using schemas::ValueKind;

namespace {

bool IsPattern(const std::string& name) { return name.find_first_of("*?[\\") != std::string::npos; }

absl::Status Refused(const TableSchema& schema, size_t column, std::string_view why) {
  return base::MakeStatus(absl::StatusCode::kInvalidArgument, "mask: table {}, column '{}': {}",
                          schema.table.ToString(), schema.columns[column].name, why);
}

schemas::RowView StoreRow(engine::Batch& batch, const std::vector<Value>& values) {
  std::span<Value> row = batch.NewValues(values.size());
  std::ranges::copy(values, row.begin());
  return schemas::RowView::Values(row);
}

}  // namespace

absl::StatusOr<std::unique_ptr<engine::Transformer>> MaskTransformer::Make(MaskConfig config) {
  std::vector<MaskRule> rules = std::move(config.rules);
  const bool single = !config.table.empty() || !config.column.empty();
  if (single == !rules.empty()) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "mask needs either `table`, `column` and `with`, or `rules`");
  }
  if (single) rules.push_back(static_cast<const MaskRule&>(config));
  for (const MaskRule& rule : rules) {
    const absl::Status good = CheckMaskRule(rule, config.key);
    if (!good.ok()) return config::AddWrittenAt(good, "rule", rule.place);
  }
  return std::make_unique<MaskTransformer>(std::move(rules), std::move(config.key), config.strict);
}

const MaskRule* MaskTransformer::RuleOf(const std::string& table, const std::string& column) const {
  const auto found = std::ranges::find_if(rules_, [&](const MaskRule& rule) {
    return schemas::MatchesGlob(rule.table, table) && schemas::MatchesGlob(rule.column, column);
  });
  return found == rules_.end() ? nullptr : &*found;
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
    const MaskRule* rule = RuleOf(schema.table.ToString(), column.name);
    if (rule == nullptr || rule->allow_duplicates || KeepsUnique(*rule)) continue;
    if (rule->with == MaskKind::kNull && !column.unique_nulls) continue;
    findings.push_back(
        {engine::Finding::Severity::kError,
         fmt::format("table {}, column {}", schema.table.ToString(), column.name),
         fmt::format("its values count in the unique index {}, and {} may make different ones "
                     "equal: a target with such an index refuses the rows{}",
                     column.unique_index, MaskKindName(rule->with),
                     config::WrittenAt("rule", rule->place)),
         "use permute, uuid, email, hash, aes_siv or a longer string; or allow_duplicates: true, "
         "where the target has no such index"});
  }
  return findings;
}

absl::Status MaskTransformer::PlanTemplates(const TableSchema& schema, Plan& plan) const {
  const std::string table = schema.table.ToString();
  for (size_t i = 0; i < schema.columns.size(); ++i) {
    const MaskRule* rule = RuleOf(table, schema.columns[i].name);
    if (rule == nullptr || rule->with != MaskKind::kTemplate) continue;
    absl::StatusOr<TemplateMask> made = TemplateMask::Make(*rule->value, schema, i);
    if (!made.ok()) return config::AddWrittenAt(made.status(), "rule", rule->place);
    plan.templates.push_back(*std::move(made));
    plan.template_columns.push_back(i);
  }
  for (size_t i = 0; i < plan.templates.size(); ++i) {
    for (const size_t column : plan.templates[i].columns()) {
      if (std::ranges::find(plan.template_columns, column) == plan.template_columns.end()) continue;
      return Refused(schema, plan.template_columns[i],
                     "its template names a column that is made by a template itself");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<MaskTransformer::Plan> MaskTransformer::Derive(const TableSchema& schema) const {
  Plan plan;
  const std::string table = schema.table.ToString();
  const bool named = std::ranges::any_of(
      rules_, [&](const MaskRule& rule) { return schemas::MatchesGlob(rule.table, table); });
  if (!named) return plan;
  PGFLOW_RETURN_IF_ERROR(CheckNamedColumns(table, schema));
  plan.masks.reserve(schema.columns.size());
  for (const schemas::Column& column : schema.columns) {
    const MaskRule* rule = RuleOf(table, column.name);
    if (rule == nullptr) {
      if (strict_) {
        return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                                "mask: column '{}' of table {} has no rule, and the mask is "
                                "strict; add one (`with: keep` lets its values pass)",
                                column.name, table);
      }
      plan.masks.push_back(nullptr);
      continue;
    }
    absl::StatusOr<ColumnMaskPtr> mask = MakeColumnMask(*rule, key_, schema, column);
    if (!mask.ok()) return config::AddWrittenAt(mask.status(), "rule", rule->place);
    plan.touched |= *mask != nullptr;
    plan.masks.push_back(*std::move(mask));
  }
  PGFLOW_RETURN_IF_ERROR(PlanTemplates(schema, plan));
  plan.touched |= !plan.templates.empty();
  for (const engine::Finding& finding : Duplicates(schema)) {
    base::LogWarning("mask: {}: {}; {}", finding.subject, finding.problem, finding.remedy);
  }
  return plan;
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

absl::Status MaskTransformer::MaskCopyRows(const Plan& plan, Run& run) {
  const engine::CopyRows& rows = *run.batch.raw_rows();
  const TableSchema& schema = *rows.schema;
  std::string out;
  out.reserve(rows.bytes.size() + rows.bytes.size() / 4);
  std::string_view rest = rows.bytes;
  const auto malformed = [&schema] {
    return base::MakeStatus(absl::StatusCode::kDataLoss, "table {}: malformed COPY row",
                            schema.table.ToString());
  };
  while (!rest.empty()) {
    const std::optional<size_t> size = schemas::RowView::ValidateCopyBinary(rest);
    if (!size.has_value()) return malformed();
    base::ByteReader row(rest.substr(0, *size));
    rest.remove_prefix(*size);
    const auto count = row.Read<int16_t>();
    if (static_cast<size_t>(count) != plan.masks.size()) return malformed();
    base::AppendBigEndian(out, count);
    for (const ColumnMaskPtr& mask : plan.masks) {
      const auto field = row.Read<int32_t>();
      const size_t at = out.size();
      base::AppendBigEndian(out, field);
      if (field < 0) continue;
      const std::string_view bytes = row.ReadBytes(static_cast<uint32_t>(field));
      MaskOutcome outcome = MaskOutcome::kKept;
      if (mask != nullptr) {
        const Value value{bytes.data(), static_cast<uint32_t>(bytes.size()), ValueKind::kBinary};
        outcome = mask->Append(value, run.scratch, out);
      }
      if (outcome == MaskOutcome::kKept) {
        out.append(bytes);
      } else if (outcome == MaskOutcome::kWritten) {
        base::StoreBigEndian(out.data() + at,
                             static_cast<int32_t>(out.size() - at - sizeof(int32_t)));
      } else if (outcome == MaskOutcome::kNull) {
        base::StoreBigEndian(out.data() + at, int32_t{-1});
      } else {
        return Refused(schema, static_cast<size_t>(&mask - plan.masks.data()), run.scratch.refusal);
      }
    }
  }
  run.batch.ReplaceRawRows(std::move(out));
  return absl::OkStatus();
}

absl::Status MaskTransformer::MaskValues(const Plan& plan, const TableSchema& schema,
                                         std::vector<Value>& values, Run& run) {
  for (size_t i = 0; i < values.size() && i < plan.masks.size(); ++i) {
    Value& value = values[i];
    if (plan.masks[i] == nullptr || value.is_null() || value.is_unchanged()) continue;
    run.bytes.clear();
    const MaskOutcome outcome = plan.masks[i]->Append(value, run.scratch, run.bytes);
    if (outcome == MaskOutcome::kRefused) return Refused(schema, i, run.scratch.refusal);
    if (outcome == MaskOutcome::kNull) value = Value{};
    if (outcome != MaskOutcome::kWritten) continue;
    const std::string_view stored = run.batch.Store(run.bytes);
    value = {stored.data(), static_cast<uint32_t>(stored.size()), value.kind};
  }
  return absl::OkStatus();
}

absl::Status MaskTransformer::ApplyTemplates(const Plan& plan, const TableSchema& schema,
                                             std::vector<Value>& values, Run& run) {
  for (size_t i = 0; i < plan.templates.size(); ++i) {
    const size_t column = plan.template_columns[i];
    run.bytes.clear();
    const MaskOutcome outcome = plan.templates[i].Append(values, run.scratch, run.bytes);
    if (outcome == MaskOutcome::kRefused) return Refused(schema, column, run.scratch.refusal);
    if (outcome != MaskOutcome::kWritten) continue;
    const std::string_view stored = run.batch.Store(run.bytes);
    const ValueKind kind =
        values[column].kind == ValueKind::kBinary ? ValueKind::kBinary : ValueKind::kText;
    values[column] = {stored.data(), static_cast<uint32_t>(stored.size()), kind};
  }
  return absl::OkStatus();
}

absl::Status MaskTransformer::MaskEvent(const Plan& plan, ChangeEvent& event, Run& run) {
  const TableSchema& schema = *event.schema;
  const bool full = event.before_image == engine::BeforeImage::kFull;
  if (event.before.exists()) {
    event.before.Decode(run.before);
    PGFLOW_RETURN_IF_ERROR(MaskValues(plan, schema, run.before, run));
    if (full) PGFLOW_RETURN_IF_ERROR(ApplyTemplates(plan, schema, run.before, run));
    event.before = StoreRow(run.batch, run.before);
  }
  if (!event.after.exists()) return absl::OkStatus();
  event.after.Decode(run.after);
  PGFLOW_RETURN_IF_ERROR(MaskValues(plan, schema, run.after, run));
  if (!plan.templates.empty()) {
    // With the old row at hand, nothing is unknown: what did not change is there.
    std::vector<Value> row = run.after;
    for (size_t i = 0; full && i < row.size() && i < run.before.size(); ++i) {
      const bool made = std::ranges::find(plan.template_columns, i) != plan.template_columns.end();
      if (row[i].is_unchanged() && !made) row[i] = run.before[i];
    }
    PGFLOW_RETURN_IF_ERROR(ApplyTemplates(plan, schema, row, run));
    for (const size_t column : plan.template_columns) run.after[column] = row[column];
  }
  event.after = StoreRow(run.batch, run.after);
  return absl::OkStatus();
}

absl::Status MaskTransformer::Transform(engine::Batch& batch) {
  Run run{.batch = batch};
  PlanPtr plan;
  if (const engine::CopyRows* rows = batch.raw_rows()) {
    PGFLOW_ASSIGN_OR_RETURN(plan, PlanOf(rows->schema));
    if (!plan->touched) return absl::OkStatus();
    if (rows->format == engine::CopyFormat::kBinary && plan->templates.empty()) {
      return MaskCopyRows(*plan, run);
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
    absl::Status status = MaskEvent(*plan, event, run);
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
