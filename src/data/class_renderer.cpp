// Classified texts as tokens, and how long ones are cut.

#include <algorithm>
#include <numeric>

#include "data/classification.h"

namespace elenchus {

/// A text's tokens, and which part each begins in.
struct ClassRenderer::Tokens {
  std::vector<TokenId> ids;       // without the tokens that the tokenizer adds at the ends
  std::vector<std::size_t> part;  // of each id
  std::vector<TokenId> before, after;
};

ClassRenderer::Tokens ClassRenderer::tokens_of(const ClassifiedText& text) const {
  std::string whole;
  std::vector<std::size_t> ends;
  std::vector<TextRange> values;  // special tokens stay text there
  for (const TextPart& part : text.parts) {
    const std::size_t begin = whole.size();
    whole += part.text;
    ends.push_back(whole.size());
    if (part.value && begin < whole.size()) values.push_back({begin, whole.size()});
  }
  const Encoding plain = tokenizer_.encode(whole, {.add_special_tokens = false, .plain = values});
  Encoding full = tokenizer_.encode(whole, {.add_special_tokens = true, .plain = values});
  Tokens out{.ids = plain.ids, .part = {}, .before = {}, .after = {}};
  const auto inner = std::ranges::search(full.ids, plain.ids);
  out.before.assign(full.ids.begin(), inner.begin());
  out.after.assign(inner.end(), full.ids.end());
  std::size_t part = 0;
  for (const std::size_t offset : plain.offsets) {
    while (part + 1 < ends.size() && ends[part] <= offset) ++part;
    out.part.push_back(part);
  }
  return out;
}

namespace {

/// How many of each part's tokens stay if `budget` tokens may: all of the template, and of every
/// value its share, the largest remainders rounded up; a value that has tokens keeps one if it can.
std::vector<std::int64_t> shares(const std::vector<std::int64_t>& lengths,
                                 std::span<const TextPart> parts, std::int64_t budget) {
  std::vector<std::int64_t> kept(lengths.size(), 0);
  std::int64_t all = 0;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    if (parts[i].value)
      all += lengths[i];
    else
      kept[i] = lengths[i];
  }
  std::int64_t left = budget - std::accumulate(kept.begin(), kept.end(), std::int64_t{0});
  if (all == 0 || left <= 0) return kept;
  const std::int64_t shared = left;
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    if (!parts[i].value || lengths[i] == 0) continue;
    kept[i] = lengths[i] * shared / all;
    left -= kept[i];
    order.push_back(i);
  }
  std::ranges::stable_sort(order, std::ranges::greater(),
                           [&](std::size_t part) { return lengths[part] * shared % all; });
  for (std::size_t i = 0; i < order.size() && left > 0; ++i, --left) ++kept[order[i]];
  for (const std::size_t i : order) {
    const auto longest =
        std::ranges::max_element(order, {}, [&](std::size_t part) { return kept[part]; });
    if (kept[i] > 0 || kept[*longest] < 2) continue;
    --kept[*longest];
    ++kept[i];
  }
  return kept;
}

TokenizedRow between(const std::vector<TokenId>& before, std::span<const TokenId> ids,
                     const std::vector<TokenId>& after) {
  TokenizedRow row;
  row.ids = before;
  row.ids.insert(row.ids.end(), ids.begin(), ids.end());
  row.ids.insert(row.ids.end(), after.begin(), after.end());
  return row;
}

}  // namespace

TokenizedRow ClassRenderer::render(const ClassifiedText& text) const {
  const Tokens tokens = tokens_of(text);
  return between(tokens.before, tokens.ids, tokens.after);
}

TokenizedRow ClassRenderer::render_cut(const ClassifiedText& text) const {
  const Tokens tokens = tokens_of(text);
  const std::int64_t room = std::max<std::int64_t>(
      1, config_.max_length - std::int64_t(tokens.before.size() + tokens.after.size()));
  const auto length = std::int64_t(tokens.ids.size());
  if (length <= room) return between(tokens.before, tokens.ids, tokens.after);
  std::vector<TokenId> kept;
  if (config_.truncation == Truncation::proportional) {
    std::vector<std::int64_t> lengths(text.parts.size(), 0);
    for (const std::size_t part : tokens.part) ++lengths[part];
    std::vector<std::int64_t> left = shares(lengths, text.parts, room);
    for (std::size_t i = 0; i < tokens.ids.size(); ++i)
      if (left[tokens.part[i]]-- > 0) kept.push_back(tokens.ids[i]);
  } else {
    kept = tokens.ids;
  }
  kept.resize(std::min(kept.size(), std::size_t(room)));
  return between(tokens.before, kept, tokens.after);
}

}  // namespace elenchus
