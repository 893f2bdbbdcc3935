//===- PromptEncoder.h - Prompts that an encoder reads ----------*- C++ -*-===//
//
// Where a model has an encoder (entry point `encode_prompt`), it reads the
// prompt with its pictures, all at once; the decoder's tokens attend to the
// rows that it gives.
//
//   PromptEncoder encoder;
//   if (auto *status = encoder.open(model)) return status;
//   if (encoder.isThere())
//     if (auto *status = encoder.run(*facts, ids, pictures, rows)) ...
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TASKS_PROMPTENCODER_H
#define VLMC_RUNTIME_TASKS_PROMPTENCODER_H

#include "runtime/tasks/Prompt.h"
#include "runtime/tasks/Requests.h"

namespace vlmc::rt {

class PromptEncoder {
public:
  static bool isIn(const vlm_model_t *model);

  vlm_status_t *open(const vlm_model_t *model);
  bool isThere() const { return encoder.entry != nullptr; }
  /// The features of the pictures are there; `rows` become [N, D].
  vlm_status_t *run(const vlm_abi_generation &facts,
                    std::span<const int64_t> ids,
                    std::span<const Picture> pictures, Floats &rows) const;
  /// Working memory of a run, and of what goes in and comes out.
  vlm_status_t *memory(int64_t tokens, int64_t features, size_t &work,
                       size_t &tensors) const;

private:
  Encoder encoder;
  int64_t width = 0;
  bool takesFeatures = false;
};

} // namespace vlmc::rt

#endif // VLMC_RUNTIME_TASKS_PROMPTENCODER_H
