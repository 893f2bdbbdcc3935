//===- LlavaQwen.cpp - LLaVA's own layout, over Qwen2 ---------------------===//
//
// Another model_type of the checkpoints that LlavaLlama.cpp reads.
//
//===----------------------------------------------------------------------===//
#include "frontend/families/Llava.h"

namespace vlmc {

// The spec is of the family `llava_llama`, which tells keys and weights.
extern const Family familyLlavaQwen;
const Family familyLlavaQwen = {"llava_qwen", readOriginalLlava, llavaConfigKey,
                                nullptr,      nullptr,           nullptr,
                                nullptr,      findOriginalTower};

} // namespace vlmc
