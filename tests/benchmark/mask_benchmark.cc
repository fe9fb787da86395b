// Nanoseconds a value of the kinds of `mask`, in the binary form that snapshots have. One thread.
#include <string>

#include <benchmark/benchmark.h>

#include "base/bytes.h"
#include "transformers/mask/column_mask.h"

namespace pgflow::transformers {
namespace {

constexpr std::string_view kKey = "a key of many characters";

ColumnType TypeOf(postgres::Oid type) {
  schemas::Column column;
  column.type = type;
  return ColumnTypeOf(column);
}

void MaskValues(benchmark::State& state, const ColumnMask& mask, std::string bytes) {
  MaskScratch scratch;
  std::string out;
  uint32_t count = 0;
  for (auto _ : state) {
    base::StoreBigEndian(bytes.data(), ++count & 0x7FFFFFFFU);
    const schemas::Value value{bytes.data(), static_cast<uint32_t>(bytes.size()),
                               schemas::ValueKind::kBinary};
    out.clear();
    benchmark::DoNotOptimize(mask.Append(value, scratch, out));
    benchmark::ClobberMemory();
  }
}

void MaskText(benchmark::State& state, MaskKind kind) {
  MaskRule rule;
  rule.with = kind;
  const ColumnType type = TypeOf(postgres::oid::kText);
  const auto mask = kind == MaskKind::kHash   ? MakeSecretMask(rule, kKey, type)
                    : kind == MaskKind::kUuid ? MakeNumberMask(rule, kKey, type)
                                              : MakeTextMask(rule, kKey, type);
  MaskValues(state, **mask, "0000someone@somewhere.net");
}

void MaskInteger(benchmark::State& state, MaskKind kind) {
  MaskRule rule;
  rule.with = kind;
  const ColumnType type = TypeOf(postgres::oid::kInt4);
  const auto mask = MakeNumberMask(rule, kKey, type);
  MaskValues(state, **mask, std::string(4, '0'));
}

void MaskDate(benchmark::State& state) {
  MaskRule rule;
  rule.with = MaskKind::kDate;
  rule.min = "1950-01-01";
  rule.max = "2000-12-31";
  const ColumnType type = TypeOf(postgres::oid::kDate);
  const auto mask = MakeTimeMask(rule, kKey, type);
  MaskValues(state, **mask, std::string(4, '0'));
}

BENCHMARK_CAPTURE(MaskText, first_name, MaskKind::kFirstName);
BENCHMARK_CAPTURE(MaskText, full_name, MaskKind::kFullName);
BENCHMARK_CAPTURE(MaskText, email, MaskKind::kEmail);
BENCHMARK_CAPTURE(MaskText, phone, MaskKind::kPhone);
BENCHMARK_CAPTURE(MaskText, string, MaskKind::kString);
BENCHMARK_CAPTURE(MaskText, partial, MaskKind::kPartial);
BENCHMARK_CAPTURE(MaskText, uuid, MaskKind::kUuid);
BENCHMARK_CAPTURE(MaskText, hash, MaskKind::kHash);
BENCHMARK_CAPTURE(MaskInteger, integer, MaskKind::kInteger);
BENCHMARK_CAPTURE(MaskInteger, permute, MaskKind::kPermute);
BENCHMARK(MaskDate);

}  // namespace
}  // namespace pgflow::transformers

BENCHMARK_MAIN();
