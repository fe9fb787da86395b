// No mistake in a connection string brings a piece of its password into a message.
#include "postgres/client/connection_url.h"

#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <libpq-fe.h>

#include "base/status.h"
#include "postgres/client/connection.h"

namespace pgflow::postgres {
namespace {

constexpr std::string_view kPassword = "QzWx7Kjv";

// Three letters in a row of the password.
std::string PieceIn(std::string_view message) {
  for (size_t i = 0; i + 3 <= kPassword.size(); ++i) {
    const std::string_view piece = kPassword.substr(i, 3);
    if (message.find(piece) != std::string_view::npos) return std::string(piece);
  }
  return "";
}

struct FreeOptions {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};

// What libpq and a server may say of a connection that was tried with `url`: each of its values.
std::vector<std::string> WhatMayBeSaid(const std::string& url) {
  const std::unique_ptr<PQconninfoOption, FreeOptions> parsed(
      PQconninfoParse(url.c_str(), nullptr));
  std::vector<std::string> said;
  if (parsed == nullptr) return said;
  for (const PQconninfoOption* option = parsed.get(); option->keyword != nullptr; ++option) {
    if (option->val == nullptr) continue;
    const std::string value = option->val;
    said.push_back(fmt::format("invalid {} value: \"{}\"\n", option->keyword, value));
    said.push_back(fmt::format("could not translate host name \"{}\" to address: no\n", value));
    for (const std::string& name : {value, value.substr(0, 63)}) {
      said.push_back(
          fmt::format("connection to server at \"{}\", port 1 failed: FATAL:  \"{}\" "
                      "does not exist\n",
                      "127.0.0.1", name));
      said.push_back(
          fmt::format("connection to server on socket \"/s\" failed: «{}»: nein\n"
                      "DETAIL:  {}, or {}\n",
                      name, name, name));
    }
  }
  return said;
}

void ExpectNothingSaid(const std::string& url) {
  EXPECT_EQ(PieceIn(ShownUrl(url)), "") << ShownUrl(url) << " for " << url;
  const absl::StatusOr<ConnectionUrl> parsed = ConnectionUrl::Parse(url);
  if (!parsed.ok()) {
    EXPECT_EQ(PieceIn(base::Message(parsed.status())), "") << parsed.status() << " for " << url;
    return;
  }
  for (const std::string& message : WhatMayBeSaid(url)) {
    EXPECT_EQ(PieceIn(parsed->Explain(message)), "") << parsed->Explain(message) << " for " << url;
  }
}

TEST(ConnectionUrlTest, ShowsWhereAConnectionGoes) {
  EXPECT_EQ(ShownUrl("postgres://u:p@h:1/db"), "h:1/db as u");
  EXPECT_EQ(ShownUrl("postgresql://u:p%40%2F@[::1]:1/db?sslmode=require"), "::1:1/db as u");
  EXPECT_EQ(ShownUrl("postgres://u:p@a:1,b:2/db"), "a,b:1,2/db as u");
  EXPECT_EQ(ShownUrl("host=/run/pg port=1 dbname=db user=u password='a b'"), "/run/pg:1/db as u");
  EXPECT_EQ(ShownUrl("postgresql:///db?host=/run/pg&port=1&user=u"), "/run/pg:1/db as u");
  // What stands in place of a user or a port may be the password.
  EXPECT_EQ(ShownUrl("postgres://me@h/db"), "h/db");
  EXPECT_EQ(ShownUrl("postgres://h:1/db"), "h/db");
  EXPECT_EQ(ShownUrl("postgres://u:p@h/a%20b"), "h as u");
  EXPECT_EQ(ShownUrl("postgres://"), "the server of the connection url");
}

TEST(ConnectionUrlTest, ExplainsWhatTheServerAndTheNetworkSay) {
  const auto url = ConnectionUrl::Parse("postgres://me:geheim@h:1/shop?options=-c%20a%3Db");
  ASSERT_TRUE(url.ok()) << url.status();
  EXPECT_EQ(url->Explain("connection to server at \"h\" (10.0.0.1), port 1 failed: Connection "
                         "refused\n\tIs the server running on that host?\n"),
            "Connection refused");
  EXPECT_EQ(
      url->Explain("connection to server at \"h\", port 1 failed: FATAL:  role \"me\" is bad\n"
                   "HINT:  Mend it.\n"),
      "FATAL:  role \"me\" is bad; HINT:  Mend it.");
  EXPECT_EQ(url->Explain("connection to server at \"h\", port 1 failed: FATAL:  geheim, -c a=b\n"),
            "FATAL:  ***, ***");
  EXPECT_EQ(url->Explain("invalid sslmode value: \"x\"\n"),
            "one of the url's settings cannot be used");
  const auto bare = ConnectionUrl::Parse("postgres://geheim@h/shop");
  EXPECT_EQ(bare->Explain("connection to server at \"h\", port 1 failed: FATAL:  no entry for user "
                          "\"geheim\", database \"shop\"\n"),
            "FATAL:  no entry for user \"***\", database \"shop\"");
}

TEST(ConnectionUrlTest, NoMessageOfAMalformedUrlHasAPieceOfThePassword) {
  for (const char* form :
       {"postgres://u:Qz@Wx7Kjv@127.0.0.1:1/shop", "postgres://u:Qz/Wx7Kjv@127.0.0.1:1/shop",
        "postgres//u:QzWx7Kjv@127.0.0.1", "postgres://u:QzWx7Kjv", "u:QzWx7Kjv@127.0.0.1",
        "host=127.0.0.1 passwort=QzWx7Kjv", "host=127.0.0.1 PASSWORD=QzWx7Kjv",
        "host=127.0.0.1 password='Qz'Wx7Kjv' user=u", "QzWx7Kjv",
        "host=127.0.0.1 port=1password=QzWx7Kjv", "host=127.0.0.1password=QzWx7Kjv user=u",
        "postgres://u:QzWx7Kjv@127.0.0.1/shop?sslmod=QzWx7Kjv", "postgres:///u:QzWx7Kjv@h/shop"}) {
    const absl::Status refused =
        Connection::Connect({.url = form, .connect_timeout = absl::Seconds(1)}, {}).status();
    EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument) << form << ": " << refused;
    EXPECT_EQ(PieceIn(base::Message(refused)), "") << refused << " for " << form;
    ExpectNothingSaid(form);
  }
}

// Every single mistake: a letter left out, put in, put in place of another, or two exchanged.
TEST(ConnectionUrlTest, NoSingleMistakeShowsAPieceOfThePassword) {
  const std::string password(kPassword);
  const std::vector<std::string> forms = {
      "postgres://shop:" + password + "@127.0.0.1:1/shop",
      "postgresql://shop:" + password + "@/shop?host=/tmp&port=1",
      "postgresql://127.0.0.1:1/shop?user=shop&password=" + password + "&sslmode=prefer",
      "postgresql://shop:" + password + "@a:1,b:2/shop?target_session_attrs=any",
      "host=127.0.0.1 port=1 user=shop dbname=shop password=" + password,
      "host=127.0.0.1 user=shop password=" + password + " dbname=shop sslmode=prefer",
      "password='" + password + "' dbname='shop' user='shop' host='127.0.0.1'",
  };
  constexpr std::string_view kLetters = "@/:?&=%#'\"\\ ,;[]\n$x1";
  for (const std::string& form : forms) {
    for (size_t at = 0; at <= form.size(); ++at) {
      for (const char letter : kLetters) {
        ExpectNothingSaid(form.substr(0, at) + letter + form.substr(at));
        if (at < form.size()) {
          ExpectNothingSaid(form.substr(0, at) + letter + form.substr(at + 1));
        }
      }
      if (at == form.size()) continue;
      ExpectNothingSaid(form.substr(0, at) + form.substr(at + 1));
      ExpectNothingSaid(form.substr(0, at));
      ExpectNothingSaid(form.substr(at));
      if (at + 1 < form.size()) {
        std::string exchanged = form;
        std::swap(exchanged[at], exchanged[at + 1]);
        ExpectNothingSaid(exchanged);
      }
      if (HasFailure()) return;
    }
  }
}

}  // namespace
}  // namespace pgflow::postgres
