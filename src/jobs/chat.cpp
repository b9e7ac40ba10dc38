// `elenchus chat`: one reply, or a conversation on the terminal.

#include <unistd.h>

#include <ctime>
#include <iostream>
#include <string>

#include "base/error.h"
#include "base/terminal.h"
#include "generate/generator.h"
#include "jobs/adapter_choice.h"
#include "jobs/jobs.h"
#include "jobs/run_setup.h"
#include "jobs/session.h"

namespace elenchus {
namespace {

/// Longest conversation, in tokens, that memory is laid out for.
constexpr std::int64_t kConversationTokens = 8192;

SessionRequest session_request(const ChatOptions& options) {
  SessionRequest request{.model = options.model, .adapter = options.adapter};
  request.load_in_4bit = trained_in_4bit(options.adapter);
  request.max_positions = kConversationTokens;
  request.shapes.prompts = 1;
  request.shapes.prompt_tokens = GenerateOptions{}.prefill_tokens;
  request.shapes.cache_rows = kConversationTokens;
  return request;
}

void print(std::string_view text) { write_output(without_controls(text)); }

/// A model, what was said so far, and how replies are drawn.
class Talk {
 public:
  explicit Talk(const ChatOptions& options)
      : session_(session_request(options)),
        text_(load_text(session_.files, {})),
        renderer_(render_rules(text_, DataConfig{}, std::time(nullptr))),
        generator_(*session_.model.decoder, *session_.stream, *session_.arena, *text_.tokenizer) {
    if (session_.model.decoder->num_labels() > 0)
      throw UserError("chat: this is a classifier (SEQ_CLS), which gives no replies; see predict");
    generate_.max_new_tokens = options.max_new_tokens;
    generate_.stop_ids = text_.stop_ids;
    generate_.max_positions = session_.max_positions;
    generate_.prefill_tokens = std::min(generate_.prefill_tokens, session_.max_positions);
    generate_.sampling = {.temperature = options.temperature.value_or(0),
                          .top_p = options.top_p.value_or(1),
                          .top_k = options.top_k.value_or(0),
                          .seed = options.seed};
    check(generate_.sampling);
    if (options.system) messages_.push_back({"system", *options.system});
    opening_ = messages_.size();
  }

  /// Says `prompt`, prints the reply as it comes, and remembers both.
  void say(const std::string& prompt) {
    messages_.push_back({"user", prompt});
    const std::vector<TokenId> ids = renderer_.prompt(messages_).ids;
    const auto replies = generator_.generate({&ids, 1}, generate_, [](std::string_view piece) {
      print(piece);
      return true;
    });
    print("\n");
    if (replies[0].finish == FinishReason::capacity)
      elenchus::say("(the conversation has reached " + std::to_string(session_.max_positions) +
                    " tokens, all that there is room for)");
    messages_.push_back({"assistant", replies[0].text});
  }
  /// Takes back the last thing said, when no reply to it came.
  void forget_unanswered() {
    if (messages_.size() > opening_ && messages_.back().role == "user") messages_.pop_back();
  }
  void reset() { messages_.resize(opening_); }

 private:
  Session session_;
  TextFiles text_;
  RowRenderer renderer_;
  Generator generator_;
  GenerateOptions generate_;
  std::vector<Message> messages_;
  std::size_t opening_ = 0;
};

void converse(Talk& talk) {
  const bool terminal = isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
  if (terminal)
    say("Type a message and press Enter. /reset forgets the conversation, /exit or Ctrl-D ends.");
  for (std::string line;
       (terminal ? write_error("> ") : void(), true) && std::getline(std::cin, line);) {
    if (line.empty()) continue;
    if (line == "/exit") break;
    if (line == "/reset") {
      talk.reset();
      continue;
    }
    try {
      talk.say(line);
    } catch (const InputError& error) {  // this message cannot be answered; the next one may
      say(std::string("error: ") + error.what());
      talk.forget_unanswered();
    }
  }
}

}  // namespace

int chat(const ChatOptions& options) {
  Talk talk(options);
  if (options.prompt)
    talk.say(*options.prompt);
  else
    converse(talk);
  return 0;
}

}  // namespace elenchus
