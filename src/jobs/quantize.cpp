// `elenchus quantize`: a model's linear layers in NF4, as bitsandbytes stores them: one file, or a
// folder that transformers loads.

#include <fmt/format.h>

#include <cmath>
#include <deque>

#include "base/error.h"
#include "base/file.h"
#include "base/terminal.h"
#include "io/safetensors.h"
#include "jobs/jobs.h"
#include "jobs/output_choice.h"
#include "models/gguf_config.h"
#include "models/loader.h"
#include "models/weight_reader.h"
#include "ops/nf4/nf4.h"

namespace elenchus {
namespace {

StoredType stored_type(DType dtype) {
  switch (dtype) {
    case DType::f16:
      return StoredType::f16;
    case DType::bf16:
      return StoredType::bf16;
    default:
      return StoredType::f32;
  }
}

/// The linear layers of the blocks: what transformers quantises unless told otherwise. Everything
/// else (embeddings, head, norms, biases) stays as stored.
bool is_block_matrix(const TensorEntry& entry) {
  return entry.name.starts_with("model.layers.") && entry.name.ends_with(".weight") &&
         entry.shape.size() == 2;
}

/// Collects a model's tensors, quantised or as they are, in memory of its own.
class Collector {
 public:
  explicit Collector(Stream& stream) : stream_(stream) {}

  /// [out, in] f32 as NF4 under the names of bitsandbytes' QuantState; `dtype` is what it was.
  void add_nf4(const std::string& name, std::span<const float> values, Shape shape,
               std::string_view dtype) {
    const ops::Nf4Sizes sizes(shape.elements());
    const ops::Nf4Storage to{.codes = room({sizes.code_bytes}, DType::u8),
                             .scale_codes = room({sizes.scale_codes}, DType::u8),
                             .scale_scales = room({sizes.scale_scales}, DType::f32)};
    const float offset =
        ops::quantize_nf4(stream_, to, ConstTensor(values.data(), shape, DType::f32));
    Json state{Json::Object{}};
    state.set("quant_type", "nf4");
    state.set("blocksize", ops::kNf4Block);
    state.set("dtype", dtype);
    state.set("shape", Json::Array{shape[0], shape[1]});
    state.set("nested_blocksize", ops::kNf4NestedBlock);
    state.set("nested_dtype", "float32");
    state.set("nested_offset", double(offset));
    writer.add(name, StoredType::u8, {sizes.code_bytes, 1}, bytes_of(to.codes));
    writer.add(name + ".absmax", StoredType::u8, {sizes.scale_codes}, bytes_of(to.scale_codes));
    writer.add(name + ".quant_map", StoredType::f32, {16},
               std::as_bytes(std::span(ops::kNf4Values)));
    writer.add(name + ".nested_absmax", StoredType::f32, {sizes.scale_scales},
               bytes_of(to.scale_scales));
    writer.add(name + ".nested_quant_map", StoredType::f32, {256},
               std::as_bytes(std::span(ops::dynamic_map())));
    const std::string text = state.dump();
    writer.add(name + ".quant_state.bitsandbytes__nf4", StoredType::u8, {std::int64_t(text.size())},
               [text](const ByteSink& sink) { sink(std::as_bytes(std::span(text))); });
  }
  void add_dense(const std::string& name, ConstTensor t) {
    std::vector<std::int64_t> shape;
    for (int i = 0; i < t.shape().rank(); ++i) shape.push_back(t.dim(i));
    writer.add(name, stored_type(t.dtype()), shape, bytes_of(t));
  }
  /// A tensor copied from `source`, which outlives this, when the file is written.
  void add_copy(const TensorSource& source, const TensorEntry& entry) {
    writer.add(entry.name, entry.type, entry.shape, [&source, &entry](const ByteSink& sink) {
      std::vector<std::byte> piece(std::size_t{1} << 20);
      for (std::uint64_t first = 0; first < entry.bytes; first += piece.size()) {
        const auto part =
            std::span(piece).first(std::min<std::uint64_t>(piece.size(), entry.bytes - first));
        source.read_bytes(entry, first, part);
        sink(part);
      }
    });
  }
  /// Keeps what added tensors lie in until the file is written.
  void keep(std::vector<Buffer> buffers) {
    for (Buffer& buffer : buffers) buffers_.push_back(std::move(buffer));
  }
  SafetensorsWriter writer;

 private:
  static std::span<const std::byte> bytes_of(ConstTensor t) {
    return {static_cast<const std::byte*>(t.data()), t.bytes()};
  }
  Tensor room(Shape shape, DType dtype) {
    return buffers_.emplace_back(stream_, shape, dtype).tensor();
  }

  Stream& stream_;
  std::deque<Buffer> buffers_;
};

/// Every tensor of a Hugging Face folder, in its order.
void collect_folder(const TensorSource& source, Collector& out) {
  for (const TensorEntry& entry : source.entries()) {
    if (!is_block_matrix(entry)) {
      out.add_copy(source, entry);
      continue;
    }
    const bool known = entry.type == StoredType::f32 || entry.type == StoredType::f16 ||
                       entry.type == StoredType::bf16;
    if (!known)
      throw InputError(cat(source.description(), ": tensor ", printable(entry.name),
                           " is stored as ", name_of(entry.type), "; expected F32, F16 or BF16"));
    std::vector<float> values(std::size_t(entry.elements()), 0.0f);
    source.read_f32(entry, 0, values);
    for (const float v : values)
      if (!std::isfinite(v))
        throw InputError(cat(source.description(), ": tensor ", printable(entry.name),
                             " holds NaN or infinity; the file is damaged"));
    const DType dtype = entry.type == StoredType::f16    ? DType::f16
                        : entry.type == StoredType::bf16 ? DType::bf16
                                                         : DType::f32;
    out.add_nf4(entry.name, values, {entry.shape[0], entry.shape[1]}, name_of(dtype));
  }
}

/// A GGUF file's weights under their names in Hugging Face folders.
void collect_gguf(Stream& stream, ModelFiles& files, const ModelIdentity& model, Collector& out) {
  const DecoderConfig& config = model.config;
  WeightReader reader(stream, {.source = files.weights(),
                               .architecture = *model.architecture,
                               .gguf = true,
                               .norm_offset = -model.architecture->hf_norm_offset});
  const auto dense = [&](Slot slot, std::int64_t layer, Shape shape) {
    return std::get<DenseWeight>(reader.dense(slot, layer, shape)).matrix;
  };
  const auto name_of_part = [&](Slot slot, std::int64_t layer, std::string_view part) {
    return cat(model.architecture->module_name(slot, layer), ".", part);
  };
  const auto add_vector = [&](Slot slot, std::int64_t layer, std::string_view part,
                              std::int64_t length) {
    out.add_dense(name_of_part(slot, layer, part), reader.vector(slot, layer, part, length));
  };
  const Shape vocabulary{config.vocabulary, config.width};
  out.add_dense(name_of_part(Slot::embedding, 0, "weight"), dense(Slot::embedding, 0, vocabulary));
  if (reader.has_own_head(config.tied_head))
    out.add_dense(name_of_part(Slot::head, 0, "weight"), dense(Slot::head, 0, vocabulary));
  add_vector(Slot::final_norm, 0, "weight", config.width);
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    for (const Slot norm : block_norms(config)) add_vector(norm, layer, "weight", config.width);
    if (config.qk_norms)
      for (const Slot norm : {Slot::q_norm, Slot::k_norm})
        add_vector(norm, layer, "weight", config.head_dim);
    for (const Slot slot : kProjectionSlots) {
      if (!has_projection(config, slot)) continue;
      const bool paired = model.paired_qk_rows && (slot == Slot::q || slot == Slot::k);
      reader.set_paired_rows(paired ? config.head_dim : 0);
      const Shape shape = projection_shape(config, slot);
      const ConstTensor matrix = dense(slot, layer, shape);
      const std::vector<float> wide = visit_float(matrix.dtype(), [&]<class T>() {
        std::vector<float> values;
        for (const T v : matrix.values<T>()) values.push_back(static_cast<float>(v));
        return values;
      });
      out.add_nf4(name_of_part(slot, layer, "weight"), wide, shape, name_of(matrix.dtype()));
      if (has_bias(config, slot)) add_vector(slot, layer, "bias", shape[0]);
      reader.set_paired_rows(0);
    }
  }
  out.keep(reader.take_buffers());
}

/// config.json with the quantisation that transformers reads the weights by.
Json quantised_config(const ModelFiles& files, const ModelIdentity& model) {
  Json config = files.config;
  if (files.gguf) {
    config = config_from_gguf(*files.gguf, *model.architecture);
    config.set("architectures", Json::Array{std::string(model.architecture->hf_name)});
    config.set("model_type", std::string(model.architecture->model_type));
  }
  Json settings{Json::Object{}};
  settings.set("quant_method", "bitsandbytes");
  settings.set("load_in_4bit", true);
  settings.set("load_in_8bit", false);
  settings.set("bnb_4bit_quant_type", "nf4");
  settings.set("bnb_4bit_use_double_quant", true);
  settings.set("bnb_4bit_quant_storage", "uint8");
  settings.set("llm_int8_skip_modules", Json());
  config.set("quantization_config", std::move(settings));
  return config;
}

/// config.json, model.safetensors and the model's own tokenizer files, into a folder that is there.
void write_folder(const std::filesystem::path& folder, const ModelFiles& files,
                  const ModelIdentity& model, const SafetensorsWriter& writer) {
  for (const auto& file : {files.tokenizer_json, files.tokenizer_config_json, files.tokenizer_model,
                           files.chat_template_jinja, files.special_tokens_map_json,
                           files.added_tokens_json, files.generation_config_json})
    if (file) write_file_atomically(folder / file->filename(), read_text_file(*file));
  write_safetensors(folder / "model.safetensors", writer);
  write_file_atomically(folder / "config.json", quantised_config(files, model).dump(2) + "\n");
}

}  // namespace

int quantize(const QuantizeOptions& options) {
  ModelFiles files = open_model_files(options.model);
  const ModelIdentity model = identify_model(files);
  if (model.prequantised)
    throw UserError(cat("--model: ", options.model.string(), " is in NF4 already"));
  if (!model.architecture->left_out.empty())
    throw UserError(cat("--model: ", options.model.string(), " is of ", model.architecture->hf_name,
                        ", which holds ", model.architecture->left_out,
                        "; expected a model of text alone"));
  std::error_code ignored;
  if (std::filesystem::equivalent(options.output, options.model, ignored))
    throw UserError(cat("--output: ", options.output.string(),
                        " is the model's own folder, whose files would be overwritten"));
  const bool one_file = options.output.extension() == ".safetensors";
  const auto output =
      one_file ? choose_output_file(options.output, "--output", {options.model}) : options.output;
  if (!one_file) make_output_folder(output, "--output");
  const std::unique_ptr<Stream> stream = Stream::open({});
  Collector collector(*stream);
  if (files.gguf)
    collect_gguf(*stream, files, model, collector);
  else
    collect_folder(files.weights(), collector);
  if (one_file)
    write_safetensors(output, collector.writer);
  else
    write_folder(output, files, model, collector.writer);
  write_output(fmt::format("{}\n", options.output.string()));
  return 0;
}

}  // namespace elenchus
