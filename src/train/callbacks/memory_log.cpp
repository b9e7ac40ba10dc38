#include "train/callbacks/memory_log.h"

#include "base/error.h"
#include "train/log_rows.h"

namespace elenchus {

void MemoryLog::on_begin(const RunInfo& info) {
  const auto folder = progress_folder(info.output_dir);
  if (folder.empty()) return;
  path_ = folder / "memory.csv";
  if (info.first_step == 0 || try_read_file(path_).empty())
    try_write_file(path_, "step,event,process_bytes,process_peak_bytes,device_bytes\n");
  append(info.first_step, "start", info.memory);
}

void MemoryLog::on_evaluate(const EvaluationReport& report) {
  append(report.progress.step, "evaluation", report.progress.memory);
}

void MemoryLog::on_end(const EndReport& report) {
  append(report.progress.step, "end", report.progress.memory);
}

void MemoryLog::append(std::int64_t step, std::string_view event, const MemoryUse& memory) const {
  if (path_.empty()) return;
  const std::string device = memory.device_bytes ? cat(*memory.device_bytes) : std::string();
  try_append(path_, cat(step, ",", event, ",", memory.process_bytes, ",", memory.process_peak_bytes,
                        ",", device, "\n"));
}

}  // namespace elenchus
