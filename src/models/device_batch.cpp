#include "models/device_batch.h"

namespace elenchus {
namespace {

Tensor upload_numbers(Stream& stream, Arena& arena, std::span<const std::int32_t> numbers) {
  const Shape shape = {std::int64_t(numbers.size())};
  Tensor out = arena.alloc(shape, DType::i32);
  if (!numbers.empty()) stream.copy(out, ConstTensor(numbers.data(), shape, DType::i32));
  return out;
}

}  // namespace

DeviceBatch upload(Stream& stream, Arena& arena, const HostBatch& batch,
                   std::optional<RandomKey> dropout, KvCache* cache) {
  expect(batch.positions.size() == batch.tokens.size(), "a position for each token");
  expect(batch.starts.size() >= 2 && batch.starts.front() == 0 &&
             std::size_t(batch.starts.back()) == batch.tokens.size(),
         "starts run from 0 to the number of tokens");
  expect(batch.labels.empty() || batch.labels.size() == batch.target_rows.size(),
         "a label for each target row");
  const Tensor tokens = upload_numbers(stream, arena, batch.tokens);
  const Tensor positions = upload_numbers(stream, arena, batch.positions);
  const Tensor starts = upload_numbers(stream, arena, batch.starts);
  Targets targets;
  targets.rows = upload_numbers(stream, arena, batch.target_rows);
  targets.labels = upload_numbers(stream, arena, batch.labels);
  return {.context = {.stream = stream,
                      .arena = arena,
                      .positions = positions,
                      .sequences = {.starts = starts, .host_starts = batch.starts},
                      .dropout = dropout,
                      .cache = cache},
          .tokens = tokens,
          .targets = targets};
}

}  // namespace elenchus
