// `elenchus quantize`: a model's linear layers in NF4, as bitsandbytes stores them.

#include <fmt/format.h>

#include "base/error.h"
#include "base/terminal.h"
#include "io/safetensors.h"
#include "jobs/jobs.h"
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

/// Adds one NF4 weight under the names of bitsandbytes' QuantState.
void add_nf4(SafetensorsWriter& writer, const std::string& name, const Nf4Weight& weight,
             DType dtype) {
  const auto bytes = [](ConstTensor t) {
    return std::span(static_cast<const std::byte*>(t.data()), t.bytes());
  };
  Json state{Json::Object{}};
  state.set("quant_type", "nf4");
  state.set("blocksize", ops::kNf4Block);
  state.set("dtype", std::string(name_of(dtype)));
  state.set("shape", Json::Array{weight.shape[0], weight.shape[1]});
  state.set("nested_blocksize", ops::kNf4NestedBlock);
  state.set("nested_dtype", "float32");
  state.set("nested_offset", double(weight.scale_offset));
  const std::string text = state.dump();
  writer.add(name, StoredType::u8, {weight.codes.dim(0), 1}, bytes(weight.codes));
  writer.add(name + ".absmax", StoredType::u8, {weight.scale_codes.dim(0)},
             bytes(weight.scale_codes));
  writer.add(name + ".quant_map", StoredType::f32, {16}, std::as_bytes(std::span(ops::kNf4Values)));
  writer.add(name + ".nested_absmax", StoredType::f32, {weight.scale_scales.dim(0)},
             bytes(weight.scale_scales));
  writer.add(name + ".nested_quant_map", StoredType::f32, {256}, bytes(weight.scale_map));
  writer.add(name + ".quant_state.bitsandbytes__nf4", StoredType::u8, {std::int64_t(text.size())},
             [text](const ByteSink& sink) { sink(std::as_bytes(std::span(text))); });
}

}  // namespace

int quantize(const QuantizeOptions& options) {
  ModelFiles files = open_model_files(options.model);
  const ModelIdentity model = identify_model(files);
  const DecoderConfig& config = model.config;
  const std::unique_ptr<Stream> stream = Stream::open({});
  const bool gguf = files.kind == ModelFiles::Kind::gguf;
  WeightReader reader(*stream, {files.weights(), *model.architecture, gguf});
  SafetensorsWriter writer;

  const auto add_dense = [&](const std::string& name, ConstTensor t) {
    std::vector<std::int64_t> shape;
    for (int i = 0; i < t.shape().rank(); ++i) shape.push_back(t.dim(i));
    writer.add(name, stored_type(t.dtype()), shape,
               std::span(static_cast<const std::byte*>(t.data()), t.bytes()));
  };
  const auto add_matrix = [&](Slot slot) {
    const FrozenWeight weight = reader.dense(slot, 0, {config.vocabulary, config.width});
    add_dense(model.architecture->module_name(slot, 0) + ".weight",
              std::get<DenseWeight>(weight).matrix);
  };
  const auto add_vector = [&](Slot slot, std::int64_t layer, std::string_view part,
                              std::int64_t length) {
    add_dense(cat(model.architecture->module_name(slot, layer), ".", part),
              reader.vector(slot, layer, part, length));
  };
  add_matrix(Slot::embedding);
  if (reader.has_own_head(config.tied_head)) add_matrix(Slot::head);
  add_vector(Slot::final_norm, 0, "weight", config.width);
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    add_vector(Slot::attention_norm, layer, "weight", config.width);
    add_vector(Slot::mlp_norm, layer, "weight", config.width);
    for (const Slot slot : kProjectionSlots) {
      const bool paired = model.paired_qk_rows && (slot == Slot::q || slot == Slot::k);
      reader.set_paired_rows(paired ? config.head_dim : 0);
      const Shape shape = projection_shape(config, slot);
      const FrozenWeight weight = reader.nf4(slot, layer, shape);
      add_nf4(writer, model.architecture->module_name(slot, layer) + ".weight",
              std::get<Nf4Weight>(weight), reader.stored_dtype(slot, layer));
      if (has_bias(config, slot)) add_vector(slot, layer, "bias", shape[0]);
      reader.set_paired_rows(0);
    }
  }
  write_safetensors(options.output, writer);
  write_output(fmt::format("{}\n", options.output.string()));
  return 0;
}

}  // namespace elenchus
