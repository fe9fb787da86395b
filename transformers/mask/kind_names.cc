// What the kinds are called, and what each does, in the words of the documentation.
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "transformers/mask/mask_config.h"

namespace pgflow::transformers {

const std::vector<std::pair<std::string, MaskKind>>& MaskKindNames() {
  static const auto* names = new std::vector<std::pair<std::string, MaskKind>>{
      {"keep", MaskKind::kKeep},
      {"null", MaskKind::kNull},
      {"constant", MaskKind::kConstant},
      {"first_name", MaskKind::kFirstName},
      {"last_name", MaskKind::kLastName},
      {"full_name", MaskKind::kFullName},
      {"email", MaskKind::kEmail},
      {"phone", MaskKind::kPhone},
      {"uuid", MaskKind::kUuid},
      {"integer", MaskKind::kInteger},
      {"permute", MaskKind::kPermute},
      {"float", MaskKind::kFloat},
      {"boolean", MaskKind::kBoolean},
      {"date", MaskKind::kDate},
      {"timestamp", MaskKind::kTimestamp},
      {"string", MaskKind::kString},
      {"choice", MaskKind::kChoice},
      {"partial", MaskKind::kPartial},
      {"hash", MaskKind::kHash},
      {"template", MaskKind::kTemplate},
      {"json", MaskKind::kJson},
      {"hstore", MaskKind::kHstore},
      {"aes_siv", MaskKind::kAesSiv},
      {"address", MaskKind::kAddress},
      {"street", MaskKind::kStreet},
      {"city", MaskKind::kCity},
      {"postcode", MaskKind::kPostcode},
      {"state", MaskKind::kState},
      {"country", MaskKind::kCountry},
      {"company", MaskKind::kCompany},
      {"user_name", MaskKind::kUserName},
      {"password", MaskKind::kPassword},
      {"paragraph", MaskKind::kParagraph},
      {"credit_card", MaskKind::kCreditCard},
      {"ssn", MaskKind::kSsn},
      {"iban", MaskKind::kIban},
      {"ip", MaskKind::kIp},
      {"mac", MaskKind::kMac},
      {"url", MaskKind::kUrl},
      {"latitude", MaskKind::kLatitude},
      {"longitude", MaskKind::kLongitude},
      {"coordinates", MaskKind::kCoordinates},
      {"noise", MaskKind::kNoise},
      {"regexp", MaskKind::kRegexp},
      {"regexp_replace", MaskKind::kRegexpReplace},
  };
  return *names;
}

std::string MaskKindName(MaskKind kind) {
  if (kind >= MaskKind::kUnset) return "";
  return MaskKindNames()[static_cast<size_t>(kind)].first;
}

std::string MaskKindsDoc() {
  return "What becomes of the values. NULL stays NULL, and equal values become equal ones in every "
         "table. "
         "keep: nothing. null: NULL. constant: `value`. "
         "first_name, last_name, full_name: a name from a list. "
         "email: an address of its own for each value. "
         "phone: other digits in the same form. uuid. "
         "integer, float, date, timestamp: between `min` and `max` (dates also by `shift`). "
         "permute: another integer of `min` to `max`, unique if the values are. "
         "boolean: by the value, which two values do not hide. "
         "string: `length` of `symbols`. choice: one of `values`, or of the lines of `file`. "
         "partial: `character` over all but `keep_first` and `keep_last`. "
         "hash: hex of HMAC-SHA-256. "
         "template: `value` with other columns in it. "
         "json and hstore: `set` and `remove` parts of it. "
         "aes_siv: encrypted with AES-SIV (RFC 5297). "
         "address, street, city, postcode, state, country, company: from the lists of `locale`, "
         "each column by its own value, so that a city and its postcode need not fit together. "
         "user_name: a name and `length` symbols, unique with 16 of them. "
         "password: `length` letters, digits and signs, of each at least one. "
         "paragraph: `sentences` of Latin words. "
         "credit_card: as many digits in the same form, with the check digit of Luhn's rule. "
         "ssn: a number of the United States' form, of ranges that are given out. "
         "iban: one of the country in `prefix` (else of `locale`) with right check digits; those "
         "that a country has inside of the account number are not calculated. "
         "ip: an address in `subnet`, of the value's family and with its prefix length. "
         "mac: a locally administered address. "
         "url: a page of its own for each value. "
         "latitude, longitude, coordinates (a point of longitude and latitude). "
         "noise: the value, moved by `ratio` of it or by `absolute` to either side, dates by "
         "`shift`, and not beyond `min` and `max` where they are written. "
         "regexp: a text that `pattern` matches. "
         "regexp_replace: `replacement` for all that `pattern` finds. "
         "Columns of a key take keep, email, url, uuid, permute, hash, aes_siv, and string and "
         "user_name where they are long enough: values that stay unique.";
}

}  // namespace pgflow::transformers
