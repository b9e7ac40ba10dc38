#include "train/device_batch.h"

namespace elenchus {
namespace {

Tensor copied(Stream& stream, Arena& arena, const std::vector<std::int32_t>& values) {
  const Shape shape{std::int64_t(values.size())};
  Tensor out = arena.alloc(shape, DType::i32);
  if (!values.empty()) stream.copy(out, ConstTensor(values.data(), shape, DType::i32));
  return out;
}

}  // namespace

DeviceBatch upload(Stream& stream, Arena& arena, const PackedBatch& batch,
                   std::optional<RandomKey> dropout) {
  const Tensor tokens = copied(stream, arena, batch.tokens);
  const Tensor positions = copied(stream, arena, batch.positions);
  const Tensor starts = copied(stream, arena, batch.starts);
  const Tensor rows = copied(stream, arena, batch.target_rows);
  const Tensor labels = copied(stream, arena, batch.labels);
  return {.context = {.stream = stream,
                      .arena = arena,
                      .positions = positions,
                      .sequences = {starts, batch.starts},
                      .dropout = dropout},
          .tokens = tokens,
          .targets = {rows, labels}};
}

}  // namespace elenchus
