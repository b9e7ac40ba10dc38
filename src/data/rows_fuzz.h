#pragma once
// What holds for any bytes given as a file of rows.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/file.h"
#include "data/formats/format.h"
#include "data/row_reader.h"

namespace elenchus {

/// Each row is refused with a code or becomes a conversation of valid UTF-8; rows are numbered one
/// after the other. `path` is a file that may be overwritten.
inline void check_row_reader(const std::filesystem::path& path, const std::uint8_t* bytes,
                             std::size_t size) {
  write_file_atomically(path, {reinterpret_cast<const char*>(bytes), size});
  try {
    RowReader reader(path, 4096);
    for (std::int64_t number = 0;; ++number) {
      try {
        const auto raw = reader.next();
        if (!raw) return;
        expect(raw->number == number && raw->line >= 1, "rows are counted");
        const Json row = parse_row(*raw);
        const Conversation read = recognise_format(row, {}).parse(row, {});
        for (const Message& turn : read.messages)
          expect(!find_invalid_utf8(turn.content), "a turn is valid UTF-8");
        expect(!find_invalid_utf8(read.prompt + read.text), "a text is valid UTF-8");
      } catch (const RowError& error) {
        expect(!error.code.empty(), "a fault has a code");
      }
    }
  } catch (const InputError&) {
  }
}

}  // namespace elenchus
