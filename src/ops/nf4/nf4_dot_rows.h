#pragma once
// Few rows of x against an NF4 weight, expanded in registers on the way.

#include "ops/matmul/dot_rows.h"
#include "tensor/frozen_weight.h"

namespace elenchus::ops {

/// Whether nf4_dot_rows takes this weight: its rows are whole blocks.
bool has_nf4_dot_rows(const Nf4Weight& weight);

/// Copies contiguous rows of x into the order that nf4_dot_rows reads, in which the codes of a
/// block come out of registers: out[64 b + 8 s + d] = x[64 b + 8 d + (s ^ 1)] for s, d < 8.
/// `count` is a multiple of 64.
void order_for_nf4(const float* x, std::int64_t count, float* out);

/// `dots` with x in that order, W the rows of `weight` from first_row on. Weights are rounded to
/// f32 before they are multiplied, as everywhere.
void nf4_dot_rows(const RowDots& dots, const Nf4Weight& weight, std::int64_t first_row);

}  // namespace elenchus::ops
