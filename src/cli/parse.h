#pragma once
// From the words of the command line to a command with its options set.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command.h"

namespace elenchus {

inline constexpr std::string_view kVersion = "elenchus 0.1.0";

/// Either a command to run, or a text to print and be done (--help, --version).
struct ParsedCommandLine {
  std::unique_ptr<Command> command;
  std::string text;
};

/// `words` are the arguments after the program's name. UserError: a command or an option that is
/// not known, or a value that does not fit, with a hint where to look.
ParsedCommandLine parse_command_line(const std::vector<std::string>& words);

}  // namespace elenchus
