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

absl::Status RowWriter::WriteInsert(ApplyPipeline& pipeline, const TableBinding& binding,
                                    Expectation expectation) {
  if (tolerance_.conflict == KeyConflict::kSkip) {
    expectation.rows = 1;
    expectation.tolerance = Tolerance::kKeyIsTaken;
    return Send(pipeline, binding, RowShape::kInsertIfFree, expectation);
  }
  if (tolerance_.conflict == KeyConflict::kOverwrite && binding.key_kind == KeyKind::kUnique) {
    expectation.rows = 0;
    expectation.tolerance = Tolerance::kKeyWasTaken;
    return Send(pipeline, binding, RowShape::kInsertOrTake, expectation);
  }
  return Send(pipeline, binding, RowShape::kInsert, expectation);
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
  const bool strict = catch_up || moved_ || binding.key_kind != KeyKind::kUnique;
  if (!strict && !identity_always && tolerance_.conflict != KeyConflict::kStop) {
    return SendKeyChange(pipeline, binding, expectation);
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

// A row that is missing, and one that is in the way, are told apart where only one of them is
// passed over.
absl::Status RowWriter::SendKeyChange(ApplyPipeline& pipeline, const TableBinding& binding,
                                      Expectation expectation) {
  if (tolerance_.conflict == KeyConflict::kOverwrite) {
    PGFLOW_RETURN_IF_ERROR(Send(pipeline, binding, RowShape::kMakeRoom,
                                {.rows = 0,
                                 .tag = expectation.tag,
                                 .tolerance = Tolerance::kKeyWasTaken,
                                 .table = expectation.table}));
    return Send(pipeline, binding, RowShape::kUpdateKey, expectation);
  }
  if (tolerance_.missing == MissingRow::kError) {
    PGFLOW_RETURN_IF_ERROR(Send(pipeline, binding, RowShape::kFind, expectation));
  }
  return Send(pipeline, binding, RowShape::kUpdateIfFree,
              {.rows = 1,
               .tag = expectation.tag,
               .tolerance = Tolerance::kKeyIsTaken,
               .table = expectation.table});
}

absl::Status RowWriter::Write(ApplyPipeline& pipeline, const TableBinding& binding,
                              const ChangeEvent& event, uint32_t tag, Cascaded cascaded) {
  PGFLOW_RETURN_IF_ERROR(change_.Decode(binding, event));
  moved_ = cascaded.moves && binding.is_movable && !event.catch_up;
  Expectation expectation{.tag = tag, .table = binding.sql_name};
  if (!event.catch_up) expectation.rows = 1;
  if (tolerance_.missing == MissingRow::kIgnore) expectation.tolerance = Tolerance::kMissingRow;
  switch (event.operation) {
    case Operation::kRead:
    case Operation::kInsert:
      if (event.catch_up) return Send(pipeline, binding, RowShape::kUpsert, {.tag = tag});
      return WriteInsert(pipeline, binding, {.tag = tag, .table = binding.sql_name});
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
