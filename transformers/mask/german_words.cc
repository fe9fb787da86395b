#include "transformers/mask/word_lists.h"

namespace pgflow::transformers {
namespace {

constexpr std::string_view kFirstNames[] = {
    "Achim",     "Alexandra", "Andreas",  "Angelika", "Anja",      "Annegret",   "Antje",
    "Armin",     "Barbara",   "Bastian",  "Beate",    "Benedikt",  "Bernd",      "Birgit",
    "Björn",     "Brigitte",  "Burkhard", "Carsten",  "Christian", "Claudia",    "Clemens",
    "Cornelia",  "Dagmar",    "Detlef",   "Dieter",   "Dirk",      "Doris",      "Dörte",
    "Eberhard",  "Elfriede",  "Elke",     "Erich",    "Ernst",     "Eva",        "Florian",
    "Franziska", "Friedrich", "Gabriele", "Georg",    "Gerhard",   "Gisela",     "Gudrun",
    "Günter",    "Hannelore", "Hartmut",  "Heike",    "Heinrich",  "Helga",      "Helmut",
    "Hildegard", "Holger",    "Horst",    "Ilse",     "Ines",      "Ingeborg",   "Ingo",
    "Jens",      "Joachim",   "Johanna",  "Jörg",     "Jürgen",    "Karin",      "Karl-Heinz",
    "Kathrin",   "Katja",     "Kerstin",  "Klaus",    "Kurt",      "Lieselotte", "Lothar",
    "Lukas",     "Maike",     "Manfred",  "Mareike",  "Margarete", "Marlene",    "Mathias",
    "Mechthild", "Meike",     "Monika",   "Nadine",   "Niklas",    "Norbert",    "Olaf",
    "Oliver",    "Petra",     "Rainer",   "Ralf",     "Regina",    "Reinhard",   "Renate",
    "Roland",    "Rosemarie", "Rüdiger",  "Sabine",   "Sebastian", "Siegfried",  "Silke",
    "Sören",     "Stefanie",  "Steffen",  "Susanne",  "Sven",      "Tanja",      "Thorsten",
    "Tobias",    "Torben",    "Udo",      "Ulrich",   "Ursula",    "Ute",        "Uwe",
    "Volker",    "Waltraud",  "Werner",   "Wiebke",   "Wilhelm",   "Wolfgang",   "Yvonne",
};

constexpr std::string_view kLastNames[] = {
    "Achterberg", "Albrecht",  "Arnold",     "Bachmann",   "Bartels",    "Baumann",    "Beckmann",
    "Behrens",    "Bergmann",  "Böhm",       "Böttcher",   "Brinkmann",  "Busch",      "Dietrich",
    "Dorn",       "Ebeling",   "Eckert",     "Ehlers",     "Engelhardt", "Esser",      "Fiedler",
    "Förster",    "Franke",    "Friedrich",  "Fröhlich",   "Gebhardt",   "Gerlach",    "Götz",
    "Grimm",      "Groß",      "Günther",    "Haase",      "Hagemann",   "Hartmann",   "Heinrich",
    "Herrmann",   "Hinz",      "Hoffmann",   "Holzer",     "Jacobs",     "Jäger",      "Janßen",
    "Kaiser",     "Kästner",   "Kirchner",   "Klemm",      "Knoll",      "König",      "Köhler",
    "Kraft",      "Kramer",    "Krüger",     "Kühn",       "Kunze",      "Lange",      "Langer",
    "Lindemann",  "Löffler",   "Lorenz",     "Marquardt",  "Mertens",    "Möller",     "Mohr",
    "Müller",     "Naumann",   "Neubauer",   "Nowak",      "Oppermann",  "Pfeiffer",   "Pieper",
    "Rademacher", "Reimann",   "Reinhardt",  "Röder",      "Rothe",      "Sander",     "Schäfer",
    "Scheffler",  "Schilling", "Schlüter",   "Schmidt",    "Schneider",  "Scholz",     "Schreiber",
    "Schröder",   "Schubert",  "Schulze",    "Schumacher", "Schwarz",    "Seifert",    "Steiner",
    "Straub",     "Thomas",    "Tiedemann",  "Uhlig",      "Unger",      "Voß",        "Wagner",
    "Walther",    "Weiß",      "Wendt",      "Wiegand",    "Wilke",      "Winkelmann", "Witte",
    "Wulf",       "Zeller",    "Zimmermann",
};

constexpr std::string_view kCities[] = {
    "Adlerstein",  "Altendorf",   "Auerbrück",    "Bad Lindau",  "Bergheim",    "Birkenau",
    "Blumenfeld",  "Brunnthal",   "Buchenried",   "Burgstadt",   "Dornheim",    "Dünenkirchen",
    "Ebersfelde",  "Eichberg",    "Eisenach",     "Erlenbrunn",  "Falkenstein", "Felsberg",
    "Fichtenau",   "Freudental",  "Friedrichsau", "Fürstenberg", "Grünau",      "Hagenow",
    "Heidenheim",  "Hirschberg",  "Hohenfels",    "Kaltenbach",  "Kirchfeld",   "Königsbach",
    "Kreuzau",     "Langenhagen", "Lindenberg",   "Löwenstein",  "Marienfeld",  "Mühlhausen",
    "Neubrück",    "Neukirchen",  "Neustadt",     "Niederau",    "Oberbach",    "Ostheim",
    "Quellendorf", "Rabenau",     "Reichenbach",  "Rheinfeld",   "Rosenheim",   "Rothenfels",
    "Salzhausen",  "Sankt Jakob", "Schönau",      "Schwarzbach", "Seeburg",     "Sonnenberg",
    "Steinfurt",   "Talheim",     "Waldkirch",    "Wasserburg",  "Weißenfels",  "Wiesental",
};

constexpr std::string_view kStreets[] = {
    "Ahornweg {}",        "Akazienallee {}",  "Am Anger {}",          "Am Bahnhof {}",
    "Am Hang {}",         "Am Markt {}",      "Amselweg {}",          "An der Mühle {}",
    "Bachstraße {}",      "Bahnhofstraße {}", "Bergstraße {}",        "Birkenweg {}",
    "Blumenstraße {}",    "Brunnengasse {}",  "Buchenweg {}",         "Burgstraße {}",
    "Dorfstraße {}",      "Drosselweg {}",    "Eichendorffstraße {}", "Eichenweg {}",
    "Erlenweg {}",        "Feldstraße {}",    "Finkenweg {}",         "Fliederweg {}",
    "Friedhofstraße {}",  "Gartenstraße {}",  "Goethestraße {}",      "Hafenstraße {}",
    "Hauptstraße {}",     "Heideweg {}",      "Hochstraße {}",        "Im Winkel {}",
    "Industriestraße {}", "Jahnstraße {}",    "Kapellenweg {}",       "Kastanienallee {}",
    "Kirchplatz {}",      "Kirchstraße {}",   "Kurze Straße {}",      "Lange Straße {}",
    "Lerchenweg {}",      "Lindenstraße {}",  "Lindenweg {}",         "Marktplatz {}",
    "Mittelstraße {}",    "Mozartstraße {}",  "Mühlenweg {}",         "Neue Straße {}",
    "Parkstraße {}",      "Poststraße {}",    "Ringstraße {}",        "Rosenweg {}",
    "Schillerstraße {}",  "Schlossallee {}",  "Schulstraße {}",       "Seestraße {}",
    "Sonnenweg {}",       "Talstraße {}",     "Tannenweg {}",         "Uferstraße {}",
    "Waldstraße {}",      "Weinbergweg {}",   "Wiesenweg {}",         "Ziegeleistraße {}",
};

constexpr std::string_view kStates[] = {
    "Baden-Württemberg",
    "Bayern",
    "Berlin",
    "Brandenburg",
    "Bremen",
    "Hamburg",
    "Hessen",
    "Mecklenburg-Vorpommern",
    "Niedersachsen",
    "Nordrhein-Westfalen",
    "Rheinland-Pfalz",
    "Saarland",
    "Sachsen",
    "Sachsen-Anhalt",
    "Schleswig-Holstein",
    "Thüringen",
};

constexpr std::string_view kCountries[] = {
    "Ägypten",   "Argentinien",  "Äthiopien",  "Australien",
    "Belgien",   "Bolivien",     "Brasilien",  "Bulgarien",
    "Chile",     "China",        "Dänemark",   "Deutschland",
    "Ecuador",   "Estland",      "Finnland",   "Frankreich",
    "Ghana",     "Griechenland", "Indien",     "Indonesien",
    "Irland",    "Island",       "Italien",    "Jamaika",
    "Japan",     "Jordanien",    "Kanada",     "Kenia",
    "Kolumbien", "Kroatien",     "Kuba",       "Lettland",
    "Litauen",   "Luxemburg",    "Malaysia",   "Marokko",
    "Mexiko",    "Nepal",        "Neuseeland", "Niederlande",
    "Nigeria",   "Norwegen",     "Österreich", "Panama",
    "Peru",      "Polen",        "Portugal",   "Rumänien",
    "Schweden",  "Schweiz",      "Senegal",    "Singapur",
    "Slowakei",  "Slowenien",    "Spanien",    "Südafrika",
    "Thailand",  "Tschechien",   "Tunesien",   "Türkei",
    "Ukraine",   "Ungarn",       "Uruguay",    "Vereinigtes Königreich",
    "Vietnam",
};

constexpr std::string_view kTrades[] = {
    "Anlagenbau",   "Apparatebau",  "Automaten",    "Baustoffe",    "Bautechnik",     "Beratung",
    "Bergbau",      "Buchdruck",    "Chemie",       "Dachbau",      "Elektrotechnik", "Energie",
    "Fahrzeugbau",  "Feinmechanik", "Gartenbau",    "Gerätebau",    "Getränke",       "Glaswerke",
    "Handel",       "Haustechnik",  "Holzbau",      "Immobilien",   "Kältetechnik",   "Keramik",
    "Kunststoffe",  "Lebensmittel", "Logistik",     "Maschinenbau", "Medien",         "Metallbau",
    "Möbel",        "Optik",        "Papierfabrik", "Reederei",     "Reisen",         "Software",
    "Spedition",    "Stahlwerke",   "Systeme",      "Textilwerke",  "Tiefbau",        "Verlag",
    "Verpackungen", "Werkzeuge",
};

constexpr std::string_view kLegalForms[] = {"GmbH", "AG", "KG", "OHG", "GmbH & Co. KG", "UG"};

}  // namespace

const LocaleWords& GermanWords() {
  static constexpr LocaleWords kWords = {kFirstNames, kLastNames, kCities, kStreets,
                                         kStates,     kCountries, kTrades, kLegalForms};
  return kWords;
}

}  // namespace pgflow::transformers
