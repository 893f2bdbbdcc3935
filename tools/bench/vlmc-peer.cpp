//===-- vlmc-peer.cpp - one of several systems measured side by side ------===//
//
// Runs one case on a compiled model, when it is told to, by lines on standard
// input and output. It links the runtime as an application would; the compiler
// is another process, run with --prepare.
//
//   vlmc-peer --case clip-b32-image-bs1 --checkpoint DIR --work DIR
//             --inputs IN.safetensors --outputs OUT.safetensors --threads N
//             [--weights TYPE] [--activations TYPE] [--target T,...]
//             [--prepare]
//
// With --prepare it compiles DIR into the work folder and prints
// {"event":"prepared","seconds":S,"bytes":B}. Else it loads, runs once, writes
// OUT and prints {"event":"ready","load_ms":..,"first_ms":..,...}, and obeys
// `run K` (K lines of {"event":"rep","metrics":{"ms":..}}, then
// {"event":"done"}) and `quit`.
//
//===----------------------------------------------------------------------===//
#include "tools/bench/PeerCase.h"

#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <spawn.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

using namespace vlmc::bench;
namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using Json = nlohmann::ordered_json;

static double millisecondsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start)
      .count();
}

static void say(const Json &event) { std::cout << event.dump() << std::endl; }

/// "VmHWM:" of /proc/self/status, KiB.
static int64_t statusKib(const std::string &key) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(key))
      return std::stoll(line.substr(key.size()));
  return 0;
}

/// Bytes of the shared libraries in memory, those of the system left out.
static uint64_t libraryBytes() {
  std::ifstream maps("/proc/self/maps");
  std::set<std::string> files;
  for (std::string line; std::getline(maps, line);) {
    size_t at = line.find('/');
    if (at == std::string::npos || line.find(".so", at) == std::string::npos)
      continue;
    std::string path = line.substr(at);
    if (!path.starts_with("/lib/") && !path.starts_with("/usr/lib/"))
      files.insert(path);
  }
  uint64_t bytes = 0;
  for (const std::string &path : files)
    if (std::error_code error; fs::exists(path, error))
      bytes += fs::file_size(path);
  return bytes;
}

//===----------------------------------------------------------------------===//
// Command line
//===----------------------------------------------------------------------===//

namespace {
struct Job {
  std::map<std::string, std::string> options{
      {"case", ""},    {"checkpoint", ""},  {"work", ""},
      {"inputs", ""},  {"outputs", ""},     {"threads", "2"},
      {"weights", ""}, {"activations", ""}, {"target", ""}};
  bool prepare = false;

  const std::string &operator[](const char *name) const {
    return options.at(name);
  }
  std::string package() const { return (*this)["work"] + "/model.vlm"; }
};
} // namespace

static Job parse(int argc, char **argv) {
  Job job;
  for (int i = 1; i < argc; ++i) {
    std::string name = argv[i];
    if (name == "--prepare") {
      job.prepare = true;
      continue;
    }
    if (!name.starts_with("--") || !job.options.contains(name.substr(2)))
      fail("unknown argument '" + name + "'");
    if (++i == argc)
      fail(name + " needs a value");
    job.options[name.substr(2)] = argv[i];
  }
  for (const char *name : {"case", "checkpoint", "work", "inputs", "outputs"})
    if (job[name].empty())
      fail(std::string("--") + name + " is missing");
  return job;
}

//===----------------------------------------------------------------------===//
// Compiling
//===----------------------------------------------------------------------===//

/// Runs `vlmc` of the folder of this program.
static void runCompiler(std::vector<std::string> arguments) {
  std::string program = fs::canonical("/proc/self/exe").parent_path() / "vlmc";
  arguments.insert(arguments.begin(), program);
  std::vector<char *> pointers;
  for (std::string &argument : arguments)
    pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  pid_t child = 0;
  if (int error = posix_spawn(&child, program.c_str(), nullptr, nullptr,
                              pointers.data(), environ))
    fail(program + ": " + std::strerror(error));
  int status = 0;
  waitpid(child, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    fail("the compiler failed; see what it said above");
}

/// The instruction-set level of this machine, so that the package has no code
/// for others.
static void prepare(const Job &job) {
  fs::create_directories(job["work"]);
  Clock::time_point start = Clock::now();
  std::vector<std::string> arguments = {"compile",   job["checkpoint"],
                                        "-o",        job.package(),
                                        "--threads", job["threads"]};
  auto add = [&](const char *option, const std::string &value) {
    if (!value.empty())
      arguments.insert(arguments.end(), {option, value});
  };
  add("--weights", job["weights"]);
  add("--activations", job["activations"]);
  add("--target", job["target"]);
  add("--taps", tapOf(job["case"]));
  runCompiler(arguments);
  uint64_t bytes = 0;
  for (const auto &file : fs::recursive_directory_iterator(job.package()))
    if (file.is_regular_file())
      bytes += file.file_size();
  say({{"event", "prepared"},
       {"seconds", millisecondsSince(start) / 1e3},
       {"bytes", bytes}});
}

//===----------------------------------------------------------------------===//
// Running
//===----------------------------------------------------------------------===//

static void obey(PeerCase &peer) {
  for (std::string line; std::getline(std::cin, line) && line != "quit";) {
    if (!line.starts_with("run "))
      fail("expected 'run K' or 'quit', found '" + line + "'");
    int count = std::atoi(line.c_str() + 4);
    for (int i = 0; i < count; ++i) {
      Clock::time_point start = Clock::now();
      Metrics metrics = peer.run();
      if (metrics.empty())
        metrics["ms"] = millisecondsSince(start);
      say({{"event", "rep"}, {"metrics", metrics}});
    }
    say({{"event", "done"}});
  }
  say({{"event", "bye"},
       {"rss_kib", statusKib("VmHWM:")},
       {"rss_anon_kib", statusKib("RssAnon:")}});
}

int main(int argc, char **argv) {
  Job job = parse(argc, argv);
  if (job.prepare) {
    prepare(job);
    return 0;
  }
  Clock::time_point start = Clock::now();
  std::unique_ptr<PeerCase> peer = openCase(
      job["case"], job.package(), job["inputs"], std::stoi(job["threads"]));
  double load = millisecondsSince(start);
  start = Clock::now();
  peer->run();
  double first = millisecondsSince(start);
  peer->writeOutputs(job["outputs"]);
  say({{"event", "ready"},
       {"load_ms", load},
       {"first_ms", first},
       {"rss_kib", statusKib("VmHWM:")},
       {"libraries", libraryBytes()}});
  obey(*peer);
  return 0;
}
