#include "base/folder_lock.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "base/error.h"
#include "testing/temporary_folder.h"

namespace elenchus {
namespace {

TEST(FolderLock, NamesWhoHoldsTheFolder) {
  const TemporaryFolder folder;
  const FolderLock lock(folder / "out");
  try {
    const FolderLock second(folder / "out");
    FAIL();
  } catch (const UserError& error) {
    EXPECT_EQ(error.exit_code, ExitCode::folder_in_use);
    EXPECT_NE(std::string(error.what()).find(cat("process ", ::getpid(), " on ")),
              std::string::npos);
  }
}

TEST(FolderLock, IsFreeAgainAfterwards) {
  const TemporaryFolder folder;
  { const FolderLock lock(folder.path()); }
  const FolderLock lock(folder.path());
}

TEST(FolderLock, IsFreedWhenItsHolderIsKilled) {
  const TemporaryFolder folder;
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const FolderLock lock(folder.path());
    const bool told = ::write(ready[1], "x", 1) == 1;
    while (told) ::pause();
    ::_exit(1);
  }
  char byte;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_THROW(FolderLock(folder.path()), UserError);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_NO_THROW(FolderLock(folder.path()));
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST(FolderLock, SaysThatTheFolderCannotBeMade) {
  EXPECT_THROW(FolderLock("/proc/no/such"), DeviceError);
}

}  // namespace
}  // namespace elenchus
