#pragma once
// Conversations as tokens, with the mask of those that are trained on.

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/conversation.h"
#include "data/data_config.h"
#include "data/packed_batch.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace elenchus {

/// How rows become tokens. References outlive the renderer.
struct RenderRules {
  const Tokenizer& tokenizer;
  const ChatTemplate* chat_template = nullptr;  ///< null: the model has none
  std::optional<TokenId> eos;                   ///< put at the end of plain texts
  std::optional<TokenId> bos;  ///< the tokenizer's first token of a text, if it has one
  /// What the template calls bos_token, where it is no `bos`: two side by side are an error too.
  std::optional<TokenId> named_bos = {};
  /// Whether a chat that does not begin with `bos` gets it. False: it begins as its template writes
  /// it, as transformers' apply_chat_template has it.
  bool add_bos = false;
  /// Ids that end a turn, besides eos: <end_of_turn>, <|im_end|>. Special tokens always do.
  std::vector<TokenId> end_of_turn;
  bool assistant_only_loss = true;
  bool mask_history = false;  ///< of the assistant's turns, only the last is trained on
  SystemRole system_role = SystemRole::error;
  std::int64_t now_seconds = 0;  ///< what the template's clock shows
};

/// A prompt for generation.
struct PromptTokens {
  std::string text;
  std::vector<TokenId> ids;
};

/// What a reply is generated from, and what it is compared with.
struct ReplyTask {
  std::vector<Message> messages;  ///< all before the last answer; empty for plain text
  PromptTokens prompt;            ///< no ids where there is nothing to reply to
  std::string reference;          ///< the last answer, or the plain text
};

/// A conversation's text with the byte ranges that are trained on.
struct RenderedRow {
  std::string text;
  std::vector<TextRange> from_input;  ///< sorted, disjoint: special tokens stay text there
  std::vector<TextRange> trained;     ///< sorted, disjoint
};

/// Whether a token ends an answer: eos, an end of a turn, any special token.
bool ends_turn(const RenderRules& rules, TokenId id);
/// Whether two BOS stand side by side.
bool has_two_bos(const RenderRules& rules, std::span<const TokenId> ids);

class RowRenderer {
 public:
  explicit RowRenderer(RenderRules rules) : rules_(std::move(rules)) {}
  /// The tokens of a row and which of them are trained on: of every trained assistant turn its
  /// text, its end-of-turn token and a line break that the template writes after it. RowError: no
  /// template, a refusal by the template, a template that rewrites earlier turns, a trained turn
  /// without an end-of-turn token, or two BOS.
  TokenizedRow render(const Conversation& conversation) const;
  /// The text and ranges that render() tokenizes; of a chat only.
  RenderedRow render_text(const Conversation& conversation) const;
  /// The tokens before the reply to `messages`: the chat with add_generation_prompt. InputError as
  /// render().
  PromptTokens prompt(std::span<const Message> messages) const;
  /// The reply that a conversation's last answer is an example of. InputError as render().
  ReplyTask reply_task(const Conversation& conversation) const;
  const RenderRules& rules() const { return rules_; }

 private:
  TokenizedRow render_plain(const Conversation& conversation) const;
  TokenizedRow render_chat(const Conversation& conversation) const;
  RenderedChat apply(std::span<const Message> messages, bool add_generation_prompt) const;
  std::vector<Message> accepted_messages(const Conversation& conversation,
                                         RenderedChat& chat) const;
  std::size_t begin_of_answer(std::span<const Message> messages, std::size_t turn,
                              const RenderedChat& chat) const;
  std::size_t end_of_answer(std::span<const Message> messages, std::size_t turn, std::size_t begin,
                            const RenderedChat& chat) const;
  std::size_t end_by_tokens(std::span<const Message> messages, std::size_t turn, std::size_t begin,
                            const RenderedChat& chat) const;
  std::optional<std::size_t> end_of_content(std::span<const Message> messages, std::size_t turn,
                                            const RenderedChat& chat) const;
  Encoding encode_chat(const RenderedChat& chat) const;
  Encoding encode_plain(const std::string& text, std::span<const TextRange> plain) const;
  void check_turn_end(const TokenizedRow& row, const Encoding& encoding, TextRange turn) const;

  RenderRules rules_;
};

}  // namespace elenchus
