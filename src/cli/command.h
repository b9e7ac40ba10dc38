#pragma once
// A command of the program, and the options it declares. How they are parsed is not its business.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace elenchus {

/// The value of an option that may stand alone: --resume, --resume CHECKPOINT.
struct OptionalValue {
  bool given = false;
  std::optional<std::string> value;
};

/// Where the value of an option goes. A bool is a switch without a value.
using OptionTarget =
    std::variant<bool*, std::string*, std::optional<std::string>*, std::filesystem::path*,
                 std::optional<std::filesystem::path>*, int*, std::int64_t*, std::uint64_t*,
                 std::optional<int>*, std::optional<double>*, std::vector<std::string>*,
                 OptionalValue*>;

/// More than any number that an option takes.
inline constexpr double kNoLimit = 2e19;

enum class Presence { optional, required };

struct Option {
  std::string name;        ///< "--rows", or the name of an argument without dashes: "RECIPE.yaml"
  std::string value_name;  ///< "N"; empty for switches and arguments
  std::string help;
  OptionTarget target;  ///< outlives the parsing
  Presence presence = Presence::optional;
  /// Smallest and largest number taken, for numbers.
  double low = 0, high = kNoLimit;
};

class Command {
 public:
  virtual ~Command() = default;
  virtual std::string_view name() const = 0;
  /// One line for --help.
  virtual std::string_view summary() const = 0;
  /// What the command takes; the targets are members of the command.
  virtual std::vector<Option> options() = 0;
  /// Text that --help adds at its end.
  virtual std::string more_help() const { return {}; }
  /// The exit status of the program.
  virtual int run() = 0;
};

std::unique_ptr<Command> make_train_command();
std::unique_ptr<Command> make_eval_command();
std::unique_ptr<Command> make_chat_command();
std::unique_ptr<Command> make_compare_command();
std::unique_ptr<Command> make_predict_command();
std::unique_ptr<Command> make_inspect_command();
std::unique_ptr<Command> make_plan_command();
std::unique_ptr<Command> make_tokenize_command();
std::unique_ptr<Command> make_logits_command();
std::unique_ptr<Command> make_quantize_command();
std::unique_ptr<Command> make_bench_command();

/// Every command, in the order of --help.
std::vector<std::unique_ptr<Command>> make_all_commands();

}  // namespace elenchus
