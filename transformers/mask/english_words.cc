#include "transformers/mask/word_lists.h"

namespace pgflow::transformers {
namespace {

constexpr std::string_view kFirstNames[] = {
    "Abigail", "Adrian",   "Alexander", "Amelia",  "Andrew",   "Angela",    "Anthony",  "Audrey",
    "Austin",  "Barbara",  "Benjamin",  "Beth",    "Bradley",  "Bridget",   "Caleb",    "Carol",
    "Charles", "Chloe",    "Claire",    "Connor",  "Daisy",    "Daniel",    "Deborah",  "Derek",
    "Donna",   "Duncan",   "Edward",    "Eleanor", "Elliot",   "Emily",     "Ethan",    "Evelyn",
    "Faith",   "Florence", "Francis",   "Gavin",   "Geoffrey", "Grace",     "Graham",   "Hannah",
    "Harriet", "Harry",    "Heather",   "Henry",   "Holly",    "Hope",      "Howard",   "Imogen",
    "Isabel",  "Jack",     "Jacob",     "James",   "Jane",     "Jason",     "Jennifer", "Jeremy",
    "Joan",    "Joseph",   "Joyce",     "Justin",  "Karen",    "Katherine", "Keith",    "Kelly",
    "Kenneth", "Laurel",   "Lauren",    "Leonard", "Lewis",    "Lillian",   "Logan",    "Lucas",
    "Madison", "Margaret", "Martin",    "Matthew", "Megan",    "Michael",   "Mildred",  "Molly",
    "Nancy",   "Natalie",  "Nathan",    "Neil",    "Nicholas", "Olive",     "Owen",     "Patricia",
    "Peter",   "Philip",   "Phoebe",    "Poppy",   "Rachel",   "Raymond",   "Richard",  "Robert",
    "Rose",    "Russell",  "Ryan",      "Sally",   "Samantha", "Scott",     "Sean",     "Sharon",
    "Simon",   "Spencer",  "Stephen",   "Susan",   "Sylvia",   "Teresa",    "Thomas",   "Timothy",
    "Trevor",  "Tyler",    "Vanessa",   "Vincent", "Violet",   "Virginia",  "Warren",   "William",
    "Zachary",
};

constexpr std::string_view kLastNames[] = {
    "Adams",    "Allen",     "Anderson", "Armstrong", "Atkins",    "Bailey",   "Baker",
    "Barnes",   "Barrett",   "Bell",     "Bennett",   "Boyd",      "Bradford", "Brooks",
    "Bryant",   "Butler",    "Campbell", "Carpenter", "Carter",    "Chambers", "Chapman",
    "Clayton",  "Coleman",   "Collins",  "Cook",      "Crawford",  "Cross",    "Curtis",
    "Davies",   "Dawson",    "Dixon",    "Douglas",   "Duncan",    "Edwards",  "Elliott",
    "Evans",    "Ferguson",  "Fisher",   "Fletcher",  "Foster",    "Franklin", "Freeman",
    "Gardner",  "Gordon",    "Graves",   "Griffin",   "Hamilton",  "Harding",  "Harrison",
    "Hawkins",  "Henderson", "Hill",     "Holland",   "Holmes",    "Hopkins",  "Howell",
    "Hudson",   "Hunter",    "Jackson",  "Jenkins",   "Johnson",   "Kelley",   "Kennedy",
    "Lawson",   "Lloyd",     "Lowe",     "Marshall",  "Matthews",  "Mills",    "Mitchell",
    "Morgan",   "Murphy",    "Newton",   "Norris",    "Oliver",    "Osborne",  "Owens",
    "Parsons",  "Patterson", "Payne",    "Perkins",   "Phillips",  "Pierce",   "Powell",
    "Price",    "Reynolds",  "Richards", "Robinson",  "Rogers",    "Saunders", "Scott",
    "Shelton",  "Simpson",   "Skinner",  "Spencer",   "Stephens",  "Stevens",  "Stewart",
    "Sullivan", "Taylor",    "Thompson", "Turner",    "Underwood", "Wallace",  "Warner",
    "Watkins",  "Watson",    "Webb",     "Wheeler",   "Whitaker",  "Williams", "Wilson",
    "Woods",    "Wright",    "York",     "Young",
};

constexpr std::string_view kCities[] = {
    "Ashford",      "Barrow Hill",  "Bayview",      "Brookside",     "Cedar Falls", "Chesterton",
    "Clearwater",   "Copper Creek", "Crestwood",    "Dunmore",       "Eastbrook",   "Edgewater",
    "Elmwood",      "Fairview",     "Fort Mason",   "Foxborough",    "Glenwood",    "Granite Bay",
    "Greenfield",   "Harborview",   "Harrow Point", "Hartfield",     "Hazelton",    "Highland Park",
    "Juniper",      "Kingsbridge",  "Lakeside",     "Larkspur",      "Linwood",     "Maple Grove",
    "Marbury",      "Meadowbrook",  "Millbrook",    "Moorfield",     "New Haverly", "Northgate",
    "Oak Hollow",   "Oldbridge",    "Pinehurst",    "Port Ellis",    "Quarry Lake", "Redwater",
    "Ridgeton",     "Riverside",    "Rockford",     "Salem Heights", "Sandy Bend",  "Silverton",
    "Springdale",   "St. Clair",    "Stonebridge",  "Summerfield",   "Thornbury",   "Union Mills",
    "Valley Cross", "Walnut Ridge", "Waterford",    "Westbrook",     "Whitmore",    "Winfield",
};

constexpr std::string_view kStreets[] = {
    "{} Acorn Lane",      "{} Bay Street",     "{} Beech Road",       "{} Birch Street",
    "{} Bridge Road",     "{} Canal Street",   "{} Cedar Avenue",     "{} Chapel Lane",
    "{} Cherry Street",   "{} Church Road",    "{} College Avenue",   "{} Court Street",
    "{} Dale Drive",      "{} Elm Street",     "{} Fern Court",       "{} Field Lane",
    "{} First Avenue",    "{} Forest Drive",   "{} Garden Street",    "{} Grove Road",
    "{} Harbor Drive",    "{} Hawthorn Way",   "{} Hickory Lane",     "{} High Street",
    "{} Hillcrest Drive", "{} Holly Court",    "{} Jefferson Street", "{} Lake Avenue",
    "{} Laurel Lane",     "{} Lincoln Avenue", "{} Main Street",      "{} Maple Avenue",
    "{} Market Street",   "{} Meadow Lane",    "{} Mill Road",        "{} North Street",
    "{} Oak Street",      "{} Orchard Road",   "{} Park Avenue",      "{} Pine Street",
    "{} Poplar Drive",    "{} Quarry Road",    "{} River Road",       "{} School Street",
    "{} Second Avenue",   "{} South Street",   "{} Spring Street",    "{} Spruce Way",
    "{} Station Road",    "{} Sycamore Drive", "{} Union Street",     "{} Valley Road",
    "{} Walnut Street",   "{} Water Street",   "{} Willow Lane",      "{} Woodland Drive",
};

constexpr std::string_view kStates[] = {
    "Alabama",       "Alaska",      "Arizona",        "Arkansas",      "California",
    "Colorado",      "Connecticut", "Delaware",       "Florida",       "Georgia",
    "Hawaii",        "Idaho",       "Illinois",       "Indiana",       "Iowa",
    "Kansas",        "Kentucky",    "Louisiana",      "Maine",         "Maryland",
    "Massachusetts", "Michigan",    "Minnesota",      "Mississippi",   "Missouri",
    "Montana",       "Nebraska",    "Nevada",         "New Hampshire", "New Jersey",
    "New Mexico",    "New York",    "North Carolina", "North Dakota",  "Ohio",
    "Oklahoma",      "Oregon",      "Pennsylvania",   "Rhode Island",  "South Carolina",
    "South Dakota",  "Tennessee",   "Texas",          "Utah",          "Vermont",
    "Virginia",      "Washington",  "West Virginia",  "Wisconsin",     "Wyoming",
};

constexpr std::string_view kCountries[] = {
    "Argentina",      "Australia",     "Austria",  "Belgium",     "Bolivia",      "Brazil",
    "Canada",         "Chile",         "China",    "Colombia",    "Croatia",      "Cuba",
    "Denmark",        "Ecuador",       "Egypt",    "Estonia",     "Ethiopia",     "Finland",
    "France",         "Germany",       "Ghana",    "Greece",      "Hungary",      "Iceland",
    "India",          "Indonesia",     "Ireland",  "Italy",       "Jamaica",      "Japan",
    "Jordan",         "Kenya",         "Latvia",   "Lithuania",   "Luxembourg",   "Malaysia",
    "Mexico",         "Morocco",       "Nepal",    "Netherlands", "New Zealand",  "Nigeria",
    "Norway",         "Panama",        "Peru",     "Poland",      "Portugal",     "Romania",
    "Senegal",        "Singapore",     "Slovakia", "Slovenia",    "South Africa", "Spain",
    "Sweden",         "Switzerland",   "Thailand", "Tunisia",     "Turkey",       "Ukraine",
    "United Kingdom", "United States", "Uruguay",  "Vietnam",
};

constexpr std::string_view kTrades[] = {
    "Analytics", "Bakery",     "Builders",  "Capital",  "Ceramics",    "Chemicals", "Consulting",
    "Design",    "Dynamics",   "Electric",  "Energy",   "Engineering", "Farms",     "Foods",
    "Freight",   "Furniture",  "Glass",     "Holdings", "Instruments", "Insurance", "Labs",
    "Lighting",  "Logistics",  "Machines",  "Media",    "Metals",      "Motors",    "Networks",
    "Optics",    "Outfitters", "Packaging", "Paper",    "Partners",    "Pharma",    "Press",
    "Robotics",  "Security",   "Shipping",  "Software", "Steel",       "Studios",   "Supply",
    "Systems",   "Textiles",   "Tools",     "Trading",  "Travel",      "Works",
};

constexpr std::string_view kLegalForms[] = {"Inc.", "LLC", "Corp.", "Ltd.", "Co."};

}  // namespace

const LocaleWords& EnglishWords() {
  static constexpr LocaleWords kWords = {kFirstNames, kLastNames, kCities, kStreets,
                                         kStates,     kCountries, kTrades, kLegalForms};
  return kWords;
}

}  // namespace pgflow::transformers
