#include "transformers/mask/word_lists.h"

namespace pgflow::transformers {
namespace {

constexpr std::string_view kFirstNames[] = {
    "Ada",    "Adam",   "Adele",   "Agnes",  "Aida",   "Aiko",   "Alan",   "Alba",   "Albert",
    "Alice",  "Alma",   "Alvin",   "Amara",  "Amir",   "Amos",   "Ana",    "Andre",  "Anita",
    "Anna",   "Anton",  "April",   "Ari",    "Arlo",   "Arne",   "Arthur", "Asa",    "Astrid",
    "Aurora", "Axel",   "Ayla",    "Basil",  "Beata",  "Bela",   "Ben",    "Berta",  "Bianca",
    "Bjorn",  "Bodil",  "Boris",   "Brenda", "Bruno",  "Camila", "Carl",   "Carmen", "Cecil",
    "Celia",  "Chiara", "Clara",   "Claus",  "Cleo",   "Colin",  "Cora",   "Cyril",  "Dag",
    "Dalia",  "Dana",   "Daria",   "David",  "Delia",  "Denis",  "Diana",  "Dina",   "Dora",
    "Edda",   "Edgar",  "Edith",   "Edna",   "Elena",  "Eli",    "Elias",  "Elin",   "Elsa",
    "Emil",   "Emma",   "Enzo",    "Erik",   "Erna",   "Esra",   "Esther", "Etta",   "Eva",
    "Ezra",   "Fabio",  "Farah",   "Felix",  "Fiona",  "Flora",  "Frank",  "Freya",  "Frida",
    "Gala",   "Gemma",  "George",  "Gerda",  "Gina",   "Greta",  "Gustav", "Hanna",  "Hans",
    "Harald", "Hazel",  "Hedda",   "Heidi",  "Helena", "Henri",  "Hilda",  "Hugo",   "Ida",
    "Igor",   "Ilsa",   "Inez",    "Inga",   "Ingrid", "Irene",  "Iris",   "Isaac",  "Ivan",
    "Ivo",    "Jada",   "Jakob",   "Jana",   "Jasmin", "Joel",   "Jonas",  "Josef",  "Judith",
    "Julia",  "Jutta",  "Kai",     "Kamal",  "Karin",  "Karl",   "Kenji",  "Kira",   "Klara",
    "Knut",   "Laila",  "Lara",    "Lars",   "Laura",  "Lea",    "Lena",   "Leo",    "Levi",
    "Lia",    "Lilian", "Linda",   "Lionel", "Livia",  "Lola",   "Lorenz", "Lotta",  "Louis",
    "Lucia",  "Luis",   "Luna",    "Lydia",  "Mabel",  "Magda",  "Malik",  "Mara",   "Marco",
    "Marit",  "Marta",  "Max",     "Maya",   "Melina", "Mia",    "Mikael", "Milan",  "Mina",
    "Miriam", "Mona",   "Nadia",   "Naomi",  "Nela",   "Nico",   "Nils",   "Nina",   "Noah",
    "Nora",   "Olaf",   "Olga",    "Oliver", "Omar",   "Orla",   "Oscar",  "Otto",   "Paolo",
    "Paul",   "Paula",  "Pedro",   "Petra",  "Pia",    "Rafael", "Ramon",  "Rana",   "Rebecca",
    "Rita",   "Robin",  "Rosa",    "Ruben",  "Ruth",   "Salma",  "Samuel", "Sara",   "Selma",
    "Sergio", "Sigrid", "Silas",   "Sofia",  "Sonja",  "Stella", "Sven",   "Tamara", "Tania",
    "Tara",   "Teo",    "Theresa", "Tilda",  "Tobias", "Tomas",  "Ulla",   "Uma",    "Urs",
    "Vera",   "Victor", "Viola",   "Walter", "Wanda",  "Wilma",  "Xenia",  "Yara",   "Yusuf",
    "Zara",   "Zelda",  "Zoe",
};

constexpr std::string_view kLastNames[] = {
    "Abbott",  "Acker",   "Adler",    "Ahlberg", "Albers",  "Alder",   "Almeida", "Amsel",
    "Anders",  "Arden",   "Arias",    "Arnold",  "Ashby",   "Auer",    "Bach",    "Baird",
    "Balint",  "Barlow",  "Bauer",    "Becker",  "Bellini", "Benson",  "Berg",    "Berger",
    "Bishop",  "Blake",   "Bloch",    "Bolt",    "Bond",    "Borg",    "Bosch",   "Brandt",
    "Braun",   "Breuer",  "Brook",    "Brown",   "Buchner", "Burke",   "Byrne",   "Calder",
    "Campos",  "Carver",  "Castro",   "Clark",   "Cole",    "Conti",   "Cooper",  "Costa",
    "Craig",   "Cruz",    "Dahl",     "Dale",    "Danner",  "Daub",    "Dean",    "Decker",
    "Delgado", "Dietz",   "Doyle",    "Drake",   "Duarte",  "Dunn",    "Ebert",   "Eden",
    "Egger",   "Ekman",   "Elgar",    "Ellis",   "Engel",   "Erler",   "Faber",   "Falk",
    "Farrell", "Fink",    "Fischer",  "Fleming", "Forster", "Fox",     "Frank",   "Freund",
    "Frost",   "Fuchs",   "Gallo",    "Garner",  "Geiger",  "Gerber",  "Gibson",  "Glass",
    "Gomez",   "Graf",    "Grant",    "Greene",  "Gross",   "Gruber",  "Gunther", "Haas",
    "Hagen",   "Hahn",    "Hale",     "Hansen",  "Harper",  "Hart",    "Hauser",  "Hayes",
    "Heller",  "Henning", "Hermann",  "Hess",    "Hobbs",   "Hofer",   "Holm",    "Horn",
    "Huber",   "Hughes",  "Ibsen",    "Irving",  "Iversen", "Jansen",  "Jarvis",  "Jensen",
    "Jordan",  "Jung",    "Kane",     "Karlsen", "Kaspar",  "Keller",  "Kern",    "Kessler",
    "Klein",   "Kluge",   "Knight",   "Koch",    "Kohler",  "Krause",  "Kruger",  "Kuhn",
    "Lambert", "Lang",    "Larsen",   "Lehmann", "Lenz",    "Leroy",   "Lewis",   "Lindt",
    "Lopez",   "Lorenz",  "Ludwig",   "Lund",    "Maier",   "Mann",    "Marino",  "Marsh",
    "Martens", "Mason",   "Mayer",    "Melo",    "Mendes",  "Merkel",  "Metz",    "Meyer",
    "Miller",  "Moller",  "Moore",    "Moreau",  "Morris",  "Mott",    "Muller",  "Munk",
    "Nagel",   "Nash",    "Neumann",  "Nolan",   "Nord",    "Novak",   "Nunez",   "Olsen",
    "Ortega",  "Osborn",  "Ott",      "Palmer",  "Pape",    "Parker",  "Pauli",   "Peters",
    "Pfeifer", "Pohl",    "Porter",   "Prager",  "Quinn",   "Rader",   "Ramos",   "Rask",
    "Rau",     "Reed",    "Reyes",    "Richter", "Riedel",  "Rios",    "Ritter",  "Roberts",
    "Rossi",   "Roth",    "Rowe",     "Rubin",   "Russo",   "Sachs",   "Sanders", "Sauer",
    "Schenk",  "Schmid",  "Schuster", "Seidel",  "Shaw",    "Simon",   "Sommer",  "Stark",
    "Stein",   "Stern",   "Stone",    "Strand",  "Sutter",  "Tanner",  "Thiel",   "Torres",
    "Tucker",  "Ulrich",  "Vargas",   "Vega",    "Vogel",   "Voigt",   "Wagner",  "Walsh",
    "Weber",   "Weiss",   "Wells",    "Werner",  "West",    "Winkler", "Winter",  "Wolf",
    "Yates",   "Zander",  "Ziegler",  "Zimmer",
};

constexpr std::string_view kLatinWords[] = {
    "ab",     "acer",   "ager",   "alius", "amicus",  "animus",  "annus",  "ante",   "aqua",
    "arbor",  "arma",   "ars",    "atque", "aurum",   "avis",    "bene",   "bonus",  "brevis",
    "caelum", "campus", "causa",  "cum",   "cura",    "dies",    "domus",  "ergo",   "et",
    "fama",   "flumen", "forma",  "forte", "gens",    "gratia",  "herba",  "hodie",  "homo",
    "hora",   "ibi",    "ignis",  "inter", "ita",     "iter",    "labor",  "lapis",  "liber",
    "locus",  "longus", "lumen",  "luna",  "magnus",  "manus",   "mare",   "mensa",  "mons",
    "navis",  "nemo",   "nihil",  "nomen", "novus",   "nox",     "nunc",   "omnis",  "opus",
    "ordo",   "pars",   "pax",    "pes",   "populus", "porta",   "primus", "quia",   "quies",
    "radix",  "ratio",  "rectus", "res",   "rosa",    "rota",    "saepe",  "salus",  "sed",
    "semper", "silva",  "sine",   "sol",   "stella",  "studium", "tabula", "tempus", "terra",
    "tutus",  "umbra",  "unda",   "urbs",  "usus",    "ventus",  "verbum", "via",    "vicus",
    "virtus", "vita",   "vox",
};

}  // namespace

WordList FirstNames() { return kFirstNames; }
WordList LastNames() { return kLastNames; }
WordList LatinWords() { return kLatinWords; }

const LocaleWords& WordsOf(Locale locale) {
  switch (locale) {
    case Locale::kGerman:
      return GermanWords();
    case Locale::kSpanish:
      return SpanishWords();
    case Locale::kEnglish:
      break;
  }
  return EnglishWords();
}

}  // namespace pgflow::transformers
