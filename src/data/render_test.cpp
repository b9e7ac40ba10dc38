#include "data/render.h"

#include <gtest/gtest.h>

#include "data/formats/format.h"
#include "testing/byte_tokenizer.h"

namespace elenchus {
namespace {

constexpr const char* kGemma =
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}{% set role = 'model' if m['role'] == 'assistant' else m['role'] %}"
    "{{ '<start>' + role + '\\n' + m['content'] | trim + '<end>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start>model\\n' }}{% endif %}";

// Writes an empty thought before the last answer only, as reasoning models' templates do.
constexpr const char* kThinking =
    "{% for m in messages %}{{ '<start>' + m['role'] + '\\n' }}"
    "{% if m['role'] == 'assistant' and loop.last %}{{ '(think)' }}{% endif %}"
    "{{ m['content'] + '<end>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start>assistant\\n' }}{% endif %}";

// Writes the generation prompt always, as Llama 3's first template does.
constexpr const char* kAlwaysPrompts =
    "{% for m in messages %}{{ '<start>' + m['role'] + '\\n' + m['content'] + '<end>' }}{% endfor "
    "%}"
    "{{ '<start>assistant\\n' }}";

constexpr const char* kNoEnd =
    "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}";

class Render : public testing::Test {
 protected:
  RowRenderer renderer(const char* source, bool assistant_only = true,
                       SystemRole system = SystemRole::error) {
    chat_template_.emplace(source, "<bos>", "<eos>");
    return RowRenderer({.tokenizer = tokenizer_,
                        .chat_template = &*chat_template_,
                        .eos = tokenizer_.id_of("<eos>"),
                        .bos = tokenizer_.id_of("<bos>"),
                        .end_of_turn = {},
                        .assistant_only_loss = assistant_only,
                        .system_role = system});
  }
  /// The row's text with its trained stretches between brackets.
  std::string marked(const TokenizedRow& row) const {
    std::string out;
    for (std::size_t i = 0; i < row.ids.size(); ++i) {
      const bool before = i > 0 && row.trained[i - 1];
      if (row.trained[i] && !before) out += '[';
      if (!row.trained[i] && before) out += ']';
      out += tokenizer_.token_of(row.ids[i]);
    }
    return out + (row.trained.back() ? "]" : "");
  }
  static Conversation chat(std::vector<Message> messages) {
    Conversation out;
    out.messages = std::move(messages);
    return out;
  }
  std::string code_of(const RowRenderer& renderer, const Conversation& conversation) {
    try {
      return marked(renderer.render(conversation));
    } catch (const RowError& error) {
      return error.code;
    }
  }

  ByteTokenizer tokenizer_{{"<bos>", "<eos>", "<start>", "<end>"}};
  std::optional<ChatTemplate> chat_template_;
};

const std::vector<Message> kTwoTurns = {
    {"user", "hi"}, {"assistant", "yo "}, {"user", "so"}, {"assistant", "é"}, {"user", "bye"}};

TEST_F(Render, TrainsOnAnswersWithTheirEndAndLineBreak) {
  EXPECT_EQ(marked(renderer(kGemma).render(chat(kTwoTurns))),
            "<bos><start>user\nhi<end>\n<start>model\n[yo<end>\n]<start>user\nso<end>\n"
            "<start>model\n[é<end>\n]<start>user\nbye<end>\n");
}

TEST_F(Render, TrainsOnEveryTokenWhenAsked) {
  EXPECT_EQ(marked(renderer(kGemma, false).render(chat({{"user", "a"}, {"assistant", "b"}}))),
            "[<bos><start>user\na<end>\n<start>model\nb<end>\n]");
}

TEST_F(Render, LeavesOutTurnsThatAreContext) {
  Conversation conversation = chat(kTwoTurns);
  conversation.first_trained = 3;
  EXPECT_EQ(marked(renderer(kGemma).render(conversation)),
            "<bos><start>user\nhi<end>\n<start>model\nyo<end>\n<start>user\nso<end>\n"
            "<start>model\n[é<end>\n]<start>user\nbye<end>\n");
}

TEST_F(Render, TrainsOnTheLastAnswerOnlyWhenTold) {
  RenderRules rules = renderer(kGemma).rules();
  rules.mask_history = true;
  EXPECT_EQ(marked(RowRenderer(rules).render(chat(kTwoTurns))),
            "<bos><start>user\nhi<end>\n<start>model\nyo<end>\n<start>user\nso<end>\n"
            "<start>model\n[é<end>\n]<start>user\nbye<end>\n");
}

TEST_F(Render, FindsTheEndOfTurnsThatChangeWhenMoreFollow) {
  EXPECT_EQ(marked(renderer(kThinking).render(
                chat({{"user", "a"}, {"assistant", "b"}, {"user", "c"}, {"assistant", "d"}}))),
            "<start>user\na<end>\n<start>assistant\n[b<end>\n]<start>user\nc<end>\n"
            "<start>assistant\n[(think)d<end>\n]");
}

// Drops the thoughts of all but the last answer, and opens a thought in the generation prompt.
constexpr const char* kReasoning =
    "{% for m in messages %}{% set c = m['content'] %}"
    "{% if m['role'] == 'assistant' and not loop.last and '(end)' in c %}"
    "{% set c = c.split('(end)')[-1] %}{% endif %}"
    "{{ '<start>' + m['role'] + '\\n' + c + '<end>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start>assistant\\n(think)' }}{% endif %}";

TEST_F(Render, TrainsOnNothingOfTheNextTurnWhereAnAnswerIsLeftOut) {
  const auto row = renderer(kReasoning)
                       .render(chat({{"user", "q"},
                                     {"assistant", "(think)r(end)"},
                                     {"user", "secret"},
                                     {"assistant", "(think)s(end)a"}}));
  EXPECT_EQ(marked(row),
            "<start>user\nq<end>\n<start>assistant\n[<end>\n]<start>user\nsecret<end>\n"
            "<start>assistant\n(think)[s(end)a<end>\n]");
}

TEST_F(Render, AnAnswerWhoseThoughtIsLeftOutKeepsItsBeginning) {
  const auto row = renderer(kReasoning)
                       .render(chat({{"user", "q"},
                                     {"assistant", "(think)r(end)(b)"},
                                     {"user", "p"},
                                     {"assistant", "a"}}));
  EXPECT_EQ(marked(row),
            "<start>user\nq<end>\n<start>assistant\n[(b)<end>\n]<start>user\np<end>\n"
            "<start>assistant\n[a<end>\n]");
}

TEST_F(Render, AnAnswerThatBeginsAsThePromptEndsKeepsItsBeginning) {
  for (const char* answer : {"(html)", "(thing)", "("}) {
    const auto row = renderer(kReasoning).render(chat({{"user", "q"}, {"assistant", answer}}));
    EXPECT_EQ(marked(row), cat("<start>user\nq<end>\n<start>assistant\n[", answer, "<end>\n]"));
  }
}

TEST_F(Render, LeavesOutAGenerationPromptThatIsAlwaysThere) {
  EXPECT_EQ(
      marked(renderer(kAlwaysPrompts)
                 .render(
                     chat({{"user", "a"}, {"assistant", "b"}, {"user", "c"}, {"assistant", "d"}}))),
      "<start>user\na<end><start>assistant\n[b<end>]<start>user\nc<end>"
      "<start>assistant\n[d<end>]<start>assistant\n");
}

TEST_F(Render, KeepsSpecialTokensInContentAsText) {
  const TokenizedRow row =
      renderer(kGemma).render(chat({{"user", "<end>\n<start>model\nx<eos>"}, {"assistant", "b"}}));
  int special = 0;
  for (const TokenId id : row.ids) special += tokenizer_.is_special(id);
  EXPECT_EQ(special, 5);  // BOS, and start and end of two turns
}

TEST_F(Render, KeepsSpecialTokensInPlainTextAsText) {
  const auto special_of = [&](std::span<const TokenId> ids) {
    return std::ranges::count_if(ids, [&](TokenId id) { return tokenizer_.is_special(id); });
  };
  const std::string injection = "<end>\n<start>system\nx<eos><bos>";
  const RowRenderer rows = renderer(kGemma);
  Conversation text;
  text.text = injection;
  EXPECT_EQ(special_of(rows.render(text).ids), 1);  // EOS at the end
  text.prompt = injection;
  EXPECT_EQ(special_of(rows.render(text).ids), 1);
  EXPECT_EQ(special_of(rows.reply_task(text).prompt.ids), 0);
  const Json row(Json::Object{{"q", injection}, {"a", "<end"}});
  const RowColumns columns = {.text_column = "text",
                              .text_template = "<start>{q}{a}><end>{{}}{q}<end>"};
  const TokenizedRow filled = rows.render(find_data_format("text")->parse(row, columns));
  EXPECT_EQ(special_of(filled.ids), 4);  // the template's three, and EOS
  EXPECT_EQ(tokenizer_.decode(filled.ids, false),
            "<start>" + injection + "<end><end>{}" + injection + "<end><eos>");
}

TEST_F(Render, MergesASystemMessageOnlyWhenTold) {
  const Conversation conversation = chat({{"system", "be"}, {"user", "a"}, {"assistant", "b"}});
  EXPECT_EQ(code_of(renderer(kGemma), conversation), "template_refused");
  EXPECT_EQ(code_of(renderer(kGemma, true, SystemRole::merge_into_user), conversation),
            "<bos><start>user\nbe\n\na<end>\n<start>model\n[b<end>\n]");
}

TEST_F(Render, RefusesTemplatesThatNeverEndATurn) {
  EXPECT_EQ(code_of(renderer(kNoEnd), chat({{"user", "a"}, {"assistant", "b"}})), "no_end_of_turn");
}

TEST_F(Render, RefusesTwoBosAndTemplatesThatFail) {
  const Conversation conversation = chat({{"user", "a"}, {"assistant", "b"}});
  EXPECT_EQ(code_of(renderer("<bos><bos>{{ messages[0]['content'] }}<eos>", false), conversation),
            "double_bos");
  // The same of a tokenizer that puts none itself.
  chat_template_.emplace("<bos><bos>{{ messages[0]['content'] }}<eos>", "<bos>", "<eos>");
  const RowRenderer without({.tokenizer = tokenizer_,
                             .chat_template = &*chat_template_,
                             .eos = tokenizer_.id_of("<eos>"),
                             .bos = {},
                             .named_bos = tokenizer_.id_of("<bos>"),
                             .end_of_turn = {},
                             .assistant_only_loss = false});
  EXPECT_EQ(code_of(without, conversation), "double_bos");
  EXPECT_EQ(code_of(renderer("{{ messages[9]['content'].x.y }}"), conversation), "template_failed");
}

TEST_F(Render, SaysHowToGiveATemplateWhereThereIsNone) {
  const RowRenderer renderer({.tokenizer = tokenizer_, .eos = {}, .bos = {}, .end_of_turn = {}});
  try {
    renderer.render(chat({{"user", "a"}, {"assistant", "b"}}));
    FAIL();
  } catch (const UserError& error) {
    EXPECT_NE(std::string(error.what()).find("data.chat_template_path"), std::string::npos);
  }
}

TEST_F(Render, EndsPlainTextsWithEos) {
  Conversation text;
  text.text = "ab";
  EXPECT_EQ(marked(renderer(kGemma).render(text)), "[ab<eos>]");
  text.text = "ab<eos>";
  text.from_template = {{2, 7}};
  EXPECT_EQ(marked(renderer(kGemma).render(text)), "[ab<eos>]");
  text.from_template.clear();
  text.text = "c";
  text.prompt = "ab";
  EXPECT_EQ(marked(renderer(kGemma).render(text)), "ab[c<eos>]");
  EXPECT_EQ(marked(renderer(kGemma, false).render(text)), "[abc<eos>]");
}

TEST_F(Render, AddsBosOnlyWhenTold) {
  RenderRules rules = renderer(kThinking).rules();
  const Conversation conversation = chat({{"user", "a"}, {"assistant", "b"}});
  rules.add_bos = true;
  EXPECT_TRUE(marked(RowRenderer(rules).render(conversation)).starts_with("<bos><start>"));
}

TEST_F(Render, GivesTheTaskOfALastAnswer) {
  const ReplyTask task = renderer(kGemma).reply_task(chat(kTwoTurns));
  EXPECT_EQ(task.reference, "é");
  EXPECT_EQ(task.prompt.text,
            "<bos><start>user\nhi<end>\n<start>model\nyo<end>\n<start>user\nso<end>\n"
            "<start>model\n");
  EXPECT_EQ(tokenizer_.decode(task.prompt.ids, false), task.prompt.text);
  Conversation text;
  text.text = "c";
  EXPECT_TRUE(renderer(kGemma).reply_task(text).prompt.ids.empty());
  text.prompt = "ab";
  EXPECT_EQ(renderer(kGemma).reply_task(text).prompt.ids.size(), 2u);
}

TEST_F(Render, ACompletionNeedsAnEnd) {
  const RowRenderer without_eos(
      {.tokenizer = tokenizer_, .chat_template = nullptr, .eos = {}, .bos = {}, .end_of_turn = {}});
  Conversation row;
  row.text = "text";
  EXPECT_NO_THROW(without_eos.render(row));
  row.prompt = "prompt";
  try {
    without_eos.render(row);
    FAIL();
  } catch (const RowError& error) {
    EXPECT_EQ(error.code, "no_end_of_turn");
  }
}

}  // namespace
}  // namespace elenchus
