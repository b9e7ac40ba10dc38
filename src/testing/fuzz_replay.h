#pragma once
// Runs a fuzz target over the files that earlier runs found worth keeping.

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/file.h"

namespace elenchus {

/// The folder tests/ of the source tree: the environment variable ELENCHUS_TESTS, else what the
/// build was told; empty if neither is there.
inline std::optional<std::filesystem::path> tests_folder() {
  std::optional<std::filesystem::path> folder;
#ifdef ELENCHUS_TEST_FOLDER
  folder = ELENCHUS_TEST_FOLDER;
#endif
  if (const char* given = std::getenv("ELENCHUS_TESTS")) folder = given;
  std::error_code error;
  return folder && std::filesystem::is_directory(*folder, error) ? folder : std::nullopt;
}

/// Calls `target(bytes, size)` for every file of tests/corpus/NAME; gives how many there were.
template <class Target>
int replay_corpus(std::string_view name, const Target& target) {
  const auto tests = tests_folder();
  if (!tests) return 0;
  int files = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(*tests / "corpus" / name, error)) {
    const std::string bytes = read_text_file(entry.path());
    target(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    ++files;
  }
  return files;
}

}  // namespace elenchus
