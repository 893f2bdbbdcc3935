//===-- FilesTest.cpp - packages are whole or not there -------------------===//
#include "codegen/package/Files.h"
#include "test/codegen/package/Support.h"
#include <filesystem>
#include <unistd.h>

using namespace vlmc;
using namespace vlmc::test;
namespace fs = std::filesystem;

static constexpr const char *manifest = "manifest.textproto";

/// Writes a package of two files.
static llvm::Error writeTwo(const std::string &output,
                            const std::string &text) {
  llvm::Expected<PackageDirectory> directory =
      PackageDirectory::create(output, manifest);
  if (!directory)
    return directory.takeError();
  if (llvm::Error error = directory->makeDirectory("lib/x"))
    return error;
  for (const char *name : {manifest, "lib/x/code"})
    if (llvm::Error error = writeFile(directory->path(name), text))
      return error;
  return directory->commit();
}

TEST(Files, WritesAndReplacesWholePackages) {
  TemporaryFolder folder;
  std::string output = folder.file("m.vlm");
  ASSERT_EQ(messageOf(writeTwo(output, "one")), "");
  EXPECT_EQ(readFile(output + "/lib/x/code"), "one");
  ASSERT_EQ(messageOf(writeTwo(output + "/", "two")), "");
  EXPECT_EQ(readFile(output + "/lib/x/code"), "two");
  EXPECT_EQ(readFile(output + "/" + manifest), "two");
  EXPECT_EQ(folder.list(), std::vector<std::string>{"m.vlm"});
}

TEST(Files, LeavesTheOldPackageWhenItIsNotCommitted) {
  TemporaryFolder folder;
  std::string output = folder.file("m.vlm");
  ASSERT_EQ(messageOf(writeTwo(output, "one")), "");
  {
    auto directory = PackageDirectory::create(output, manifest);
    ASSERT_TRUE(bool(directory)) << messageOf(std::move(directory));
    ASSERT_EQ(messageOf(writeFile(directory->path(manifest), "two")), "");
    EXPECT_EQ(folder.list().size(), 2u);
  }
  EXPECT_EQ(readFile(output + "/" + manifest), "one");
  EXPECT_EQ(folder.list(), std::vector<std::string>{"m.vlm"});
}

TEST(Files, ReplacesThePackageBehindALink) {
  TemporaryFolder folder;
  ASSERT_EQ(messageOf(writeTwo(folder.file("m.vlm"), "one")), "");
  fs::create_directory_symlink("m.vlm", folder.file("link.vlm"));
  ASSERT_EQ(messageOf(writeTwo(folder.file("link.vlm"), "two")), "");
  EXPECT_TRUE(fs::is_symlink(folder.file("link.vlm")));
  EXPECT_EQ(readFile(folder.file("m.vlm/manifest.textproto")), "two");
}

TEST(Files, RefusesWhatIsInTheWay) {
  TemporaryFolder folder;
  std::string file = folder.file("file");
  writeText(file, "mine");
  EXPECT_EQ(messageOf(writeTwo(file, "x")),
            "cannot write '" + file +
                "': a file of that name is in the way; remove it or choose "
                "another output");
  std::string other = folder.file("other");
  fs::create_directory(other);
  EXPECT_EQ(messageOf(writeTwo(other, "x")),
            "cannot write '" + other +
                "': it is a directory without manifest.textproto, so not a "
                "compiled model; remove it or choose another output");
  std::string deep = folder.file("no/where.vlm");
  EXPECT_EQ(messageOf(writeTwo(deep, "x")), "cannot write '" + deep +
                                                "': there is no directory '" +
                                                folder.file("no") +
                                                "'; make it or choose another "
                                                "output");
  EXPECT_EQ(readFile(file), "mine");
  EXPECT_EQ(folder.list(), (std::vector<std::string>{"file", "other"}));
}

TEST(Files, TellsOfAFolderThatCannotBeWritten) {
  // A folder that even the superuser cannot write to.
  std::string message = messageOf(writeTwo("/proc/self/m.vlm", "x"));
  EXPECT_EQ(message.find("cannot write '/proc/self/m.vlm': cannot make a "
                         "directory in '/proc/self': "),
            0u)
      << message;
}

TEST(Files, TellsOfAFullDisk) {
  auto file = OutputFile::create("/dev/full", 0);
  EXPECT_EQ(messageOf(std::move(file)),
            "cannot create '/dev/full': File exists; choose a place that you "
            "may write to");
  TemporaryFolder folder;
  std::string path = folder.file("big");
  EXPECT_EQ(messageOf(OutputFile::create(path, uint64_t(1) << 62)),
            "cannot reserve 4611686018427387904 bytes for '" + path +
                "': File too large; free some space or choose another place");
}

TEST(Files, ErrorsTellWhoseFaultTheyAre) {
  bool isUser = false;
  EXPECT_EQ(takeMessage(userError("a"), &isUser), "a");
  EXPECT_TRUE(isUser);
  EXPECT_EQ(takeMessage(internalError("b"), &isUser), "b");
  EXPECT_FALSE(isUser);
}

TEST(Files, ScratchDirectoryIsGoneAfterItsUse) {
  TemporaryFolder folder;
  const char *before = std::getenv("TMPDIR");
  std::string saved = before ? before : "";
  ::setenv("TMPDIR", folder.path.c_str(), 1);
  // What a killed program left, with files; and what is not of vlmc.
  fs::create_directories(folder.file("vlmc-scratch-12345678/inside"));
  fs::create_directories(folder.file("vlmc-scratch-other"));
  {
    auto first = ScratchDirectory::create();
    ASSERT_EQ(messageOf(first.takeError()), "");
    auto second = ScratchDirectory::create();
    ASSERT_EQ(messageOf(second.takeError()), "");
    EXPECT_NE(first->path(), second->path());
    EXPECT_TRUE(fs::is_directory(first->path()));
    EXPECT_EQ(fs::status(first->path()).permissions(), fs::perms::owner_all);
    EXPECT_FALSE(fs::exists(folder.file("vlmc-scratch-12345678")));
  }
  EXPECT_TRUE(fs::is_directory(folder.file("vlmc-scratch-other")));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path), {}), 1);
  ::setenv("TMPDIR", folder.file("none").c_str(), 1);
  EXPECT_EQ(messageOf(ScratchDirectory::create().takeError()),
            "cannot make a temporary directory in '" + folder.file("none") +
                "' (TMPDIR names another): No such file or directory; choose "
                "a place that you may write to");
  before ? ::setenv("TMPDIR", saved.c_str(), 1) : ::unsetenv("TMPDIR");
}
