#include "data/render.h"

#include <algorithm>

#include "base/file.h"

namespace elenchus {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";
/// A character that no template looks for (U+E000), to see where a content ends.
constexpr std::string_view kProbe = "\xEE\x80\x80";

Json as_json(std::span<const Message> messages) {
  Json::Array out;
  for (const Message& message : messages)
    out.push_back(Json::Object{{"role", message.role}, {"content", message.content}});
  return out;
}

/// Bytes that both texts begin with, whole characters.
std::size_t common_length(std::string_view a, std::string_view b) {
  const auto [in_a, in_b] = std::ranges::mismatch(a, b);
  std::size_t length = std::size_t(in_a - a.begin());
  const auto continues = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; };
  while (length > 0 && ((length < a.size() && continues(a[length])) ||
                        (length < b.size() && continues(b[length]))))
    --length;
  return length;
}

bool blank_from(std::string_view text, std::size_t at) {
  return text.find_first_not_of(kBlanks, at) == text.npos;
}

/// Where the text of each token ends: where the next one that does not share its place begins.
std::vector<std::size_t> token_ends(const Encoding& encoding, std::size_t text_bytes) {
  std::vector<std::size_t> ends(encoding.offsets.size(), text_bytes);
  std::size_t end = text_bytes;
  for (std::size_t i = ends.size(); i-- > 0;) {
    ends[i] = end;
    if (i > 0 && encoding.offsets[i - 1] < encoding.offsets[i]) end = encoding.offsets[i];
  }
  return ends;
}

void mark_tokens(TokenizedRow& row, const Encoding& encoding, std::size_t text_bytes,
                 std::span<const TextRange> trained) {
  const std::vector<std::size_t> ends = token_ends(encoding, text_bytes);
  row.trained.assign(row.ids.size(), 0);
  std::size_t token = 0;
  for (const TextRange range : trained) {
    while (token < ends.size() && ends[token] <= range.begin) ++token;
    for (; token < ends.size() && encoding.offsets[token] < range.end; ++token)
      row.trained[token] = 1;
  }
}

/// Of a plain text behind its prompt, all that came from the row.
std::vector<TextRange> content_ranges(const Conversation& conversation) {
  const std::size_t shift = conversation.prompt.size();
  std::vector<TextRange> out;
  std::size_t begin = 0;
  const auto add_until = [&](std::size_t end) {
    if (begin < end) out.push_back({begin, end});
  };
  for (const TextRange range : conversation.from_template) {
    add_until(shift + range.begin);
    begin = shift + range.end;
  }
  add_until(shift + conversation.text.size());
  return out;
}

/// The number of the assistant's last turn; there is one.
std::size_t last_answer(std::span<const Message> messages) {
  const auto last =
      std::ranges::find(messages.rbegin(), messages.rend(), "assistant", &Message::role);
  expect(last != messages.rend(), "a conversation has an answer");
  return std::size_t(last.base() - messages.begin()) - 1;
}

/// The system message at the head of the user's first, with an empty line between.
std::vector<Message> with_merged_system(std::span<const Message> messages) {
  std::vector<Message> out(messages.begin() + 1, messages.end());
  out.front().content = messages.front().content + "\n\n" + out.front().content;
  return out;
}

}  // namespace

bool ends_turn(const RenderRules& rules, TokenId id) {
  return id == rules.eos || std::ranges::find(rules.end_of_turn, id) != rules.end_of_turn.end() ||
         rules.tokenizer.is_special(id);
}

bool has_two_bos(const RenderRules& rules, std::span<const TokenId> ids) {
  const auto both = [&](TokenId a, TokenId b) {
    return a == b && (a == rules.bos || a == rules.named_bos);
  };
  return std::ranges::adjacent_find(ids, both) != ids.end();
}

TokenizedRow RowRenderer::render(const Conversation& conversation) const {
  try {
    TokenizedRow row =
        conversation.plain() ? render_plain(conversation) : render_chat(conversation);
    row.number = conversation.place.number;
    row.file = conversation.place.file;
    return row;
  } catch (const RowError&) {
    throw;
  } catch (const InputError& error) {  // of the template on a part of the row, or of the tokenizer
    throw RowError("render_failed", printable(error.what(), 300));
  }
}

Encoding RowRenderer::encode_plain(const std::string& text,
                                   std::span<const TextRange> plain) const {
  Encoding encoding = rules_.tokenizer.encode(text, {.add_special_tokens = true, .plain = plain});
  const auto& ids = encoding.ids;
  if (rules_.bos && ids.size() > 1 && ids[0] == *rules_.bos && ids[1] == *rules_.bos) {
    encoding.ids.erase(encoding.ids.begin());  // the text writes its own
    encoding.offsets.erase(encoding.offsets.begin());
  }
  return encoding;
}

TokenizedRow RowRenderer::render_plain(const Conversation& conversation) const {
  if (!rules_.eos && !conversation.prompt.empty())
    throw RowError(
        "no_end_of_turn",
        "the tokenizer names no EOS token to put after a completion, so a model could not "
        "learn to stop; set eos_token in the model's tokenizer_config.json");
  const std::string text = conversation.prompt + conversation.text;
  Encoding encoding = encode_plain(text, content_ranges(conversation));
  if (rules_.eos && (encoding.ids.empty() || encoding.ids.back() != *rules_.eos)) {
    encoding.ids.push_back(*rules_.eos);
    encoding.offsets.push_back(text.size());
  }
  TokenizedRow row;
  row.ids = encoding.ids;
  const std::size_t begin = rules_.assistant_only_loss ? conversation.prompt.size() : 0;
  const TextRange trained = {begin, text.size() + 1};
  mark_tokens(row, encoding, text.size() + 1, std::span(&trained, 1));
  return row;
}

RenderedChat RowRenderer::apply(std::span<const Message> messages,
                                bool add_generation_prompt) const {
  if (!rules_.chat_template)
    throw UserError(
        "the model has no chat template, which rows of conversations need: set "
        "data.chat_template_path to a Jinja file, or use plain text rows (data.format: text)");
  RenderOptions options;
  options.add_generation_prompt = add_generation_prompt;
  options.now_seconds = rules_.now_seconds;
  return rules_.chat_template->render(as_json(messages), options);
}

std::vector<Message> RowRenderer::accepted_messages(const Conversation& conversation,
                                                    RenderedChat& chat) const {
  const std::vector<Message>& messages = conversation.messages;
  const bool has_system = messages.size() > 1 && messages.front().role == "system";
  try {
    try {
      chat = apply(messages, false);
      return messages;
    } catch (const TemplateRefusal&) {
      if (!has_system || rules_.system_role != SystemRole::merge_into_user) throw;
      std::vector<Message> merged = with_merged_system(messages);
      chat = apply(merged, false);
      return merged;
    }
  } catch (const TemplateRefusal& refusal) {
    const std::string advice =
        has_system && rules_.system_role == SystemRole::error
            ? "; data.system_role: merge_into_user puts system messages before the user's first"
            : "";
    throw RowError("template_refused", cat("the chat template refuses this conversation: ",
                                           printable(refusal.what(), 200), advice));
  } catch (const InputError& error) {
    throw RowError("template_failed", cat("the chat template fails on this conversation: ",
                                          printable(error.what(), 300)));
  }
}

// An answer begins where the template has written its header, which is what the generation prompt
// adds.
std::size_t RowRenderer::begin_of_answer(std::span<const Message> messages, std::size_t turn,
                                         const RenderedChat& chat) const {
  const RenderedChat header = apply(messages.first(turn), true);
  std::size_t begin = common_length(header.text, chat.text);
  if (begin == header.text.size()) return begin;
  // They part within the header, or beyond it by chance: "<think>" and an answer "<html>". Text of
  // the row is the answer's; where the template leaves all of it out, the end of the turn follows.
  const RenderedChat before = apply(messages.first(turn), false);
  const std::size_t written = common_length(before.text, chat.text);
  const auto text = std::ranges::find_if(
      chat.from_input, [&](const TextRange& range) { return range.begin >= written; });
  if (text != chat.from_input.end()) begin = std::min(begin, text->begin);
  begin = std::min(begin, end_of_content(messages, turn, chat).value_or(begin));
  if (blank_from(header.text, begin)) return begin;
  // Some templates open the generated turn with more than a finished one has (<think>). All that
  // came before the turn must still be there.
  if (blank_from(before.text, std::min(begin, written))) return begin;
  throw RowError("template_rewrites",
                 cat("turn ", turn + 1, ": the chat template writes the turns before an answer ",
                     "otherwise than when they are alone, so what to train on cannot be told; "
                     "split the conversation, or use another template (data.chat_template_path)"));
}

// An answer ends with the last thing that the template writes when nothing follows it.
std::size_t RowRenderer::end_of_answer(std::span<const Message> messages, std::size_t turn,
                                       std::size_t begin, const RenderedChat& chat) const {
  const RenderedChat until = apply(messages.first(turn + 1), false);
  const std::size_t end = common_length(until.text, chat.text);
  // Some templates write a last turn otherwise than an earlier one: reasoning is dropped.
  return end > begin && blank_from(until.text, end) ? end
                                                    : end_by_tokens(messages, turn, begin, chat);
}

// Where the text begins to be another if the turn's content is longer; empty where it does not.
std::optional<std::size_t> RowRenderer::end_of_content(std::span<const Message> messages,
                                                       std::size_t turn,
                                                       const RenderedChat& chat) const {
  std::vector<Message> changed(messages.begin(), messages.end());
  changed[turn].content += kProbe;
  try {
    const RenderedChat other = apply(changed, false);
    if (other.text == chat.text) return {};
    return common_length(other.text, chat.text);
  } catch (const InputError&) {
    return {};  // a template may refuse the change
  }
}

// The end of the first end-of-turn token that the template writes after the answer's text, and
// before other text of the row, with the line break after it. A template may have left out the
// whole answer.
std::size_t RowRenderer::end_by_tokens(std::span<const Message> messages, std::size_t turn,
                                       std::size_t begin, const RenderedChat& chat) const {
  const std::string_view text = chat.text;
  const auto answered = end_of_content(messages, turn, chat);
  std::size_t gap_begin = std::max(begin, answered.value_or(begin)), gap_end = text.size();
  for (const TextRange range : chat.from_input) {
    if (range.begin < gap_begin)
      gap_begin = std::max(gap_begin, range.end);
    else
      gap_end = std::min(gap_end, range.begin);
  }
  const Encoding gap = rules_.tokenizer.encode(text.substr(gap_begin, gap_end - gap_begin));
  const std::vector<std::size_t> ends = token_ends(gap, gap_end - gap_begin);
  for (std::size_t token = 0; token < gap.ids.size(); ++token) {
    if (!ends_turn(rules_, gap.ids[token])) continue;
    const std::size_t end = gap_begin + ends[token];
    return end < gap_end && text[end] == '\n' ? end + 1 : end;
  }
  throw RowError("no_end_of_turn",
                 cat("turn ", turn + 1,
                     ": the chat template writes no end-of-turn token after "
                     "this answer; use a template that does (data.chat_template_path)"));
}

RenderedRow RowRenderer::render_text(const Conversation& conversation) const {
  RenderedChat chat;
  const std::vector<Message> messages = accepted_messages(conversation, chat);
  RenderedRow out = {.text = chat.text, .from_input = chat.from_input, .trained = {}};
  if (!rules_.assistant_only_loss) {
    out.trained = {{0, chat.text.size()}};
    return out;
  }
  const std::size_t merged = conversation.messages.size() - messages.size();
  std::size_t first_trained =
      conversation.first_trained - std::min(conversation.first_trained, merged);
  if (rules_.mask_history) first_trained = std::max(first_trained, last_answer(messages));
  // Some templates write the generation prompt whether it is asked for or not.
  const bool always_prompts = apply(messages, true).text == chat.text;
  for (std::size_t turn = first_trained; turn < messages.size(); ++turn) {
    if (messages[turn].role != "assistant") continue;
    const std::size_t begin = begin_of_answer(messages, turn, chat);
    out.trained.push_back({begin, always_prompts ? end_by_tokens(messages, turn, begin, chat)
                                                 : end_of_answer(messages, turn, begin, chat)});
  }
  return out;
}

Encoding RowRenderer::encode_chat(const RenderedChat& chat) const {
  Encoding encoding = rules_.tokenizer.encode(chat.text, {.plain = chat.from_input});
  const auto& ids = encoding.ids;
  if (has_two_bos(rules_, ids))
    throw RowError("double_bos", "the chat template writes two BOS tokens one after the other");
  if (rules_.bos && rules_.add_bos && (ids.empty() || ids.front() != *rules_.bos)) {
    encoding.ids.insert(encoding.ids.begin(), *rules_.bos);
    encoding.offsets.insert(encoding.offsets.begin(), 0);
  }
  return encoding;
}

void RowRenderer::check_turn_end(const TokenizedRow& row, const Encoding& encoding,
                                 TextRange turn) const {
  for (std::size_t i = row.ids.size(); i-- > 0 && encoding.offsets[i] >= turn.begin;)
    if (encoding.offsets[i] < turn.end && ends_turn(rules_, row.ids[i])) return;
  throw RowError("no_end_of_turn",
                 "the chat template writes no end-of-turn token after an answer, so a model could "
                 "not learn to stop; use a template that does (data.chat_template_path)");
}

TokenizedRow RowRenderer::render_chat(const Conversation& conversation) const {
  const RenderedRow text = render_text(conversation);
  const Encoding encoding = encode_chat({text.text, text.from_input});
  TokenizedRow row;
  row.ids = encoding.ids;
  mark_tokens(row, encoding, text.text.size(), text.trained);
  if (rules_.assistant_only_loss)
    for (const TextRange turn : text.trained) check_turn_end(row, encoding, turn);
  return row;
}

PromptTokens RowRenderer::prompt(std::span<const Message> messages) const {
  const bool has_system = messages.size() > 1 && messages.front().role == "system";
  RenderedChat chat;
  try {
    chat = apply(messages, true);
  } catch (const TemplateRefusal&) {
    if (!has_system || rules_.system_role != SystemRole::merge_into_user) throw;
    chat = apply(with_merged_system(messages), true);
  }
  std::vector<TokenId> ids = encode_chat(chat).ids;
  return {.text = std::move(chat.text), .ids = std::move(ids)};
}

ReplyTask RowRenderer::reply_task(const Conversation& conversation) const {
  ReplyTask task;
  if (conversation.plain()) {
    task.reference = conversation.text;
    task.prompt.text = conversation.prompt;
    if (conversation.prompt.empty()) return task;
    const TextRange all = {0, conversation.prompt.size()};
    task.prompt.ids = encode_plain(conversation.prompt, std::span(&all, 1)).ids;
    if (rules_.eos && !task.prompt.ids.empty() && task.prompt.ids.back() == *rules_.eos)
      task.prompt.ids.pop_back();
    return task;
  }
  const auto& messages = conversation.messages;
  const std::size_t last = last_answer(messages);
  task.reference = messages[last].content;
  task.messages.assign(messages.begin(), messages.begin() + std::ptrdiff_t(last));
  task.prompt = prompt(task.messages);
  return task;
}

}  // namespace elenchus
