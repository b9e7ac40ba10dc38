#include "ops/attention/cudnn_attention.cuh"

#include <dlfcn.h>

#include "ops/attention/attention_library.h"
#include "ops/attention/cudnn_graph.cuh"
#include "ops/cuda/launch.cuh"

namespace cudnn_frontend {
void* cudnn_dlhandle = nullptr;  // the frontend looks every symbol up here
}

namespace elenchus::ops::cuda {
namespace {

// Older ones give wrong gradients for packed rows with a score modifier, without an error.
constexpr std::size_t kOldestVersion = 91900;
/// What a call may take beside its tensors: a little more than the gradient of a full grid wants,
/// and never more than kMost. Heads are taken a few at a time where all at once would take more, so
/// that the memory plan needs to know of the batch only how many rows it has.
std::int64_t most_workspace_bytes(std::int64_t rows, const AttentionShape& shape) {
  constexpr std::int64_t kMost = std::int64_t{640} << 20, kBytesAnElement = 48;
  return std::min(kMost, kBytesAnElement * rows * shape.heads * shape.head_dim);
}

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

/// Scratch of one call, as large for every batch of so many rows.
struct Room {
  Tensor workspace;
  Tensor indices;  ///< i32 [4, 2 N + 1]: more than a packed batch's rounded sequences
  Tensor stats;    ///< f32 [N H], where a gradient takes them head by head
  Room(Arena& scratch, std::int64_t rows, const AttentionShape& shape)
      : workspace(scratch.alloc({most_workspace_bytes(rows, shape)}, DType::u8)),
        indices(scratch.alloc({4, 2 * rows + 1}, DType::i32)),
        stats(scratch.alloc({rows * shape.heads}, DType::f32)) {}
};

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
      std::int64_t bytes = 0;
      if (graph->build(handle, {fe::HeurMode_t::A}).is_good() &&
          graph->get_workspace_size(bytes).is_good())
        return {graph, bytes};
    } catch (const std::exception&) {  // the frontend's way to say that a symbol or library lacks
    }
    require_memory();
    return {};
  }

  /// DeviceError if the device has hardly any memory left: that, and not the shapes, may be why
  /// cuDNN made no plan, and the choice of kernels must not depend on it.
  void require_memory() {
    constexpr std::size_t kLeast = std::size_t{64} << 20;  // the largest kernels made at run time
    std::size_t left = 0, all = 0;
    check_cuda(cudaMemGetInfo(&left, &all), "asking for the free memory");
    if (left < kLeast)
      throw DeviceError(cat("out of memory on cuda:", device.index, ": cuDNN could not prepare ",
                            "attention with ", left, " of ", all,
                            " bytes free; lower "
                            "per_device_train_batch_size or max_length"));
  }

  /// The plan that takes all heads at once, or as many as `most_bytes` of workspace allow. None:
  /// cuDNN does not take this.
  std::optional<PlanKey> fitting(PlanKey key, std::int64_t most_bytes) {
    for (; key.slices <= key.kv_heads; ++key.slices) {
      if (key.kv_heads % key.slices != 0) continue;
      const Plan& found = plan(key);
      if (!found.graph) return {};
      if (found.workspace_bytes <= most_bytes) return key;
      if (!key.backward) return {};
    }
    return {};
  }

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
    const auto fail = [](const std::string& why) {
      throw DeviceError(cat("cuDNN: attention failed: ", why), ExitCode::device_failed);
    };
    if (fe::detail::set_stream(handle, queue.queue()) != CUDNN_STATUS_SUCCESS)
      fail("the stream was not taken");
    auto status = plan(key).graph->execute(handle, pointers, workspace);
    if (!status.is_good()) fail(status.get_message());
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

template <class Run>
bool CudnnAttention::serve(Stream& stream, Arena& scratch, const Call& call,
                           const Sequences& sequences, const AttentionShape& shape, Run&& run) {
  if (!library_ || !may_serve(shape, call.qkv.dtype())) return false;
  const std::int64_t rows = call.qkv.dim(0);
  const Arena::Scope scope(scratch);
  if (stream.dry()) {
    const Room room(scratch, rows, shape);
    return true;
  }
  std::optional<PlanKey> key = plan_key(sequences, shape, call.qkv.dtype());
  if (!key) return false;
  key->backward = call.backward;
  key->saves_stats = call.saves_stats;
  key = library_->fitting(*key, most_workspace_bytes(rows, shape));
  if (!key) return false;
  const Room room(scratch, rows, shape);
  CudaStream& queue = cuda_side(stream);
  const WorkTimer timer(queue, WorkPart::attention);
  Library::Pointers pointers;
  if (key->packed) library_->write_indices(queue, *key, room.indices, sequences, pointers);
  run(queue, *key, room, pointers);
  return true;
}

bool CudnnAttention::forward(Stream& stream, Arena& scratch, const Forward& t,
                             const Sequences& sequences, const AttentionShape& shape) {
  const Call call{.qkv = t.qkv, .backward = false, .saves_stats = bool(t.log_sum_exp)};
  return serve(
      stream, scratch, call, sequences, shape,
      [&](CudaStream& queue, const PlanKey& key, const Room& room, Library::Pointers& pointers) {
        pointers[kQueries] = element(t.qkv, 0);
        pointers[kKeys] = element(t.qkv, shape.heads * shape.head_dim);
        pointers[kValues] = element(t.qkv, (shape.heads + shape.kv_heads) * shape.head_dim);
        pointers[kOut] = t.out.data();
        if (t.log_sum_exp) pointers[kStats] = t.log_sum_exp.data();
        library_->execute(queue, key, pointers, room.workspace.data());
      });
}

bool CudnnAttention::backward(Stream& stream, Arena& scratch, const Backward& t,
                              const Sequences& sequences, const AttentionShape& shape) {
  const Call call{.qkv = t.qkv, .backward = true, .saves_stats = true};
  return serve(
      stream, scratch, call, sequences, shape,
      [&](CudaStream& queue, const PlanKey& key, const Room& room, Library::Pointers& pointers) {
        const std::int64_t rows = t.qkv.dim(0), elements = rows * shape.heads;
        if (!key.packed) {
          head_major_kernel<<<blocks_for(elements), kBlockThreads, 0, queue.queue()>>>(
              room.stats.as<float>(), t.log_sum_exp.as<float>(), elements, shape.heads,
              key.slice_heads(), key.longest);
          check_launch("attention");
        }
        const std::int64_t keys = shape.heads * shape.head_dim,
                           values = keys + shape.kv_heads * shape.head_dim;
        for (std::int64_t slice = 0; slice < key.slices; ++slice) {
          const std::int64_t query = slice * key.slice_heads() * shape.head_dim,
                             kv = slice * key.slice_kv_heads() * shape.head_dim;
          pointers[kQueries] = element(t.qkv, query);
          pointers[kKeys] = element(t.qkv, keys + kv);
          pointers[kValues] = element(t.qkv, values + kv);
          pointers[kOut] = element(t.out, query);
          pointers[kDout] = element(t.dout, query);
          pointers[kStats] = key.packed ? element(t.log_sum_exp, slice * key.slice_heads())
                                        : element(room.stats, slice * key.slice_heads() * rows);
          pointers[kDqueries] = element(t.dqkv, query);
          pointers[kDkeys] = element(t.dqkv, keys + kv);
          pointers[kDvalues] = element(t.dqkv, values + kv);
          library_->execute(queue, key, pointers, room.workspace.data());
        }
      });
}

}  // namespace elenchus::ops::cuda

namespace elenchus::ops {

std::string attention_library(Stream& stream) {
  const auto& library = resident<cuda::CudnnAttention>(stream);
  if (!library.version().empty()) return cat(library.version(), " and own kernels");
  return cat("own kernels (", library.why_not(), ")");
}

}  // namespace elenchus::ops
