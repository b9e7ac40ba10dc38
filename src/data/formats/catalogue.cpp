#include "data/formats/catalogue.h"

#include <array>

#include "base/file.h"
#include "data/formats/turns.h"

namespace elenchus {

std::span<const DataFormat> data_formats() {
  static const std::array kFormats = {kMessagesFormat, kPromptCompletionFormat, kShareGptFormat,
                                      kAlpacaFormat, kTextFormat};
  return kFormats;
}

const DataFormat* find_data_format(std::string_view name) {
  if (name == "auto") return nullptr;
  std::string known = "auto";
  for (const DataFormat& format : data_formats()) {
    if (format.name == name) return &format;
    known += cat(", ", format.name);
  }
  throw UserError(cat("data.format: found '", printable(name), "', expected one of: ", known));
}

const DataFormat& recognise_format(const Json& row, const RowColumns& columns) {
  expect_object(row);
  for (const DataFormat& format : data_formats())
    if (format.recognises(row, columns)) return format;
  std::string found, expected;
  for (const Json::Member& member : row.as_object("row")) {
    if (found.size() > 200) break;
    found += cat(found.empty() ? "" : ", ", printable(member.first, 32));
  }
  for (const DataFormat& format : data_formats())
    expected += cat(expected.empty() ? "" : "; ", format.expects, " (", format.name, ")");
  throw RowError("format_unknown", cat("found the keys ", found.empty() ? "(none)" : found,
                                       ", expected those of a known format: ", expected,
                                       ". Name the format in data.format, or rename the keys"));
}

}  // namespace elenchus
