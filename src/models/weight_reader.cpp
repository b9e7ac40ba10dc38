#include "models/weight_reader.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "models/bnb_weight.h"
#include "ops/elementwise/elementwise.h"
#include "ops/nf4/nf4.h"

namespace elenchus {
namespace {

/// Mixes values into `hash`: eight independent lanes, so that it runs at memory speed.
std::uint64_t mix(std::uint64_t hash, std::span<const float> values) {
  std::uint64_t lanes[8];
  for (std::uint64_t i = 0; i < 8; ++i) lanes[i] = hash + i;
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::uint64_t& lane = lanes[i % 8];
    lane = std::rotl((lane ^ std::bit_cast<std::uint32_t>(values[i])) * 0x9E3779B97F4A7C15u, 29);
  }
  for (const std::uint64_t lane : lanes) hash = std::rotl((hash ^ lane) * 0xD1B54A32D192ED03u, 31);
  return hash;
}

std::uint64_t mix_bytes(std::uint64_t hash, std::span<const std::byte> bytes) {
  std::vector<float> words((bytes.size() + 3) / 4, 0.0f);
  std::memcpy(words.data(), bytes.data(), bytes.size());
  return mix(hash, words);
}

bool all_finite(std::span<const float> values) {
  // NaN and infinity, and only they, give NaN when multiplied by zero.
  float sum = 0;
  for (const float v : values) sum += v * 0.0f;
  return sum == 0;
}

bool is_norm(Slot slot) {
  switch (slot) {
    case Slot::final_norm:
    case Slot::attention_norm:
    case Slot::post_attention_norm:
    case Slot::mlp_norm:
    case Slot::post_mlp_norm:
    case Slot::q_norm:
    case Slot::k_norm:
      return true;
    default:
      return false;
  }
}

/// What a task of reading takes: whole blocks of every stored format.
constexpr std::int64_t kReadElements = std::int64_t{1} << 20;

}  // namespace

WeightReader::WeightReader(Stream& stream, WeightFiles files)
    : stream_(stream),
      files_(files),
      module_name_(files.gguf ? files.architecture.gguf_module : files.architecture.module_name) {
  const auto old = files.architecture.old_module_name;
  if (!files.gguf && old && files.source.find(old(Slot::final_norm, 0) + ".weight"))
    module_name_ = old;
  Tensor map = keep({256}, DType::f32);
  if (!stream_.dry()) stream_.copy(map, ConstTensor(ops::dynamic_map().data(), {256}, DType::f32));
  scale_map_ = map;
}

std::string WeightReader::name_of(Slot slot, std::int64_t layer, std::string_view part) const {
  return cat(module_name_(slot, layer), ".", part);
}

bool WeightReader::has_own_head(bool tied) const {
  return !tied && files_.source.find(name_of(Slot::head, 0, "weight")) != nullptr;
}

const TensorEntry& WeightReader::entry_of(Slot slot, std::int64_t layer, std::string_view part,
                                          Shape shape) const {
  const TensorEntry& entry = files_.source.at(name_of(slot, layer, part));
  const bool plain = entry.type == StoredType::f64 || entry.type == StoredType::f32 ||
                     entry.type == StoredType::f16 || entry.type == StoredType::bf16;
  if (!plain && is_plain(entry.type))
    throw InputError(cat(files_.source.description(), ": tensor ", printable(entry.name),
                         " is stored as ", elenchus::name_of(entry.type),
                         ", a quantised form that this build does not read; expected F32, F16, "
                         "BF16 or a GGUF format"));
  std::vector<std::int64_t> wanted;
  for (int i = 0; i < shape.rank(); ++i) wanted.push_back(shape[i]);
  if (entry.shape != wanted)
    throw InputError(cat(files_.source.description(), ": tensor ", printable(entry.name),
                         " has shape ", entry.shape_text(), "; the configuration makes it ",
                         shape.text()));
  return entry;
}

ThreadPool& WeightReader::pool() {
  if (!stream_.on_cuda()) return stream_.pool();
  if (!pool_) pool_ = std::make_unique<ThreadPool>(0);
  return *pool_;
}

void WeightReader::read(const TensorEntry& entry, std::int64_t first, std::span<float> out) {
  const std::int64_t count = std::int64_t(out.size());
  const std::int64_t tasks = (count + kReadElements - 1) / kReadElements;
  std::vector<std::uint64_t> hashes(std::size_t(tasks), 0);
  std::vector<std::uint8_t> finite(std::size_t(tasks), 0);
  pool().run(tasks, [&](std::int64_t task, int) {
    const std::int64_t at = task * kReadElements;
    const auto values =
        out.subspan(std::size_t(at), std::size_t(std::min(kReadElements, count - at)));
    files_.source.read_f32(entry, first + at, values);
    finite[std::size_t(task)] = all_finite(values);
    hashes[std::size_t(task)] = mix(0, values);
  });
  for (std::int64_t task = 0; task < tasks; ++task) {
    if (!finite[std::size_t(task)])
      throw InputError(cat(files_.source.description(), ": tensor ", printable(entry.name),
                           " holds NaN or infinity; the file is damaged"));
    fingerprint_ = std::rotl((fingerprint_ ^ hashes[std::size_t(task)]) * 0xD1B54A32D192ED03u, 31);
  }
}

std::span<float> WeightReader::read(const TensorEntry& entry) {
  const std::size_t count = std::size_t(entry.elements());
  if (staging_.size() < count) staging_.resize(count);
  const std::span<float> values(staging_.data(), count);
  read(entry, 0, values);
  return values;
}

void WeightReader::read_in_pieces(
    const TensorEntry& entry,
    const std::function<void(std::int64_t, std::span<const float>)>& use) {
  if (!pinned_) pinned_ = allocate_pinned(2 * kPieceElements * sizeof(float));
  float* const room = reinterpret_cast<float*>(pinned_.get());
  const std::int64_t count = entry.elements();
  for (std::int64_t first = 0, piece = 0; first < count; first += kPieceElements, ++piece) {
    const std::span<float> values(room + piece % 2 * kPieceElements,
                                  std::size_t(std::min(kPieceElements, count - first)));
    read(entry, first, values);
    stream_.synchronize();  // the copy of the piece before, which ran while this one was read
    use(first, values);
  }
  stream_.synchronize();
}

Tensor WeightReader::keep(Shape shape, DType dtype) {
  return buffers_.emplace_back(stream_, shape, dtype).tensor();
}

Tensor WeightReader::upload(ConstTensor host) {
  Tensor device = keep(host.shape(), host.dtype());
  stream_.copy(device, host);
  stream_.synchronize();
  return device;
}

void WeightReader::unpair_rows(std::span<float> values, std::int64_t columns) const {
  // File row (head, i, half) belongs at row (head, half, i).
  const std::vector<float> stored(values.begin(), values.end());
  const std::int64_t dim = paired_head_dim_, rows = std::int64_t(values.size()) / columns;
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int64_t head = row / dim, i = row % dim / 2, half = row % 2;
    const std::int64_t target = head * dim + half * (dim / 2) + i;
    std::memcpy(values.data() + target * columns, stored.data() + row * columns,
                std::size_t(columns) * sizeof(float));
  }
}

FrozenWeight WeightReader::stored_nf4(const std::string& name, Shape shape) {
  const BnbWeight stored(files_.source, name, shape);
  const ops::Nf4Sizes sizes(shape.elements());
  Nf4Weight weight;
  weight.shape = shape;
  if (stream_.dry()) {
    weight.codes = keep({sizes.code_bytes}, DType::u8);
    if (!stored.nested()) {
      weight.absmax = keep({sizes.scale_codes}, DType::f32);
      return weight;
    }
    weight.scale_codes = keep({sizes.scale_codes}, DType::u8);
    weight.scale_scales = keep({sizes.scale_scales}, DType::f32);
    weight.scale_map = keep({256}, DType::f32);
    return weight;
  }
  const BnbParts parts = stored.read();
  const auto upload_bytes = [&](const std::vector<std::byte>& bytes) {
    fingerprint_ = mix_bytes(fingerprint_, bytes);
    return upload({bytes.data(), {std::int64_t(bytes.size())}, DType::u8});
  };
  const auto upload_floats = [&](const std::vector<float>& values) {
    fingerprint_ = mix(fingerprint_, values);
    return upload({values.data(), {std::int64_t(values.size())}, DType::f32});
  };
  weight.codes = upload_bytes(parts.codes);
  if (!stored.nested()) {
    weight.absmax = upload_floats(parts.absmax);
    return weight;
  }
  weight.scale_codes = upload_bytes(parts.scale_codes);
  weight.scale_scales = upload_floats(parts.scale_scales);
  weight.scale_map = upload_floats(parts.scale_map);
  weight.scale_offset = parts.scale_offset;
  fingerprint_ = mix(fingerprint_, {&parts.scale_offset, 1});
  return weight;
}

FrozenWeight WeightReader::nf4(Slot slot, std::int64_t layer, Shape shape) {
  const std::string name = name_of(slot, layer, "weight");
  if (is_bnb_nf4(files_.source, name)) return stored_nf4(name, shape);
  if (files_.prequantised) return dense(slot, layer, shape);
  const TensorEntry& entry = entry_of(slot, layer, "weight", shape);
  const ops::Nf4Sizes sizes(shape.elements());
  ops::Nf4Storage storage;
  Nf4Weight weight;
  weight.shape = shape;
  weight.codes = storage.codes = keep({sizes.code_bytes}, DType::u8);
  if (files_.double_quant) {
    weight.scale_codes = storage.scale_codes = keep({sizes.scale_codes}, DType::u8);
    weight.scale_scales = storage.scale_scales = keep({sizes.scale_scales}, DType::f32);
    weight.scale_map = scale_map_;
  } else {
    weight.absmax = storage.absmax = keep({sizes.scale_codes}, DType::f32);
  }
  if (stream_.dry()) return weight;
  if (!stream_.on_cuda()) {
    const std::span<float> values = read(entry);
    if (paired_head_dim_ > 0) unpair_rows(values, shape[1]);
    const ConstTensor host(values.data(), shape, DType::f32);
    weight.scale_offset = ops::quantize_nf4(stream_, storage, host);
    return weight;
  }
  const Buffer staged(stream_, {shape.elements()}, DType::f32);
  if (paired_head_dim_ > 0) {
    const std::span<float> values = read(entry);
    unpair_rows(values, shape[1]);
    stream_.copy(staged.tensor(), {values.data(), staged.tensor().shape(), DType::f32});
  } else {
    read_in_pieces(entry, [&](std::int64_t first, std::span<const float> values) {
      const std::int64_t count = std::int64_t(values.size());
      stream_.copy(staged.tensor().rows(first, count), {values.data(), {count}, DType::f32});
    });
  }
  weight.scale_offset = ops::quantize_nf4(stream_, storage, staged.tensor());
  stream_.synchronize();
  return weight;
}

DType WeightReader::dense_dtype(Slot slot, std::int64_t layer) const {
  if (stream_.on_cuda() && files_.compute != DType::f32) return files_.compute;
  switch (files_.source.at(name_of(slot, layer, "weight")).type) {
    case StoredType::f16:
      return DType::f16;
    case StoredType::bf16:
      return DType::bf16;
    default:
      return DType::f32;
  }
}

FrozenWeight WeightReader::dense_on_cuda(const TensorEntry& entry, Shape shape, DType dtype) {
  const Tensor matrix = keep(shape, dtype), flat = matrix.reshaped({shape.elements()});
  const Buffer wide(stream_, {std::min(kPieceElements, shape.elements())}, DType::f32);
  read_in_pieces(entry, [&](std::int64_t first, std::span<const float> values) {
    const std::int64_t count = std::int64_t(values.size());
    const Tensor piece = wide.tensor().rows(0, count);
    stream_.copy(piece, {values.data(), {count}, DType::f32});
    ops::convert(stream_, flat.rows(first, count), piece);
  });
  return DenseWeight{matrix};
}

FrozenWeight WeightReader::dense(Slot slot, std::int64_t layer, Shape shape) {
  const std::string name = name_of(slot, layer, "weight");
  if (slot != Slot::embedding && is_bnb_nf4(files_.source, name)) return stored_nf4(name, shape);
  const TensorEntry& entry = entry_of(slot, layer, "weight", shape);
  const DType dtype = dense_dtype(slot, layer);
  if (stream_.dry()) return DenseWeight{keep(shape, dtype)};
  if (stream_.on_cuda() && paired_head_dim_ == 0) return dense_on_cuda(entry, shape, dtype);
  const std::span<float> values = read(entry);
  if (paired_head_dim_ > 0) unpair_rows(values, shape[1]);
  return visit_float(dtype, [&]<class T>() -> FrozenWeight {
    if constexpr (std::is_same_v<T, float>) {
      return DenseWeight{upload({values.data(), shape, dtype})};
    } else {
      std::vector<T> narrow;
      narrow.reserve(values.size());
      for (const float v : values) narrow.push_back(T(v));
      return DenseWeight{upload({narrow.data(), shape, dtype})};
    }
  });
}

void WeightReader::read_into(Tensor out, Slot slot, std::int64_t layer) {
  const std::string name = name_of(slot, layer, "weight");
  if (is_bnb_nf4(files_.source, name))
    throw InputError(
        cat(files_.source.description(), ": tensor ", printable(name),
            " is stored in NF4, which cannot be trained whole; leave the module out of "
            "lora.modules_to_save"));
  const TensorEntry& entry = entry_of(slot, layer, "weight", out.shape());
  if (stream_.dry()) return;
  if (!stream_.on_cuda()) return read(entry, 0, out.values<float>());
  const Tensor flat = out.reshaped({out.elements()});
  read_in_pieces(entry, [&](std::int64_t first, std::span<const float> values) {
    const std::int64_t count = std::int64_t(values.size());
    stream_.copy(flat.rows(first, count), {values.data(), {count}, DType::f32});
  });
}

ConstTensor WeightReader::vector(Slot slot, std::int64_t layer, std::string_view part,
                                 std::int64_t length) {
  const TensorEntry& entry = entry_of(slot, layer, part, {length});
  if (stream_.dry()) return keep({length}, DType::f32);
  const std::span<float> values = read(entry);
  if (paired_head_dim_ > 0) unpair_rows(values, 1);
  if (is_norm(slot))
    for (float& v : values) v += files_.norm_offset;
  return upload({values.data(), {length}, DType::f32});
}

std::vector<float> WeightReader::extra(std::string_view name) const {
  const TensorEntry* entry = files_.source.find(name);
  if (!entry) return {};
  std::vector<float> values(std::size_t(entry->elements()));
  files_.source.read_f32(*entry, 0, values);
  return values;
}

}  // namespace elenchus
