#include "cli/parse.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.h"
#include "base/field_visitors.h"
#include "base/file.h"

namespace elenchus {
namespace {

[[noreturn]] void throw_bad_value(const Option& option, std::string_view text,
                                  std::string_view expected) {
  throw UserError(cat(option.name, ": found \"", printable(text), "\"; expected ", expected));
}

template <class T>
T parse_number(const Option& option, std::string_view text) {
  T value{};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  const bool whole = std::is_integral_v<T>;
  const auto number = static_cast<double>(value);
  if (error != std::errc() || stop != end || !std::isfinite(number) || number < option.low ||
      number > option.high) {
    const auto shown = [](double bound) {
      return bound == std::floor(bound) ? cat(static_cast<std::int64_t>(bound)) : cat(bound);
    };
    throw_bad_value(option, text,
                    cat(whole ? "a whole number, " : "a number, ", shown(option.low),
                        option.high < kNoLimit ? " to " + shown(option.high) : " or above"));
  }
  return value;
}

/// Sets an option's target from the text of its value.
struct ValueSetter {
  const Option& option;
  const std::string& text;

  void operator()(bool*) const {}
  void operator()(std::string* target) const { *target = text; }
  void operator()(std::optional<std::string>* target) const { *target = text; }
  void operator()(std::filesystem::path* target) const { *target = not_empty(); }
  void operator()(std::optional<std::filesystem::path>* target) const { *target = not_empty(); }
  void operator()(std::vector<std::string>* target) const { target->push_back(text); }
  void operator()(OptionalValue* target) const { target->value = text; }
  void operator()(std::optional<int>* target) const { *target = parse_number<int>(option, text); }
  void operator()(std::optional<double>* target) const {
    *target = parse_number<double>(option, text);
  }
  template <class T>
  void operator()(T* target) const {
    *target = parse_number<T>(option, text);
  }

  const std::string& not_empty() const {
    if (text.empty()) throw_bad_value(option, text, "a path");
    return text;
  }
};

/// Whether a word after an option that may stand alone is its value: no option, no override of a
/// recipe's key and no recipe.
bool is_value(std::string_view word) {
  return !word.starts_with('-') && word.find('=') == word.npos && !word.ends_with(".yaml") &&
         !word.ends_with(".yml") && !word.ends_with(".json");
}

/// Takes the options that may stand alone out of the words: what follows them decides whether it is
/// theirs.
std::vector<std::string> take_optional_values(const std::vector<Option>& options,
                                              const std::vector<std::string>& words) {
  std::vector<std::string> rest;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    const auto matches = [&](const Option& option) {
      return std::holds_alternative<OptionalValue*>(option.target) &&
             (word == option.name || word.starts_with(option.name + "="));
    };
    const auto option = std::ranges::find_if(options, matches);
    if (option == options.end()) {
      rest.push_back(word);
      continue;
    }
    OptionalValue& target = *std::get<OptionalValue*>(option->target);
    if (std::exchange(target.given, true)) {
      throw UserError(cat(option->name, " is given twice; keep one"));
    }
    if (word.size() > option->name.size()) {
      target.value = word.substr(option->name.size() + 1);
    } else if (i + 1 < words.size() && is_value(words[i + 1])) {
      target.value = words[++i];
    }
    if (target.value && target.value->empty()) throw_bad_value(*option, "", "a path");
  }
  return rest;
}

void declare(CLI::App& app, const Option& option) {
  if (auto* const target = std::get_if<bool*>(&option.target)) {
    app.add_flag(option.name, **target, option.help);
    return;
  }
  const auto set = [&option](const std::vector<std::string>& values) {
    for (const std::string& value : values) std::visit(ValueSetter{option, value}, option.target);
    return true;
  };
  CLI::Option* const added = app.add_option(option.name, set, option.help);
  added->required(option.presence == Presence::required);
  if (std::holds_alternative<std::vector<std::string>*>(option.target)) {
    if (option.name.starts_with('-')) {
      added->expected(1)->take_all()->type_name(option.value_name);  // one value each time
    } else {
      added->expected(1, CLI::detail::expected_max_vector_size)
          ->allow_extra_args(true)
          ->type_name("");
    }
  } else if (std::holds_alternative<OptionalValue*>(option.target)) {
    added->expected(0, 1)->type_name(option.value_name);
  } else {
    added->expected(1)->type_name(option.value_name);
  }
}

std::string overview(const std::vector<std::unique_ptr<Command>>& commands) {
  std::string out =
      "elenchus fine-tunes language models with QLoRA.\n\n"
      "Usage: elenchus COMMAND ...\n\nCommands:\n";
  for (const auto& command : commands) {
    out += cat("  ", command->name(), std::string(10 - command->name().size(), ' '),
               command->summary(), "\n");
  }
  return out +
         "\nelenchus COMMAND --help shows a command's options; elenchus --version the version.\n";
}

std::unique_ptr<Command> take_command(std::vector<std::unique_ptr<Command>> commands,
                                      const std::string& word) {
  std::vector<std::string_view> names;
  for (auto& command : commands) {
    if (command->name() == word) return std::move(command);
    names.push_back(command->name());
  }
  const std::string_view nearest = nearest_word(word, names);
  throw UserError(cat(
      "unknown command \"", printable(word), "\"; ",
      nearest.empty() ? "elenchus --help lists the commands" : cat("did you mean ", nearest, "?")));
}

}  // namespace

ParsedCommandLine parse_command_line(const std::vector<std::string>& words) {
  std::vector<std::unique_ptr<Command>> commands = make_all_commands();
  if (words.empty()) {
    throw UserError("no command is given; elenchus --help lists the commands");
  }
  if (words[0] == "--version") return {nullptr, cat(kVersion, "\n")};
  if (words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    return {nullptr, overview(commands)};
  }
  std::unique_ptr<Command> command = take_command(std::move(commands), words[0]);
  const std::string name = cat("elenchus ", command->name());
  const std::vector<Option> options = command->options();
  CLI::App app(std::string(command->summary()), name);
  for (const Option& option : options) declare(app, option);
  std::vector<std::string> rest = take_optional_values(options, {words.begin() + 1, words.end()});
  std::ranges::reverse(rest);  // CLI11 takes the last word first
  try {
    app.parse(std::move(rest));
  } catch (const CLI::CallForHelp&) {
    return {nullptr, app.help() + command->more_help()};
  } catch (const CLI::ParseError& error) {
    throw UserError(cat(name, ": ", error.what(), "; ", name, " --help shows the options"));
  }
  return {std::move(command), {}};
}

}  // namespace elenchus
