// JoinedSchemas: how the tables that join the running stream were defined when they were copied.
//
// Where nothing but Relation messages tells of changes, the first message of such a table has
// nothing to be compared with but this. Thread-safe.
#pragma once

#include <map>
#include <utility>

#include <absl/base/thread_annotations.h>

#include "base/mutex.h"
#include "schemas/table_schema.h"

namespace pgflow::sources {

class JoinedSchemas {
 public:
  // Of a later look, or of the snapshot itself: in place of the one before.
  void Put(schemas::TableSchemaPtr schema) {
    base::MutexLock lock(&mutex_);
    const postgres::Oid table = schema->oid;
    schemas_[table] = std::move(schema);
  }
  // Null: it did not join in this run.
  schemas::TableSchemaPtr Find(postgres::Oid table) const {
    base::MutexLock lock(&mutex_);
    const auto found = schemas_.find(table);
    return found == schemas_.end() ? nullptr : found->second;
  }

 private:
  mutable base::Mutex mutex_;
  std::map<postgres::Oid, schemas::TableSchemaPtr> schemas_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pgflow::sources
