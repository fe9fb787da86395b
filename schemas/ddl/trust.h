// What of a captured change would run with the rights of the role that applies it, and what becomes
// of that. Internal to this folder; docs/threat-model.md says why.
#pragma once

#include "schemas/ddl/object_state.h"

namespace pgflow::schemas {

// Takes out of both states what would run, with a warning for what is new; sets `refused` where the
// object cannot do without.
void TakeOutRisks(Json& before, Json& after, const DdlTrust& trust, DdlScript& script);

// Functions and views run as their owner: they arrive with it, or not at all.
bool GoesWithItsOwner(const Json& before, const Json& after, const DdlTrust& trust);
// `planned`: the statements without that care. `populate`: it is a new materialized view, planned
// without rows.
void WriteWithItsOwner(const ObjectChange& change, const DdlScript& planned, bool populate,
                       ScriptWriter& out);
// Of objects whose CREATE statement is part of the state: `planned` runs as the role that owns it
// on the source, unless that is a superuser, or not at all.
void WriteAsItsOwner(const ObjectChange& change, const DdlScript& planned, const DdlTrust& trust,
                     ScriptWriter& out);

}  // namespace pgflow::schemas
