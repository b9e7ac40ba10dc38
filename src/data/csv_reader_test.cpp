#include "data/csv_reader.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/rng.h"
#include "testing/temporary_folder.h"

namespace elenchus {
namespace {

using Fields = std::vector<std::string>;

class Csv : public ::testing::Test {
 protected:
  CsvReader open(std::string_view text, std::size_t limit = CsvReader::kFieldLimitBytes) {
    std::ofstream(folder_ / "rows.csv", std::ios::binary) << text;
    return CsvReader(folder_ / "rows.csv", limit);
  }
  std::vector<Fields> rows(std::string_view text) {
    CsvReader reader = open(text);
    std::vector<Fields> out;
    while (auto fields = reader.next()) out.push_back(*fields);
    return out;
  }
  std::string refusal(std::string_view text) {
    try {
      rows(text);
    } catch (const InputError& error) {
      return error.what();
    }
    return "accepted";
  }
  TemporaryFolder folder_;
};

TEST_F(Csv, ReadsWhatPythonsCsvModuleReads) {
  // What csv.reader gives for each, blank lines left out.
  const std::pair<const char*, std::vector<Fields>> cases[] = {
      {"a,b\n1,2\n", {{"1", "2"}}},
      {"a,b\r\n1,2\r\n", {{"1", "2"}}},
      {"a,b\r1,2\r", {{"1", "2"}}},
      {"a,b\n1,2", {{"1", "2"}}},
      {"\xEF\xBB\xBF"
       "a,b\n1,2",
       {{"1", "2"}}},
      {"a,b\n\n1,2\n\n\n3,4\n\n", {{"1", "2"}, {"3", "4"}}},
      {"a,b\n,\n", {{"", ""}}},
      {"a,b\n\"\",\"\"\n", {{"", ""}}},
      {"a,b\n\"x,y\",\"line\nbreak\"\n", {{"x,y", "line\nbreak"}}},
      {"a,b\n\"x\r\ny\",2\n", {{"x\r\ny", "2"}}},
      {"a,b\n\"say \"\"hi\"\"\",2\n", {{"say \"hi\"", "2"}}},
      {"a,b\n\"\"\"\",\"\"\"\"\"\"\n", {{"\"", "\"\""}}},
      {"a,b\nsay \"hi\",2\n", {{"say \"hi\"", "2"}}},
      {"a,b\n\"x\"y,2\n", {{"xy", "2"}}},
      {"a,b\n\"x\"\"y\"z,2\n", {{"x\"yz", "2"}}},
      {"a,b\n 1 , 2 \n", {{" 1 ", " 2 "}}},
      {"a,b\n 1, \"2\"\n", {{" 1", " \"2\""}}},
      {"a\n1\n", {{"1"}}},
      {"a,b\n\"é😀\",2\n", {{"é😀", "2"}}},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(rows(text), expected) << text;
}

TEST_F(Csv, SaysWhereARowIsAndWhatIsWrongWithIt) {
  CsvReader reader = open("a,b\n\"1\n2\",x\n1,2,3\n4\n");
  EXPECT_EQ(reader.next(), (Fields{"1\n2", "x"}));
  EXPECT_EQ(reader.place().line, 2);
  const auto code = [&] {
    try {
      reader.next();
    } catch (const RowError& error) {
      return error.code;
    }
    return std::string("none");
  };
  EXPECT_EQ(code(), "csv_fields");
  EXPECT_EQ(reader.place().line, 4);
  EXPECT_EQ(reader.place().number, 1);
  EXPECT_EQ(code(), "csv_fields");
}

TEST_F(Csv, RefusesNulBytesBadTextAndLongFields) {
  using namespace std::literals;
  EXPECT_NE(refusal("a,b\n5,\"\0\"\n"sv).find("NUL"), std::string::npos);
  EXPECT_NE(refusal("a,b\n6,\xFF\n").find("field 2: byte 0 is not UTF-8"), std::string::npos);
  CsvReader reader = open("a,b\n123456789,2\n3,4\n", 8);
  EXPECT_THROW(reader.next(), RowError);
  EXPECT_EQ(reader.next(), (Fields{"3", "4"}));
}

TEST_F(Csv, NamesTheLineOfAQuoteThatIsNotClosed) {
  const std::string text = refusal("a,b\n1,2\n\"open,3\n4,5\n");
  EXPECT_NE(text.find("line 3: the quote that opens here is not closed"), std::string::npos)
      << text;
}

TEST_F(Csv, RefusesFilesWithoutAUsableHeader) {
  EXPECT_NE(refusal("").find("is empty"), std::string::npos);
  EXPECT_NE(refusal("\n\n").find("is empty"), std::string::npos);
  EXPECT_NE(refusal("a,a\n1,2\n").find("'a' is there twice"), std::string::npos);
  EXPECT_NE(refusal("\xFF\xFE"
                    "a")
                .find("UTF-16"),
            std::string::npos);
}

TEST_F(Csv, WritesWhatItReads) {
  const Fields fields = {"plain", "a,b", "say \"hi\"", "two\nlines", "", " edge "};
  EXPECT_EQ(rows("1,2,3,4,5,6\n" + csv_line(fields)), std::vector<Fields>{fields});
}

TEST_F(Csv, SurvivesBrokenFiles) {
  const std::string valid = "id,text,label\n1,\"a \"\"b\"\", c\nd\",x\n2,plain,y\r\n3,\"é\",z\n";
  const RandomKey key{.seed = 5, .use = RandomUse::test};
  const char bytes[] = {'"', ',', '\n', '\r', '\0', 'a', '\xC3', '\xFF'};
  for (std::uint64_t i = 0; i < 2000; ++i) {
    std::string text = valid;
    for (std::uint64_t j = 0; j <= i % 3; ++j)
      text[key.below(8 * i + j, std::uint32_t(text.size()))] =
          bytes[key.below(8 * i + 4 + j, std::uint32_t(std::size(bytes)))];
    try {
      CsvReader reader = open(text);
      for (;;) {
        try {
          const auto fields = reader.next();
          if (!fields) break;
          EXPECT_EQ(fields->size(), reader.columns().size());
        } catch (const RowError&) {
        }
      }
    } catch (const InputError&) {
    }
  }
}

}  // namespace
}  // namespace elenchus
