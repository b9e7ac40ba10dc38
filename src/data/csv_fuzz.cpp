#include "data/csv_fuzz.h"

#include "testing/temporary_folder.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const elenchus::TemporaryFolder folder;
  elenchus::check_csv_reader(folder / "rows.csv", bytes, size);
  return 0;
}
