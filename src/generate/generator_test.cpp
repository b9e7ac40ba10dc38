#include "generate/generator.h"

#include <gtest/gtest.h>

#include "testing/byte_tokenizer.h"

namespace elenchus {
namespace {

constexpr std::int64_t kVocabulary = 258;
constexpr TokenId kStop = 257;

/// The token after a text: a function of all of it, so that a lost or misplaced token shows.
TokenId next_of(std::span<const TokenId> text) {
  std::uint32_t hash = 2166136261u;
  for (const TokenId id : text) hash = (hash ^ std::uint32_t(id)) * 16777619u;
  return hash % 11 == 0 ? kStop : TokenId('a' + hash % 26);
}

/// Keeps the tokens of each slot where a model would keep keys and values.
class FakeModel final : public LanguageModel {
 public:
  LossSum loss_and_backward(Context&, ConstTensor, const Targets&, float) override { return {}; }
  void losses(Context&, ConstTensor, const Targets&, const LossOutputs&) override {}
  Tensor logits(Context& ctx, ConstTensor tokens, ConstTensor rows) override {
    const auto starts = ctx.sequences.host_starts;
    const auto ids = tokens.values<std::int32_t>();
    most_rows = std::max<std::int64_t>(most_rows, tokens.dim(0));
    std::vector<TokenId> next(ids.size());
    seen_.resize(std::max(seen_.size(), starts.size() - 1));
    for (std::size_t slot = 0; slot + 1 < starts.size(); ++slot) {
      seen_[slot].resize(std::size_t(ctx.cache->host_lengths()[slot]));
      for (auto i = std::size_t(starts[slot]); i < std::size_t(starts[slot + 1]); ++i) {
        EXPECT_EQ(ctx.positions.as<std::int32_t>()[i], std::int32_t(seen_[slot].size()));
        seen_[slot].push_back(ids[i]);
        EXPECT_LE(std::int64_t(seen_[slot].size()), ctx.cache->capacity());
        next[i] = next_of(seen_[slot]);
      }
    }
    Tensor out = ctx.arena.alloc({rows.dim(0), kVocabulary}, DType::f32);
    std::ranges::fill(out.values<float>(), 0.f);
    for (std::int64_t i = 0; i < rows.dim(0); ++i)
      out.as<float>()[i * kVocabulary + next[std::size_t(rows.as<std::int32_t>()[i])]] = 9;
    return out;
  }
  ParamSet& params() override { return params_; }
  std::int64_t vocabulary_size() const override { return kVocabulary; }
  KvCache make_cache(Stream& stream, std::int64_t slots, std::int64_t capacity) const override {
    return KvCache(
        stream, {.layers = 1, .slots = slots, .capacity = capacity, .kv_heads = 1, .head_dim = 1},
        DType::f32);
  }
  std::int64_t most_rows = 0;

 private:
  std::vector<std::vector<TokenId>> seen_;
  ParamSet params_;
};

class GeneratorTest : public testing::Test {
 protected:
  std::vector<TokenId> ids(std::string_view text) const { return tokenizer_.encode(text).ids; }
  /// What the model says when it sees everything at once, token after token.
  std::string expected(std::string_view prompt, std::int64_t most) const {
    std::vector<TokenId> text = ids(prompt);
    std::string out;
    for (std::int64_t i = 0; i < most && next_of(text) != kStop; ++i) {
      text.push_back(next_of(text));
      out += char(text.back());
    }
    return out;
  }

  ByteTokenizer tokenizer_{{"<bos>", "<stop>"}};
  FakeModel model_;
  std::unique_ptr<Stream> stream_ = Stream::open({}, 1);
  Arena arena_{*stream_, 1 << 20};
  Generator generator_{model_, *stream_, arena_, tokenizer_};
  GenerateOptions options_{.max_new_tokens = 20,
                           .sampling = {},
                           .stop_ids = {kStop},
                           .max_positions = 0,
                           .batch_size = 3,
                           .prefill_tokens = 7};
};

TEST_F(GeneratorTest, SaysWhatAFullForwardWouldSay) {
  const std::vector<std::string> texts = {
      "one", "a prompt longer than a forward", "", "x", "another prompt", "zz", "last"};
  std::vector<std::vector<TokenId>> prompts;
  for (const std::string& text : texts) prompts.push_back(ids(text));
  const std::vector<Reply> replies = generator_.generate(prompts, options_);
  ASSERT_EQ(replies.size(), texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (texts[i].empty()) {
      EXPECT_TRUE(replies[i].text.empty());
      continue;
    }
    EXPECT_EQ(replies[i].text, expected(texts[i], 20)) << texts[i];
    EXPECT_EQ(replies[i].finish,
              replies[i].ids.size() == 20 ? FinishReason::length : FinishReason::stop);
  }
  EXPECT_LE(model_.most_rows, 7);
  EXPECT_EQ(generator_.timings().prompt_tokens, 54);
  EXPECT_EQ(arena_.mark(), 0u);
}

TEST_F(GeneratorTest, StopsAtTheModelsLastPosition) {
  options_.stop_ids.clear();
  options_.max_positions = 6;
  const std::vector<std::vector<TokenId>> prompts = {ids("abc")};
  const Reply reply = generator_.generate(prompts, options_).front();
  EXPECT_EQ(reply.finish, FinishReason::capacity);
  EXPECT_EQ(reply.ids.size(), 4u);  // three are fed back, the last needs no place
}

TEST_F(GeneratorTest, ShowsTextAsItGrowsAndStopsWhenToldTo) {
  const std::string prompt = "a prompt longer than a forward";
  const std::vector<std::vector<TokenId>> prompts = {ids(prompt)};
  std::string shown;
  const Reply reply = generator_
                          .generate(prompts, options_,
                                    [&](std::string_view text) {
                                      shown += text;
                                      return true;
                                    })
                          .front();
  EXPECT_EQ(shown, reply.text);
  if (reply.ids.size() < 2) GTEST_SKIP() << "the fake model says too little here";
  const Reply cut =
      generator_.generate(prompts, options_, [](std::string_view) { return false; }).front();
  EXPECT_EQ(cut.finish, FinishReason::interrupted);
  EXPECT_EQ(cut.ids.size(), 1u);
}

TEST_F(GeneratorTest, EndsEveryReplyWhenAStopIsAskedFor) {
  options_.stop_ids.clear();
  int forwards = 0;
  options_.stop_asked = [&] { return ++forwards > 4; };
  const std::vector<std::vector<TokenId>> prompts = {ids("abc"), ids("de"), ids("f"), ids("g")};
  const std::vector<Reply> replies = generator_.generate(prompts, options_);
  ASSERT_EQ(replies.size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(replies[i].finish, FinishReason::interrupted);
    EXPECT_EQ(replies[i].ids.size(), i < 3 ? 4u : 0u);  // the fourth was to come after the others
  }
}

TEST_F(GeneratorTest, DrawsByTheNumberThatAPromptIsGiven) {
  options_.stop_ids.clear();
  options_.sampling.temperature = 10;
  const std::vector<std::vector<TokenId>> same(2, ids("same"));
  const std::vector<std::int64_t> numbers = {7, 1};
  const std::vector<Reply> by_place = generator_.generate(same, options_);
  options_.sequence_numbers = numbers;
  const std::vector<Reply> by_number = generator_.generate(same, options_);
  EXPECT_NE(by_place[0].ids, by_place[1].ids);
  EXPECT_NE(by_number[0].ids, by_place[0].ids);
  EXPECT_EQ(by_number[1].ids, by_place[1].ids);
}

TEST_F(GeneratorTest, NeverChoosesATokenThatTheTokenizerLacks) {
  const ByteTokenizer shorter({});
  Generator generator(model_, *stream_, arena_, shorter);
  options_.stop_ids.clear();
  options_.max_new_tokens = 100;
  const std::vector<std::vector<TokenId>> prompts = {ids("abc"), ids("x")};
  std::int64_t masked = 0;
  for (const double temperature : {0.0, 1.0}) {
    options_.sampling.temperature = temperature;
    for (const Reply& reply : generator.generate(prompts, options_))
      for (const TokenId id : reply.ids) {
        ASSERT_LT(id, shorter.vocabulary_size());
        masked += id == 0;  // the first of equal logits, where the model prefers kStop
      }
  }
  EXPECT_GT(masked, 0);
}

TEST_F(GeneratorTest, RefusesWhatTheModelCannotTake) {
  const std::vector<std::vector<TokenId>> outside = {{kVocabulary}}, prompts = {ids("abc")};
  EXPECT_THROW(generator_.generate(outside, options_), InputError);
  options_.max_positions = 3;
  EXPECT_THROW(generator_.generate(prompts, options_), InputError);
  options_.max_positions = 0;
  options_.max_new_tokens = 0;
  EXPECT_THROW(generator_.generate(prompts, options_), UserError);
}

}  // namespace
}  // namespace elenchus
