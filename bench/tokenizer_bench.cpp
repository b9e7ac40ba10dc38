// Speed of a tokenizer on one thread: loading it, and encoding the documents of each file.
//   tokenizer_bench TOKENIZER.json [FILE...]
// A file is a JSON array of texts. Every run loads the tokenizer anew, so that no text was seen
// before. Prints a JSON line for loading and one for each file, seconds being the best of the runs;
// tests/golden/compare_text.py measures Hugging Face's beside it.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "text/tokenizer.h"

namespace elenchus {
namespace {

constexpr int kRuns = 5;

/// Keeps the least time that a call took, in seconds.
template <class Call>
void time_call(double& best, const Call& call) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  call();
  best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
}

struct TimedFile {
  std::string path;
  Json texts;
  std::int64_t bytes = 0, tokens = 0;
  double seconds = 1e9;
};

TimedFile read_file(const std::string& path) {
  TimedFile file{.path = path, .texts = Json::parse(read_text_file(path), path)};
  for (const Json& text : file.texts.as_array(path))
    file.bytes += std::int64_t(text.as_string("a text").size());
  return file;
}

void print(Json::Object line) { std::printf("%s\n", Json(std::move(line)).dump().c_str()); }

void run(const std::string& path, std::span<const std::string> file_paths) {
  std::vector<TimedFile> files;
  for (const std::string& file : file_paths) files.push_back(read_file(file));
  double load_seconds = 1e9;
  for (int run = 0; run < kRuns; ++run) {
    std::unique_ptr<Tokenizer> tokenizer;
    time_call(load_seconds, [&] {
      tokenizer = tokenizer_from_json(Json::parse(read_text_file(path), path), path);
    });
    for (TimedFile& file : files)
      time_call(file.seconds, [&] {
        file.tokens = 0;
        for (const Json& text : file.texts.as_array(file.path))
          file.tokens += std::int64_t(tokenizer->encode(text.as_string("a text")).ids.size());
      });
  }
  print({{"tokenizer", path}, {"load_seconds", load_seconds}});
  for (const TimedFile& file : files)
    print({{"file", file.path},
           {"bytes", file.bytes},
           {"tokens", file.tokens},
           {"seconds", file.seconds}});
}

}  // namespace
}  // namespace elenchus

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: tokenizer_bench TOKENIZER.json [FILE...]\n");
    return 2;
  }
  try {
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    elenchus::run(arguments[0], std::span(arguments).subspan(1));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
  return 0;
}
