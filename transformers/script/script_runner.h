// ScriptRunner: a script's sandbox and what it takes to give it events. One thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <absl/status/status.h>

#include "engine/api/batch.h"
#include "transformers/script/lua_sandbox.h"
#include "transformers/script/returned_event.h"

namespace pgflow::transformers {

class ScriptRunner {
 public:
  explicit ScriptRunner(std::unique_ptr<LuaSandbox> sandbox) : sandbox_(std::move(sandbox)) {}

  // Appends to `out` what the script makes of a row's event. kInvalidArgument names the table, the
  // row and the script's line.
  absl::Status Run(engine::Batch& batch, const ScriptPlan& plan, const engine::ChangeEvent& event,
                   std::vector<engine::ChangeEvent>& out);

 private:
  void Show(engine::Batch& batch, const engine::ChangeEvent& event, const schemas::RowView& view,
            ShownRow& row);
  absl::Status Append(engine::Batch& batch, const engine::ChangeEvent& event,
                      const ReturnedEvent& returned, std::vector<engine::ChangeEvent>& out);
  absl::StatusOr<schemas::RowView> Store(engine::Batch& batch, const schemas::TableSchema& schema,
                                         const ReturnedRow& returned, const ShownRow& shown);

  std::unique_ptr<LuaSandbox> sandbox_;
  ShownRow before_;
  ShownRow after_;
  std::vector<ReturnedEvent> returned_;
  std::string scratch_;
};

}  // namespace pgflow::transformers
