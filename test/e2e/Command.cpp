//===- Command.cpp - Running vlmc as a user does --------------------------===//
#include "test/e2e/Command.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace vlmc::e2e {

namespace fs = std::filesystem;

namespace {
/// A folder of its own, removed at the end.
class TemporaryFolder {
public:
  TemporaryFolder() {
    std::string pattern =
        (fs::temp_directory_path() / "vlmc-e2e-XXXXXX").string();
    if (!::mkdtemp(pattern.data())) {
      std::perror(pattern.c_str());
      std::abort();
    }
    path = pattern;
  }
  TemporaryFolder(const TemporaryFolder &) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
  fs::path path;
};
} // namespace

std::string workPath(const std::string &name) {
  static const TemporaryFolder folder;
  return (folder.path / name).string();
}

std::string freshPath(const std::string &name) {
  static int number = 0;
  return workPath(std::to_string(number++) + "-" + name);
}

std::string readFile(const std::string &path) {
  std::ifstream stream(path, std::ios::binary);
  EXPECT_TRUE(stream) << path << ": cannot be read";
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

std::ostream &operator<<(std::ostream &stream, const Ended &ended) {
  return stream << ended.command << "\nended with " << ended.code << "\n"
                << ended.err;
}

/// Pointers as exec wants them, a null pointer last.
static std::vector<char *> pointersTo(std::vector<std::string> &strings) {
  std::vector<char *> pointers;
  for (std::string &string : strings)
    pointers.push_back(string.data());
  pointers.push_back(nullptr);
  return pointers;
}

/// This process's environment with a cache of its own.
static std::vector<std::string> makeEnvironment() {
  const std::string name = "VLMC_CACHE_DIR=";
  std::vector<std::string> variables;
  for (char **entry = environ; *entry; ++entry)
    if (std::strncmp(*entry, name.c_str(), name.size()) != 0)
      variables.emplace_back(*entry);
  variables.push_back(name + workPath("cache"));
  return variables;
}

/// Starts a program whose output goes to two files; its number, or -1.
static pid_t start(std::vector<std::string> &arguments, const std::string &out,
                   const std::string &err) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, out.c_str(), O_WRONLY | O_CREAT,
                                   0600);
  posix_spawn_file_actions_addopen(&actions, 2, err.c_str(), O_WRONLY | O_CREAT,
                                   0600);
  std::vector<std::string> environment = makeEnvironment();
  pid_t process = -1;
  int error = ::posix_spawn(&process, arguments.front().c_str(), &actions,
                            nullptr, pointersTo(arguments).data(),
                            pointersTo(environment).data());
  posix_spawn_file_actions_destroy(&actions);
  EXPECT_EQ(error, 0) << arguments.front() << ": " << std::strerror(error);
  return error == 0 ? process : -1;
}

Ended runVlmc(const std::vector<std::string> &arguments) {
  std::vector<std::string> all{VLMC_PROGRAM};
  all.insert(all.end(), arguments.begin(), arguments.end());
  Ended ended;
  for (const std::string &argument : all)
    ended.command += (ended.command.empty() ? "" : " ") + argument;
  std::string out = freshPath("stdout"), err = freshPath("stderr");
  pid_t process = start(all, out, err);
  if (process < 0)
    return ended;
  int status = 0;
  while (::waitpid(process, &status, 0) < 0 && errno == EINTR)
    ;
  ended.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  ended.out = readFile(out);
  ended.err = readFile(err);
  return ended;
}

} // namespace vlmc::e2e
