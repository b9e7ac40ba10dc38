#include "base/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "base/error.h"
#include "base/output_file.h"
#include "testing/temporary_folder.h"

namespace elenchus {
namespace {

int files_in(const std::filesystem::path& folder) {
  int count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder)) ++count;
  return count;
}

TEST(InputFile, ReadsAnyPart) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "a", "0123456789");
  const InputFile file(folder / "a");
  EXPECT_EQ(file.size(), 10u);
  std::string part(3, ' ');
  file.read(7, std::as_writable_bytes(std::span(part)));
  EXPECT_EQ(part, "789");
  EXPECT_THROW(file.read(8, std::as_writable_bytes(std::span(part))), InputError);
  EXPECT_THROW(file.read(UINT64_MAX, std::as_writable_bytes(std::span(part))), InputError);
}

TEST(InputFile, RefusesWhatIsNoFile) {
  const TemporaryFolder folder;
  EXPECT_THROW(InputFile(folder / "missing"), InputError);
  EXPECT_THROW(InputFile(folder.path()), InputError);
  EXPECT_THROW(InputFile("/dev/null"), InputError);
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_THROW(InputFile(folder / "pipe"), InputError);
}

TEST(InputFile, NoticesThatTheFileChanged) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "a", "0123456789");
  const InputFile file(folder / "a");
  ASSERT_EQ(::truncate((folder / "a").c_str(), 5), 0);
  std::byte first[1];
  EXPECT_THROW(file.read(0, first), InputError);
  EXPECT_THROW(file.read(7, first), InputError);
}

TEST(InputFile, MovesItsDescriptor) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "a", "x");
  InputFile first(folder / "a");
  const InputFile second(std::move(first));
  std::byte byte[1];
  second.read(0, byte);
  EXPECT_EQ(byte[0], std::byte('x'));
}

TEST(ReadTextFile, RefusesMoreThanTheLimit) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "a", "0123456789");
  EXPECT_EQ(read_text_file(folder / "a", 10), "0123456789");
  EXPECT_THROW(read_text_file(folder / "a", 9), InputError);
}

TEST(WriteFileAtomically, ReplacesTheWholeFile) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "a", "a longer text");
  write_file_atomically(folder / "a", "short");
  EXPECT_EQ(read_text_file(folder / "a"), "short");
  EXPECT_EQ(files_in(folder.path()), 1);
}

TEST(WriteFileAtomically, LeavesNothingBehindWhenItFails) {
  const TemporaryFolder folder;
  EXPECT_THROW(write_file_atomically(folder / "no" / "a", "x"), DeviceError);
  std::filesystem::create_directory(folder / "taken");
  EXPECT_THROW(write_file_atomically(folder / "taken", "x"), DeviceError);
  const auto fails = [](const ByteSink& sink) {
    sink(std::as_bytes(std::span("abc", 3)));
    throw UserError("stop");
  };
  EXPECT_THROW(write_file_atomically(folder / "b", 3, fails), UserError);
  EXPECT_EQ(files_in(folder.path()), 1);
}

TEST(WriteFileAtomically, SaysThatTheDiskIsFull) {
  try {
    OutputFile file("/dev/full/x");
    FAIL();
  } catch (const DeviceError& error) {
    EXPECT_EQ(error.exit_code, ExitCode::out_of_resources);
  }
  const DeviceError error = file_error("write", "/a", ENOSPC);
  EXPECT_EQ(std::string(error.what()),
            "could not write /a: No space left on device; free some space and try again");
}

TEST(OutputFile, CutsWhatWasReservedButNotWritten) {
  const TemporaryFolder folder;
  OutputFile file(folder / "a", 1 << 16);
  file.write("abc");
  file.finish();
  EXPECT_EQ(std::filesystem::file_size(folder / "a"), 3u);
  EXPECT_THROW(OutputFile(folder / "a"), DeviceError);
}

TEST(Printable, EscapesWhatATerminalWouldObey) {
  EXPECT_EQ(printable("plain \xE3\x81\x82"), "plain \xE3\x81\x82");
  EXPECT_EQ(printable("\x1B[31m\n\t\r"), "\\x1b[31m\\n\\t\\r");
  EXPECT_EQ(printable("a\xFF\xC2\x9B\x7F"), "a\\xff\\xc2\\x9b\\x7f");
  EXPECT_EQ(printable("\xE2\x80\xAE"), "\\xe2\\x80\\xae");
  EXPECT_EQ(printable(std::string_view("\0", 1)), "\\x00");
}

TEST(Printable, CutsLongTextBetweenCharacters) {
  EXPECT_EQ(printable("0123456789", 10), "0123456789");
  EXPECT_EQ(printable("01234567890", 10), "0123456...");
  EXPECT_EQ(printable("\xE3\x81\x82\xE3\x81\x82\xE3\x81\x82", 8), "\xE3\x81\x82...");
  for (std::size_t limit = 0; limit < 40; ++limit)
    EXPECT_LE(printable(std::string(30, '\x01'), limit).size(), limit);
}

TEST(FindInvalidUtf8, GivesTheFirstBadByte) {
  EXPECT_EQ(find_invalid_utf8("0123456789 \xC3\xA9 \xF0\x9F\x98\x80 end of it"), std::nullopt);
  const std::pair<std::string_view, std::size_t> bad[] = {{"\x80", 0},
                                                          {"a\xC0\x80", 1},
                                                          {"\xE0\x80\x80", 0},
                                                          {"\xED\xA0\x80", 0},
                                                          {"\xF4\x90\x80\x80", 0},
                                                          {"\xF5", 0},
                                                          {"0123456789\xC3", 10},
                                                          {"\xE3\x81", 0},
                                                          {"\xF0\x9F\x98", 0},
                                                          {"\xC3(", 0}};
  for (const auto& [text, at] : bad) EXPECT_EQ(find_invalid_utf8(text), at);
}

}  // namespace
}  // namespace elenchus
