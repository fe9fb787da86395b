// RelationLookup: what the decoder asks of whoever knows the source's catalog.
//
// Used by the stream's thread only.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "postgres/types/oid.h"
#include "postgres/wire/pgoutput.h"
#include "schemas/ddl/ddl_script.h"
#include "schemas/table_schema.h"

namespace pgflow::sources {

// A transaction in progress, or a subtransaction of it.
struct OpenTransactionId {
  postgres::Xid top = 0;
  postgres::Xid xid = 0;  // The subtransaction's own; that of the top for itself.
};

// Of an error: what the server sent of a transaction in progress may be wrong, and comes right when
// it is sent after its end.
inline constexpr const char* kStaleDefinitionsPayload = "pgflow.stale_definitions";

// Knows what a relation is beyond what its message says.
class RelationLookup {
 public:
  virtual ~RelationLookup() = default;
  // Null: not a chosen table, its changes are left out. `learnt_in`: the transaction in progress
  // that the message is part of, which may roll back.
  virtual absl::StatusOr<schemas::TableSchemaPtr> Resolve(
      const postgres::RelationMessage& message,
      const std::optional<OpenTransactionId>& learnt_in) = 0;
  // The transaction in progress is over. What was learnt in one that rolled back never was.
  virtual void Settle(postgres::Xid /*top*/, bool /*committed*/) {}
  virtual void ForgetSubtransaction(const OpenTransactionId& /*rolled_back*/) {}
  // kAborted when one of these tables may have been changed while a transaction that is in progress
  // was running: the server may have sent its rows with the definitions of before.
  virtual absl::Status ConfirmDefinitions(std::span<const postgres::Oid> /*tables*/) {
    return absl::OkStatus();
  }
  // How the last resolved relation differs from what it was before, as schemas::PlanDdl reads it;
  // empty when it does not, or the DDL capture tells it.
  virtual std::string TakeSchemaChange() { return {}; }
  // What messages of the capture begin with; empty: none is expected.
  virtual std::string_view CaptureSecret() const { return {}; }
  // Whether the stream's publication is one of `publications`.
  virtual bool Publishes(const std::vector<std::string>& /*publications*/) const { return false; }
  // Whether a captured DDL command is one of ours.
  virtual bool WantsDdl(const schemas::DdlSubject& /*subject*/) const { return false; }
};

}  // namespace pgflow::sources
