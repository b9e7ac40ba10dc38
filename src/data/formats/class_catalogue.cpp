#include <algorithm>
#include <array>
#include <cmath>

#include "base/file.h"
#include "data/formats/class_format.h"

namespace elenchus {

std::span<const ClassFormat> class_formats() {
  static const std::array kFormats = {kArenaFormat, kClassificationFormat};
  return kFormats;
}

const ClassFormat* find_class_format(std::string_view name) {
  if (name == "auto") return nullptr;
  std::string known = "auto";
  for (const ClassFormat& format : class_formats()) {
    if (format.name == name) return &format;
    known += cat(", ", format.name);
  }
  throw UserError(cat("data.format: found '", printable(name),
                      "', expected for a classifier (model.task_type: SEQ_CLS) one of: ", known));
}

std::string value_text(const Json& row, std::string_view key) {
  const Json* value = row.find(key);
  if (!value) throw RowError("key_missing", cat(printable(key), ": missing, expected a text"));
  if (value->is_string()) return value->as_string(key);
  // Beyond this a double is no longer the number that was written.
  constexpr double kExact = 9007199254740992;
  if (value->is_number() && !value->is_integer() && std::abs(value->as_number(key)) >= kExact)
    throw RowError("number_not_exact",
                   cat(printable(key), ": found a number of about ", value->dump(),
                       ", which would be rounded; write it as a text, in quotes"));
  if (value->is_number() || value->is_boolean()) return value->dump();
  throw RowError("key_not_text",
                 cat(printable(key), ": expected a text or a number, found ", value->kind_name()));
}

void expect_text(std::span<const TextPart> parts) {
  const bool some = std::ranges::any_of(parts, [](const TextPart& part) {
    return part.value && part.text.find_first_not_of(" \t\r\n") != std::string::npos;
  });
  if (!some) throw RowError("text_empty", "expected text to classify, found none");
}

}  // namespace elenchus
