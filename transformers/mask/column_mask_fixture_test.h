// The vocabulary of the tests of single masks: a rule, a column, what a value becomes.
#pragma once

#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "sinks/encoding/type_binary.h"
#include "transformers/mask/column_mask.h"
#include "transformers/mask/constant_forms.h"

namespace pgflow::transformers {

namespace oid = postgres::oid;
using schemas::Value;
using schemas::ValueKind;

inline const config::Secret kKey("a key of many characters");

inline MaskRule Rule(MaskKind with) {
  MaskRule rule;
  rule.table = "public.t";
  rule.column = "c";
  rule.with = with;
  return rule;
}

inline schemas::TableSchema Table(postgres::Oid type, int32_t modifier = -1,
                                  bool identity = false) {
  schemas::TableSchema table;
  table.table = {"public", "t"};
  schemas::Column column;
  column.name = "c";
  column.type = type;
  column.type_modifier = modifier;
  column.identity = identity;
  table.columns.push_back(std::move(column));
  return table;
}

// What is wrong with the rule for a column of the type; empty: nothing.
inline std::string Refusal(const MaskRule& rule, postgres::Oid type, int32_t modifier = -1,
                           bool identity = false) {
  const absl::Status checked = CheckMaskRule(rule, kKey);
  if (!checked.ok()) return std::string(base::Message(checked));
  const schemas::TableSchema table = Table(type, modifier, identity);
  return std::string(base::Message(MakeColumnMask(rule, kKey, table, table.columns[0]).status()));
}

class ColumnMaskTest : public testing::Test {
 protected:
  void Use(const MaskRule& rule, postgres::Oid type, int32_t modifier = -1) {
    const schemas::TableSchema table = Table(type, modifier);
    type_ = ColumnTypeOf(table.columns[0]);
    ASSERT_EQ(CheckMaskRule(rule, kKey), absl::OkStatus());
    auto made = MakeColumnMask(rule, kKey, table, table.columns[0]);
    ASSERT_TRUE(made.ok()) << made.status();
    mask_ = *std::move(made);
  }

  // Of a value sent as text; the same sent in binary must become the same.
  std::string Mask(const std::string& text) {
    std::string out;
    outcome_ = mask_->Append(ValueOf(text, ValueKind::kText), scratch_, out);
    std::string binary;
    if (!AppendBinary(text, binary)) return out;
    std::string binary_out;
    EXPECT_EQ(mask_->Append(ValueOf(binary, ValueKind::kBinary), scratch_, binary_out), outcome_);
    if (outcome_ != MaskOutcome::kWritten) return std::string(scratch_.refusal);
    std::string binary_text;
    EXPECT_TRUE(type_.text->append(binary_out, *type_.text, binary_text)) << text;
    EXPECT_EQ(binary_text, out) << text;
    return out;
  }

  bool AppendBinary(const std::string& text, std::string& binary) const {
    return type_.text != nullptr && (sinks::AppendBinaryOfText(text, type_.wire, binary) ||
                                     AppendConstantBinary(text, type_, binary));
  }

  static Value ValueOf(const std::string& bytes, ValueKind kind) {
    return {bytes.data(), static_cast<uint32_t>(bytes.size()), kind};
  }

  ColumnType type_;
  ColumnMaskPtr mask_;
  MaskScratch scratch_;
  MaskOutcome outcome_ = MaskOutcome::kKept;
};

}  // namespace pgflow::transformers
