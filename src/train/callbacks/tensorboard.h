#pragma once
// Event files for TensorBoard: training.report_to: [tensorboard].

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "train/callback.h"

namespace elenchus {

/// One value of a curve, "train/loss" for example.
struct Scalar {
  std::string tag;
  double value = 0;
};

/// Writes one file a process, FOLDER/events.out.tfevents.TIME.HOST.PID, with transformers' tags:
/// train/<key> for rows of training, eval/<key> for rows of evaluation. The file begins
/// by telling TensorBoard to forget what earlier files of the folder say of this run's steps.
class TensorBoard : public Callback {
 public:
  /// `folder`: where the file goes; empty: OUTPUT_DIR/runs.
  explicit TensorBoard(std::filesystem::path folder = {}) : folder_(std::move(folder)) {}
  void on_begin(const RunInfo&) override;
  void on_log(const LogReport&) override;
  void on_evaluate(const EvaluationReport&) override;
  void on_end(const EndReport&) override;

 private:
  void add_row(std::int64_t step, const Json& row) const;
  void append(std::string_view event) const;
  std::filesystem::path folder_, path_;
};

/// A record of TFRecord's framing: length (u64), its masked CRC-32C, the data, its masked CRC-32C.
/// tensorflow/core/lib/io/record_writer.cc
std::string tf_record(std::string_view data);

/// CRC-32C (Castagnoli), reflected, as RFC 3720 has it.
std::uint32_t crc32c(std::string_view data);

/// Messages of tensorflow/core/util/event.proto.
std::string version_event(double wall_time);
std::string scalars_event(double wall_time, std::int64_t step, const std::vector<Scalar>& scalars);
/// A restart: what an earlier file says of `step` and later is void.
std::string restart_event(double wall_time, std::int64_t step);

}  // namespace elenchus
