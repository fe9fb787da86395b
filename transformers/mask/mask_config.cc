#include "transformers/mask/mask_config.h"

#include <type_traits>
#include <utility>

namespace pgflow::transformers {
namespace {

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
  auto with = spec.template Field<MaskKind>("with", &C::with, MaskKindsDoc());
  with.Choice(MaskKindNames());
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
  spec.template Field<std::vector<std::string>>("values", &C::values,
                                                "choice: the values. Either these or `file`.")
      .Example("[red, green]");
  spec.template Field<Text>("min", &C::min,
                            "integer, permute, float, date, timestamp, noise: the least value.")
      .Example("2000-01-01");
  spec.template Field<Text>("max", &C::max,
                            "The greatest value. permute: 0 to 2147483647 unless "
                            "they are written; keys that refer to each other need "
                            "the same.")
      .Example("2026-12-31");
  spec.template Field<Number>(
          "precision", &C::precision,
          "float, latitude, longitude, coordinates: digits behind the point; 2, "
          "of places 6, unless it is written.")
      .Range(0, 15);
  spec.template Field<std::optional<absl::Duration>>(
          "shift", &C::shift,
          "date, timestamp: moves the value by up to this much, to either side, instead of `min` "
          "and `max`. noise: the same of dates and timestamps, with them.")
      .Example("720h");
  spec.template Field<Number>("length", &C::length,
                              "string, password, hash: characters. phone: digits, where the value "
                              "has fewer than 5. user_name: symbols behind the name. 16 for string "
                              "and password, 4 for user_name unless it is written.")
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
                            "email, url: the domain of the new address; example.com unless it is "
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
void AddSources(config::ConfigSpec<C>& spec) {
  using Text = std::optional<std::string>;
  using Real = std::optional<double>;
  spec.template Field<Text>("file", &C::file,
                            "choice: a file with a value in each line, read at the start. Changing "
                            "it changes what values become.")
      .Example("colours.txt");
  spec.template Field<std::optional<int64_t>>("sentences", &C::sentences,
                                              "paragraph: how many; 3 unless it is written.")
      .Range(1, 100);
  spec.template Field<Text>("subnet", &C::subnet,
                            "ip: where the addresses of its family are; 10.0.0.0/8 and fd00::/8 "
                            "(private ones) unless it is written.")
      .Example("192.0.2.0/24");
  spec.template Field<Real>("ratio", &C::ratio,
                            "noise: moves a number by up to this part of it, to either side.")
      .Range(0.0, 1000.0)
      .Example("0.1");
  spec.template Field<Real>("absolute", &C::absolute,
                            "noise: moves a number by up to this much, to either side.")
      .Range(0.0, 1e15)
      .Example("5");
  spec.template Field<Text>(
          "pattern", &C::pattern,
          "regexp, regexp_replace: a regular expression of characters, ., [a-z], [^a-z], \\d \\w "
          "\\s \\D \\W \\S, ( ), (?: ), |, * + ? {m,n} (greedy, or with ? behind not), ^ $ \\b. "
          "regexp: what * and + leave open is 8 at most.")
      .Example("[A-Z]{2}-\\d{4,6}");
  spec.template Field<Text>("replacement", &C::replacement,
                            "regexp_replace: what to put there; \\1 to \\9 are what ( ) found, "
                            "\\& is all of it.")
      .Example("\\1-***");
}

template <typename C>
void AddConduct(config::ConfigSpec<C>& spec) {
  spec.template Field<std::optional<Locale>>(
          "locale", &C::locale,
          "Names, places, companies and iban: whose. Straight under `mask` it is that of all rules "
          "without one of their own. Without it names are of all countries, and the rest is "
          "English, as in the United States.")
      .Choice({{"en", Locale::kEnglish}, {"de", Locale::kGerman}, {"es", Locale::kSpanish}});
  spec.template Field<bool>(
      "random", &C::random,
      "Draws each value anew instead of from the value and the `key`. Then equal values become "
      "different ones, joins are lost, and a row that is read or changed again (also after a "
      "restart) gets other values. Columns that name a row do not take it.");
  spec.template Field<std::optional<std::string>>(
          "when", &C::when,
          "A condition in SQL on the row as the source has it, as `when` of filter knows it: the "
          "rule counts where it holds, and where it cannot be told (a large value of an UPDATE was "
          "not sent). In the other rows the next rule that names the column counts, and without "
          "one the value stays. Columns of a key do not take it.")
      .Example("country = 'DE' and not is_employee");
}

template <typename C>
void AddRule(config::ConfigSpec<C>& spec) {
  AddTarget(spec);
  AddValues(spec);
  AddTextOptions(spec);
  AddSources(spec);
  AddConduct(spec);
}

}  // namespace

config::ConfigSpec<MaskConfig> MaskSpec() {
  config::ConfigSpec<MaskConfig> spec;
  spec.Field("key", &MaskConfig::key,
             "The secret that all but keep, null, constant, partial, template, json, hstore, "
             "regexp_replace, aes_siv and `random` rules need, of 16 characters at least. Copies "
             "made with the same one join.")
      .Example("${MASK_KEY}");
  spec.Field("strict", &MaskConfig::strict,
             "Every column of the tables that rules name needs a rule (`with: keep` is one); a "
             "column without stops the pipeline, also one that is added later.");
  spec.Field("security_labels", &MaskConfig::security_labels,
             "What the source's SECURITY LABELs of the provider anon say of columns (as users of "
             "postgresql_anonymizer write them: MASKED WITH FUNCTION or VALUE, NOT MASKED) are "
             "rules, behind those that are written here. A partition has its root's. They are read "
             "with the table's definition: after SECURITY LABEL, start pgflow again. A label that "
             "no kind stands for stops the pipeline. Columns of which the catalog knows nothing "
             "(gone by now, or computed before the mask) become NULL.");
  config::ConfigSpec<MaskRule> rule;
  AddRule(rule);
  rule.Remember(&MaskRule::place);
  spec.Section("rules", &MaskConfig::rules, rule,
               "Which columns, and how. For each column the first rule counts that names it and "
               "whose `when`, if it has one, holds. A single rule may be written straight under "
               "`mask` instead.");
  AddRule(spec);
  return spec;
}

}  // namespace pgflow::transformers
