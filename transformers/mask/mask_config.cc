#include "transformers/mask/mask_config.h"

#include <type_traits>
#include <utility>

namespace pgflow::transformers {
namespace {

const std::vector<std::pair<std::string, MaskKind>>& KindNames() {
  static const auto* names = new std::vector<std::pair<std::string, MaskKind>>{
      {"keep", MaskKind::kKeep},           {"null", MaskKind::kNull},
      {"constant", MaskKind::kConstant},   {"first_name", MaskKind::kFirstName},
      {"last_name", MaskKind::kLastName},  {"full_name", MaskKind::kFullName},
      {"email", MaskKind::kEmail},         {"phone", MaskKind::kPhone},
      {"uuid", MaskKind::kUuid},           {"integer", MaskKind::kInteger},
      {"permute", MaskKind::kPermute},     {"float", MaskKind::kFloat},
      {"boolean", MaskKind::kBoolean},     {"date", MaskKind::kDate},
      {"timestamp", MaskKind::kTimestamp}, {"string", MaskKind::kString},
      {"choice", MaskKind::kChoice},       {"partial", MaskKind::kPartial},
      {"hash", MaskKind::kHash},           {"template", MaskKind::kTemplate},
      {"json", MaskKind::kJson},           {"hstore", MaskKind::kHstore},
      {"aes_siv", MaskKind::kAesSiv},
  };
  return *names;
}

template <typename C>
void AddTarget(config::ConfigSpec<C>& spec) {
  auto table = spec.template Field<std::string>("table", &C::table,
                                                "Pattern (* and ?) of schema.name of the tables.");
  table.Example("public.users");
  auto column = spec.template Field<std::string>(
      "column", &C::column,
      "Pattern of the columns' names. One without * and ? must exist in a table that is named "
      "without them.");
  column.Example("email");
  auto with = spec.template Field<MaskKind>(
      "with", &C::with,
      "What becomes of the values. NULL stays NULL, and equal values become equal ones in every "
      "table. keep: nothing. null: NULL. constant: `value`. first_name, last_name, full_name: a "
      "name from a list. email: an address of its own for each value. phone: other digits in "
      "the same form. uuid. integer, float, date, timestamp: between `min` and `max` (dates "
      "also by `shift`). permute: another integer of `min` to `max`, unique if the values are. "
      "boolean: by the value, which two values do not hide. string: `length` of `symbols`. choice: "
      "one of `values`. partial: `character` "
      "over all but `keep_first` and `keep_last`. hash: hex of HMAC-SHA-256. template: `value` "
      "with other columns in it. json and hstore: `set` and `remove` parts of it. aes_siv: "
      "encrypted with AES-SIV (RFC 5297). Columns of a key take keep, email, uuid, permute, "
      "hash, aes_siv, and string where it is long enough: values that stay unique.");
  with.Choice(KindNames());
  if constexpr (std::is_same_v<C, MaskRule>) {
    table.Required();
    column.Required();
    with.Required();
  }
}

template <typename C>
void AddValues(config::ConfigSpec<C>& spec) {
  using Text = std::optional<std::string>;
  using Number = std::optional<int64_t>;
  spec.template Field<Text>("value", &C::value,
                            "constant: the value. template: a text in which {column} stands for "
                            "that column's value of the same row, masked ({{ and }} are braces).")
      .Example("{first_name} {last_name}");
  spec.template Field<std::vector<std::string>>("values", &C::values, "choice: the values.")
      .Example("[red, green]");
  spec.template Field<Text>("min", &C::min,
                            "integer, permute, float, date, timestamp: the least value.")
      .Example("2000-01-01");
  spec.template Field<Text>("max", &C::max,
                            "The greatest value. permute: 0 to 2147483647 unless "
                            "they are written; keys that refer to each other need "
                            "the same.")
      .Example("2026-12-31");
  spec.template Field<Number>("precision", &C::precision,
                              "float: digits behind the point; 2 unless it is written.")
      .Range(0, 15);
  spec.template Field<std::optional<absl::Duration>>(
          "shift", &C::shift,
          "date, timestamp: moves the value by up to this much, to either side, instead of `min` "
          "and "
          "`max`.")
      .Example("720h");
  spec.template Field<Number>("length", &C::length,
                              "string, hash: characters. phone: digits, where the value has fewer "
                              "than 5. string: 16 unless it is written.")
      .Range(1, 10'000);
  spec.template Field<Number>("length_max", &C::length_max,
                              "string: from `length` to this many characters, by the value.")
      .Range(1, 10'000);
  spec.template Field<Text>("symbols", &C::symbols,
                            "string: the ASCII characters to choose from; a-z and 0-9 unless it is "
                            "written.")
      .Example("ABCDEFGH0123456789");
  spec.template Field<Text>("prefix", &C::prefix, "phone: what every number begins with.")
      .Example("+49");
}

template <typename C>
void AddTextOptions(config::ConfigSpec<C>& spec) {
  using Text = std::optional<std::string>;
  using Number = std::optional<int64_t>;
  spec.template Field<Number>("keep_first", &C::keep_first, "partial: characters to show in front.")
      .Range(0, 1000);
  spec.template Field<Number>("keep_last", &C::keep_last, "partial: characters to show at the end.")
      .Range(0, 1000);
  spec.template Field<Text>("character", &C::character,
                            "partial: what stands for each of the others; * unless it is written.");
  spec.template Field<Text>("domain", &C::domain,
                            "email: the domain of the new address; example.com unless it is "
                            "written.");
  spec.template Field<std::optional<bool>>("preserve_domain", &C::preserve_domain,
                                           "email: keeps the value's own domain.");
  spec.template Field<std::vector<std::string>>(
          "excluded_domains", &C::excluded_domains,
          "email: domains that `preserve_domain` does not keep.")
      .Example("[ourcompany.com]");
  spec.template Field<config::StringMap>(
          "set", &C::set,
          "json: a path (keys and array indexes with dots, * for each) to the JSON to put there, "
          "where something stands already. hstore: a key to its new text.")
      .Example("{address.street: '\"hidden\"'}");
  spec.template Field<std::vector<std::string>>("remove", &C::remove,
                                                "json: paths, hstore: keys to remove.")
      .Example("[phones.*.number]");
  spec.template Field<std::optional<config::Secret>>(
          "key_hex", &C::key_hex, "aes_siv: its key, 64 bytes as 128 hexadecimal digits.")
      .Example("${AES_KEY}");
  spec.template Field<Text>("associated_data", &C::associated_data,
                            "aes_siv: authenticated together with each value; needed again to "
                            "decrypt.");
  spec.template Field<bool>(
      "allow_duplicates", &C::allow_duplicates,
      "Do not report that different values may become equal in a column of a unique index: the "
      "target has no such index.");
}

template <typename C>
void AddRule(config::ConfigSpec<C>& spec) {
  AddTarget(spec);
  AddValues(spec);
  AddTextOptions(spec);
}

}  // namespace

std::string MaskKindName(MaskKind kind) {
  for (const auto& [name, each] : KindNames()) {
    if (each == kind) return name;
  }
  return "";
}

config::ConfigSpec<MaskConfig> MaskSpec() {
  config::ConfigSpec<MaskConfig> spec;
  spec.Field("key", &MaskConfig::key,
             "The secret that all but keep, null, constant, partial, template, json, hstore and "
             "aes_siv need, of 16 characters at least. Copies made with the same one join.")
      .Example("${MASK_KEY}");
  spec.Field("strict", &MaskConfig::strict,
             "Every column of the tables that rules name needs a rule (`with: keep` is one); a "
             "column without stops the pipeline, also one that is added later.");
  config::ConfigSpec<MaskRule> rule;
  AddRule(rule);
  rule.Remember(&MaskRule::place);
  spec.Section("rules", &MaskConfig::rules, rule,
               "Which columns, and how. For each column the first rule counts that names it. A "
               "single rule may be written straight under `mask` instead.");
  AddRule(spec);
  return spec;
}

}  // namespace pgflow::transformers
