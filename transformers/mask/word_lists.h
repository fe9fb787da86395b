// Names, places and what companies are called, for masks that draw from lists. Constants.
//
// Changing a list changes every value that was made of it before: copies made with the old one no
// longer join with those made with the new one.
#pragma once

#include <span>
#include <string_view>

#include "transformers/mask/mask_config.h"

namespace pgflow::transformers {

using WordList = std::span<const std::string_view>;

// Of all countries.
WordList FirstNames();
WordList LastNames();

struct LocaleWords {
  WordList first_names;
  WordList last_names;
  WordList cities;
  // As they are written with a number: "{} Oak Street", "Lindenweg {}".
  WordList streets;
  WordList states;
  WordList countries;
  WordList trades;       // What a company does.
  WordList legal_forms;  // Of companies.
};

const LocaleWords& WordsOf(Locale locale);
const LocaleWords& EnglishWords();
const LocaleWords& GermanWords();
const LocaleWords& SpanishWords();

// Words of filler texts, in lower case.
WordList LatinWords();

}  // namespace pgflow::transformers
