#include "text/chat_template.h"

#include <algorithm>

#include "base/error.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/parser.h"

namespace elenchus {
namespace {

using jinja::Budget;
using jinja::Value;

enum class Source { configuration, input };

Value to_value(Budget& budget, const Json& json, Source source) {
  constexpr std::string_view kWhat = "chat template: a variable";
  if (json.is_null()) return {};
  if (json.is_boolean()) return json.as_boolean(kWhat);
  if (json.is_integer()) return json.as_integer(kWhat);
  if (json.is_number()) return json.as_number(kWhat);
  if (json.is_string())
    return jinja::make_text(budget, json.as_string(kWhat), source == Source::input);
  if (json.is_array()) {
    std::vector<Value> items;
    for (const Json& item : json.as_array(kWhat)) items.push_back(to_value(budget, item, source));
    return jinja::make_list(budget, std::move(items));
  }
  std::vector<jinja::Dict::Entry> entries;
  for (const auto& [key, value] : json.as_object(kWhat))
    entries.emplace_back(jinja::make_text(budget, key, source == Source::input),
                         to_value(budget, value, source));
  return jinja::make<jinja::Dict>(budget, std::move(entries));
}

// The messages. Their roles count as the template's own: callers check them against a list.
Value messages_value(Budget& budget, const Json& messages) {
  std::vector<Value> items;
  for (const Json& message : messages.as_array("chat template: messages")) {
    std::vector<jinja::Dict::Entry> entries;
    for (const auto& [key, value] : message.as_object("chat template: a message"))
      entries.emplace_back(
          jinja::make_text(budget, key, true),
          to_value(budget, value, key == "role" ? Source::configuration : Source::input));
    items.push_back(jinja::make<jinja::Dict>(budget, std::move(entries)));
  }
  return jinja::make_list(budget, std::move(items));
}

// About what the values of a JSON take in memory.
std::size_t held_bytes(const Json& json) {
  constexpr std::size_t kPerValue = 256;
  if (json.is_string()) return kPerValue + json.as_string("").size();
  std::size_t bytes = kPerValue;
  if (json.is_array())
    for (const Json& item : json.as_array("")) bytes += held_bytes(item);
  if (json.is_object())
    for (const auto& [key, value] : json.as_object(""))
      bytes += kPerValue + key.size() + held_bytes(value);
  return bytes;
}

std::vector<TextRange> input_ranges(const std::vector<jinja::TextRun>& runs) {
  std::vector<TextRange> ranges;
  std::size_t begin = 0;
  for (const jinja::TextRun& run : runs) {
    if (run.input) ranges.push_back({begin, run.end});
    begin = run.end;
  }
  return ranges;
}

}  // namespace

struct ChatTemplate::Parsed {
  std::string source, bos_token, eos_token;
  jinja::Syntax syntax;
};

ChatTemplate::ChatTemplate(std::string source, std::string bos_token, std::string eos_token) {
  jinja::Syntax syntax = jinja::parse(source);
  parsed_ = std::make_unique<Parsed>(
      Parsed{std::move(source), std::move(bos_token), std::move(eos_token), std::move(syntax)});
}

ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

const std::string& ChatTemplate::source() const { return parsed_->source; }

RenderedChat ChatTemplate::render(const Json& messages, const RenderOptions& options) const {
  const std::int64_t turns = std::int64_t(messages.as_array("chat template: messages").size());
  Budget budget(jinja::kMaxSteps + jinja::kStepsPerMessage * turns,
                jinja::kMaxHeldBytes + held_bytes(messages) + held_bytes(options.tools) +
                    held_bytes(options.extra));
  jinja::TextBuilder output(budget);
  jinja::Interpreter interpreter(parsed_->syntax, budget, options.now_seconds);
  interpreter.set_variable("messages", messages_value(budget, messages));
  interpreter.set_variable("tools", to_value(budget, options.tools, Source::input));
  interpreter.set_variable("documents", Value());
  interpreter.set_variable("add_generation_prompt", options.add_generation_prompt);
  interpreter.set_variable("bos_token", jinja::make_text(budget, parsed_->bos_token));
  interpreter.set_variable("eos_token", jinja::make_text(budget, parsed_->eos_token));
  if (!options.extra.is_null())
    for (const auto& [name, value] : options.extra.as_object("chat template: extra variables"))
      interpreter.set_variable(
          name,
          to_value(budget, value,
                   name == "documents" || name == "tools" ? Source::input : Source::configuration));
  interpreter.run(output);
  return {output.bytes(), input_ranges(output.runs())};
}

}  // namespace elenchus
