#include "sinks/webhook/payload_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "engine/testing/event_builder.h"

namespace pgflow::sinks {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class PayloadTemplateTest : public testing::Test {
 protected:
  PayloadTemplateTest() {
    builder_.Table("public.orders (id int4 key, note text, total numeric)");
    builder_.Table("public.log (line text) nothing");
  }

  std::vector<std::string> Rendered(std::string_view text, engine::Batch batch,
                                    TemplateKind kind = TemplateKind::kJson) {
    auto made = PayloadTemplate::Make(text, kind);
    EXPECT_TRUE(made.ok()) << made.status();
    if (!made.ok()) return {};
    std::vector<std::string> bodies;
    made->StartBatch();
    const auto events = batch.Events();
    for (const engine::ChangeEvent& event : *events) {
      const auto body = made->Render(batch, event, R"({"whole":"e"})");
      bodies.push_back(body.ok() ? *body : std::string(base::Message(body.status())));
    }
    return bodies;
  }
  std::vector<std::string> Rendered(std::string_view text, std::string_view script,
                                    TemplateKind kind = TemplateKind::kJson) {
    return Rendered(text, builder_.StreamBatch(script), kind);
  }

  engine::EventBuilder builder_;
};

TEST_F(PayloadTemplateTest, PutsInValuesAndEscapedText) {
  EXPECT_THAT(
      Rendered(
          R"({"t": "{{row.note}}!", "n": {{ after.total }}, "s": {{ after.note }}})",
          "begin\n insert orders 1 'a \"b\" \\\\ c' 12.50\n insert orders 2 null null\n commit"),
      ElementsAre(R"({"t": "a \"b\" \\\\ c!", "n": 12.50, "s": "a \"b\" \\\\ c"})",
                  R"({"t": "!", "n": null, "s": null})"));
}

TEST_F(PayloadTemplateTest, KnowsTheSidesOfARow) {
  const std::string text = R"([{{ before.id }}, {{ before.note }}, {{ after.id }}, {{ row.id }}])";
  EXPECT_THAT(Rendered(text,
                       "begin\n update orders full(1 a 1) 2 b 2\n delete orders 3\n"
                       " update orders 4 unchanged 1\n truncate orders\n commit"),
              ElementsAre(R"([1, "a", 2, 2])", "[3, null, null, 3]", "[null, null, 4, 4]",
                          "[null, null, null, null]"));
  EXPECT_THAT(Rendered(text, builder_.Snapshot("orders", "7 x 1")),
              ElementsAre("[null, null, 7, 7]"));
}

TEST_F(PayloadTemplateTest, TellsOfTheEvent) {
  EXPECT_THAT(
      Rendered(
          R"({"{{ schema }}.{{ table }}": {{operation}}, "at": "{{ position }}", "xid": {{ xid }},
                   "event": {{ event }}, "text": "{{ event }}", "x": "{{ xid }}"})",
          "begin xid=7 lsn=0/500\n insert orders 1 a 1\n commit"),
      ElementsAre(R"({"public.orders": "insert", "at": "0/500:0", "xid": 7,
                   "event": {"whole":"e"}, "text": "{\"whole\":\"e\"}", "x": "7"})"));
  EXPECT_THAT(Rendered(R"([{{ xid }}, {{ commit_time }}, "{{ commit_time }}"])",
                       builder_.Snapshot("orders", "7 x 1")),
              ElementsAre(R"([null, null, ""])"));
}

TEST_F(PayloadTemplateTest, TextsTakeValuesAsTheyAre) {
  EXPECT_THAT(Rendered("order {{ row.id }}: \"{{ after.note }}\" {{ before.note }}{{ event }}",
                       "begin\n insert orders 1 'a \"b\"' 1\n commit", TemplateKind::kText),
              ElementsAre(R"(order 1: "a "b"" {"whole":"e"})"));
}

TEST_F(PayloadTemplateTest, NamesTheTableThatLacksAColumn) {
  EXPECT_THAT(Rendered("{{ row.id }}", "begin\n insert log x\n commit"),
              ElementsAre(HasSubstr("public.log has no column 'id'")));
}

TEST_F(PayloadTemplateTest, RefusesWhatCannotWork) {
  const auto error = [](std::string_view text) {
    return std::string(base::Message(PayloadTemplate::Make(text, TemplateKind::kJson).status()));
  };
  EXPECT_THAT(error("{{ nme }}"), HasSubstr("{{ nme }} is none of after.COLUMN"));
  EXPECT_THAT(error("{{ after. }}"), HasSubstr("is none of"));
  EXPECT_THAT(error("{\"a\": {{ table }"), HasSubstr("without its }}"));
  EXPECT_THAT(error("{\"a\": {{ table }}"), HasSubstr("is no JSON"));
  EXPECT_THAT(error("order {{ row.id }}"), HasSubstr("template_kind: text"));
  EXPECT_THAT(error(""), HasSubstr("empty"));
}

}  // namespace
}  // namespace pgflow::sinks
