#include "generate/generator.h"

#include <algorithm>
#include <chrono>
#include <limits>

#include "models/device_batch.h"

namespace elenchus {
namespace {

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void check_options(const GenerateOptions& options) {
  check(options.sampling);
  if (options.max_new_tokens < 1)
    throw UserError(cat("max_new_tokens: found ", options.max_new_tokens, ", expected at least 1"));
  expect(options.batch_size >= 1 && options.prefill_tokens >= 1, "batches hold something");
}

std::uint32_t sequence_number(const GenerateOptions& options, std::size_t prompt) {
  const std::int64_t number =
      options.sequence_numbers.empty() ? std::int64_t(prompt) : options.sequence_numbers[prompt];
  expect(number >= 0 && number <= std::numeric_limits<std::uint32_t>::max(),
         "prompts are numbered with 32 bits");
  return std::uint32_t(number);
}

}  // namespace

/// One sequence on its way; its cache slot is its place in the group.
struct Generator::Live {
  std::span<const TokenId> prompt;
  std::uint32_t sequence = 0;  // number of the prompt, for the random numbers
  std::int64_t fed = 0;        // prompt tokens that the model has seen
  bool done = false;
  Reply reply;

  bool in_prompt() const { return fed < std::int64_t(prompt.size()); }
};

/// The rows of one forward.
struct Generator::Rows {
  std::vector<std::int32_t> tokens, positions, starts = {0};
  std::vector<std::int32_t> counts;       // by slot
  std::vector<std::int32_t> wanted;       // rows whose logits are needed
  std::vector<std::size_t> wanted_slots;  // the slots that these belong to
};

namespace {

/// Shows the text of a reply while it grows.
class LiveText {
 public:
  LiveText(const Tokenizer& tokenizer, const OnText& on_text)
      : tokenizer_(tokenizer), on_text_(on_text) {}
  /// False: the reader wants no more.
  bool push(TokenId id) {
    if (!on_text_ || tokenizer_.is_special(id)) return true;
    std::string bytes = tokenizer_.piece_bytes(id);
    // SentencePiece marks words by a space before them, and a text does not begin with it.
    const bool drops_space =
        first_ && bytes.starts_with(' ') && !tokenizer_.decode({&id, 1}, true).starts_with(' ');
    first_ = false;
    const std::string text = stream_.push(drops_space ? bytes.substr(1) : bytes);
    return text.empty() || on_text_(text);
  }
  void finish() {
    const std::string text = stream_.finish();
    if (on_text_ && !text.empty()) on_text_(text);
  }

 private:
  const Tokenizer& tokenizer_;
  const OnText& on_text_;
  TextStream stream_;
  bool first_ = true;
};

}  // namespace

void Generator::check_prompts(std::span<const std::vector<TokenId>> prompts,
                              const GenerateOptions& options) const {
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    const auto length = std::int64_t(prompts[i].size());
    if (options.max_positions > 0 && length >= options.max_positions)
      throw InputError(cat("prompt ", i + 1, " has ", length, " tokens, and the model takes ",
                           options.max_positions, " with its reply; shorten the prompt"));
    for (const TokenId id : prompts[i])
      if (id < 0 || id >= model_.vocabulary_size())
        throw InputError(cat("prompt ", i + 1, " holds token ", id, ", expected 0 to ",
                             model_.vocabulary_size() - 1));
  }
}

std::vector<Reply> Generator::generate(std::span<const std::vector<TokenId>> prompts,
                                       const GenerateOptions& options, const OnText& on_text) {
  check_options(options);
  check_prompts(prompts, options);
  expect(!on_text || prompts.size() == 1, "text is shown for a single prompt");
  expect(options.sequence_numbers.empty() || options.sequence_numbers.size() == prompts.size(),
         "every prompt has a number, or none has");
  std::vector<Live> all(prompts.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    all[i].prompt = prompts[i];
    all[i].sequence = sequence_number(options, i);
    all[i].done = prompts[i].empty();
  }
  const auto group = std::size_t(options.batch_size);
  for (std::size_t first = 0; first < all.size(); first += group)
    run_group(std::span(all).subspan(first, std::min(group, all.size() - first)), options, on_text);
  std::vector<Reply> out;
  for (Live& live : all) {
    live.reply.text = tokenizer_.decode(live.reply.ids, true);
    out.push_back(std::move(live.reply));
  }
  return out;
}

/// Whether a stop is asked for: then no sequence of the group goes on.
bool Generator::interrupted(std::span<Live> group, const GenerateOptions& options) {
  if (!options.stop_asked || !options.stop_asked()) return false;
  for (Live& live : group) {
    if (!live.done) live.reply.finish = FinishReason::interrupted;
    live.done = true;
  }
  return true;
}

void Generator::run_group(std::span<Live> group, const GenerateOptions& options,
                          const OnText& on_text) {
  std::int64_t capacity = 0;
  for (const Live& live : group)
    capacity = std::max(capacity, std::int64_t(live.prompt.size()) + options.max_new_tokens);
  if (options.max_positions > 0) capacity = std::min(capacity, options.max_positions);
  KvCache cache = model_.make_cache(stream_, std::int64_t(group.size()), capacity);

  double began = seconds_now();
  while (std::ranges::any_of(group, &Live::in_prompt) && !interrupted(group, options))
    forward(group, cache, options);
  double now = seconds_now();
  timings_.prompt_seconds += now - began;
  began = now;

  LiveText text(tokenizer_, on_text);
  std::size_t shown = 0;
  for (;;) {
    Live& first = group.front();
    for (; on_text && shown < first.reply.ids.size(); ++shown) {
      if (text.push(first.reply.ids[shown])) continue;
      if (!first.done) first.reply.finish = FinishReason::interrupted;
      first.done = true;
    }
    if (std::ranges::all_of(group, &Live::done) || interrupted(group, options)) break;
    forward(group, cache, options);
  }
  text.finish();
  timings_.new_seconds += seconds_now() - began;
}

// The next prompt tokens, at most `budget` of them, while any are left; then one token of each
// sequence that is not done. A sequence with nothing to feed has an empty range.
Generator::Rows Generator::next_rows(std::span<Live> group, const KvCache& cache,
                                     std::int64_t budget) {
  const bool prefill = std::ranges::any_of(group, &Live::in_prompt);
  Rows rows;
  for (std::size_t slot = 0; slot < group.size(); ++slot) {
    Live& live = group[slot];
    std::int64_t count = 0;
    if (prefill) {
      count = std::min(std::int64_t(live.prompt.size()) - live.fed,
                       budget - std::int64_t(rows.tokens.size()));
      const auto piece = live.prompt.subspan(std::size_t(live.fed), std::size_t(count));
      rows.tokens.insert(rows.tokens.end(), piece.begin(), piece.end());
      live.fed += count;
      timings_.prompt_tokens += count;
    } else if (!live.done) {
      count = 1;
      rows.tokens.push_back(live.reply.ids.back());
    }
    for (std::int64_t i = 0; i < count; ++i)
      rows.positions.push_back(cache.host_lengths()[slot] + std::int32_t(i));
    rows.counts.push_back(std::int32_t(count));
    rows.starts.push_back(std::int32_t(rows.tokens.size()));
    if (count == 0 || live.in_prompt()) continue;
    rows.wanted.push_back(rows.starts.back() - 1);
    rows.wanted_slots.push_back(slot);
  }
  return rows;
}

void Generator::forward(std::span<Live> group, KvCache& cache, const GenerateOptions& options) {
  Rows rows = next_rows(group, cache, options.prefill_tokens);
  // The model computes logits of one row at least, also in the midst of long prompts.
  if (rows.wanted.empty()) rows.wanted.push_back(rows.starts.back() - 1);
  Arena::Scope scope(arena_);
  DeviceBatch batch = upload(stream_, arena_,
                             {.tokens = rows.tokens,
                              .positions = rows.positions,
                              .starts = rows.starts,
                              .target_rows = rows.wanted},
                             std::nullopt, &cache);
  const Tensor logits = model_.logits(batch.context, batch.tokens, batch.targets.rows);
  cache.advance(rows.counts);
  const auto vocabulary = std::size_t(logits.dim(1));
  // Rows that pad the embeddings stand for no token.
  const auto known = std::min(vocabulary, std::size_t(tokenizer_.vocabulary_size()));
  std::vector<float> host(rows.wanted.size() * vocabulary);
  stream_.copy(Tensor(host.data(), logits.shape(), DType::f32), logits);
  stream_.synchronize();
  for (std::size_t i = 0; i < rows.wanted_slots.size(); ++i) {
    Live& live = group[rows.wanted_slots[i]];
    const TokenId id =
        sample(std::span<const float>(host).subspan(i * vocabulary, known), options.sampling,
               live.sequence, std::uint32_t(live.prompt.size() + live.reply.ids.size()));
    accept(live, id, cache, options);
  }
}

void Generator::accept(Live& live, TokenId id, const KvCache& cache,
                       const GenerateOptions& options) {
  if (std::ranges::find(options.stop_ids, id) != options.stop_ids.end()) {
    live.done = true;
    live.reply.finish = FinishReason::stop;
    return;
  }
  live.reply.ids.push_back(id);
  ++timings_.new_tokens;
  const auto new_tokens = std::int64_t(live.reply.ids.size());
  if (new_tokens == options.max_new_tokens) {
    live.done = true;
    live.reply.finish = FinishReason::length;
  } else if (std::int64_t(live.prompt.size()) + new_tokens > cache.capacity()) {
    live.done = true;
    live.reply.finish = FinishReason::capacity;
  }
}

}  // namespace elenchus
