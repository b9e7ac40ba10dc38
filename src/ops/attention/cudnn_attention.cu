#include "ops/attention/cudnn_attention.cuh"

#include <dlfcn.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "ops/attention/attention_library.h"
#include "ops/cuda/launch.cuh"

#define NV_CUDNN_FRONTEND_USE_DYNAMIC_LOADING
#define CUDNN_FRONTEND_SKIP_JSON_LIB
#include <cudnn_frontend.h>

namespace cudnn_frontend {
void* cudnn_dlhandle = nullptr;  // the frontend looks every symbol up here
}

namespace elenchus::ops::cuda {
namespace {

namespace fe = cudnn_frontend;
using fe::graph::Graph;
using fe::graph::Tensor_attributes;
using TensorRef = std::shared_ptr<Tensor_attributes>;

// Older ones give wrong gradients for packed rows with a score modifier, without an error.
constexpr std::size_t kOldestVersion = 91900;
// What the gradient of one call may take beside its tensors; heads are taken a few at a time
// where all at once would take more.
constexpr std::int64_t kMostWorkspaceBytes = std::int64_t{384} << 20;

/// Places of a plan's tensors.
enum Place : std::int64_t {
  kQueries = 1,
  kKeys,
  kValues,
  kOut,
  kStats,
  kDout,
  kDqueries,
  kDkeys,
  kDvalues,
  kRowOffsets,
  kOutOffsets,
  kStatsOffsets,
  kLengths
};

/// What a plan is made for. Sequences of one length lie in a regular grid; others are packed.
struct PlanKey {
  bool backward, saves_stats, packed;
  DType dtype;
  std::int64_t sequences, longest;  // rounded up where packed
  std::int64_t heads, kv_heads;     // of the layer
  std::int64_t slices;              // the plan takes heads / slices of them
  std::int64_t head_dim, window;
  float scale, soft_cap;
  std::int64_t row() const { return (heads + 2 * kv_heads) * head_dim; }
  std::int64_t out_row() const { return heads * head_dim; }
  std::int64_t slice_heads() const { return heads / slices; }
  std::int64_t slice_kv_heads() const { return kv_heads / slices; }
  auto tied() const {
    return std::tie(backward, saves_stats, packed, dtype, sequences, longest, heads, kv_heads,
                    slices, head_dim, window, scale, soft_cap);
  }
  bool operator<(const PlanKey& other) const { return tied() < other.tied(); }
};

struct Plan {
  std::shared_ptr<Graph> graph;  // null: cuDNN does not take this
  std::int64_t workspace_bytes = 0;
};

std::int64_t rounded_up(std::int64_t n, std::int64_t to) { return (n + to - 1) / to * to; }

/// Few different lengths, each at most a quarter above the true one from 512 on.
std::int64_t rounded_length(std::int64_t n) {
  const std::int64_t step =
      std::max<std::int64_t>(128, std::int64_t(std::bit_floor(std::uint64_t(n))) / 4);
  return rounded_up(n, step);
}

/// Empty where own kernels should serve.
std::optional<PlanKey> plan_key(const Sequences& sequences, const AttentionShape& shape,
                                DType dtype) {
  if (dtype != DType::f16 && dtype != DType::bf16) return {};
  if (shape.head_dim % 8 != 0 || shape.head_dim > 256) return {};
  const std::span<const std::int32_t> starts = sequences.host_starts;
  const std::int64_t count = sequences.count(), rows = sequences.rows();
  std::int64_t longest = 0, shortest = rows;
  for (std::int64_t s = 0; s < count; ++s) {
    const std::int64_t length = starts[std::size_t(s) + 1] - starts[std::size_t(s)];
    longest = std::max(longest, length);
    shortest = std::min(shortest, length);
  }
  const bool windowed = shape.window > 0 && longest > shape.window;
  // A capped window would be written into the score modifier, where no tile is skipped.
  if (count == 0 || longest < 64 || (windowed && shape.soft_cap != 0)) return {};
  PlanKey key{.backward = false,
              .saves_stats = true,
              .packed = shortest != longest || longest % 128 != 0,
              .dtype = dtype,
              .sequences = count,
              .longest = longest,
              .heads = shape.heads,
              .kv_heads = shape.kv_heads,
              .slices = 1,
              .head_dim = shape.head_dim,
              .window = windowed ? shape.window : 0,
              .scale = shape.scale,
              .soft_cap = shape.soft_cap};
  if (!key.packed) return key;
  key.sequences = std::int64_t(std::bit_ceil(std::uint64_t(count)));
  key.longest = rounded_length(longest);
  constexpr std::int64_t kMostOffset = std::int64_t{1} << 31;  // of 32-bit offsets
  if (rows * shape.row() >= kMostOffset) return {};
  // Tiles of the padded grid that hold nothing still cost their launch.
  return key.sequences * key.longest <= 4 * rows ? std::optional(key) : std::nullopt;
}

/// One graph, being drawn.
class Drawing {
 public:
  explicit Drawing(const PlanKey& key) : key_(key), graph_(std::make_shared<Graph>()) {
    graph_
        ->set_io_data_type(key.dtype == DType::f16 ? fe::DataType_t::HALF
                                                   : fe::DataType_t::BFLOAT16)
        .set_intermediate_data_type(fe::DataType_t::FLOAT)
        .set_compute_data_type(fe::DataType_t::FLOAT);
    if (!key.packed) return;
    row_offsets_ = index("row_offsets", kRowOffsets, key.sequences + 1);
    out_offsets_ = index("out_offsets", kOutOffsets, key.sequences + 1);
    stats_offsets_ = index("stats_offsets", kStatsOffsets, key.sequences + 1);
    lengths_ = index("lengths", kLengths, key.sequences);
  }

  std::shared_ptr<Graph> forward() {
    fe::graph::SDPA_attributes how;
    how.set_name("attention").set_generate_stats(key_.saves_stats);
    how.set_attn_scale(key_.scale);
    mask(how);
    const std::int64_t queries = key_.slice_heads(), keys = key_.slice_kv_heads();
    auto [out, stats] =
        graph_->sdpa(heads("q", kQueries, queries, key_.row()), heads("k", kKeys, keys, key_.row()),
                     heads("v", kValues, keys, key_.row()), how);
    as_output(out, kOut, queries, key_.out_row(), out_offsets_);
    if (key_.saves_stats) {
      stats->set_output(true).set_data_type(fe::DataType_t::FLOAT).set_uid(kStats);
      stats->set_dim({key_.sequences, queries, key_.longest, 1}).set_stride(token_major_stats());
      if (key_.packed) stats->set_ragged_offset(stats_offsets_);
    }
    return graph_;
  }

  std::shared_ptr<Graph> backward() {
    fe::graph::SDPA_backward_attributes how;
    how.set_name("attention_backward").set_deterministic_algorithm(true);
    how.set_attn_scale(key_.scale);
    mask(how);
    if (key_.soft_cap != 0)
      how.set_score_mod_bprop([this](std::shared_ptr<Graph> graph, TensorRef d) {
        const TensorRef cap = constant(key_.soft_cap);
        d = pointwise(*graph, d, cap, fe::PointwiseMode_t::MUL);
        d = pointwise(*graph, d, before_tanh_, fe::PointwiseMode_t::TANH_BWD);
        return pointwise(*graph, d, cap, fe::PointwiseMode_t::DIV);
      });
    const std::int64_t queries = key_.slice_heads(), keys = key_.slice_kv_heads();
    Tensor_attributes saved;
    saved.set_name("stats").set_uid(kStats).set_data_type(fe::DataType_t::FLOAT);
    saved.set_dim({key_.sequences, queries, key_.longest, 1});
    if (key_.packed)
      saved.set_stride(token_major_stats()).set_ragged_offset(stats_offsets_);
    else  // the one form that is taken of a grid
      saved.set_stride({key_.longest * queries, key_.longest, 1, 1});
    auto [dq, dk, dv] = graph_->sdpa_backward(
        heads("q", kQueries, queries, key_.row()), heads("k", kKeys, keys, key_.row()),
        heads("v", kValues, keys, key_.row()),
        heads("out", kOut, queries, key_.out_row(), out_offsets_),
        heads("dout", kDout, queries, key_.out_row(), out_offsets_), graph_->tensor(saved), how);
    as_output(dq, kDqueries, queries, key_.row(), row_offsets_);
    as_output(dk, kDkeys, keys, key_.row(), row_offsets_);
    as_output(dv, kDvalues, keys, key_.row(), row_offsets_);
    return graph_;
  }

 private:
  TensorRef index(const char* name, std::int64_t place, std::int64_t count) {
    return graph_->tensor(Tensor_attributes()
                              .set_name(name)
                              .set_uid(place)
                              .set_dim({count, 1, 1, 1})
                              .set_stride({1, 1, 1, 1})
                              .set_data_type(fe::DataType_t::INT32));
  }
  std::vector<std::int64_t> extents(std::int64_t count) const {
    return {key_.sequences, count, key_.longest, key_.head_dim};
  }
  std::vector<std::int64_t> strides(std::int64_t token) const {
    return {key_.longest * token, key_.head_dim, token, 1};
  }
  /// `count` heads of every token, tokens `token` elements apart.
  TensorRef heads(const char* name, std::int64_t place, std::int64_t count, std::int64_t token,
                  TensorRef offsets = nullptr) {
    Tensor_attributes t;
    t.set_name(name).set_uid(place).set_dim(extents(count)).set_stride(strides(token));
    if (key_.packed) t.set_ragged_offset(offsets ? offsets : row_offsets_);
    return graph_->tensor(t);
  }
  void as_output(const TensorRef& t, std::int64_t place, std::int64_t count, std::int64_t token,
                 const TensorRef& offsets) {
    t->set_output(true).set_uid(place).set_dim(extents(count)).set_stride(strides(token));
    if (key_.packed) t->set_ragged_offset(offsets);
  }
  /// Of [N, H].
  std::vector<std::int64_t> token_major_stats() const {
    return {key_.longest * key_.heads, 1, key_.heads, 1};
  }
  static TensorRef constant(float value) { return std::make_shared<Tensor_attributes>(value); }
  static TensorRef pointwise(Graph& graph, TensorRef a, TensorRef b, fe::PointwiseMode_t mode) {
    return graph.pointwise(std::move(a), std::move(b),
                           fe::graph::Pointwise_attributes().set_mode(mode));
  }

  /// Causal, by the library's own masks or, under a soft cap, by the score modifier.
  template <class Attributes>
  void mask(Attributes& how) {
    if (key_.packed) how.set_seq_len_q(lengths_).set_seq_len_kv(lengths_);
    if (key_.soft_cap != 0) {
      how.set_score_mod([this](std::shared_ptr<Graph> graph, TensorRef score) {
        const TensorRef cap = constant(key_.soft_cap);
        before_tanh_ = pointwise(*graph, score, cap, fe::PointwiseMode_t::DIV);
        score = graph->pointwise(before_tanh_, fe::graph::Pointwise_attributes().set_mode(
                                                   fe::PointwiseMode_t::TANH_FWD));
        score = pointwise(*graph, score, cap, fe::PointwiseMode_t::MUL);
        return fe::graph::attn::score_modifiers::causal_mask(graph, score);
      });
      return;
    }
    how.set_padding_mask(key_.packed);
    how.set_causal_mask(true);
    if (key_.window > 0) how.set_diagonal_band_left_bound(int(key_.window));
  }

  PlanKey key_;
  std::shared_ptr<Graph> graph_;
  TensorRef row_offsets_, out_offsets_, stats_offsets_, lengths_, before_tanh_;
};

/// Offsets of each sequence in qkv, out and log_sum_exp, and its length; those past the last are
/// empty.
__global__ void offsets_kernel(std::int32_t* rows, std::int32_t* outs, std::int32_t* stats,
                               std::int32_t* lengths, const std::int32_t* starts, int count,
                               int places, std::int32_t row, std::int32_t out_row,
                               std::int32_t heads) {
  for (int i = int(threadIdx.x); i <= places; i += int(blockDim.x)) {
    const std::int32_t start = starts[min(i, count)];
    rows[i] = start * row;
    outs[i] = start * out_row;
    stats[i] = start * heads;
    if (i < places) lengths[i] = starts[min(i + 1, count)] - start;
  }
}

/// to [slice, sequence, head of the slice, token] = from [sequence and token, head].
__global__ void head_major_kernel(float* to, const float* from, std::int64_t elements,
                                  std::int64_t heads, std::int64_t slice_heads,
                                  std::int64_t length) {
  const std::int64_t i = thread_index();
  if (i >= elements) return;
  const std::int64_t token = i / heads, head = i % heads, rows = elements / heads;
  const std::int64_t sequence = token / length, slice = head / slice_heads;
  to[slice * slice_heads * rows + (sequence * slice_heads + head % slice_heads) * length +
     token % length] = from[i];
}

void* element(const ConstTensor& t, std::int64_t index) {
  return static_cast<std::byte*>(const_cast<void*>(t.data())) +
         std::size_t(index) * size_of(t.dtype());
}

}  // namespace

struct CudnnAttention::Library {
  explicit Library(Device on) : device(on) {
    check_cuda(cudaSetDevice(device.index), "selecting the device");
    if (fe::detail::create_handle(&handle) != CUDNN_STATUS_SUCCESS) handle = nullptr;
  }
  ~Library() {
    if (handle) fe::detail::destroy_handle(handle);
  }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  Plan& plan(const PlanKey& key) {
    const auto known = plans.find(key);
    return known != plans.end() ? known->second : plans.emplace(key, make(key)).first->second;
  }

  Plan make(const PlanKey& key) {
    check_cuda(cudaSetDevice(device.index), "selecting the device");
    try {
      Drawing drawing(key);
      const std::shared_ptr<Graph> graph = key.backward ? drawing.backward() : drawing.forward();
      if (!graph->build(handle, {fe::HeurMode_t::A}).is_good()) return {};
      std::int64_t bytes = 0;
      if (!graph->get_workspace_size(bytes).is_good()) return {};
      return {graph, bytes};
    } catch (const std::exception&) {  // the frontend's way to say that a symbol or library lacks
      return {};
    }
  }

  /// The plan that takes all heads at once, or as many as its workspace allows. None: cuDNN does
  /// not take this.
  std::optional<PlanKey> sliced(PlanKey key) {
    for (; key.slices <= key.kv_heads; ++key.slices) {
      if (key.kv_heads % key.slices != 0) continue;
      const Plan& found = plan(key);
      if (!found.graph) return {};
      if (found.workspace_bytes <= kMostWorkspaceBytes || key.slices == key.kv_heads) return key;
    }
    return {};
  }

  /// Scratch of one call.
  struct Room {
    Tensor workspace;
    Tensor indices;  ///< i32 [4, sequences + 1] where packed
    Tensor stats;    ///< f32 [N H], where a gradient takes them head by head
    static std::size_t bytes(const PlanKey& key, const Plan& plan, std::int64_t rows) {
      constexpr std::size_t kSlack = 8 * 256;  // of the arena's alignment
      return std::size_t(plan.workspace_bytes) +
             std::size_t(4 * (key.sequences + 1) + rows * key.heads) * 4 + kSlack;
    }
    Room(Arena& scratch, const PlanKey& key, const Plan& plan, std::int64_t rows)
        : workspace(scratch.alloc({std::max<std::int64_t>(plan.workspace_bytes, 1)}, DType::u8)) {
      if (key.packed)
        indices = scratch.alloc({4, key.sequences + 1}, DType::i32);
      else if (key.backward)
        stats = scratch.alloc({rows * key.heads}, DType::f32);
    }
  };
  using Pointers = std::unordered_map<std::int64_t, void*>;

  void write_indices(CudaStream& queue, const PlanKey& key, const Tensor& indices,
                     const Sequences& sequences, Pointers& pointers) {
    const std::int64_t places = key.sequences + 1;
    std::int32_t* const at = indices.as<std::int32_t>();
    pointers[kRowOffsets] = at;
    pointers[kOutOffsets] = at + places;
    pointers[kStatsOffsets] = at + 2 * places;
    pointers[kLengths] = at + 3 * places;
    offsets_kernel<<<1, kBlockThreads, 0, queue.queue()>>>(
        at, at + places, at + 2 * places, at + 3 * places, sequences.starts.as<std::int32_t>(),
        int(sequences.count()), int(key.sequences), std::int32_t(key.row()),
        std::int32_t(key.out_row()), std::int32_t(key.heads));
    check_launch("attention");
  }

  void execute(CudaStream& queue, const PlanKey& key, Pointers& pointers, void* workspace) {
    fe::detail::set_stream(handle, queue.queue());
    auto status = plan(key).graph->execute(handle, pointers, workspace);
    if (!status.is_good())
      throw DeviceError(cat("cuDNN: attention failed: ", status.get_message()),
                        ExitCode::device_failed);
  }

  Device device;
  cudnnHandle_t handle = nullptr;
  std::map<PlanKey, Plan> plans;
};

CudnnAttention::CudnnAttention(Device device) {
  if (!fe::cudnn_dlhandle) fe::cudnn_dlhandle = ::dlopen("libcudnn.so.9", RTLD_NOW | RTLD_LOCAL);
  if (!fe::cudnn_dlhandle) {
    why_not_ = "libcudnn.so.9 was not found";
    return;
  }
  try {
    const std::size_t found = fe::detail::get_backend_version();
    if (found < kOldestVersion) {
      why_not_ = cat("cuDNN ", found / 10000, ".", found / 100 % 100, ".", found % 100,
                     " was found; 9.19 or newer is needed");
      return;
    }
    library_ = std::make_unique<Library>(device);
    if (library_->handle) return;
    why_not_ = "cuDNN does not start on this device";
  } catch (const std::exception& error) {
    why_not_ = error.what();
  }
  library_.reset();
}

CudnnAttention::~CudnnAttention() = default;

std::string CudnnAttention::version() const {
  if (!library_) return {};
  const std::size_t found = fe::detail::get_backend_version();
  return cat("cuDNN ", found / 10000, ".", found / 100 % 100, ".", found % 100);
}

bool CudnnAttention::forward(Stream& stream, Arena& scratch, const Forward& t,
                             const Sequences& sequences, const AttentionShape& shape) {
  if (!library_) return false;
  std::optional<PlanKey> key = plan_key(sequences, shape, t.qkv.dtype());
  if (!key) return false;
  key->saves_stats = bool(t.log_sum_exp);
  const Plan& plan = library_->plan(*key);
  const std::int64_t rows = t.qkv.dim(0);
  if (!plan.graph || Library::Room::bytes(*key, plan, rows) > scratch.left_bytes()) return false;
  const Arena::Scope scope(scratch);
  const Library::Room room(scratch, *key, plan, rows);
  if (stream.dry()) return true;
  CudaStream& queue = cuda_side(stream);
  const WorkTimer timer(queue, WorkPart::attention);
  Library::Pointers pointers{
      {kQueries, element(t.qkv, 0)},
      {kKeys, element(t.qkv, shape.heads * shape.head_dim)},
      {kValues, element(t.qkv, (shape.heads + shape.kv_heads) * shape.head_dim)},
      {kOut, t.out.data()}};
  if (t.log_sum_exp) pointers[kStats] = t.log_sum_exp.data();
  if (key->packed) library_->write_indices(queue, *key, room.indices, sequences, pointers);
  library_->execute(queue, *key, pointers, room.workspace.data());
  return true;
}

bool CudnnAttention::backward(Stream& stream, Arena& scratch, const Backward& t,
                              const Sequences& sequences, const AttentionShape& shape) {
  if (!library_) return false;
  std::optional<PlanKey> key = plan_key(sequences, shape, t.qkv.dtype());
  if (!key) return false;
  key->backward = true;
  key = library_->sliced(*key);
  if (!key) return false;
  const Plan& plan = library_->plan(*key);
  const std::int64_t rows = t.qkv.dim(0);
  if (Library::Room::bytes(*key, plan, rows) > scratch.left_bytes()) return false;
  const Arena::Scope scope(scratch);
  const Library::Room room(scratch, *key, plan, rows);
  if (stream.dry()) return true;
  CudaStream& queue = cuda_side(stream);
  const WorkTimer timer(queue, WorkPart::attention);
  Library::Pointers pointers;
  if (key->packed) {
    library_->write_indices(queue, *key, room.indices, sequences, pointers);
  } else {
    const std::int64_t elements = rows * shape.heads;
    head_major_kernel<<<blocks_for(elements), kBlockThreads, 0, queue.queue()>>>(
        room.stats.as<float>(), t.log_sum_exp.as<float>(), elements, shape.heads,
        key->slice_heads(), key->longest);
    check_launch("attention");
  }
  const std::int64_t keys = shape.heads * shape.head_dim,
                     values = keys + shape.kv_heads * shape.head_dim;
  for (std::int64_t slice = 0; slice < key->slices; ++slice) {
    const std::int64_t query = slice * key->slice_heads() * shape.head_dim,
                       kv = slice * key->slice_kv_heads() * shape.head_dim;
    pointers[kQueries] = element(t.qkv, query);
    pointers[kKeys] = element(t.qkv, keys + kv);
    pointers[kValues] = element(t.qkv, values + kv);
    pointers[kOut] = element(t.out, query);
    pointers[kDout] = element(t.dout, query);
    pointers[kStats] = key->packed ? element(t.log_sum_exp, slice * key->slice_heads())
                                   : element(room.stats, slice * key->slice_heads() * rows);
    pointers[kDqueries] = element(t.dqkv, query);
    pointers[kDkeys] = element(t.dqkv, keys + kv);
    pointers[kDvalues] = element(t.dqkv, values + kv);
    library_->execute(queue, *key, pointers, room.workspace.data());
  }
  return true;
}

}  // namespace elenchus::ops::cuda

namespace elenchus::ops {

std::string attention_library(Stream& stream) {
  const auto& library = resident<cuda::CudnnAttention>(stream);
  if (!library.version().empty()) return cat(library.version(), " and own kernels");
  return cat("own kernels (", library.why_not(), ")");
}

}  // namespace elenchus::ops
