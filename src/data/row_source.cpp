#include "data/row_source.h"

#include <algorithm>
#include <cctype>

#include "base/file.h"
#include "data/csv_reader.h"
#include "data/row_reader.h"

namespace elenchus {
namespace {

class JsonRows final : public RowSource {
 public:
  explicit JsonRows(const std::filesystem::path& path) : reader_(path) {}
  std::optional<Json> next() override {
    const std::optional<RawRow> raw = reader_.next();
    return raw ? std::optional(parse_row(*raw)) : std::nullopt;
  }
  RowPlace place() const override { return reader_.place(); }
  std::string sha256() const override { return reader_.sha256(); }
  std::span<const std::string> columns() const override { return {}; }

 private:
  RowReader reader_;
};

class CsvRows final : public RowSource {
 public:
  explicit CsvRows(const std::filesystem::path& path) : reader_(path) {}
  std::optional<Json> next() override {
    std::optional<std::vector<std::string>> fields = reader_.next();
    if (!fields) return std::nullopt;
    Json::Object row;
    for (std::size_t i = 0; i < fields->size(); ++i)
      row.emplace_back(reader_.columns()[i], std::move((*fields)[i]));
    return Json(std::move(row));
  }
  RowPlace place() const override { return reader_.place(); }
  std::string sha256() const override { return reader_.sha256(); }
  std::span<const std::string> columns() const override { return reader_.columns(); }

 private:
  CsvReader reader_;
};

/// A row a line, {"text": LINE}; blank lines are none.
class TextRows final : public RowSource {
 public:
  explicit TextRows(const std::filesystem::path& path) : source_(path) {}
  std::optional<Json> next() override {
    std::string line;
    while (line.find_first_not_of(" \t") == std::string::npos) {
      if (source_.peek() == CharacterSource::kEnd) return std::nullopt;
      place_.line = source_.line();
      line = read_line();
    }
    place_.number = next_number_++;
    if (line.size() > RowReader::kRowLimitBytes)
      throw RowError("row_too_large",
                     cat("the row is longer than ", RowReader::kRowLimitBytes, " bytes"));
    if (const auto place = find_invalid_utf8(line))
      throw RowError("invalid_utf8", cat("byte ", *place, " of the row is not UTF-8 text: '",
                                         printable(line.substr(*place)), "'"));
    return Json(Json::Object{{"text", std::move(line)}});
  }
  RowPlace place() const override { return place_; }
  std::string sha256() const override { return source_.sha256(); }
  std::span<const std::string> columns() const override { return {}; }

 private:
  std::string read_line() {
    std::string line;
    const std::int64_t begun = source_.line();
    for (int c; (c = source_.peek()) != CharacterSource::kEnd && source_.line() == begun;) {
      source_.take();
      if (c == '\n' || c == '\r') break;
      if (line.size() <= RowReader::kRowLimitBytes) line.push_back(static_cast<char>(c));
    }
    return line;
  }

  CharacterSource source_;
  std::int64_t next_number_ = 0;
  RowPlace place_;
};

}  // namespace

std::unique_ptr<RowSource> open_rows(const std::filesystem::path& path) {
  std::string ending = path.extension().string();
  std::ranges::transform(ending, ending.begin(),
                         [](unsigned char c) { return char(std::tolower(c)); });
  if (ending == ".csv") return std::make_unique<CsvRows>(path);
  if (ending == ".txt") return std::make_unique<TextRows>(path);
  return std::make_unique<JsonRows>(path);
}

}  // namespace elenchus
