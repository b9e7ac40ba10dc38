#pragma once
// training_progress/memory.csv: whether a long run keeps its size.

#include "train/callback.h"

namespace elenchus {

/// step, event (start, evaluation or end), process_bytes, process_peak_bytes, device_bytes (empty
/// on the CPU). A resumed run adds to the lines of its earlier processes.
class MemoryLog : public Callback {
 public:
  void on_begin(const RunInfo&) override;
  void on_evaluate(const EvaluationReport&) override;
  void on_end(const EndReport&) override;

 private:
  void append(std::int64_t step, std::string_view event, const MemoryUse& memory) const;
  std::filesystem::path path_;
};

}  // namespace elenchus
