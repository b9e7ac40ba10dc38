#include <algorithm>
#include <string>

#include "tensor/cuda_stream.cuh"
#include "tensor/device_streams.h"

namespace elenchus {

void check_cuda(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  const ExitCode code =
      status == cudaErrorMemoryAllocation ? ExitCode::out_of_resources : ExitCode::device_failed;
  throw DeviceError(cat("CUDA: ", what, " failed: ", cudaGetErrorString(status), " (",
                        cudaGetErrorName(status), ")"),
                    code);
}

void check_cublas(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  const ExitCode code =
      status == CUBLAS_STATUS_ALLOC_FAILED ? ExitCode::out_of_resources : ExitCode::device_failed;
  throw DeviceError(cat("cuBLASLt: ", what, " failed: ", cublasLtGetStatusString(status)), code);
}

int cuda_device_count() {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess) return count;
  cudaGetLastError();  // no driver, or one that is too old: the same as no device
  return 0;
}

namespace {

/// UserError unless the device is there.
void require_device(Device device) {
  const int count = cuda_device_count();
  if (device.index < 0 || device.index >= count)
    throw UserError(cat("device: cuda:", device.index, " was asked for, but ",
                        count == 0 ? std::string("no CUDA device was found (is a driver of this "
                                                 "CUDA version installed?)")
                                   : cat("the devices here are cuda:0 to cuda:", count - 1),
                        "; set model.device to one that exists, or to cpu"));
}

__global__ void probe_kernel() {}

/// UserError unless this program holds code for the device.
void require_code(Device device, int capability) {
  cudaFuncAttributes attributes;
  const cudaError_t status = cudaFuncGetAttributes(&attributes, probe_kernel);
  if (status == cudaErrorNoKernelImageForDevice || status == cudaErrorInvalidDeviceFunction ||
      status == cudaErrorUnsupportedPtxVersion) {
    cudaGetLastError();
    throw UserError(cat("model.device: cuda:", device.index, " has compute capability ",
                        capability / 10, ".", capability % 10,
                        ", for which this program was not compiled; build it with "
                        "-DCMAKE_CUDA_ARCHITECTURES=",
                        capability, ", or set model.device to cpu"));
  }
  check_cuda(status, "looking for the device's code");
}

}  // namespace

DeviceMemory cuda_memory(Device device) {
  require_device(device);
  DeviceMemory memory;
  check_cuda(cudaSetDevice(device.index), "selecting the device");
  check_cuda(cudaMemGetInfo(&memory.free, &memory.all), "asking for the free memory");
  return memory;
}

std::byte* allocate_pinned_bytes(std::size_t bytes) {
  void* memory = nullptr;
  const cudaError_t status = cudaMallocHost(&memory, std::max<std::size_t>(bytes, 1));
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    throw DeviceError(cat("out of pinned host memory: ", bytes, " bytes were asked for"));
  }
  check_cuda(status, "allocating pinned host memory");
  return static_cast<std::byte*>(memory);
}

void free_pinned_bytes(std::byte* memory) noexcept { cudaFreeHost(memory); }

std::unique_ptr<Stream> open_cuda_stream(Device device) {
  require_device(device);
  return std::make_unique<CudaStream>(device);
}

std::unique_ptr<Stream> open_dry_cuda_stream(Device device) {
  return std::make_unique<CudaDryStream>(device);
}

Residents& residents_of(Stream& stream) {
  expect(stream.on_cuda(), "the stream is not of a CUDA device");
  return stream.dry() ? static_cast<CudaDryStream&>(stream).residents()
                      : static_cast<CudaStream&>(stream).residents();
}

CudaStream& cuda_side(Stream& stream) {
  expect(stream.on_cuda() && !stream.dry(), "the stream runs nothing on a CUDA device");
  check_cuda(cudaSetDevice(stream.device().index), "selecting the device");
  return static_cast<CudaStream&>(stream);
}

PartTimeline::~PartTimeline() {
  for (const Mark& mark : marks_)
    if (mark.event) cudaEventDestroy(mark.event);
}

void PartTimeline::mark(WorkPart part) noexcept {
  cudaEvent_t event = nullptr;
  cudaError_t status = cudaEventCreate(&event);
  marks_.push_back({event, part});
  if (status == cudaSuccess) status = cudaEventRecord(event, queue_);
  if (status_ == cudaSuccess) status_ = status;
}

PartSeconds PartTimeline::seconds() {
  mark(WorkPart::other);
  check_cuda(status_, "noting when work runs");
  check_cuda(cudaEventSynchronize(marks_.back().event), "work on the device");
  PartSeconds seconds{};
  for (std::size_t i = 0; i + 1 < marks_.size(); ++i) {
    float milliseconds = 0;
    check_cuda(cudaEventElapsedTime(&milliseconds, marks_[i].event, marks_[i + 1].event),
               "reading an event");
    seconds[std::size_t(marks_[i].part)] += double(milliseconds) * 1e-3;
  }
  return seconds;
}

void start_timing_parts(Stream& stream) {
  CudaStream& device = cuda_side(stream);
  device.timeline().emplace(device.queue());
}

PartSeconds stop_timing_parts(Stream& stream) {
  std::optional<PartTimeline>& timeline = cuda_side(stream).timeline();
  expect(timeline.has_value(), "the parts are not being timed");
  const PartSeconds seconds = timeline->seconds();
  timeline.reset();
  return seconds;
}

CudaStream::CudaStream(Device device) : Stream(device) {
  check_cuda(cudaSetDevice(device.index), "selecting the device");
  const auto property = [&](cudaDeviceAttr which) {
    int value = 0;
    check_cuda(cudaDeviceGetAttribute(&value, which, device.index),
               "reading the device's properties");
    return value;
  };
  multiprocessors_ = property(cudaDevAttrMultiProcessorCount);
  capability_ = 10 * property(cudaDevAttrComputeCapabilityMajor) +
                property(cudaDevAttrComputeCapabilityMinor);
  block_shared_bytes_ = property(cudaDevAttrMaxSharedMemoryPerBlockOptin);
  require_code(device, capability_);
  check_cuda(cudaStreamCreateWithFlags(&queue_, cudaStreamNonBlocking), "opening a stream");
  check_cublas(cublasLtCreate(&products_), "starting");
  workspace_ = CudaStream::allocate(kWorkspaceBytes);
}

CudaStream::~CudaStream() {
  cudaSetDevice(device_.index);
  cudaStreamSynchronize(queue_);
  timeline_.reset();
  residents_.clear();  // before the queue that they work on
  cudaFree(scratch_memory_);
  cudaFree(workspace_);
  cublasLtDestroy(products_);
  cudaStreamDestroy(queue_);
}

void CudaStream::copy(Tensor dst, ConstTensor src) {
  expect(dst.shape() == src.shape() && dst.dtype() == src.dtype(), "copy: tensors differ");
  if (dst.bytes() == 0) return;
  check_cuda(cudaSetDevice(device_.index), "selecting the device");
  check_cuda(cudaMemcpyAsync(dst.data(), src.data(), dst.bytes(), cudaMemcpyDefault, queue_),
             "a copy");
}

void CudaStream::zero(Tensor dst) {
  if (dst.bytes() == 0) return;
  check_cuda(cudaSetDevice(device_.index), "selecting the device");
  check_cuda(cudaMemsetAsync(dst.data(), 0, dst.bytes(), queue_), "setting memory to zero");
}

void* CudaStream::allocate(std::size_t bytes) {
  check_cuda(cudaSetDevice(device_.index), "selecting the device");
  void* memory = nullptr;
  const cudaError_t status = cudaMalloc(&memory, std::max<std::size_t>(bytes, 1));
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    std::size_t left = 0, all = 0;
    cudaMemGetInfo(&left, &all);
    throw DeviceError(cat("out of memory on cuda:", device_.index, ": ", bytes,
                          " bytes were asked for, ", left, " of ", all, " are free"));
  }
  check_cuda(status, "allocating memory");
  allocated_bytes_ += bytes;
  return memory;
}

void CudaStream::free(void* memory, std::size_t bytes) noexcept {
  cudaSetDevice(device_.index);
  cudaFree(memory);
  allocated_bytes_ -= bytes;
}

void CudaStream::synchronize() {
  check_cuda(cudaSetDevice(device_.index), "selecting the device");
  check_cuda(cudaStreamSynchronize(queue_), "work on the device");
}

std::byte* CudaStream::scratch(std::size_t bytes) {
  if (bytes > scratch_bytes_) {
    // cudaFree waits for the work that still uses the old one.
    if (scratch_memory_) free(scratch_memory_, scratch_bytes_);
    scratch_memory_ = nullptr;
    scratch_bytes_ = 0;
    const std::size_t rounded = (bytes + (std::size_t{1} << 20) - 1) >> 20 << 20;
    scratch_memory_ = static_cast<std::byte*>(allocate(rounded));
    scratch_bytes_ = rounded;
  }
  return scratch_memory_;
}

}  // namespace elenchus
