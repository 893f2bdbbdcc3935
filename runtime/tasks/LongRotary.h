//===- LongRotary.h - Positions of tokens of long sequences -----*- C++ -*-===//
//
// Where rotary positions depend on how long a sequence is, the code of a model
// has the frequencies of short ones; here are the cosines and sines of others,
// for the inputs `rotary` and `rotary_row` of the entry `decode`.
//
//   LongRotary rotary(facts.rotary);      // null: adds nothing
//   rotary.add(position, length);         // for each token of a run
//   rotary.rows() -> [L, size], rotary.row() -> [1, N]
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TASKS_LONGROTARY_H
#define VLMC_RUNTIME_TASKS_LONGROTARY_H

#include "runtime/abi/vlm_abi.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace vlmc::rt {

class LongRotary {
public:
  explicit LongRotary(const vlm_abi_rotary *facts = nullptr) : facts(facts) {}

  bool isNeeded() const { return facts; }
  int64_t size() const { return facts->size; }
  void clear();
  /// A token at `position` that is run as one of a sequence of `length`: the
  /// whole prompt's, or position + 1.
  void add(int64_t position, int64_t length);
  /// Cosines, then sines, of each long token; one row at least, as the entry
  /// wants it.
  std::vector<float> &rows();
  /// The row of each token; -1: its sequence is short.
  std::vector<int32_t> &row() { return numbers; }

  /// Whether tokens of sequences of both lengths have the same frequencies.
  bool isSame(int64_t length, int64_t other) const;

private:
  void prepare(int64_t length);

  const vlm_abi_rotary *facts;
  int64_t prepared = 0; ///< the length of the frequencies
  std::vector<float> frequencies, values;
  std::vector<int32_t> numbers;
};

} // namespace vlmc::rt

#endif // VLMC_RUNTIME_TASKS_LONGROTARY_H
