#include "models/loader.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "models/bnb_weight.h"
#include "models/gguf_config.h"
#include "models/rope_frequencies.h"
#include "models/weight_reader.h"
#include "models/whole_modules.h"
#include "ops/dora/dora.h"
#include "ops/elementwise/elementwise.h"
#include "ops/nf4/nf4.h"

namespace elenchus {
namespace {

constexpr int kProjections = int(std::size(kProjectionSlots));

/// Tables of the first `positions` positions, on the device.
RotaryTables::Table upload_rope(Stream& stream, std::vector<Buffer>& buffers,
                                const RopeTables& tables, std::int64_t positions) {
  const auto upload = [&](const std::vector<float>& values) {
    const Shape shape{positions, std::int64_t(values.size()) / positions};
    const Tensor device = buffers.emplace_back(stream, shape, DType::f32).tensor();
    stream.copy(device, ConstTensor(values.data(), shape, DType::f32));
    stream.synchronize();
    return device;
  };
  const ConstTensor cosine = upload(tables.cosine), sine = upload(tables.sine);
  return {cosine, sine};
}

/// What a layer with these settings turns its heads by; LongRoPE's far tables only where there are
/// sequences that need them.
RotaryTables make_rope(Stream& stream, std::vector<Buffer>& buffers, const RopeConfig& rope,
                       std::int64_t rotary_dim, std::int64_t positions) {
  const auto upload = [&](RopeReach reach, std::int64_t count) {
    return upload_rope(stream, buffers, rope_tables(rope, rotary_dim, count, reach), count);
  };
  if (rope.kind != RopeConfig::Kind::longrope || double(positions) <= rope.original_positions)
    return {.near = upload(RopeReach::near, positions)};
  const std::int64_t original = std::int64_t(rope.original_positions);
  return {.near = upload(RopeReach::near, original),
          .far = upload(RopeReach::far, positions),
          .near_positions = original};
}

/// What a GGUF file says of rotary positions in tensors: divisors of the frequencies (Llama 3), or
/// LongRoPE's factors.
void read_rope_tensors(const WeightSource& reader, DecoderConfig& config) {
  const auto factors = [&](std::string_view name) {
    std::vector<float> values = reader.extra(name);
    if (!values.empty() && std::int64_t(values.size()) != config.rotary_dim / 2)
      throw InputError(cat(reader.description(), ": ", name, " has ", values.size(),
                           " values; expected ", config.rotary_dim / 2));
    for (const float value : values)
      if (!(value > 0) || !std::isfinite(value))
        throw InputError(
            cat(reader.description(), ": ", name, " has ", value, "; expected numbers above 0"));
    return values;
  };
  RopeConfig& rope = config.rope;
  rope.divisors = factors("rope_freqs.weight");
  std::vector<float> near = factors("rope_factors_short.weight"),
                     far = factors("rope_factors_long.weight");
  if (near.empty() && far.empty()) return;
  if (near.empty() || far.empty() || rope.original_positions < 2)
    throw InputError(cat(reader.description(),
                         ": LongRoPE needs the tensors rope_factors_short.weight and "
                         "rope_factors_long.weight and an original context length"));
  rope.kind = RopeConfig::Kind::longrope;
  rope.factor = double(config.max_positions) / rope.original_positions;
  rope.short_factors = std::move(near);
  rope.long_factors = std::move(far);
}

/// Builds the blocks of one decoder from its files, one group of projections at a time.
class BlockBuilder {
 public:
  BlockBuilder(Stream& stream, WeightSource& reader, const ModelIdentity& model,
               const LoadOptions& options, const AdapterPlan& adapter, ParamSet& params)
      : stream_(stream),
        reader_(reader),
        model_(model),
        options_(options),
        adapter_(adapter),
        params_(params) {}

  DecoderBlock block(std::int64_t layer, const RotaryTables& global, const RotaryTables& local) {
    const DecoderConfig& c = model_.config;
    const DecoderBlock::Norms norms{
        .attention = norm(Slot::attention_norm, layer),
        .mlp = norm(Slot::mlp_norm, layer),
        .post_attention = c.post_norms ? norm(Slot::post_attention_norm, layer) : ConstTensor{},
        .post_mlp = c.post_norms ? norm(Slot::post_mlp_norm, layer) : ConstTensor{},
        .epsilon = c.norm_epsilon};
    const ops::AttentionShape shape{
        .heads = c.heads,
        .kv_heads = c.kv_heads,
        .head_dim = c.head_dim,
        .scale = float(c.attention_scale.value_or(1 / std::sqrt(double(c.head_dim)))),
        .soft_cap = c.attention_soft_cap,
        .window = c.layer(layer).window};
    Projection qkv = group(layer, 0, 3);
    Projection o = group(layer, 3, 4);
    Projection gate_up = group(layer, 4, 6);
    Projection down = group(layer, 6, 7);
    const RopeUse use = c.layer(layer).rope;
    const RotaryTables rope = use == RopeUse::global  ? global
                              : use == RopeUse::local ? local
                                                      : RotaryTables{};
    Attention::Config attention{
        .shape = shape, .head_norm = head_norm(layer), .rope = rope, .layer = layer};
    return DecoderBlock(Attention(std::move(qkv), std::move(o), std::move(attention)),
                        GatedMlp(std::move(gate_up), std::move(down), c.activation), norms,
                        options_.compute);
  }

  /// What the blocks refer to beside the reader's weights.
  std::vector<Buffer> take_buffers() { return std::move(buffers_); }

 private:
  ConstTensor norm(Slot slot, std::int64_t layer) {
    return reader_.vector(slot, layer, "weight", model_.config.width);
  }
  std::optional<ops::HeadNorm> head_norm(std::int64_t layer) {
    const DecoderConfig& c = model_.config;
    if (!c.qk_norms) return {};
    return ops::HeadNorm{.q_weight = reader_.vector(Slot::q_norm, layer, "weight", c.head_dim),
                         .k_weight = reader_.vector(Slot::k_norm, layer, "weight", c.head_dim),
                         .heads = c.heads,
                         .kv_heads = c.kv_heads,
                         .epsilon = c.norm_epsilon};
  }

  /// The projections [first, last) of kProjectionSlots as one group.
  Projection group(std::int64_t layer, int first, int last) {
    std::vector<Projection::Part> parts;
    std::vector<Param*> a_factors;
    for (int i = first; i < last; ++i) {
      if (!has_projection(model_.config, kProjectionSlots[i])) continue;
      const AdapterParams trained = find_params(params_, adapter_, *model_.architecture, layer, i);
      parts.push_back(part(layer, i, trained));
      if (trained.a) a_factors.push_back(trained.a);
    }
    Tensor a, da;
    if (!a_factors.empty()) {
      // adapter_entries() lays the A factors of a group end to end, so they are one matrix.
      std::int64_t rows = 0;
      for (const Param* p : a_factors) rows += p->value.dim(0);
      const Shape stacked{rows, a_factors[0]->value.dim(1)};
      a = Tensor(a_factors[0]->value.data(), stacked, DType::f32, stream_.device());
      da = Tensor(a_factors[0]->grad.data(), stacked, DType::f32, stream_.device());
    }
    return Projection(std::move(parts), a, da, adapter_.dropout, std::uint32_t(layer * 64 + first));
  }

  Projection::Part part(std::int64_t layer, int i, const AdapterParams& trained) {
    const Slot slot = kProjectionSlots[i];
    const Shape shape = projection_shape(model_.config, slot);
    const bool paired = model_.paired_qk_rows && (slot == Slot::q || slot == Slot::k);
    reader_.set_paired_rows(paired ? model_.config.head_dim : 0);
    Projection::Part part{.weight = options_.load_in_4bit ? reader_.nf4(slot, layer, shape)
                                                          : reader_.dense(slot, layer, shape),
                          .bias = has_bias(model_.config, slot)
                                      ? reader_.vector(slot, layer, "bias", shape[0])
                                      : ConstTensor{}};
    reader_.set_paired_rows(0);
    if (trained.bias) {
      stream_.copy(trained.bias->value, part.bias);
      part.bias = trained.bias->value;
      part.dbias = trained.bias->grad;
    }
    part.b = trained.b;
    part.scale = float(adapter_.module(layer, i).scale);
    if (trained.magnitude) {
      part.magnitude = trained.magnitude;
      part.row_squares = row_squares(part.weight);
      start_magnitude(*part.magnitude, part.row_squares);
    }
    return part;
  }

  /// The squared lengths of a weight's rows, f32 [out].
  ConstTensor row_squares(const FrozenWeight& weight) {
    buffers_.emplace_back(stream_, Shape{shape_of(weight)[0]}, DType::f32);
    const Tensor squares = buffers_.back().tensor();
    const Buffer rows(stream_, shape_of(weight), DType::f32);
    if (const auto* nf4 = std::get_if<Nf4Weight>(&weight))
      ops::dequantize_nf4(stream_, rows.tensor(), *nf4);
    else
      ops::convert(stream_, rows.tensor(), std::get<DenseWeight>(weight).matrix);
    ops::row_squares(stream_, squares, rows.tensor());
    stream_.synchronize();
    return squares;
  }

  /// A magnitude starts at the lengths of the rows: nothing is changed at first.
  void start_magnitude(const Param& magnitude, ConstTensor squares) {
    if (stream_.dry()) return;
    std::vector<float> lengths(std::size_t(squares.elements()), 0.0f);
    const Tensor host(lengths.data(), squares.shape(), DType::f32);
    stream_.copy(host, squares);
    stream_.synchronize();
    for (float& length : lengths) length = std::sqrt(length);
    stream_.copy(magnitude.value, host);
    stream_.synchronize();
  }

  Stream& stream_;
  WeightSource& reader_;
  const ModelIdentity& model_;
  const LoadOptions& options_;
  const AdapterPlan& adapter_;
  ParamSet& params_;
  std::vector<Buffer> buffers_;
};

/// The embedding and the language head: frozen, or the values of parameters.
class VocabularyMatrices {
 public:
  VocabularyMatrices(WeightSource& reader, std::span<const WholeModule> whole,
                     const DecoderConfig& config)
      : reader_(reader),
        whole_(whole),
        shape_{config.vocabulary, config.width},
        tied_(!reader.has_own_head(config.tied_head)) {}

  void read_embedding(DecoderParts& parts) const {
    if (const WholeModule* trained = find(Slot::embedding))
      parts.dembedding = start(parts, *trained, Slot::embedding, parts.embedding);
    else
      parts.embedding = reader_.dense(Slot::embedding, 0, shape_);
  }

  enum class Head { own, shared, untied };
  /// After the embedding.
  Head read_head(DecoderParts& parts) const {
    const Slot stored = tied_ ? Slot::embedding : Slot::head;
    const WholeModule *trained = find(Slot::head), *embedding = find(Slot::embedding);
    if (trained) {
      parts.dhead = start(parts, *trained, stored, parts.head);
    } else if (tied_ && (!embedding || !embedding->second_name.empty())) {
      parts.head = parts.embedding;
      parts.dhead = parts.dembedding;
      return Head::shared;
    } else {
      parts.head = reader_.dense(stored, 0, shape_);
    }
    return tied_ ? Head::untied : Head::own;
  }

 private:
  const WholeModule* find(Slot slot) const {
    const auto found = std::ranges::find(whole_, slot, &WholeModule::slot);
    return found == whole_.end() ? nullptr : &*found;
  }
  /// Reads a parameter's first values; returns its gradient.
  Tensor start(DecoderParts& parts, const WholeModule& module, Slot stored,
               FrozenWeight& weight) const {
    const Param& param = *parts.params.find(module.entry().name);
    reader_.read_into(param.value, stored, 0);
    weight = DenseWeight{param.value};
    return param.grad;
  }

  WeightSource& reader_;
  std::span<const WholeModule> whole_;
  Shape shape_;
  bool tied_;
};

/// Finds the head among the parameters, gives it the values that the files have for it, and puts
/// the class weights on the device.
void add_score_head(Stream& stream, const WeightSource& source, const ClassifierOptions& options,
                    DecoderParts& parts) {
  parts.score = parts.params.find(kScoreName);
  const Tensor score = parts.score->value;
  const std::vector<float> stored = source.extra(kScoreName);
  if (!stored.empty() && std::int64_t(stored.size()) != score.elements())
    throw UserError(cat("model.num_labels: found ", options.num_labels, ", but the head ",
                        kScoreName, " of ", source.description(), " has ",
                        std::int64_t(stored.size()) / score.dim(1),
                        " classes; write that number, or leave the head out of the model"));
  for (const float value : stored)
    if (!std::isfinite(value))
      throw InputError(
          cat(source.description(), ": tensor ", kScoreName, " holds NaN or infinity"));
  if (!stored.empty()) stream.copy(score, ConstTensor(stored.data(), score.shape(), DType::f32));
  stream.synchronize();
  parts.class_weights = options.class_weights;
  if (options.class_weights.empty()) return;
  expect(std::int64_t(options.class_weights.size()) == options.num_labels,
         "a weight for each class");
  parts.buffers.emplace_back(stream, Shape{options.num_labels}, DType::f32);
  parts.device_class_weights = parts.buffers.back().tensor();
  stream.copy(parts.buffers.back().tensor(),
              ConstTensor(parts.class_weights.data(), Shape{options.num_labels}, DType::f32));
  stream.synchronize();
}

}  // namespace

ModelIdentity identify_model(ModelFiles& files) {
  if (files.kind == ModelFiles::Kind::gguf) {
    const std::string source = files.gguf->description();
    const auto name = files.gguf->get_string("general.architecture");
    if (!name) throw InputError(cat(source, ": metadata key general.architecture is missing"));
    const Architecture& architecture = architecture_of_gguf(*name, source);
    return {&architecture,
            architecture.read_config(config_from_gguf(*files.gguf, architecture), source),
            architecture.gguf_pairs_qk_rows};
  }
  const std::string source = (files.path / "config.json").string();
  const Architecture& architecture = architecture_of(files.required_config(), source);
  return {.architecture = &architecture,
          .config = architecture.read_config(files.required_config(), source),
          .prequantised = is_prequantised(files.required_config(), source)};
}

LoadedModel load_model(Stream& stream, ModelFiles& files, const LoadOptions& options) {
  const ModelIdentity model = identify_model(files);
  const bool gguf = files.kind == ModelFiles::Kind::gguf;
  WeightReader reader(stream, {.source = files.weights(),
                               .architecture = *model.architecture,
                               .gguf = gguf,
                               .prequantised = model.prequantised,
                               .double_quant = options.double_quant,
                               .norm_offset = gguf ? 0 : model.architecture->hf_norm_offset,
                               .compute = options.compute});
  return build_model(stream, model, reader, options);
}

LoadedModel build_model(Stream& stream, ModelIdentity model, WeightSource& reader,
                        const LoadOptions& options) {
  DecoderConfig& config = model.config;
  LoadedModel loaded;
  const std::string_view left_out = model.architecture->left_out;
  if (!left_out.empty() && options.classifier)
    throw UserError(cat("model.task_type: ", reader.description(), " is of ",
                        model.architecture->hf_name,
                        ", of which this build makes no classifier; expected CAUSAL_LM"));
  if (!left_out.empty())
    loaded.notes.push_back(cat(reader.description(), ": the text model is loaded without ",
                               left_out, " of ", model.architecture->hf_name));
  DecoderParts parts;
  parts.compute = options.compute;
  parts.label_smoothing = options.label_smoothing;
  std::vector<ParamSet::Entry> trained;
  if (options.lora) {
    loaded.adapter = plan_adapter(*options.lora, *model.architecture, config);
    trained = adapter_entries(loaded.adapter, *model.architecture, config);
  }
  const std::vector<WholeModule> whole =
      whole_modules({.lora = options.lora,
                     .tied_head = !reader.has_own_head(config.tied_head),
                     .num_labels = options.classifier ? options.classifier->num_labels : 0},
                    *model.architecture, config);
  for (const WholeModule& module : whole) trained.push_back(module.entry());
  parts.params = ParamSet(stream, trained);
  init_adapter(stream, parts.params, options.seed);
  read_rope_tensors(reader, config);
  const auto rotary = [&](const RopeConfig& rope) {
    return make_rope(stream, parts.buffers, rope, config.rotary_dim, options.max_positions);
  };
  const RotaryTables global = rotary(config.rope);
  const bool has_local =
      std::any_of(config.layer_traits.begin(), config.layer_traits.end(),
                  [](const LayerTraits& traits) { return traits.rope == RopeUse::local; });
  const RotaryTables local = has_local ? rotary(config.local_rope) : RotaryTables{};

  const VocabularyMatrices vocabulary(reader, whole, config);
  vocabulary.read_embedding(parts);
  BlockBuilder builder(stream, reader, model, options, loaded.adapter, parts.params);
  for (std::int64_t layer = 0; layer < config.layers; ++layer)
    parts.blocks.push_back(builder.block(layer, global, local));
  parts.final_norm = reader.vector(Slot::final_norm, 0, "weight", config.width);
  if (options.classifier)
    add_score_head(stream, reader, *options.classifier, parts);
  else if (vocabulary.read_head(parts) == VocabularyMatrices::Head::untied)
    loaded.notes.push_back(
        "lora.modules_to_save trains the head or the embedding of a model where they are one "
        "matrix: from here on they are two, as in PEFT; lora.ensure_weight_tying keeps them one");
  for (Buffer& buffer : reader.take_buffers()) parts.buffers.push_back(std::move(buffer));
  for (Buffer& buffer : builder.take_buffers()) parts.buffers.push_back(std::move(buffer));
  parts.config = std::move(config);
  loaded.base_fingerprint = reader.fingerprint();
  loaded.decoder = std::make_unique<Decoder>(std::move(parts));
  return loaded;
}

}  // namespace elenchus
