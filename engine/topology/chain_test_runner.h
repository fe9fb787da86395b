// Tests of a pipeline's transformers, written in its YAML file under `tests`: given changes, and
// what must be left of them behind the chain. No source and no sink is needed.
//
//   tests:
//     - name: only paid orders leave
//       tables: [{table: public.orders, columns: {id: int4 key, status: text}}]
//       given:
//         - {operation: insert, table: public.orders, after: {id: 1, status: paid}}
//         - {operation: insert, table: public.orders, after: {id: 2, status: open}}
//       expect:
//         - {operation: insert, table: public.orders, after: {id: 1, status: paid}}
//
// Columns that a row leaves out are NULL; those under `unchanged` were not sent. One thread.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/config/node.h"
#include "engine/api/transformer.h"

namespace pgflow::engine {

struct ChainTestResult {
  std::string name;
  std::vector<std::string> differences;  // Lines for people; empty: it passed.
};

// The results in the order of the tests. Problems are those of the YAML; then nothing was run.
std::vector<ChainTestResult> RunChainTests(
    const config::Node& tests, std::span<const std::unique_ptr<Transformer>> transformers,
    config::Problems& problems);

}  // namespace pgflow::engine
