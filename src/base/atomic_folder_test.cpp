#include "base/atomic_folder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "base/error.h"
#include "base/file.h"
#include "base/sha256.h"
#include "testing/temporary_folder.h"

namespace elenchus {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

void save(const fs::path& path) {
  AtomicFolder folder(path);
  folder.write("a.txt", "some text");
  folder.write("b.bin", 6, [](const ByteSink& sink) {
    sink(std::as_bytes(std::span("abc", 3)));
    sink(std::as_bytes(std::span("def", 3)));
  });
  folder.write("empty", "");
  folder.commit(Json::Object{{"step", Json(7)}});
}

TEST(AtomicFolder, AppearsWholeAndVerified) {
  const TemporaryFolder parent;
  save(parent / "checkpoint-7");
  EXPECT_EQ(names_in(parent.path()), std::vector<std::string>{"checkpoint-7"});
  EXPECT_EQ(names_in(parent / "checkpoint-7"),
            (std::vector<std::string>{"a.txt", "b.bin", "empty", "manifest.json"}));
  EXPECT_EQ(read_text_file(parent / "checkpoint-7" / "b.bin"), "abcdef");
  EXPECT_EQ(verify_folder(parent / "checkpoint-7"), std::nullopt);
  EXPECT_EQ(read_manifest_extra(parent / "checkpoint-7").dump(), "{\"step\": 7}");
}

TEST(AtomicFolder, LeavesNothingWithoutCommit) {
  const TemporaryFolder parent;
  {
    AtomicFolder folder(parent / "x");
    folder.write("a", "b");
    EXPECT_EQ(names_in(parent.path()).size(), 1u);
  }
  EXPECT_TRUE(names_in(parent.path()).empty());
}

TEST(AtomicFolder, NeverReplacesAnotherFolder) {
  const TemporaryFolder parent;
  save(parent / "x");
  EXPECT_THROW(save(parent / "x"), DeviceError);
  EXPECT_EQ(names_in(parent.path()), std::vector<std::string>{"x"});
  EXPECT_EQ(verify_folder(parent / "x"), std::nullopt);
}

TEST(AtomicFolder, ReplacesInOneStepAndOnlyWhenAllIsWritten) {
  const TemporaryFolder parent;
  save(parent / "x");
  {
    AtomicFolder folder(parent / "x");
    folder.write("a.txt", "new");
    EXPECT_EQ(read_text_file(parent / "x" / "a.txt"), "some text");
  }
  EXPECT_EQ(verify_folder(parent / "x"), std::nullopt);
  EXPECT_EQ(read_text_file(parent / "x" / "a.txt"), "some text");
  AtomicFolder folder(parent / "x");
  folder.write("a.txt", "new");
  folder.commit({}, IfTaken::replace);
  EXPECT_EQ(names_in(parent.path()), std::vector<std::string>{"x"});
  EXPECT_EQ(names_in(parent / "x"), (std::vector<std::string>{"a.txt", "manifest.json"}));
  EXPECT_EQ(verify_folder(parent / "x"), std::nullopt);
  AtomicFolder first(parent / "y");
  first.commit({}, IfTaken::replace);
  EXPECT_EQ(verify_folder(parent / "y"), std::nullopt);
}

TEST(AtomicFolder, KeepsTheOldFolderWhenTheNewOneCannotBeReadBack) {
  const TemporaryFolder parent;
  save(parent / "x");
  {
    AtomicFolder folder(parent / "x");
    folder.write("a.txt", "new");
    for (const std::string& name : names_in(parent.path()))
      if (name != "x") std::ofstream(parent / name / "a.txt") << "bad";
    EXPECT_THROW(folder.commit({}, IfTaken::replace), DeviceError);
  }
  EXPECT_EQ(names_in(parent.path()), std::vector<std::string>{"x"});
  EXPECT_EQ(verify_folder(parent / "x"), std::nullopt);
}

TEST(AtomicFolder, RefusesNamesThatLeaveTheFolder) {
  const TemporaryFolder parent;
  AtomicFolder folder(parent / "x");
  for (const char* name : {"", ".", "..", "a/b", "/a"})
    EXPECT_THROW(folder.write(name, "x"), InternalError);
  folder.write("a", "x");
  EXPECT_THROW(folder.write("a", "x"), DeviceError);
}

TEST(VerifyFolder, FindsEveryChangedByte) {
  const TemporaryFolder parent;
  save(parent / "x");
  for (const std::string name : {"a.txt", "b.bin", "manifest.json"}) {
    const std::string whole = read_text_file(parent / "x" / name);
    for (std::size_t i = 0; i < whole.size(); i += name == "manifest.json" ? 7 : 1) {
      std::string changed = whole;
      changed[i] = char(changed[i] ^ 1);
      std::ofstream(parent / "x" / name) << changed;
      EXPECT_NE(verify_folder(parent / "x"), std::nullopt) << name << " byte " << i;
    }
    std::ofstream(parent / "x" / name) << whole.substr(0, whole.size() / 2);
    EXPECT_NE(verify_folder(parent / "x"), std::nullopt);
    std::ofstream(parent / "x" / name) << whole;
    EXPECT_EQ(verify_folder(parent / "x"), std::nullopt);
  }
  fs::remove(parent / "x" / "empty");
  EXPECT_NE(verify_folder(parent / "x"), std::nullopt);
  EXPECT_NE(verify_folder(parent / "missing"), std::nullopt);
}

TEST(VerifyFolder, RefusesAFutureFormat) {
  const TemporaryFolder parent;
  fs::create_directory(parent / "x");
  Json manifest =
      Json::Object{{"extra", Json()}, {"files", Json::Array{}}, {"format_version", Json(99)}};
  manifest.set("sha256", sha256_hex(manifest.dump_sorted()));
  write_file_atomically(parent / "x" / "manifest.json", manifest.dump());
  EXPECT_NE(verify_folder(parent / "x")->find("newer"), std::string::npos);
  EXPECT_TRUE(written_by_newer_program(parent / "x"));
  manifest.set("format_version", Json(98));  // a damaged one is no newer one
  write_file_atomically(parent / "x" / "manifest.json", manifest.dump());
  EXPECT_FALSE(written_by_newer_program(parent / "x"));
  save(parent / "y");
  EXPECT_FALSE(written_by_newer_program(parent / "y"));
  EXPECT_FALSE(written_by_newer_program(parent / "missing"));
}

TEST(RemoveFolderAtomically, RemovesAllOfIt) {
  const TemporaryFolder parent;
  save(parent / "x");
  remove_folder_atomically(parent / "x");
  remove_folder_atomically(parent / "x");
  EXPECT_TRUE(names_in(parent.path()).empty());
}

TEST(RemoveLeftovers, TouchesNamesOfItsOwnFormOnly) {
  const TemporaryFolder parent;
  const std::vector<std::string> kept = {"checkpoint-1",          "checkpoint-5.tmp-1-2x",
                                         "checkpoint-5.tmp-mine", "checkpoint-x.tmp-1-2",
                                         "data.del-1-2",          "notes.tmp-1-2"};
  for (const std::string& name : kept) fs::create_directory(parent / name);
  for (const char* name : {"checkpoint-2.tmp-1-2", "checkpoint-3.del-10-20"})
    fs::create_directory(parent / name);
  for (const char* name : {"adapter.tmp-1-2", ".tmp-1-2", "adapter.tmp-1-2.txt", "adapter.tmp-1"})
    write_file_atomically(parent / name, "");
  remove_leftovers(parent.path());
  std::vector<std::string> left = {".tmp-1-2", "adapter.tmp-1", "adapter.tmp-1-2.txt"};
  left.insert(left.end(), kept.begin(), kept.end());
  EXPECT_EQ(names_in(parent.path()), left);
}

TEST(RemoveLeftovers, PutsBackAFolderWhoseSuccessorNeverCame) {
  const TemporaryFolder parent;
  save(parent / "checkpoint-1");
  fs::rename(parent / "checkpoint-1", parent / "checkpoint-1.old-1-2");
  save(parent / "checkpoint-2");
  save(parent / "checkpoint-2.old-1-2");
  remove_leftovers(parent.path());
  EXPECT_EQ(names_in(parent.path()), (std::vector<std::string>{"checkpoint-1", "checkpoint-2"}));
  EXPECT_EQ(verify_folder(parent / "checkpoint-1"), std::nullopt);
}

TEST(FreeBytes, IsReadOrAnError) {
  const TemporaryFolder parent;
  EXPECT_GT(free_bytes(parent.path()), 0u);
  EXPECT_THROW(free_bytes(parent / "missing"), DeviceError);
}

}  // namespace
}  // namespace elenchus
