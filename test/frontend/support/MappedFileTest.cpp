//===- MappedFileTest.cpp - Tests of mapped files -------------------------===//
#include "frontend/support/MappedFile.h"
#include "test/frontend/support/TestFolder.h"

#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>

using namespace vlmc;

TEST(MappedFile, HoldsTheBytesWhenMoved) {
  TestFolder folder;
  auto file = MappedFile::open(folder.write("a", "hello"));
  ASSERT_TRUE(file) << file.message();
  const uint8_t *data = file->data();
  MappedFile moved = std::move(*file);
  EXPECT_EQ(moved.data(), data);
  EXPECT_EQ(moved.text(), "hello");
}

TEST(MappedFile, TakesAnEmptyFile) {
  TestFolder folder;
  auto file = MappedFile::open(folder.write("a", ""));
  ASSERT_TRUE(file) << file.message();
  EXPECT_EQ(file->size(), 0u);
}

TEST(MappedFile, RefusesWhatIsNoFile) {
  TestFolder folder;
  EXPECT_EQ(folder.relative(MappedFile::open(folder.path()).message()),
            "DIR: expected a regular file, found a folder; check the path");
  ASSERT_EQ(mkfifo(folder.path("pipe").c_str(), 0600), 0);
  EXPECT_EQ(
      folder.relative(MappedFile::open(folder.path("pipe")).message()),
      "DIR/pipe: expected a regular file, found a special file; check the "
      "path");
}

TEST(MappedFile, RefusesAFileItMayNotRead) {
  TestFolder folder;
  std::string path = folder.write("a", "x");
  ASSERT_EQ(chmod(path.c_str(), 0), 0);
  // Root may read everything, so that root becomes somebody else for a moment.
  uid_t user = geteuid();
  if (user == 0)
    ASSERT_EQ(seteuid(65534), 0);
  auto file = MappedFile::open(path);
  ASSERT_EQ(seteuid(user), 0);
  ASSERT_FALSE(file);
  EXPECT_EQ(folder.relative(file.message()),
            "DIR/a: cannot be opened: Permission denied; check the path and "
            "its permissions");
}
