#include "sinks/postgres/row_writer.h"

#include "base/status.h"

namespace pgflow::sinks {

using engine::ChangeEvent;
using engine::Operation;
using postgres::Parameter;

absl::StatusOr<Parameter> RowWriter::ParameterOf(const TableBinding& binding, RowParameter which) {
  const schemas::Value& value = (which.before ? change_.before : change_.after)[which.column];
  switch (value.kind) {
    case schemas::ValueKind::kBinary:
      if (!binding.columns[which.column].takes_binary) {
        return WrongBinaryType(binding, which.column);
      }
      return Parameter::Binary(value.view());
    case schemas::ValueKind::kText: {
      if (texts_used_ == texts_.size()) texts_.emplace_back();
      std::string& text = texts_[texts_used_++];
      text.assign(value.view());
      return Parameter::Text(text);
    }
    case schemas::ValueKind::kNull:
    case schemas::ValueKind::kUnchanged:
      break;
  }
  return Parameter::Null();
}

absl::Status RowWriter::Send(ApplyPipeline& pipeline, const TableBinding& binding, RowShape shape,
                             Expectation expectation) {
  signature_.clear();
  AppendSignature(binding, shape, change_, signature_);
  PGFLOW_ASSIGN_OR_RETURN(const StatementCache::Prepared* statement,
                          statements_.Row(pipeline, binding, signature_));
  parameters_.clear();
  texts_used_ = 0;
  for (const RowParameter& which : statement->parameters) {
    PGFLOW_ASSIGN_OR_RETURN(const Parameter parameter, ParameterOf(binding, which));
    parameters_.push_back(parameter);
  }
  return pipeline.Send(statement->name, parameters_, expectation);
}

absl::Status RowWriter::WriteUpdate(ApplyPipeline& pipeline, const TableBinding& binding,
                                    bool catch_up, Expectation expectation) {
  if (!binding.has_renumbered) return SendUpdate(pipeline, binding, catch_up, expectation);
  if (binding.key_kind == KeyKind::kWholeRow) {
    return Send(pipeline, binding, RowShape::kReinsert, expectation);
  }
  PGFLOW_RETURN_IF_ERROR(SendUpdate(pipeline, binding, catch_up, expectation));
  return Send(pipeline, binding, RowShape::kRenumber, {.tag = expectation.tag});
}

absl::Status RowWriter::SendUpdate(ApplyPipeline& pipeline, const TableBinding& binding,
                                   bool catch_up, Expectation expectation) {
  if (moved_ && binding.key_kind == KeyKind::kWholeRow) {
    return Send(pipeline, binding, RowShape::kUpdateMoved, expectation);
  }
  if (!change_.key_changed) return Send(pipeline, binding, RowShape::kUpdate, expectation);
  if (catch_up && binding.key_kind != KeyKind::kWholeRow) {
    PGFLOW_RETURN_IF_ERROR(Send(pipeline, binding, RowShape::kMakeRoom, expectation));
  }
  bool identity_always = false;
  for (uint32_t column : binding.key) {
    identity_always |= binding.columns[column].target->identity_always;
  }
  if (!identity_always) {
    return Send(pipeline, binding, moved_ ? RowShape::kUpdateMoved : RowShape::kUpdateKey,
                expectation);
  }
  if (change_.has_unchanged) return Send(pipeline, binding, RowShape::kReinsert, expectation);
  // GENERATED ALWAYS AS IDENTITY cannot be set by an UPDATE.
  PGFLOW_RETURN_IF_ERROR(Send(pipeline, binding, RowShape::kDelete, expectation));
  return Send(pipeline, binding, catch_up ? RowShape::kUpsert : RowShape::kInsert,
              {.tag = expectation.tag});
}

absl::Status RowWriter::Write(ApplyPipeline& pipeline, const TableBinding& binding,
                              const ChangeEvent& event, uint32_t tag, Cascaded cascaded) {
  PGFLOW_RETURN_IF_ERROR(change_.Decode(binding, event));
  moved_ = cascaded.moves && binding.is_movable && !event.catch_up;
  Expectation expectation{.tag = tag};
  if (check_counts_ && !event.catch_up) expectation.rows = 1;
  switch (event.operation) {
    case Operation::kRead:
    case Operation::kInsert:
      return Send(pipeline, binding, event.catch_up ? RowShape::kUpsert : RowShape::kInsert,
                  {.tag = tag});
    case Operation::kUpdate:
      return WriteUpdate(pipeline, binding, event.catch_up, expectation);
    case Operation::kDelete:
      expectation.or_fewer = cascaded.deletes;
      return Send(pipeline, binding, RowShape::kDelete, expectation);
    case Operation::kTruncate:
    case Operation::kSchemaChange:
      break;
  }
  return absl::InternalError("TRUNCATE is no change of one row");
}

}  // namespace pgflow::sinks
