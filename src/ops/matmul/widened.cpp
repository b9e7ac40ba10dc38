#include "ops/matmul/widened.h"

#include "ops/elementwise/elementwise.h"

namespace elenchus::ops {

ConstTensor widened(Stream& stream, Arena& scratch, ConstTensor t) {
  if (!t || t.dtype() == DType::f32) return t;
  const Tensor out = scratch.alloc(t.shape(), DType::f32);
  convert(stream, out, t);
  return out;
}

Tensor f32_room(Arena& scratch, Tensor t) {
  return t.dtype() == DType::f32 ? t : scratch.alloc(t.shape(), DType::f32);
}

void round_into(Stream& stream, Tensor t, ConstTensor result) {
  if (t.dtype() != DType::f32) convert(stream, t, result);
}

}  // namespace elenchus::ops
