#pragma once
// The four Unicode normal forms, cluster by cluster.

#include "text/aligned_text.h"

namespace elenchus {

enum class NormalFormKind { nfc, nfd, nfkc, nfkd };

/// `text` in that normal form (UAX #15), in time n log n at worst. What a cluster (a character and
/// the marks after it) becomes stands for where the cluster begins; unchanged clusters keep their
/// alignment.
AlignedText to_normal_form(AlignedText text, NormalFormKind kind);

}  // namespace elenchus
