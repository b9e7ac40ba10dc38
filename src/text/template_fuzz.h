#pragma once
// What holds for any template and conversation.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "text/chat_template.h"

namespace elenchus {

/// The bytes are a template, perhaps followed by a zero byte and the messages as JSON. It is
/// refused with an InputError, or rendered; then the ranges from the input are sorted, disjoint and
/// within the text, and a second rendering gives the same.
inline void check_chat_template(const std::uint8_t* bytes, std::size_t size) {
  const std::string_view all(reinterpret_cast<const char*>(bytes), size);
  const std::size_t end = std::min(all.find('\0'), size);
  std::string_view messages_text =
      R"([{"role": "system", "content": " s\n"}, {"role": "user", "content": "\u00e9<|x|>"},
      {"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "f", "arguments": {"a": [1, 2.5]}}}]}])";
  if (end < size) messages_text = all.substr(end + 1);
  try {
    const Json messages = Json::parse(messages_text, "fuzz");
    const ChatTemplate chat_template(std::string(all.substr(0, end)), "<s>", "</s>");
    const RenderedChat chat =
        chat_template.render(messages, {.add_generation_prompt = true, .tools = {}, .extra = {}});
    std::size_t at = 0;
    for (const TextRange& range : chat.from_input) {
      expect(range.begin >= at && range.begin < range.end && range.end <= chat.text.size(),
             "a range from the input is out of order");
      at = range.end + 1;
    }
    expect(chat_template.render(messages, {.add_generation_prompt = true, .tools = {}, .extra = {}})
                   .text == chat.text,
           "a second rendering gave another text");
  } catch (const InputError&) {
  }
}

}  // namespace elenchus
