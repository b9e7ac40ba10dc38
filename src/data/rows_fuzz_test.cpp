#include <gtest/gtest.h>

#include "data/csv_fuzz.h"
#include "data/rows_fuzz.h"
#include "testing/fuzz_replay.h"
#include "testing/temporary_folder.h"

namespace elenchus {
namespace {

TEST(RowsCorpus, IsReadOrRefused) {
  const TemporaryFolder folder;
  const int files = replay_corpus("rows", [&](const std::uint8_t* bytes, std::size_t size) {
    check_row_reader(folder / "rows", bytes, size);
  });
  if (files == 0) GTEST_SKIP() << "no tests/corpus/rows; set ELENCHUS_TESTS to the folder tests";
}

TEST(CsvCorpus, IsReadOrRefusedAndReadAgainAsWritten) {
  const TemporaryFolder folder;
  const int files = replay_corpus("csv", [&](const std::uint8_t* bytes, std::size_t size) {
    check_csv_reader(folder / "rows.csv", bytes, size);
  });
  if (files == 0) GTEST_SKIP() << "no tests/corpus/csv; set ELENCHUS_TESTS to the folder tests";
}

}  // namespace
}  // namespace elenchus
