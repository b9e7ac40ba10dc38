#include <gtest/gtest.h>

#include "data/formats/catalogue.h"

namespace elenchus {
namespace {

/// "user: a | assistant: b", or "prompt > text" for plain text.
std::string read(const std::string& json, const RowColumns& columns = {}) {
  const Json row = Json::parse(json, "row");
  const Conversation got = recognise_format(row, columns).parse(row, columns);
  if (got.plain()) return got.prompt + " > " + got.text;
  std::string out;
  for (std::size_t i = 0; i < got.messages.size(); ++i)
    out += cat(i ? " | " : "", i < got.first_trained ? "-" : "", got.messages[i].role, ": ",
               got.messages[i].content);
  return out;
}

TEST(DataFormats, GiveTheSameConversation) {
  const std::string expected = "user: a | assistant: b";
  EXPECT_EQ(read(R"({"messages":[{"role":"user","content":"a"},{"role":"model","content":"b"}]})"),
            expected);
  EXPECT_EQ(read(R"({"messages":[{"role":"user","content":[{"type":"text","text":"a"}]},
               {"role":"assistant","content":"b"}]})"),
            expected);
  EXPECT_EQ(read(R"({"conversations":[{"from":"human","value":"a"},{"from":"gpt","value":"b"}]})"),
            expected);
  EXPECT_EQ(read(R"({"instruction":"a","input":"","output":"b"})"), expected);
  EXPECT_EQ(read(R"({"prompt":[{"role":"user","content":"a"}],
                     "completion":[{"role":"assistant","content":"b"}]})"),
            "-" + expected);
}

TEST(DataFormats, KeepSystemInputAndHistory) {
  EXPECT_EQ(read(R"({"system":"s","conversations":[{"from":"human","value":"a"},
                     {"from":"gpt","value":"b"}]})"),
            "system: s | user: a | assistant: b");
  EXPECT_EQ(read(R"({"instruction":"a","input":"i","output":"b","history":[["q","r"]]})"),
            "user: q | assistant: r | user: a\ni | assistant: b");
}

TEST(DataFormats, ReadPlainText) {
  EXPECT_EQ(read(R"({"text":"t"})"), " > t");
  EXPECT_EQ(read(R"({"body":"t"})", {.text_column = "body", .text_template = {}}), " > t");
  EXPECT_EQ(
      read(R"({"q":"x","a":"y"})", {.text_column = "text", .text_template = "{{Q}}: {q}\nA: {a}"}),
      " > {Q}: x\nA: y");
  EXPECT_EQ(read(R"({"prompt":"p","completion":"c"})"), "p > c");
}

struct Fault {
  std::string format, row, code;
};

std::string code_of(const Fault& fault) {
  const RowColumns columns;
  const Json row = Json::parse(fault.row, "row");
  try {
    const DataFormat* format = find_data_format(fault.format);
    (format ? *format : recognise_format(row, columns)).parse(row, columns);
    return "none";
  } catch (const RowError& error) {
    return error.code;
  }
}

/// A row of messages with $U, $A and $S as turns of the user, the assistant and the system.
std::string messages_row(std::string turns) {
  for (const auto& [mark, turn] : {std::pair("$U", R"({"role":"user","content":"a"})"),
                                   std::pair("$A", R"({"role":"assistant","content":"b"})"),
                                   std::pair("$S", R"({"role":"system","content":"s"})")})
    for (std::size_t at; (at = turns.find(mark)) != turns.npos;) turns.replace(at, 2, turn);
  return R"({"messages":[)" + turns + "]}";
}

TEST(DataFormats, GiveEveryFaultItsOwnCode) {
  const Fault faults[] = {
      {"messages", "5", "row_not_object"},
      {"messages", "[]", "row_not_object"},
      {"messages", "{}", "messages_missing"},
      {"messages", R"({"messages":null})", "messages_not_array"},
      {"messages", R"({"messages":"a"})", "messages_not_array"},
      {"messages", R"({"messages":{}})", "messages_not_array"},
      {"messages", messages_row(R"()"), "messages_empty"},
      {"messages", messages_row(R"(5)"), "message_not_object"},
      {"messages", messages_row(R"(null)"), "message_not_object"},
      {"messages", messages_row(R"({"content":"a"})"), "role_missing"},
      {"messages", messages_row(R"({"role":null,"content":"a"})"), "role_not_string"},
      {"messages", messages_row(R"({"role":1,"content":"a"})"), "role_not_string"},
      {"messages", messages_row(R"({"role":"","content":"a"})"), "role_unknown"},
      {"messages", messages_row(R"({"role":"tool","content":"a"})"), "role_unknown"},
      {"messages", messages_row(R"({"role":"user","content":"a","reasoning_content":"r"})"),
       "key_unsupported"},
      {"messages", R"({"messages": [], "tools": [{"type": "function"}]})", "key_unsupported"},
      {"messages", messages_row(R"({"role":"User","content":"a"})"), "role_unknown"},
      {"messages", messages_row(R"({"role":"user"})"), "content_missing"},
      {"messages", messages_row(R"({"role":"user","content":null})"), "content_null"},
      {"messages", messages_row(R"({"role":"user","content":3})"), "content_not_string"},
      {"messages", messages_row(R"({"role":"user","content":true})"), "content_not_string"},
      {"messages", messages_row(R"({"role":"user","content":{}})"), "content_not_string"},
      {"messages", messages_row(R"({"role":"user","content":[{"type":"image"}]})"), "content_part"},
      {"messages", messages_row(R"({"role":"user","content":["a"]})"), "content_part"},
      {"messages", messages_row(R"($A)"), "assistant_first"},
      {"messages", messages_row(R"($S,$A)"), "assistant_first"},
      {"messages", messages_row(R"($U,$U,$A)"), "user_after_user"},
      {"messages", messages_row(R"($U,$A,$A)"), "assistant_after_assistant"},
      {"messages", messages_row(R"($U,$S,$A)"), "system_not_first"},
      {"messages", messages_row(R"($S,$S,$U,$A)"), "system_not_first"},
      {"messages", messages_row(R"($U)"), "no_assistant"},
      {"messages", messages_row(R"($S)"), "no_assistant"},
      {"messages", messages_row(R"($U,{"role":"assistant","content":""})"), "assistant_empty"},
      {"messages", messages_row(R"($U,{"role":"assistant","content":" \n"})"), "assistant_empty"},
      {"sharegpt", "{}", "messages_missing"},
      {"sharegpt", R"({"conversations":[{"from":"human"}]})", "content_missing"},
      {"sharegpt", R"({"conversations":[{"value":"a"}]})", "role_missing"},
      {"alpaca", "{}", "key_missing"},
      {"alpaca", R"({"instruction":"a"})", "key_missing"},
      {"alpaca", R"({"instruction":"a","output":null})", "key_not_string"},
      {"alpaca", R"({"instruction":"a","output":""})", "assistant_empty"},
      {"alpaca", R"({"instruction":"a","output":"b","history":5})", "history_not_array"},
      {"alpaca", R"({"instruction":"a","output":"b","history":[["q"]]})", "history_item"},
      {"prompt_completion", R"({"prompt":"a"})", "key_missing"},
      {"prompt_completion", R"({"prompt":"a","completion":[]})", "key_kinds_differ"},
      {"prompt_completion", R"({"prompt":1,"completion":"b"})", "key_not_string"},
      {"prompt_completion", R"({"prompt":"a","completion":" "})", "completion_empty"},
      {"prompt_completion", R"({"prompt":[{"role":"user","content":"a"}],"completion":[]})",
       "messages_empty"},
      {"text", "{}", "key_missing"},
      {"text", R"({"text":null})", "key_not_string"},
      {"text", R"({"text":""})", "text_empty"},
      {"auto", "{}", "format_unknown"},
      {"auto", R"({"question":"a","answer":"b"})", "format_unknown"},
      {"auto", "[1]", "row_not_object"},
  };
  for (const Fault& fault : faults) EXPECT_EQ(code_of(fault), fault.code) << fault.row;
}

TEST(DataFormats, RefuseTenThousandTurns) {
  std::string turns;
  for (int i = 0; i < 5000; ++i)
    turns += std::string(i ? "," : "") +
             R"({"role":"user","content":"a"},{"role":"assistant","content":"b"})";
  const std::string row = R"({"messages":[)" + turns + "]}";
  EXPECT_EQ(code_of({"messages", row, ""}), "too_many_turns");
}

TEST(DataFormats, SayWhereTheFaultIs) {
  const Json row = Json::parse(
      R"({"messages":[{"role":"user","content":"a"},{"role":"model","content":null}]})", "row");
  try {
    kMessagesFormat.parse(row, {});
    FAIL();
  } catch (const RowError& error) {
    EXPECT_STREQ(error.what(), "messages[1].content: expected a string, found null");
  }
}

TEST(DataFormats, KnowTheirNames) {
  EXPECT_EQ(find_data_format("auto"), nullptr);
  EXPECT_EQ(find_data_format("sharegpt")->name, "sharegpt");
  EXPECT_THROW(find_data_format("parquet"), UserError);
}

}  // namespace
}  // namespace elenchus
