// `elenchus logits`: a model's raw output for token ids, for comparison with other software.

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "io/safetensors.h"
#include "jobs/jobs.h"
#include "jobs/output_choice.h"
#include "jobs/session.h"
#include "models/device_batch.h"

namespace elenchus {
namespace {

std::vector<std::vector<std::int32_t>> read_ids(const std::filesystem::path& path) {
  const std::string source = path.string();
  const Json lists = Json::parse(read_text_file(path), source);
  std::vector<std::vector<std::int32_t>> rows;
  for (const Json& list : lists.as_array(source + ": the whole")) {
    const std::string where = cat(source, ": list ", rows.size());
    rows.emplace_back();
    for (const Json& id : list.as_array(where)) {
      const std::int64_t value = id.as_integer(where);
      if (value < 0 || value > INT32_MAX)
        throw InputError(cat(where, ": ", value, " is no token id"));
      rows.back().push_back(std::int32_t(value));
    }
    if (rows.back().empty())
      throw InputError(cat(where, ": the list is empty; expected at least one token id"));
  }
  if (rows.empty()) throw InputError(source + ": no id list in it; expected [[1, 2, 3], ...]");
  return rows;
}

/// 0, 1, 2, ...
std::vector<std::int32_t> counting(std::size_t count) {
  std::vector<std::int32_t> numbers(count);
  for (std::size_t i = 0; i < count; ++i) numbers[i] = std::int32_t(i);
  return numbers;
}

}  // namespace

int logits(const LogitsOptions& options) {
  const auto output =
      choose_output_file(options.output, "--output", {options.input, options.model});
  const auto rows = read_ids(options.input);
  std::size_t longest = 0;
  for (const auto& row : rows) longest = std::max(longest, row.size());
  SessionRequest request{
      .model = options.model, .adapter = options.adapter, .load_in_4bit = options.load_in_4bit};
  request.compute = ComputeType::float32;  // what is compared should not be rounded
  // Every position is asked for: the logits of a row lie in the arena at once.
  request.max_positions = std::int64_t(longest);
  request.shapes.scored_tokens = std::int64_t(longest);
  Session session(request);
  if (session.max_positions < std::int64_t(longest))
    throw InputError(cat(options.input.string(), ": a list has ", longest, " ids; the model takes ",
                         session.max_positions));

  Decoder& decoder = *session.model.decoder;
  const bool classifier = decoder.num_labels() > 0;
  std::vector<std::vector<float>> results;
  SafetensorsWriter writer;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (const std::int32_t id : rows[i])
      if (id >= decoder.vocabulary_size())
        throw InputError(cat(options.input.string(), ": list ", i, ": id ", id,
                             " is outside the vocabulary of ", decoder.vocabulary_size()));
    Arena::Scope scope(*session.arena);
    const std::vector<std::int32_t> every = counting(rows[i].size());
    const std::vector<std::int32_t> asked =
        classifier ? std::vector{every.back()} : every;  // a classifier pools its last token
    const std::int32_t starts[] = {0, std::int32_t(rows[i].size())};
    DeviceBatch batch =
        upload(*session.stream, *session.arena,
               {.tokens = rows[i], .positions = every, .starts = starts, .target_rows = asked});
    const Tensor out = decoder.logits(batch.context, batch.tokens, batch.targets.rows);
    std::vector<float>& values = results.emplace_back(std::size_t(out.elements()));
    session.stream->copy(Tensor(values.data(), out.shape(), DType::f32), out);
    session.stream->synchronize();
  }
  for (std::size_t i = 0; i < results.size(); ++i) {
    std::vector<std::int64_t> shape = {std::int64_t(rows[i].size()), decoder.vocabulary_size()};
    if (classifier) shape = {decoder.num_labels()};
    writer.add_f32(cat("logits.", i), shape, results[i]);
  }
  write_safetensors(output, writer);
  return 0;
}

}  // namespace elenchus
