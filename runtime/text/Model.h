//===- Model.h - From words to token ids ----------------------------------===//
//
// The third stage of a tokenizer. A kind is a class in a file of its own, such
// as BpeModel.cpp, and a line in makeModel().
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TEXT_MODEL_H
#define VLMC_RUNTIME_TEXT_MODEL_H

#include "runtime/text/Tables.h"

#include <memory>
#include <string>
#include <vector>

namespace vlmc::rt::text {

class Model {
public:
  virtual ~Model() = default;
  /// Appends the ids of a word that is not empty. Thread-safe.
  virtual void encode(std::string_view word,
                      std::vector<int32_t> &ids) const = 0;
};

/// Returns "" or the problem.
std::string makeModel(const Tables &tables, std::unique_ptr<Model> &out);

std::unique_ptr<Model> makeBpeModel(const Tables &tables);
std::unique_ptr<Model> makeUnigramModel(const Tables &tables);
std::unique_ptr<Model> makeSentencePieceModel(const Tables &tables);
std::unique_ptr<Model> makeWordPieceModel(const Tables &tables);

} // namespace vlmc::rt::text

#endif // VLMC_RUNTIME_TEXT_MODEL_H
