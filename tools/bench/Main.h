//===-- Main.h - the command line of a benchmark program ------------------===//
//
// Google Benchmark's flags, a few of our own, and shapes: `257x1024x1024`.
//
//   int main(int argc, char **argv) {
//     Options options("MxNxK", 3, shapes);
//     if (!options.parse(argc, argv)) return 1;
//     for (const Shape &shape : options.shapes)
//       for (int threads : options.threads)
//         registerOne(name, [=](benchmark::State &state) { ... });
//     return runAll();
//   }
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_BENCH_MAIN_H
#define VLMC_TOOLS_BENCH_MAIN_H

#include <benchmark/benchmark.h>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace vlmc::bench {

using Shape = std::vector<int64_t>;

struct Options {
  /// `form`: how a shape is written, of `rank` numbers.
  Options(std::string form, size_t rank, std::vector<Shape> shapes)
      : shapes(std::move(shapes)), form(std::move(form)), rank(rank) {}
  /// Reads the command line; false if the program is to end with status 1.
  bool parse(int argc, char **argv);

  std::vector<Shape> shapes;
  /// Instruction-set levels to compile for, none: all of this architecture;
  /// the machine's best one runs.
  std::vector<std::string> targets;
  /// One, and all that the process may use.
  std::vector<int> threads;
  /// About how long a shape is measured.
  double seconds = 0.3;
  /// The program's own flags, `--NAME=VALUE`, with their defaults.
  std::map<std::string, std::string> flags;
  /// A line of help for each.
  std::string flagsHelp;

private:
  bool parseArgument(const std::string &argument);
  bool parseShape(const std::string &text);
  void printHelp(const char *program) const;

  std::string form;
  size_t rank;
  std::vector<Shape> given;
};

/// Registers a benchmark that makes one measurement.
void registerOne(const std::string &name,
                 std::function<void(benchmark::State &)> body);

/// Runs what is registered and gives the program's exit status.
int runAll();

} // namespace vlmc::bench

#endif // VLMC_TOOLS_BENCH_MAIN_H
