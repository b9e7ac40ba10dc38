#include "data/row_reader.h"

#include <gtest/gtest.h>

#include "testing/temporary_folder.h"

namespace elenchus {
namespace {

/// The rows of a file with these bytes; for a bad row its code in angle brackets.
std::vector<std::string> rows_of(std::string_view bytes, std::size_t limit = 1000) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "rows", bytes);
  RowReader reader(folder / "rows", limit);
  std::vector<std::string> out;
  for (;;) {
    try {
      const auto row = reader.next();
      if (!row) return out;
      out.push_back(cat(row->number, "@", row->line, " ", row->text));
    } catch (const RowError& error) {
      out.push_back("<" + error.code + ">");
    }
  }
}

using Rows = std::vector<std::string>;

TEST(RowReader, ReadsLinesWhateverEndsThem) {
  const Rows expected = {"0@1 {\"a\":1}", "1@3 {\"a\":2}"};
  EXPECT_EQ(rows_of("{\"a\":1}\n\n{\"a\":2}"), expected);
  EXPECT_EQ(rows_of("\xEF\xBB\xBF{\"a\":1}\r\n\r\n{\"a\":2}\r\n"), expected);
  EXPECT_EQ(rows_of("{\"a\":1}\r\r{\"a\":2}\r"), expected);
}

TEST(RowReader, ReadsArraysOverSeveralLines) {
  EXPECT_EQ(rows_of("[\n {\"a\": [1,\n 2]} ,\n \"]\\\",\", {}\n]\n"),
            (Rows{"0@2 {\"a\": [1,\n 2]}", "1@4 \"]\\\",\"", "2@4 {}"}));
  EXPECT_EQ(rows_of("[]"), Rows());
}

TEST(RowReader, GoesOnBehindARowThatIsTooLarge) {
  EXPECT_EQ(rows_of("{\"a\":\"123456789\"}\n{}\n", 10), (Rows{"<row_too_large>", "1@2 {}"}));
  EXPECT_EQ(rows_of("[{\"a\":\"123456789\"},{}]", 10), (Rows{"<row_too_large>", "1@1 {}"}));
}

TEST(RowReader, RefusesFilesThatAreNoRows) {
  for (const std::string_view bytes :
       {"", " \n", "\xEF\xBB\xBF", "\xFF\xFE{", "[{}", "[{},]", "[,{}]", "[{}] x", "[{\"a\":\"}]"})
    EXPECT_THROW(rows_of(bytes), InputError) << bytes;
}

TEST(RowReader, HashesTheWholeFile) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "rows", "[{}]\n");
  RowReader reader(folder / "rows");
  while (reader.next()) {
  }
  EXPECT_EQ(reader.sha256(), sha256_hex("[{}]\n"));
}

std::string code_and_text(const RawRow& row) {
  try {
    parse_row(row);
    return "";
  } catch (const RowError& error) {
    return error.code + ": " + error.what();
  }
}

TEST(ParseRow, SaysWhereInTheFileJsonIsBroken) {
  EXPECT_TRUE(code_and_text({.text = "{\n \"a\": }", .number = 0, .line = 7})
                  .starts_with("invalid_json: line 8, column 7: found '}'"))
      << code_and_text({.text = "{\n \"a\": }", .number = 0, .line = 7});
  EXPECT_TRUE(code_and_text({.text = "{\"a\":\"\xFF\"}", .number = 0, .line = 1})
                  .starts_with("invalid_utf8: byte 6"));
  EXPECT_TRUE(
      code_and_text({.text = R"({"a":1,"a":2})", .number = 0, .line = 1}).find("second time") !=
      std::string::npos);
}

}  // namespace
}  // namespace elenchus
