//===- Rotary.h - Frequencies of rotary position embeddings -----*- C++ -*-===//
//
// What a RotaryEmbedding of the spec means, for the blocks that use one.
//
//   checkRotary(message, headSize, fault);
//   std::vector<float> frequencies = rotaryFrequencies(message);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_BLOCKS_ROTARY_H
#define VLMC_FRONTEND_BLOCKS_ROTARY_H

#include "frontend/blocks/Block.h"

namespace vlmc {

/// Tells what is wrong with the message, for heads of `headSize` features.
void checkRotary(const spec::RotaryEmbedding &rotary, int64_t headSize,
                 const FaultSink &fault);

/// size / 2 frequencies, in radians per place, as transformers computes them:
/// in f32. Where they depend on the length, those of short sequences.
std::vector<float> rotaryFrequencies(const spec::RotaryEmbedding &rotary);

/// Whether sequences longer than original_max_tokens have other frequencies.
bool dependsOnLength(const spec::RotaryEmbedding &rotary);

/// The factor of cosines and sines.
double rotaryScale(const spec::RotaryEmbedding &rotary);

} // namespace vlmc

#endif // VLMC_FRONTEND_BLOCKS_ROTARY_H
