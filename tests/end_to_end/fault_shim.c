// Makes one file operation of a program fail, or kills it there. Preloaded by crash_test.py; no part of the program.
//
//   FAULT_FOLDER  operations on files in this folder count, those that write or change it
//   FAULT_AT      the number of the operation that fails, from 1; 0: none
//   FAULT_ONWARD  1: all that follow fail as well
//   FAULT_KIND    KILL, SHORT (half is written), or the number of an errno
//   FAULT_COUNT   a file that gets one line for each operation
//   FAULT_CLOCK   so many seconds the wall clock is ahead
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { kMost = 4096, kInside = 1, kWritten = 2 };
static unsigned char marks[kMost];  // what is known of each descriptor
static long operations;

static int marked(int fd, int mark) { return fd >= 0 && fd < kMost && (marks[fd] & mark); }
static void mark(int fd, int value) {
  if (fd >= 0 && fd < kMost) marks[fd] = (unsigned char)value;
}

static int inside(int folder, const char* path) {
  const char* root = getenv("FAULT_FOLDER");
  if (!root || !path) return 0;
  return path[0] == '/' ? strncmp(path, root, strlen(root)) == 0 : marked(folder, kInside);
}

// The errno that this operation fails with; 0: none; -1: it is to be done by half.
static int fault(const char* name) {
  const long number = __atomic_add_fetch(&operations, 1, __ATOMIC_SEQ_CST);
  const char* count = getenv("FAULT_COUNT");
  if (count) {
    char line[64];
    const int length = snprintf(line, sizeof line, "%s\n", name);
    const int fd = (int)syscall(SYS_openat, AT_FDCWD, count, O_WRONLY | O_CREAT | O_APPEND, 0666);
    if (fd >= 0) {
      syscall(SYS_write, fd, line, length);
      syscall(SYS_close, fd);
    }
  }
  const char *at = getenv("FAULT_AT"), *onward = getenv("FAULT_ONWARD"), *kind = getenv("FAULT_KIND");
  const long first = at ? atol(at) : 0;
  if (!first || !kind || number < first || (number > first && !(onward && *onward == '1'))) return 0;
  if (!strcmp(kind, "KILL")) syscall(SYS_kill, getpid(), SIGKILL);
  return strcmp(kind, "SHORT") ? atoi(kind) : -1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FAIL_IF(condition, name)            \
  if (condition) {                          \
    const int error = fault(name);          \
    if (error > 0) return errno = error, -1; \
  }

static int open_at(int folder, const char* path, int flags, mode_t mode) {
  const int is_inside = inside(folder, path), writes = (flags & O_ACCMODE) != O_RDONLY;
  FAIL_IF(is_inside && writes, "open");
  const int fd = (int)syscall(SYS_openat, folder, path, flags, mode);
  mark(fd, is_inside ? (writes ? kInside | kWritten : kInside) : 0);
  return fd;
}

static mode_t mode_of(int flags, va_list rest) {
  return flags & (O_CREAT | O_TMPFILE) ? (mode_t)va_arg(rest, int) : 0;
}
#define DEFINE_OPEN(name)                                      \
  int name(const char* path, int flags, ...) {                 \
    va_list rest;                                              \
    va_start(rest, flags);                                     \
    const mode_t mode = mode_of(flags, rest);                  \
    va_end(rest);                                              \
    return open_at(AT_FDCWD, path, flags, mode);               \
  }
#define DEFINE_OPENAT(name)                                    \
  int name(int folder, const char* path, int flags, ...) {     \
    va_list rest;                                              \
    va_start(rest, flags);                                     \
    const mode_t mode = mode_of(flags, rest);                  \
    va_end(rest);                                              \
    return open_at(folder, path, flags, mode);                 \
  }
DEFINE_OPEN(open)
DEFINE_OPEN(open64)
DEFINE_OPENAT(openat)
DEFINE_OPENAT(openat64)

static ssize_t write_at(int fd, const void* data, size_t size, off_t offset, int positioned) {
  if (marked(fd, kWritten)) {
    const int error = fault("write");
    if (error > 0) return errno = error, -1;
    if (error < 0 && size > 1) size /= 2;
  }
  return positioned ? syscall(SYS_pwrite64, fd, data, size, offset) : syscall(SYS_write, fd, data, size);
}
ssize_t write(int fd, const void* data, size_t size) { return write_at(fd, data, size, 0, 0); }
ssize_t pwrite(int fd, const void* data, size_t size, off_t at) { return write_at(fd, data, size, at, 1); }
ssize_t pwrite64(int fd, const void* data, size_t size, off_t at) { return write_at(fd, data, size, at, 1); }

int posix_fallocate(int fd, off_t offset, off_t size) {
  const int error = marked(fd, kWritten) ? fault("fallocate") : 0;
  return error > 0 ? error : REAL(posix_fallocate)(fd, offset, size);
}
int posix_fallocate64(int fd, off_t offset, off_t size) { return posix_fallocate(fd, offset, size); }
int ftruncate(int fd, off_t size) {
  FAIL_IF(marked(fd, kWritten), "truncate");
  return (int)syscall(SYS_ftruncate, fd, size);
}
int ftruncate64(int fd, off_t size) { return ftruncate(fd, size); }
int fsync(int fd) {
  FAIL_IF(marked(fd, kInside), "fsync");
  return (int)syscall(SYS_fsync, fd);
}
int close(int fd) {
  const int error = marked(fd, kWritten) ? fault("close") : 0;
  mark(fd, 0);
  const int closed = (int)syscall(SYS_close, fd);
  return error > 0 ? (errno = error, -1) : closed;
}

int mkdir(const char* path, mode_t mode) {
  FAIL_IF(inside(AT_FDCWD, path), "mkdir");
  return (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}
int rename(const char* from, const char* to) {
  FAIL_IF(inside(AT_FDCWD, to), "rename");
  return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}
int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) {
  FAIL_IF(inside(to_folder, to), "rename");
  return (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
}
int unlinkat(int folder, const char* path, int flags) {
  FAIL_IF(inside(folder, path), "unlink");
  return (int)syscall(SYS_unlinkat, folder, path, flags);
}
int unlink(const char* path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char* path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
int remove(const char* path) {
  const int removed = unlink(path);
  return removed != 0 && errno == EISDIR ? rmdir(path) : removed;
}

static long ahead(void) {
  const char* seconds = getenv("FAULT_CLOCK");
  return seconds ? atol(seconds) : 0;
}
int clock_gettime(clockid_t clock, struct timespec* now) {
  const int result = (int)syscall(SYS_clock_gettime, clock, now);
  if (result == 0 && clock == CLOCK_REALTIME) now->tv_sec += ahead();
  return result;
}
time_t time(time_t* to) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (to) *to = now.tv_sec;
  return now.tv_sec;
}
