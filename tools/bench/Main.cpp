//===-- Main.cpp - the command line of a benchmark program ----------------===//
#include "tools/bench/Main.h"
#include "runtime/vlm.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;

namespace vlmc::bench {

void Options::printHelp(const char *program) const {
  outs() << "usage: " << program << " [FLAG...] [" << form << "...]\n"
         << "  --seconds=S      how long each shape is measured (0.3)\n"
         << "  --target=NAME    only this instruction-set level; several may "
            "be given, none is all\n"
         << flagsHelp
         << "and Google Benchmark's flags, of which --benchmark_filter=REGEX, "
            "--benchmark_repetitions=N,\n--benchmark_format=json are the "
            "useful ones.\n";
}

bool Options::parseShape(const std::string &text) {
  Shape shape;
  for (StringRef part : split(text, 'x')) {
    int64_t size = 0;
    if (part.getAsInteger(10, size) || size < 1)
      return false;
    shape.push_back(size);
  }
  if (shape.size() != rank)
    return false;
  given.push_back(shape);
  return true;
}

bool Options::parseArgument(const std::string &argument) {
  auto [name, value] = StringRef(argument).split('=');
  if (!name.consume_front("--"))
    return parseShape(argument);
  if (name == "seconds")
    return to_float(value, seconds);
  if (name == "target") {
    targets.push_back(value.str());
    return true;
  }
  auto flag = flags.find(name.str());
  if (flag == flags.end())
    return false;
  flag->second = value.str();
  return true;
}

/// One thread, and all.
static std::vector<int> threadCounts() {
  vlm_pool_t *pool = nullptr;
  vlm_status_t *status = vlm_pool_create(0, &pool);
  if (status) {
    errs() << "vlmc-bench: " << vlm_status_message(status) << "\n";
    vlm_status_destroy(status);
    return {1};
  }
  int all = vlm_pool_threads(pool);
  vlm_pool_destroy(pool);
  return all == 1 ? std::vector{1} : std::vector{1, all};
}

bool Options::parse(int argc, char **argv) {
  for (int i = 1; i < argc; ++i)
    if (StringRef(argv[i]) == "--help") {
      printHelp(argv[0]);
      exit(0);
    }
  benchmark::Initialize(&argc, argv);
  for (int i = 1; i < argc; ++i)
    if (!parseArgument(argv[i])) {
      errs() << "vlmc-bench: expected a shape " << form << " or a flag, found '"
             << argv[i] << "'; see --help\n";
      return false;
    }
  if (!given.empty())
    shapes = given;
  threads = threadCounts();
  return true;
}

void registerOne(const std::string &name,
                 std::function<void(benchmark::State &)> body) {
  benchmark::RegisterBenchmark(name.c_str(),
                               [body](benchmark::State &state) {
                                 while (state.KeepRunning())
                                   body(state);
                               })
      ->Iterations(1)
      ->UseManualTime()
      ->Unit(benchmark::kMicrosecond);
}

int runAll() {
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

} // namespace vlmc::bench
