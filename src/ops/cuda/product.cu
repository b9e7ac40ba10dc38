#include "ops/cuda/product.cuh"

#include "ops/cuda/vector.cuh"

namespace elenchus::ops::cuda {
namespace {

/// Owns one of cuBLASLt's descriptions.
template <class T, cublasStatus_t (*kDestroy)(T)>
class Described {
 public:
  Described() = default;
  ~Described() {
    if (value) kDestroy(value);
  }
  Described(const Described&) = delete;
  Described& operator=(const Described&) = delete;
  T value = nullptr;
};
using Layout = Described<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using Operation = Described<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using Preference = Described<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

cudaDataType_t data_type(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return CUDA_R_32F;
    case DType::f16:
      return CUDA_R_16F;
    case DType::bf16:
      return CUDA_R_16BF;
    default:
      throw InternalError("products take floats");
  }
}

void describe(Layout& layout, DType dtype, std::int64_t rows, std::int64_t columns,
              std::int64_t stride) {
  check_cublas(cublasLtMatrixLayoutCreate(&layout.value, data_type(dtype), std::uint64_t(rows),
                                          std::uint64_t(columns), stride),
               "describing a matrix");
}

/// The largest power of two up to 256 that divides the addresses.
int alignment_of(const Product& p) {
  const auto addresses = reinterpret_cast<std::uintptr_t>(p.a.data) |
                         reinterpret_cast<std::uintptr_t>(p.b.data) |
                         reinterpret_cast<std::uintptr_t>(p.c);
  return int((addresses | 256) & (~(addresses | 256) + 1));
}

/// cuBLASLt's matrices are column-major: a row-major c is its c^T = op(b)^T op(a)^T, so what it
/// calls A is our b.
struct Described3 {
  Operation operation;
  Layout first, second, result;

  explicit Described3(const Product& p) {
    check_cublas(cublasLtMatmulDescCreate(&operation.value, CUBLAS_COMPUTE_32F, CUDA_R_32F),
                 "describing a product");
    set(CUBLASLT_MATMUL_DESC_TRANSA, p.b.transposed);
    set(CUBLASLT_MATMUL_DESC_TRANSB, p.a.transposed);
    const auto factor = [&](Layout& layout, const Factor& f, std::int64_t rows,
                            std::int64_t columns) {
      describe(layout, p.dtype, f.transposed ? columns : rows, f.transposed ? rows : columns,
               f.stride);
    };
    factor(first, p.b, p.columns, p.depth);
    factor(second, p.a, p.depth, p.rows);
    describe(result, p.result_dtype, p.columns, p.rows, p.c_stride);
  }

 private:
  void set(cublasLtMatmulDescAttributes_t attribute, bool transposed) {
    const cublasOperation_t how = transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    check_cublas(cublasLtMatmulDescSetAttribute(operation.value, attribute, &how, sizeof how),
                 "describing a product");
  }
};

cublasLtMatmulAlgo_t choose(CudaStream& device, const Described3& d, int alignment) {
  Preference preference;
  check_cublas(cublasLtMatmulPreferenceCreate(&preference.value), "choosing an algorithm");
  const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, auto value) {
    check_cublas(
        cublasLtMatmulPreferenceSetAttribute(preference.value, attribute, &value, sizeof value),
        "choosing an algorithm");
  };
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint64_t{CudaStream::kWorkspaceBytes});
  for (const auto attribute :
       {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
    prefer(attribute, std::uint32_t(alignment));
  cublasLtMatmulHeuristicResult_t found{};
  int count = 0;
  check_cublas(cublasLtMatmulAlgoGetHeuristic(device.products(), d.operation.value, d.first.value,
                                              d.second.value, d.result.value, d.result.value,
                                              preference.value, 1, &found, &count),
               "choosing an algorithm");
  if (count == 0)
    throw DeviceError("cuBLASLt knows no algorithm for a product", ExitCode::device_failed);
  return found.algo;
}

template <class T>
__global__ void scale_kernel(T* c, std::int64_t columns, std::int64_t stride, float beta,
                             std::int64_t elements) {
  const std::int64_t i = thread_index();
  if (i >= elements) return;
  T& value = c[i / columns * stride + i % columns];
  value = from_float<T>(beta == 0 ? 0.0f : beta * to_float(value));
}

void scale(CudaStream& device, const Product& p) {
  const std::int64_t elements = p.rows * p.columns;
  visit_native(p.result_dtype, [&]<class T>() {
    scale_kernel<<<blocks_for(elements), kBlockThreads, 0, device.queue()>>>(
        static_cast<T*>(p.c), p.columns, p.c_stride, p.beta, elements);
  });
  check_launch("scaling a matrix");
}

}  // namespace

void multiply(CudaStream& device, const Product& p) {
  if (p.rows == 0 || p.columns == 0) return;
  const WorkTimer timer(device, WorkPart::products);
  if (p.depth == 0) return scale(device, p);
  const Described3 described(p);
  const int alignment = alignment_of(p);
  const ProductKey key{p.rows,         p.columns,      p.depth,      p.a.stride,
                       p.b.stride,     p.c_stride,     int(p.dtype), int(p.result_dtype),
                       p.a.transposed, p.b.transposed, alignment,    p.beta != 0};
  auto known = device.algorithms().find(key);
  if (known == device.algorithms().end())
    known = device.algorithms().emplace(key, choose(device, described, alignment)).first;
  check_cublas(cublasLtMatmul(device.products(), described.operation.value, &p.alpha, p.b.data,
                              described.first.value, p.a.data, described.second.value, &p.beta, p.c,
                              described.result.value, p.c, described.result.value, &known->second,
                              device.workspace(), CudaStream::kWorkspaceBytes, device.queue()),
               "a product");
}

}  // namespace elenchus::ops::cuda
