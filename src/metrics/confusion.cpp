#include "metrics/confusion.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/file.h"

namespace elenchus {
namespace {

double share(std::int64_t part, std::int64_t all) {
  return all > 0 ? double(part) / double(all) : 0;
}

/// Bytes that begin a character: the columns that a name takes.
std::size_t width_of(const std::string& name) {
  return std::size_t(
      std::ranges::count_if(name, [](char c) { return (std::uint8_t(c) & 0xC0) != 0x80; }));
}

std::string padded(const std::string& text, std::size_t width) {
  const std::size_t own = width_of(text);
  return std::string(width > own ? width - own : 0, ' ') + text;
}

}  // namespace

std::int64_t ConfusionMatrix::of_label(std::size_t label) const {
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < classes_; ++i) sum += count(label, i);
  return sum;
}

std::int64_t ConfusionMatrix::of_prediction(std::size_t predicted) const {
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < classes_; ++i) sum += count(i, predicted);
  return sum;
}

double ConfusionMatrix::recall(std::size_t label) const {
  return share(count(label, label), of_label(label));
}

double ConfusionMatrix::precision(std::size_t label) const {
  return share(count(label, label), of_prediction(label));
}

double ConfusionMatrix::f1(std::size_t label) const {
  return share(2 * count(label, label), of_label(label) + of_prediction(label));
}

std::string confusion_text(const ConfusionMatrix& matrix, const std::vector<std::string>& names) {
  std::vector<std::size_t> shown;
  for (std::size_t i = 0; i < matrix.classes(); ++i)
    if (matrix.of_label(i) + matrix.of_prediction(i) > 0) shown.push_back(i);
  std::size_t width = 9;  // "true \ as"
  std::vector<std::string> plain;
  for (const std::size_t i : shown) {
    plain.push_back(printable(names[i], 32));
    width = std::max(width, width_of(plain.back()));
  }
  std::string out = padded("true \\ as", width);
  for (const std::string& name : plain) out += "  " + padded(name, width);
  out += "  recall  precision     F1\n";
  for (std::size_t row = 0; row < shown.size(); ++row) {
    out += padded(plain[row], width);
    for (const std::size_t column : shown)
      out += "  " + padded(std::to_string(matrix.count(shown[row], column)), width);
    out += fmt::format("  {:6.3f}  {:9.3f}  {:5.3f}\n", matrix.recall(shown[row]),
                       matrix.precision(shown[row]), matrix.f1(shown[row]));
  }
  return out;
}

Json confusion_json(const ConfusionMatrix& matrix, const std::vector<std::string>& names) {
  Json::Array rows;
  Json::Object per_class;
  for (std::size_t label = 0; label < matrix.classes(); ++label) {
    Json::Array row;
    for (std::size_t i = 0; i < matrix.classes(); ++i) row.push_back(matrix.count(label, i));
    rows.push_back(std::move(row));
    per_class.emplace_back(names[label], Json::Object{{"precision", matrix.precision(label)},
                                                      {"recall", matrix.recall(label)},
                                                      {"f1", matrix.f1(label)},
                                                      {"support", matrix.of_label(label)}});
  }
  return Json::Object{{"labels", Json::Array(names.begin(), names.end())},
                      {"matrix", std::move(rows)},
                      {"per_class", std::move(per_class)}};
}

}  // namespace elenchus
