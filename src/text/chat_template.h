#pragma once
// A model's chat template: Jinja as published models use it, in a sandboxed interpreter.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "text/tokenizer.h"

namespace elenchus {

/// One turn of a conversation, as the template sees it.
struct Message {
  std::string role;
  std::string content;
};

/// A rendered conversation. `from_input` are the ranges of the text that came from values of
/// messages (content, tool arguments, ... but not a role, which the caller checks), of tools and of
/// `extra.documents`, and not from the template: special tokens written there must stay text.
struct RenderedChat {
  std::string text;
  std::vector<TextRange> from_input;  // sorted, disjoint
};

struct RenderOptions {
  bool add_generation_prompt = false;
  Json tools;  // null, or an array of tool descriptions
  Json extra;  // null, or an object of further variables (enable_thinking: false, ...)
  /// The moment that strftime_now shows, seconds since 1970, local time taken as UTC. Training pins
  /// it.
  std::int64_t now_seconds = 0;
};

/// Thrown when the template itself refuses a conversation by raise_exception; what() is its own
/// text.
struct TemplateRefusal : InputError {
  using InputError::InputError;
};

/// A parsed template. Limits (reliability.md A7): source 256 KiB, syntax depth 128, macro depth 64,
/// range 10^5, one value and the output 16 MiB, 5e6 steps + 2e3 a message, 1 s of the thread's
/// time, 32 MiB of memory beyond the messages. No host callables, include or import.
class ChatTemplate {
 public:
  /// InputError: a syntax error, with line. `bos_token` and `eos_token` are the variables of these
  /// names.
  ChatTemplate(std::string source, std::string bos_token, std::string eos_token);
  ChatTemplate(ChatTemplate&&) noexcept;
  ~ChatTemplate();
  /// `messages` is an array of objects as in transformers' apply_chat_template (content may also be
  /// a list of parts, tool_calls may be there, ...). InputError: an undefined operation or a limit
  /// passed; TemplateRefusal as above.
  RenderedChat render(const Json& messages, const RenderOptions& options = {}) const;
  const std::string& source() const;

 private:
  struct Parsed;
  std::unique_ptr<Parsed> parsed_;
};

}  // namespace elenchus
