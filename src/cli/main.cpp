// The program: one command, and the one place where failures end.

#include <csignal>
#include <exception>
#include <new>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/terminal.h"
#include "cli/parse.h"

namespace elenchus {
namespace {

int report(const char* kind, const char* message, ExitCode code) {
  write_error(without_controls(cat(kind, message)) + "\n");
  return static_cast<int>(code);
}

int run(const std::vector<std::string>& words) {
  try {
    const ParsedCommandLine parsed = parse_command_line(words);
    if (parsed.command) return parsed.command->run();
    write_output(parsed.text);
    return 0;
  } catch (const OutputClosed&) {
    return 0;
  } catch (const UserError& error) {
    return report("error: ", error.what(), error.exit_code);
  } catch (const DeviceError& error) {
    return report("error: ", error.what(), error.exit_code);
  } catch (const InternalError& error) {
    return report("error: a bug in elenchus: ", error.what(), ExitCode::failed);
  } catch (const std::bad_alloc&) {
    return report("error: ", "out of memory", ExitCode::out_of_resources);
  } catch (const std::exception& error) {
    return report("error: ", error.what(), ExitCode::failed);
  }
}

}  // namespace
}  // namespace elenchus

int main(int argc, char** argv) {
  // A reader that goes away shows as a failed write, so a run never dies of a closed log.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a file-size limit is then an error of write()
  return elenchus::run(std::vector<std::string>(argv + (argc > 0), argv + argc));
}
