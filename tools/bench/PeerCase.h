//===-- PeerCase.h - the work of a benchmark case on a compiled model -----===//
//
// What vlmc-peer repeats: a tower of a dual encoder on ready-made inputs, or a
// picture and a prompt through a language model.
//
//   std::unique_ptr<PeerCase> peer = openCase(name, package, inputs, threads);
//   Metrics metrics = peer->run();
//   peer->writeOutputs("out.safetensors");
//
// Whatever goes wrong ends the program with a message.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_BENCH_PEERCASE_H
#define VLMC_TOOLS_BENCH_PEERCASE_H

#include <map>
#include <memory>
#include <string>

namespace vlmc::bench {

/// Milliseconds of the parts of a run, by name.
using Metrics = std::map<std::string, double>;

class PeerCase {
public:
  virtual ~PeerCase() = default;
  /// One repetition. Metrics of its own, or none: then its time counts.
  virtual Metrics run() = 0;
  virtual void writeOutputs(const std::string &path) const = 0;
};

/// Prints the message and ends the program with status 1.
[[noreturn]] void fail(const std::string &message);

/// The value that the model must have as an output for this case: encoders are
/// compared before their rows are normalised.
std::string tapOf(const std::string &name);

/// Loads a compiled model and the inputs of a case: a tower's if they are
/// `pixel_values` or `input_ids`, a language model's if there are `forced_ids`
/// too.
std::unique_ptr<PeerCase> openCase(const std::string &name,
                                   const std::string &package,
                                   const std::string &inputs, int threads);

} // namespace vlmc::bench

#endif // VLMC_TOOLS_BENCH_PEERCASE_H
