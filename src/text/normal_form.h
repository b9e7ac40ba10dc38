#pragma once
// The four Unicode normal forms, cluster by cluster.

#include "text/aligned_text.h"
#include "text/unicode.h"

namespace elenchus {

enum class NormalFormKind { nfc, nfd, nfkc, nfkd };

/// One normal form (UAX #15, the data of Unicode 9).
class NormalForm {
 public:
  explicit NormalForm(NormalFormKind kind);
  /// `text` in this form, in time n log n at worst. Of a cluster (a character and the marks after it)
  /// what stays keeps its alignment, the rest stands for where the change begins.
  AlignedText apply(AlignedText text) const;

 private:
  std::size_t end_of_stable(std::string_view text, std::size_t begin) const;
  std::size_t end_of_cluster(std::string_view text, std::size_t begin) const;

  NormalFormKind kind_;
  CharTable traits_;  // what of a character can be told without its neighbours
};

}  // namespace elenchus
