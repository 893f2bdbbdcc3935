//===- SentencePieceFile.cpp - A SentencePiece model file -----------------===//
#include "frontend/text/SentencePieceFile.h"

#include "frontend/support/MappedFile.h"
#include "frontend/text/Fields.h"
#include "frontend/text/UnigramJson.h"
#include "frontend/text/sentencepiece_model.pb.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <tuple>

using namespace vlmc;
using namespace vlmc::text;
using vlmc::sentencepiece::ModelProto;
using vlmc::sentencepiece::NormalizerSpec;
using vlmc::sentencepiece::TrainerSpec;
using Piece = ModelProto::SentencePiece;

/// What an unknown character scores less than the least likely piece.
static constexpr float unknownPenalty = 10;

std::optional<Failure> vlmc::text::readCharsmap(const std::string &bytes,
                                                const std::string &where,
                                                UnigramDescription &unigram) {
  if (bytes.empty())
    return std::nullopt;
  uint32_t size = 0;
  if (bytes.size() > sizeof(size))
    std::memcpy(&size, bytes.data(), sizeof(size));
  if (size == 0 || size % 4 != 0 || size >= bytes.size() - sizeof(size) ||
      bytes.back() != 0)
    return Failure{where +
                   ": expected a map of characters with a double array "
                   "and zero-terminated texts, found " +
                   std::to_string(bytes.size()) +
                   " other bytes; fetch the file again"};
  unigram.charsmapTrie.resize(size / 4);
  std::memcpy(unigram.charsmapTrie.data(), bytes.data() + sizeof(size), size);
  unigram.charsmapText.assign(bytes.begin() + sizeof(size) + size, bytes.end());
  return std::nullopt;
}

/// The score of a piece in the best way, NaN for one that text never holds.
/// A user's own symbol always wins.
static float scoreOf(const Piece &piece) {
  switch (piece.type()) {
  case Piece::NORMAL:
    return piece.score();
  case Piece::USER_DEFINED:
    return static_cast<float>(0.1 *
                              (static_cast<int>(piece.piece().size()) - 1));
  default:
    return std::numeric_limits<float>::quiet_NaN();
  }
}

static std::optional<Failure> readPieces(const ModelProto &model,
                                         const std::string &path,
                                         TokenizerDescription &tokenizer) {
  UnigramDescription &unigram = tokenizer.unigram;
  float least = std::numeric_limits<float>::max();
  for (int i = 0; i < model.pieces_size(); ++i) {
    const Piece &piece = model.pieces(i);
    auto id = static_cast<uint32_t>(i);
    auto fault = [&](const std::string &problem) {
      return Failure{path + ": piece " + std::to_string(i) + ": " + problem +
                     "; fetch the file again"};
    };
    if (piece.piece().empty())
      return fault("expected a text, found none");
    if (piece.type() == Piece::NORMAL && !std::isfinite(piece.score()))
      return fault("expected a finite score, found another one");
    if (!tokenizer.model.vocabulary.emplace(piece.piece(), id).second)
      return fault("expected a text of its own, found '" + piece.piece() +
                   "' a second time");
    unigram.scores.push_back(static_cast<double>(scoreOf(piece)));
    if (piece.type() == Piece::NORMAL)
      least = std::min(least, piece.score());
    if (piece.type() == Piece::USER_DEFINED)
      unigram.fixed.push_back(id);
    if (piece.type() == Piece::UNKNOWN)
      tokenizer.model.unkToken = piece.piece();
  }
  if (!tokenizer.model.unkToken)
    return Failure{path + ": expected a piece for unknown characters, found "
                          "none; fetch the file again"};
  unigram.unknownScore = static_cast<double>(least - unknownPenalty);
  return std::nullopt;
}

/// Parses a file and checks that it holds pieces of a model of that type.
static std::optional<Failure> readModelFile(const std::string &path,
                                            TrainerSpec::ModelType type,
                                            ModelProto &model) {
  Result<MappedFile> file = MappedFile::open(path);
  if (!file)
    return file.takeFailure();
  std::string_view bytes = file->text();
  if (bytes.size() > INT32_MAX ||
      !model.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) ||
      model.pieces().empty())
    return Failure{path + ": expected a SentencePiece model, found other "
                          "bytes; fetch the file again"};
  if (model.pieces_size() > static_cast<int>(maxIds))
    return Failure{path + ": expected at most " + std::to_string(maxIds) +
                   " pieces, found " + std::to_string(model.pieces_size()) +
                   "; take a smaller model"};
  if (model.trainer_spec().model_type() != type)
    return Failure{
        path + ": model_type: expected " + TrainerSpec::ModelType_Name(type) +
        ", found " +
        TrainerSpec::ModelType_Name(model.trainer_spec().model_type()) +
        "; a copy of the folder without its tokenizer compiles to a "
        "model that takes token ids"};
  return std::nullopt;
}

std::optional<Failure>
vlmc::text::readSentencePieceFile(const std::string &path,
                                  TokenizerDescription &tokenizer) {
  ModelProto model;
  if (auto fault = readModelFile(path, TrainerSpec::UNIGRAM, model))
    return fault;
  const TrainerSpec &trainer = model.trainer_spec();
  const NormalizerSpec &normalizer = model.normalizer_spec();
  if (!normalizer.escape_whitespaces())
    return Failure{path + ": escape_whitespaces: expected true, found false; "
                          "a copy of the folder without its tokenizer compiles "
                          "to a model that takes token ids"};
  tokenizer.modelKind = VLM_TEXT_MODEL_SENTENCEPIECE;
  auto flag = [&](bool on, uint32_t bit) {
    tokenizer.model.flags |= on ? bit : 0;
  };
  flag(trainer.byte_fallback(), VLM_TEXT_MODEL_BYTE_FALLBACK);
  flag(trainer.treat_whitespace_as_suffix(), VLM_TEXT_MODEL_SPACES_BEHIND);
  flag(normalizer.add_dummy_prefix(), VLM_TEXT_MODEL_ADD_PREFIX);
  flag(normalizer.remove_extra_whitespaces(), VLM_TEXT_MODEL_COLLAPSE_SPACES);
  if (std::optional<Failure> fault =
          readCharsmap(normalizer.precompiled_charsmap(),
                       path + ": precompiled_charsmap", tokenizer.unigram))
    return fault;
  return readPieces(model, path, tokenizer);
}

/// Pieces that are cut out of a text before all others.
static void addFixedPieces(const ModelProto &model,
                           std::vector<AddedToken> &added) {
  for (const Piece &piece : model.pieces())
    if (piece.type() == Piece::CONTROL || piece.type() == Piece::USER_DEFINED)
      added.push_back({piece.piece(), false, false, false, /*normalized=*/false,
                       piece.type() == Piece::CONTROL});
}

std::optional<Failure> vlmc::text::readSentencePieceScores(
    const std::string &path, const std::vector<std::string> &behind,
    TokenizerDescription &tokenizer, std::vector<AddedToken> &added) {
  ModelProto model;
  if (auto fault = readModelFile(path, TrainerSpec::UNIGRAM, model))
    return fault;
  constexpr uint32_t unknown = 2; // whatever the file says
  std::vector<std::pair<std::string, double>> tokens;
  for (const Piece &piece : model.pieces())
    tokens.emplace_back(piece.piece(), static_cast<double>(piece.score()));
  if (tokens.size() <= unknown)
    return Failure{path + ": expected at least " + std::to_string(unknown + 1) +
                   " pieces, of which number " + std::to_string(unknown) +
                   " stands for unknown characters, found " +
                   std::to_string(tokens.size()) + "; fetch the file again"};
  for (const std::string &token : behind)
    tokens.emplace_back(token, 0);
  takeUnigram(tokens, unknown, tokenizer);
  addFixedPieces(model, added);
  return readCharsmap(model.normalizer_spec().precompiled_charsmap(),
                      path + ": precompiled_charsmap", tokenizer.unigram);
}

/// All ways to make a piece of two others, the shortest first one first: this
/// is the order of merges that transformers derives from ids.
static void addMerges(const std::string &piece, BpeDescription &bpe) {
  for (size_t at = 1; at < piece.size(); ++at) {
    if ((piece[at] & 0xC0) == 0x80)
      continue;
    std::string left = piece.substr(0, at), right = piece.substr(at);
    if (bpe.vocabulary.contains(left) && bpe.vocabulary.contains(right))
      bpe.merges.emplace_back(std::move(left), std::move(right));
  }
}

/// The ids of the pieces.
static std::optional<Failure> readVocabulary(const ModelProto &model,
                                             const std::string &path,
                                             BpeDescription &bpe) {
  for (int i = 0; i < model.pieces_size(); ++i)
    if (const std::string &piece = model.pieces(i).piece();
        !bpe.vocabulary.emplace(piece, static_cast<uint32_t>(i)).second)
      return Failure{path + ": piece " + std::to_string(i) +
                     ": expected a text of its own, found '" + piece +
                     "' a second time; fetch the file again"};
  return std::nullopt;
}

std::optional<Failure>
vlmc::text::readSentencePieceBpe(const std::string &path, BpeDescription &bpe,
                                 std::vector<AddedToken> &added) {
  ModelProto model;
  if (auto fault = readModelFile(path, TrainerSpec::BPE, model))
    return fault;
  if (auto fault = readVocabulary(model, path, bpe))
    return fault;
  addFixedPieces(model, added);
  for (const Piece &piece : model.pieces())
    addMerges(piece.piece(), bpe);
  return std::nullopt;
}

std::optional<Failure> vlmc::text::readScoredBpe(const std::string &path,
                                                 BpeDescription &bpe,
                                                 std::vector<AddedToken> &added,
                                                 bool &addsPrefix) {
  ModelProto model;
  if (auto fault = readModelFile(path, TrainerSpec::BPE, model))
    return fault;
  const NormalizerSpec &normalizer = model.normalizer_spec();
  for (auto [isOther, name, expected] :
       {std::tuple(normalizer.remove_extra_whitespaces(),
                   "remove_extra_whitespaces", "false"),
        std::tuple(!normalizer.escape_whitespaces(), "escape_whitespaces",
                   "true"),
        std::tuple(!normalizer.precompiled_charsmap().empty(),
                   "precompiled_charsmap", "none")})
    if (isOther)
      return Failure{path + ": " + name + ": expected " + expected +
                     ", found another; save the tokenizer with transformers, "
                     "which writes tokenizer.json"};
  if (auto fault = readVocabulary(model, path, bpe))
    return fault;
  addFixedPieces(model, added);
  addsPrefix = normalizer.add_dummy_prefix();
  bpe.flags = VLM_TEXT_MODEL_FUSE_UNK | (model.trainer_spec().byte_fallback()
                                             ? VLM_TEXT_MODEL_BYTE_FALLBACK
                                             : 0U);
  std::vector<const Piece *> order;
  for (const Piece &piece : model.pieces()) {
    if (piece.type() == Piece::NORMAL)
      order.push_back(&piece);
    if (piece.type() == Piece::UNKNOWN)
      bpe.unkToken = piece.piece();
  }
  std::ranges::stable_sort(order, std::greater(), &Piece::score);
  for (const Piece *piece : order)
    addMerges(piece->piece(), bpe);
  return std::nullopt;
}
