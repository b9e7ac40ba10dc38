#include "data/row_source.h"

#include <algorithm>
#include <cctype>

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

}  // namespace

std::unique_ptr<RowSource> open_rows(const std::filesystem::path& path) {
  std::string ending = path.extension().string();
  std::ranges::transform(ending, ending.begin(),
                         [](unsigned char c) { return char(std::tolower(c)); });
  if (ending == ".csv") return std::make_unique<CsvRows>(path);
  return std::make_unique<JsonRows>(path);
}

}  // namespace elenchus
