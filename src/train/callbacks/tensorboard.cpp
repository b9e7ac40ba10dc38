#include "train/callbacks/tensorboard.h"

#include <fmt/core.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <chrono>

#include "train/log_rows.h"

namespace elenchus {
namespace {

namespace fs = std::filesystem;

/// Remainders of all bytes by the reflected polynomial.
constexpr std::array<std::uint32_t, 256> make_crc_table() {
  constexpr std::uint32_t kCastagnoli = 0x82F63B78;
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < table.size(); ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = crc & 1 ? (crc >> 1) ^ kCastagnoli : crc >> 1;
    table[byte] = crc;
  }
  return table;
}

/// The bytes of a number, least significant first, whatever the machine's own order.
template <class Unsigned>
std::string little_endian(Unsigned value) {
  std::string out;
  for (std::size_t i = 0; i < sizeof value; ++i) out += char((value >> (8 * i)) & 0xFF);
  return out;
}

/// Of a checksum that lies beside the data it is of: record_writer.h.
std::uint32_t masked(std::uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u; }

// Protocol buffers, by hand: a message is a row of fields, each a key (number and wire type) and a
// value. https://protobuf.dev/programming-guides/encoding
enum WireType { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

std::string varint(std::uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += char((value & 0x7F) | 0x80);
  return out + char(value);
}
std::string field_key(int number, WireType type) {
  return varint(std::uint64_t(number) << 3 | type);
}
std::string double_field(int number, double value) {
  return field_key(number, kFixed64) + little_endian(std::bit_cast<std::uint64_t>(value));
}
std::string float_field(int number, float value) {
  return field_key(number, kFixed32) + little_endian(std::bit_cast<std::uint32_t>(value));
}
std::string integer_field(int number, std::int64_t value) {
  return field_key(number, kVarint) + varint(std::uint64_t(value));
}
std::string bytes_field(int number, std::string_view value) {
  return field_key(number, kBytes) + varint(value.size()) + std::string(value);
}

// Field numbers of event.proto and summary.proto.
constexpr int kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5, kSessionLog = 7;
constexpr int kSummaryValue = 1, kTag = 1, kSimpleValue = 2;
constexpr int kStatus = 1, kStatusStart = 1;

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// transformers' name of a curve: "eval_loss" is eval/loss, "loss" train/loss.
std::string tag_of(std::string_view key) {
  if (key.starts_with("eval_")) return fmt::format("eval/{}", key.substr(5));
  return fmt::format("train/{}", key);
}

std::string host_name() {
  char host[256] = {};
  return ::gethostname(host, sizeof host - 1) == 0 && host[0] ? host : "localhost";
}

}  // namespace

std::uint32_t crc32c(std::string_view data) {
  static constexpr std::array<std::uint32_t, 256> kTable = make_crc_table();
  std::uint32_t crc = 0xFFFFFFFF;
  for (const char c : data) crc = (crc >> 8) ^ kTable[(crc ^ std::uint8_t(c)) & 0xFF];
  return ~crc;
}

std::string tf_record(std::string_view data) {
  const std::string length = little_endian(std::uint64_t(data.size()));
  return length + little_endian(masked(crc32c(length))) + std::string(data) +
         little_endian(masked(crc32c(data)));
}

std::string version_event(double wall_time) {
  return double_field(kWallTime, wall_time) + bytes_field(kFileVersion, "brain.Event:2");
}

std::string scalars_event(double wall_time, std::int64_t step, const std::vector<Scalar>& scalars) {
  std::string summary;
  for (const Scalar& scalar : scalars)
    summary += bytes_field(kSummaryValue, bytes_field(kTag, scalar.tag) +
                                              float_field(kSimpleValue, float(scalar.value)));
  return double_field(kWallTime, wall_time) + integer_field(kStep, step) +
         bytes_field(kSummary, summary);
}

std::string restart_event(double wall_time, std::int64_t step) {
  return double_field(kWallTime, wall_time) + integer_field(kStep, step) +
         bytes_field(kSessionLog, integer_field(kStatus, kStatusStart));
}

void TensorBoard::on_begin(const RunInfo& info) {
  if (folder_.empty()) folder_ = info.output_dir / "runs";
  std::error_code error;
  fs::create_directories(folder_, error);
  const double now = now_seconds();
  path_ = folder_ /
          fmt::format("events.out.tfevents.{}.{}.{}", std::int64_t(now), host_name(), ::getpid());
  append(version_event(now));
  // The checkpoint may lack what was measured at its own step, so that step is told anew.
  append(restart_event(now, info.first_step));
  for (const Json& row : info.log_history)
    if (row_step(row) == info.first_step) add_row(info.first_step, row);
}

void TensorBoard::on_log(const LogReport& report) { add_row(report.progress.step, report.row); }

void TensorBoard::on_evaluate(const EvaluationReport& report) {
  add_row(report.progress.step, report.row);
}

void TensorBoard::on_end(const EndReport& report) { add_row(report.progress.step, report.row); }

void TensorBoard::add_row(std::int64_t step, const Json& row) const {
  std::vector<Scalar> scalars;
  for (const auto& [key, unused] : row.as_object("row"))
    if (const auto value = row_number(row, key); value && key != "step")
      scalars.push_back({tag_of(key), *value});
  append(scalars_event(now_seconds(), step, scalars));
}

void TensorBoard::append(std::string_view event) const { try_append(path_, tf_record(event)); }

}  // namespace elenchus
