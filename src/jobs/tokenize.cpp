// elenchus tokenize: JSON lines of text or conversations to token ids, and back.

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <functional>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/output_file.h"
#include "base/terminal.h"
#include "jobs/jobs.h"
#include "jobs/text_files.h"

namespace elenchus {
namespace {

constexpr std::size_t kLongestLine = 1u << 28;

/// A file or standard input, read as it comes: a pipe is answered line by line.
class LineInput {
 public:
  explicit LineInput(const std::string& path)
      : name_(path == "-" ? "standard input" : printable(path, 512)),
        descriptor_(path == "-" ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (descriptor_ < 0) {
      throw InputError(cat(name_, ": could not open: ", std::generic_category().message(errno)));
    }
  }
  LineInput(const LineInput&) = delete;
  LineInput& operator=(const LineInput&) = delete;
  ~LineInput() {
    if (descriptor_ != STDIN_FILENO) ::close(descriptor_);
  }
  const std::string& name() const { return name_; }

  /// Appends what can be read at once; false at the end.
  bool read_more(std::string& buffer) {
    char chunk[1 << 16];
    ssize_t count;
    do {
      count = ::read(descriptor_, chunk, sizeof chunk);
    } while (count < 0 && errno == EINTR);
    if (count < 0) {
      throw InputError(cat(name_, ": could not read: ", std::generic_category().message(errno)));
    }
    buffer.append(chunk, static_cast<std::size_t>(count));
    return count > 0;
  }

 private:
  std::string name_;
  int descriptor_;
};

/// Calls `answer` for each line that is not blank, with its number from 1, and prints what it
/// gives.
void answer_lines(LineInput& input,
                  const std::function<Json(std::string_view line, std::int64_t number)>& answer) {
  std::string buffer;
  std::int64_t number = 0;
  bool more = true;
  while (more) {
    const std::size_t searched = buffer.size();
    more = input.read_more(buffer);
    if (!more && !buffer.empty()) buffer += '\n';
    std::string output;
    std::size_t begin = 0;
    try {
      for (std::size_t end = buffer.find('\n', searched); end != std::string::npos;
           end = buffer.find('\n', begin)) {
        const std::string_view line(buffer.data() + begin, end - begin);
        begin = end + 1;
        ++number;
        if (line.find_first_not_of(" \t\r") != line.npos)
          output += answer(line, number).dump() + "\n";
      }
    } catch (const InputError&) {
      write_output(output);  // the lines before the wrong one have their answers
      throw;
    }
    buffer.erase(0, begin);
    if (buffer.size() > kLongestLine) {
      throw InputError(
          cat(input.name(), ":", number + 1, ": longer than ", kLongestLine, " bytes"));
    }
    write_output(output);
  }
}

Json ids_json(const std::vector<TokenId>& ids) {
  Json::Array array;
  array.reserve(ids.size());
  for (const TokenId id : ids) array.emplace_back(id);
  return array;
}

class LineTokenizer {
 public:
  LineTokenizer(const TokenizeOptions& options, const TextFiles& text)
      : options_(options), text_(text), now_(std::time(nullptr)) {}

  Json answer(const Json& line, const std::string& place) const {
    if (options_.decode) return decode(line, place);
    if (options_.chat) return chat(line, place);
    const std::string& text = line.as_string(place);
    return ids_json(
        text_.tokenizer->encode(text, {.add_special_tokens = !options_.no_special}).ids);
  }

 private:
  /// Special tokens are left out, as Hugging Face `tokenizers` does unless told otherwise.
  Json decode(const Json& line, const std::string& place) const {
    std::vector<TokenId> ids;
    for (const Json& item : line.as_array(place)) {
      const std::int64_t id = item.as_integer(place);
      if (id < 0 || id >= text_.tokenizer->vocabulary_size()) {
        throw InputError(cat(place, ": found id ", id, ", expected one from 0 to ",
                             text_.tokenizer->vocabulary_size() - 1));
      }
      ids.push_back(static_cast<TokenId>(id));
    }
    return text_.tokenizer->decode(ids, true);
  }

  Json chat(const Json& line, const std::string& place) const {
    const Json& messages = line.at("messages", place);
    messages.as_array(cat(place, ": messages"));
    RenderOptions render;
    render.now_seconds = now_;
    render.extra = Json::Object{};
    for (const auto& [key, value] : line.as_object(place)) {
      if (key == "messages") continue;
      if (key == "add_generation_prompt") {
        render.add_generation_prompt = value.as_boolean(cat(place, ": ", key));
      } else if (key == "tools") {
        render.tools = value;
      } else {
        render.extra.set(key, value);
      }
    }
    try {
      const RenderedChat rendered = text_.chat_template->render(messages, render);
      if (options_.render) return rendered.text;
      return ids_json(text_.tokenizer->encode(rendered.text, {.plain = rendered.from_input}).ids);
    } catch (const InputError& error) {
      Json refusal = Json::Object{};
      refusal.set("error", error.what());
      return refusal;
    }
  }

  const TokenizeOptions& options_;  // outlives this
  const TextFiles& text_;           // outlives this
  std::int64_t now_;
};

}  // namespace

int tokenize(const TokenizeOptions& options) {
  if (options.render && !options.chat) throw UserError("--render goes with --chat");
  if (options.decode && options.chat) throw UserError("--decode and --chat exclude each other");
  const TextFiles text = load_text(options.model);
  if (options.chat && !text.chat_template) {
    throw InputError(cat(printable(options.model.native(), 512),
                         ": found no chat template, expected one in tokenizer_config.json or "
                         "chat_template.jinja"));
  }
  LineInput input(options.input);
  const LineTokenizer tokenizer(options, text);
  answer_lines(input, [&](std::string_view line, std::int64_t number) {
    const std::string place = cat(input.name(), ":", number);
    return tokenizer.answer(Json::parse(line, place), place);
  });
  return 0;
}

}  // namespace elenchus
