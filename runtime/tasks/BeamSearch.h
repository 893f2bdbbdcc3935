//===- BeamSearch.h - The likeliest answers ---------------------*- C++ -*-===//
//
// Carries so many beginnings of an answer on at once, and keeps the best of
// those that come to an end: _beam_search of transformers 5, for one prompt.
// Who uses it runs the model.
//
//   BeamSearch search(facts, options, promptIds, mostNewTokens);
//   search.take({logits});                // behind the prompt
//   while (!search.isOver()) {
//     // Sequence i becomes what sequence running()[i].origin was, and the
//     model
//     // runs running()[i].ids.back() there, for each i.
//     search.take(logitsOfEach);
//   }
//   search.answer(0);                     // the best one, its end included
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TASKS_BEAMSEARCH_H
#define VLMC_RUNTIME_TASKS_BEAMSEARCH_H

#include "runtime/tasks/LogitsProcessors.h"

namespace vlmc::rt {

struct BeamOptions {
  int64_t beams = 1;
  /// The sum of an answer's logarithms of probabilities is divided by its
  /// length to this power.
  float lengthPenalty = 1;
  uint32_t end = VLM_ABI_BEAMS_UNLIKELY; ///< VLM_ABI_BEAMS_*
};

/// What the checkpoint says.
BeamOptions beamOptions(const vlm_abi_generation &facts);

class BeamSearch {
public:
  struct Beam {
    std::vector<int64_t> ids; ///< of the answer
    float score = 0;
    int32_t origin = 0; ///< the beam of the step before that it goes on
    bool isFinished = false;
  };

  /// `prompt` is what stands before the answer, `padding` tokens first. Borrows
  /// `facts`.
  BeamSearch(const vlm_abi_generation &facts, const BeamOptions &options,
             std::span<const int64_t> prompt, int64_t most,
             int64_t padding = 0);

  /// Takes the logits behind each beam; before the first step they are all one.
  void take(std::span<const std::span<const float>> logits);
  bool isOver() const { return over; }
  std::span<const Beam> running() const { return beams; }
  /// From the best one on; there are as many as beams.
  std::span<const int64_t> answer(size_t number) const {
    return finished[number].ids;
  }
  /// The request has a repetition penalty of its own.
  void leaveRepetition() { processors.leaveRepetition(); }

private:
  struct Candidate {
    float score = 0;
    int32_t beam = 0;
    int64_t id = 0;
    bool ends = false;
  };
  std::vector<Candidate>
  findBest(std::span<const std::span<const float>> logits) const;
  void keepFinished(const std::vector<Candidate> &best);
  void goOn(const std::vector<Candidate> &best);
  bool canImprove() const;
  double lengthFactor(int64_t length) const;
  std::vector<int64_t> continued(const Candidate &candidate) const;

  const vlm_abi_generation &facts;
  const BeamOptions options;
  const std::vector<int64_t> prompt;
  const int64_t most;
  LogitsProcessors processors;
  std::vector<Beam> beams, finished;
  int64_t length = 0; ///< of the answers in work
  bool improves = true, over = false;
};

} // namespace vlmc::rt

#endif // VLMC_RUNTIME_TASKS_BEAMSEARCH_H
