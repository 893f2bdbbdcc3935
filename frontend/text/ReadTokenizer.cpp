//===- ReadTokenizer.cpp - A tokenizer folder as tables -------------------===//
//
// Follows what AutoTokenizer of transformers 5 does with a folder: which class
// it takes, which files that class reads, and what each of them settles.
//
//===----------------------------------------------------------------------===//
#include "frontend/text/AddedVocabulary.h"
#include "frontend/text/BpeFiles.h"
#include "frontend/text/CaptionSentencePiece.h"
#include "frontend/text/Components.h"
#include "frontend/text/DecoderBpe.h"
#include "frontend/text/EndOfWordBpe.h"
#include "frontend/text/PieceModels.h"
#include "frontend/text/Prompts.h"
#include "frontend/text/SentencePieceFile.h"
#include "frontend/text/SpaceBpe.h"
#include "frontend/text/TokenizerTables.h"
#include "frontend/text/UnigramJson.h"
#include "frontend/text/WordPiece.h"
#include "frontend/text/WriteTables.h"

#include <algorithm>
#include <filesystem>
#include <set>

using namespace vlmc;
using namespace vlmc::text;

namespace {

enum class Pipeline {
  AsInFile,
  ByteBpe,
  CaptionSentencePiece,
  ComposedByteBpe,
  EndOfWordBpe,
  LowerSpaceBpe,
  MetaspaceBpe,
  ScoredBpe,
  ScoredWords,
  SpaceBpe,
  WordBpe,
  WordPiece
};

/// A JSON file of the folder that need not be there.
struct File {
  std::string path;
  std::optional<Json> json;
  std::optional<Fields> fields;

  const Fields *get() const { return fields ? &*fields : nullptr; }
};

/// The files, and what becomes of them.
class Reader {
public:
  explicit Reader(const std::string &folder) : folder(folder) {}
  Result<TokenizerTables> read();

private:
  std::string path(const char *name) const {
    return (std::filesystem::path(folder) / name).string();
  }
  bool open(File &file, const char *name);
  bool openAll();
  Pipeline choosePipeline();
  Pipeline withFile(Pipeline wanted);
  void startStages(Pipeline pipeline, SpecialTokens &special);
  void finishStages(Pipeline pipeline, const SpecialTokens &special);
  bool hasModelFile() const;
  void readModel(Pipeline pipeline);
  void readWordPieces();
  bool tellsOfEnds(Pipeline pipeline) const;
  void addEnds(const SpecialTokens &special, bool begins);
  void addPlaceholder();
  void readStages(Pipeline pipeline);
  void takeCharsmap();
  void warnOfOtherStages();
  void readSides();
  void readLimits(const SpecialTokens &special);
  void readCleanUp();
  void checkAllMade();
  bool fail(std::string message) {
    if (fault.empty())
      fault = std::move(message);
    return false;
  }

  std::string folder;
  std::string fault; // the first thing that went wrong
  std::string defaultPadding = "right";
  File tokenizer, config, map, added, model;
  TokenizerDescription out;
  std::vector<AddedToken> pieces; // that tokenizer.model adds
  bool addsPrefix = false;        // as it says
};

} // namespace

bool Reader::open(File &file, const char *name) {
  file.path = path(name);
  std::error_code ignored;
  if (!std::filesystem::exists(file.path, ignored))
    return true;
  Result<Json> json = readJsonFile(file.path);
  if (!json)
    return fail(json.message());
  file.json = std::move(*json);
  file.fields.emplace(*file.json, file.path, "", fault);
  return fault.empty();
}

bool Reader::openAll() {
  std::error_code ignored;
  if (!std::filesystem::is_directory(folder, ignored))
    return fail(folder + ": expected a folder with a tokenizer, found none; "
                         "check the path");
  return open(tokenizer, "tokenizer.json") &&
         open(config, "tokenizer_config.json") &&
         open(map, "special_tokens_map.json") &&
         open(added, "added_tokens.json") && open(model, "config.json");
}

/// Whether a component of that type stands anywhere.
static bool namesByteLevel(const Json &json) {
  for (const char *section :
       {"normalizer", "pre_tokenizer", "post_processor", "decoder"})
    if (json.is_object() && json.contains(section) &&
        json[section].dump().find("\"ByteLevel\"") != std::string::npos)
      return true;
  return false;
}

/// The class that transformers takes, without the "Fast" of old files.
Pipeline Reader::choosePipeline() {
  std::string name;
  for (const File *file : {&config, &model})
    if (name.empty() && file->fields)
      name = file->fields->optionalString("tokenizer_class").value_or("");
  if (name.ends_with("Fast"))
    name.resize(name.size() - 4);
  std::string type =
      model.fields ? model.fields->optionalString("model_type").value_or("")
                   : "";
  // There the tokenizer is that of the language model, which config.json is of.
  const bool isWordsOnly = namesPictureTower(model.get());
#define TOKENIZER_AS_IN_FILE(MODEL_TYPE)                                       \
  if (tokenizer.json && type == (MODEL_TYPE) && !isWordsOnly)                  \
    return Pipeline::AsInFile;
#include "frontend/families/TokenizerClasses.def"
#define TOKENIZER_ALWAYS(MODEL_TYPE, NAME)                                     \
  if (type == (MODEL_TYPE))                                                    \
    name = NAME;
#include "frontend/families/TokenizerClasses.def"
#define TOKENIZER_OF_MODEL(MODEL_TYPE, NAME)                                   \
  if (name.empty() && type == MODEL_TYPE)                                      \
    name = NAME;
#include "frontend/families/TokenizerClasses.def"
  // Llama 3's files name the class of its forerunners, which has no bytes.
  if (name == "LlamaTokenizer" && tokenizer.json &&
      namesByteLevel(*tokenizer.json))
    return Pipeline::AsInFile;
  std::string known;
#define TOKENIZER_CLASS(NAME, PIPELINE)                                        \
  if (name == NAME && (tokenizer.json ||                                       \
                       Pipeline::PIPELINE != Pipeline::AsInFile))              \
    return withFile(Pipeline::PIPELINE);                                       \
  if (Pipeline::PIPELINE != Pipeline::AsInFile)                                \
    known += (known.empty() ? "" : ", ") + std::string(NAME);
#include "frontend/families/TokenizerClasses.def"
  bool generic = name.empty() || name == "PreTrainedTokenizer" ||
                 name == "TokenizersBackend";
  if (!tokenizer.json)
    fail(folder +
         ": expected tokenizer.json, or a tokenizer_class that vlmc knows (" +
         known + ") in tokenizer_config.json, found " +
         (name.empty() ? "neither" : "the class " + name) +
         "; save the tokenizer again with transformers, which writes "
         "tokenizer.json");
  else if (!generic)
    out.warnings.push_back(
        config.path + ": tokenizer_class: " + name +
        " is not known to vlmc; tokenizer.json is used as it stands");
  return Pipeline::AsInFile;
}

/// A class whose vocabulary is in a SentencePiece file. One of them needs it,
/// and without it tokenizer.json is better than nothing; for the others
/// tokenizer.json, which was made of it, comes first.
Pipeline Reader::withFile(Pipeline wanted) {
  const bool needsIt = wanted == Pipeline::CaptionSentencePiece;
  if (!needsIt && wanted != Pipeline::ScoredBpe &&
      wanted != Pipeline::ScoredWords)
    return wanted;
  if (!needsIt && tokenizer.json)
    return Pipeline::AsInFile;
  const std::string file =
      path(wanted == Pipeline::ScoredBpe ? "tokenizer.model" : "spiece.model");
  std::error_code ignored;
  if (std::filesystem::exists(file, ignored))
    return wanted;
  if (!tokenizer.json)
    fail(file + ": expected this file, since there is no tokenizer.json, found "
                "none; complete the folder");
  out.warnings.push_back(file +
                         ": not there; tokenizer.json is used as it stands");
  return Pipeline::AsInFile;
}

/// Whether tokenizer.model counts: tokenizer.json, which is made of it, does
/// before.
bool Reader::hasModelFile() const {
  std::error_code ignored;
  return !tokenizer.json &&
         std::filesystem::exists(path("tokenizer.model"), ignored);
}

/// Whether the configuration says what surrounds a text: only where there is no
/// tokenizer.json, and not for classes that set it themselves.
bool Reader::tellsOfEnds(Pipeline pipeline) const {
  bool setsItself = pipeline == Pipeline::CaptionSentencePiece ||
                    pipeline == Pipeline::EndOfWordBpe ||
                    pipeline == Pipeline::ScoredBpe ||
                    pipeline == Pipeline::ScoredWords ||
                    pipeline == Pipeline::WordPiece;
  return !setsItself && !tokenizer.json && config.fields &&
         (config.fields->has("add_bos_token") ||
          config.fields->has("add_eos_token"));
}

/// What surrounds a text as the configuration says; `begins`: if it does not say
/// so of the begin token.
void Reader::addEnds(const SpecialTokens &special, bool begins) {
  auto end = [&](const char *flag, const char *role, bool usual) {
    auto content = special.content(role);
    bool isWanted = config.fields ? config.fields->boolean(flag, usual) : usual;
    if (!content || !isWanted)
      return;
    if (auto id = findToken(out, *content))
      out.post.push_back({VLM_TEXT_PIECE_TOKEN, *id});
  };
  out.post.clear();
  end("add_bos_token", "bos_token", begins);
  out.post.push_back({VLM_TEXT_PIECE_TEXT, 0});
  end("add_eos_token", "eos_token", false);
}

void Reader::readWordPieces() {
  if (tokenizer.fields)
    return readWordPiece(*tokenizer.fields, out);
  if (auto problem = readWordPieceFile(path("vocab.txt"), out))
    fail(problem->message);
}

void Reader::readModel(Pipeline pipeline) {
  if (pipeline == Pipeline::CaptionSentencePiece) {
    if (auto problem = readSentencePieceFile(path("spiece.model"), out))
      fail(problem->message);
    return;
  }
  if (pipeline == Pipeline::MetaspaceBpe && hasModelFile()) {
    if (auto problem =
            readSentencePieceBpe(path("tokenizer.model"), out.model, pieces))
      fail(problem->message);
    return;
  }
  if (pipeline == Pipeline::ScoredBpe || pipeline == Pipeline::ScoredWords) {
    auto problem =
        pipeline == Pipeline::ScoredBpe
            ? readScoredBpe(path("tokenizer.model"), out.model, pieces,
                            addsPrefix)
            : readSentencePieceScores(path("spiece.model"),
                                      gapTokens(config.get()), out, pieces);
    if (problem)
      fail(problem->message);
    return;
  }
  if (pipeline == Pipeline::WordPiece ||
      (tokenizer.fields && isWordPiece(*tokenizer.fields)))
    return readWordPieces();
  if (tokenizer.fields && isUnigram(*tokenizer.fields))
    return readUnigram(*tokenizer.fields, out);
  std::string where = tokenizer.path + ": model.merges";
  if (tokenizer.fields) {
    out.model = readBpe(*tokenizer.fields);
  } else {
    where = path("merges.txt") + ": merge ";
    for (const char *name : {"vocab.json", "merges.txt"}) {
      std::error_code ignored;
      if (!std::filesystem::exists(path(name), ignored)) {
        fail(path(name) + ": expected this file, since there is no "
                          "tokenizer.json, found none; complete the folder");
        return;
      }
    }
    auto files = readBpeFiles(path("vocab.json"), path("merges.txt"));
    if (!files) {
      fail(files.message());
      return;
    }
    out.model = std::move(*files);
  }
  if (pipeline == Pipeline::EndOfWordBpe)
    out.model.wordPrefix = ""; // the class sets it, whatever the file says
  if (fault.empty())
    fault = checkMerges(out.model, where);
}

/// Tables hold one charsmap.
void Reader::takeCharsmap() {
  std::string bytes;
  for (Stage &stage : out.normalizers) {
    if (stage.kind != VLM_TEXT_NORMALIZE_PRECOMPILED)
      continue;
    std::string where = tokenizer.path + ": normalizer.precompiled_charsmap";
    if (!bytes.empty() && stage.content != bytes)
      fail(where + ": expected one map of characters, found two that differ; "
                   "a copy of the folder without its tokenizer compiles to a "
                   "model that takes token ids");
    bytes = std::move(stage.content);
    stage.content.clear();
    if (auto problem = readCharsmap(bytes, where, out.unigram))
      fail(problem->message);
  }
}

void Reader::readStages(Pipeline pipeline) {
  if (pipeline != Pipeline::AsInFile)
    return;
  const Fields &root = *tokenizer.fields;
  out.normalizers = readNormalizer(root);
  takeCharsmap();
  out.preTokenizers = readPreTokenizer(root);
  out.decoders = readDecoder(root);
  out.post = readPostProcessor(root);
  std::vector<AddedToken> tokens;
  for (const auto &[id, token] : readAddedTokens(root)) {
    tokens.push_back(token);
    auto own = out.model.vocabulary.find(token.content);
    if (own != out.model.vocabulary.end() && own->second != id)
      out.warnings.push_back(tokenizer.path + ": added_tokens: '" +
                             token.content + "' has the id " +
                             std::to_string(own->second) +
                             " of the vocabulary, not " + std::to_string(id));
  }
  addTokens(out, tokens);
}

/// The class's own stages count, not those of the file; says where they differ.
void Reader::warnOfOtherStages() {
  if (!tokenizer.fields)
    return;
  auto warn = [&](const char *section, auto read, const auto &used) {
    std::string ignored;
    Fields root(*tokenizer.json, tokenizer.path, "", ignored);
    auto inFile = read(root);
    if (!ignored.empty() || inFile != used)
      out.warnings.push_back(tokenizer.path + ": " + section +
                             " differs from that of the tokenizer's class, "
                             "which transformers takes and so does vlmc");
  };
  warn("normalizer", readNormalizer, out.normalizers);
  warn("pre_tokenizer", readPreTokenizer, out.preTokenizers);
  warn("decoder", readDecoder, std::vector<Stage>{out.decoders.front()});
  warn("post_processor", readPostProcessor, out.post);
}

/// The token of pictures, where the checkpoint's own code has none: as
/// transformers' conversion adds it, but with the id behind the model's
/// vocabulary.
void Reader::addPlaceholder() {
  if (!namesPictureTower(model.get()))
    return;
  const Json *size = model.fields->find("vocab_size");
  uint32_t id = size ? model.fields->id("vocab_size") : 32000;
  std::erase_if(out.added, [](const auto &each) {
    return each.second.content == placeholderText;
  });
  if (auto taken = out.added.find(id); taken != out.added.end())
    return model.fields->fail("vocab_size",
                              "expected at least " + std::to_string(id + 1) +
                                  ", as the tokenizer has the token '" +
                                  taken->second.content +
                                  "' of that id, found " + std::to_string(id));
  AddedToken token;
  token.content = placeholderText;
  token.special = true;
  token.normalized = false;
  out.added[id] = token;
  out.decodesNormalized[id] = false;
}

/// "left" or "right" of the configuration; tokenizer.json's section is what
/// counts without it.
void Reader::readSides() {
  auto side = [&](const char *name, const char *section, uint32_t &result) {
    std::string value =
        std::string(name) == "padding_side" ? defaultPadding : "right";
    const Fields *owner = nullptr;
    if (tokenizer.fields && tokenizer.fields->find(section)) {
      std::string direction = tokenizer.fields->inside(section)
                                  .optionalString("direction")
                                  .value_or("Right");
      value = direction == "Left" ? "left" : "right";
    }
    if (config.fields && config.fields->find(name)) {
      owner = config.get();
      value = owner->string(name);
    }
    if (owner && value != "left" && value != "right")
      owner->fail(name,
                  "expected \"left\" or \"right\", found \"" + value + "\"");
    result = value == "left" ? VLM_TEXT_LEFT : VLM_TEXT_RIGHT;
  };
  side("padding_side", "padding", out.paddingSide);
  side("truncation_side", "truncation", out.truncationSide);
}

void Reader::readLimits(const SpecialTokens &special) {
  if (auto content = special.content("pad_token"))
    if (auto id = findToken(out, *content))
      out.padId = static_cast<int32_t>(*id);
  if (!config.fields)
    return;
  const Json *limit = config.fields->find("model_max_length");
  const char *name = limit ? "model_max_length" : "max_len";
  if (!limit)
    limit = config.fields->find(name);
  if (!limit)
    return;
  if (!limit->is_number() || limit->get<double>() < 1)
    return config.fields->fail(name, "expected a number of at least 1, found " +
                                         describe(*limit));
  // Files without a limit hold 1e30.
  double value = limit->get<double>();
  out.maxTokens = value < 1u << 31 ? static_cast<uint32_t>(value) : 0;
}

/// transformers 5 no longer cleans up after byte pairs, unless told so by a
/// name that says what comes of it.
void Reader::readCleanUp() {
  if (!config.fields)
    return;
  bool cleans = config.fields->boolean("clean_up_tokenization_spaces", false);
  bool always = out.modelKind == VLM_TEXT_MODEL_UNIGRAM ||
                out.modelKind == VLM_TEXT_MODEL_WORD_PIECE ||
                config.fields->boolean("clean_up_tokenization_spaces_for_bpe_"
                                       "even_though_it_will_corrupt_output",
                                       false);
  if (cleans && always)
    out.decoders.push_back({VLM_TEXT_DECODE_CLEAN_UP, 0, 0, "", ""});
}

/// Whether a token is one character, perhaps at the end of a word.
static bool isCharacter(std::string_view token) {
  constexpr std::string_view suffix = "</w>";
  if (token.size() > suffix.size() && token.ends_with(suffix))
    token.remove_suffix(suffix.size());
  return std::ranges::count_if(
             token, [](char byte) { return (byte & 0xC0) != 0x80; }) == 1;
}

/// That merges.txt makes all longer tokens of vocab.json: those that it does
/// not make never come out, as where it was cut.
void Reader::checkAllMade() {
  std::set<std::string> made;
  for (const auto &[left, right] : out.model.merges)
    made.insert(left + right);
  for (const auto &[id, token] : out.added)
    made.insert(token.content);
  std::map<uint32_t, std::string> unmade;
  for (const auto &[token, id] : out.model.vocabulary)
    if (!isCharacter(token) && !made.contains(token))
      unmade.emplace(id, token);
  if (unmade.empty())
    return;
  std::string message = path("merges.txt") +
                        ": expected a merge for each longer token of "
                        "vocab.json, found none for " +
                        std::to_string(unmade.size()) + " of them, such as \"" +
                        unmade.begin()->second + "\"";
  if (out.model.endsInsideLine)
    fail(message + ", and an end inside a line; the file is truncated, fetch "
                   "it again");
  else
    out.warnings.push_back(message +
                           "; fetch the file again if it is truncated");
}

/// What a pipeline is before tokens are added.
void Reader::startStages(Pipeline pipeline, SpecialTokens &special) {
  switch (pipeline) {
  case Pipeline::AsInFile:
    return readStages(pipeline);
  case Pipeline::CaptionSentencePiece:
    return startCaptionSentencePiece(out, special, config.get());
  case Pipeline::EndOfWordBpe:
    return startEndOfWordBpe(out, special);
  case Pipeline::ScoredBpe:
    for (const AddedToken &piece : pieces)
      if (!piece.special)
        special.extra.push_back({piece, /*isString=*/false});
    return startScoredBpe(out, special, addsPrefix);
  case Pipeline::ScoredWords:
    return startScoredWords(out, special, config.get(), pieces);
  case Pipeline::WordPiece:
    return startWordPiece(out, special, config.get());
  case Pipeline::LowerSpaceBpe:
  case Pipeline::SpaceBpe:
    defaultPadding = "left";
    startSpaceBpe(out, special, pipeline == Pipeline::LowerSpaceBpe);
    if (tokenizer.fields)
      out.post = readPostProcessor(*tokenizer.fields);
    return;
  case Pipeline::ComposedByteBpe:
    // Whatever the file says of what comes behind.
    return startComposedByteBpe(out, special, config.get());
  case Pipeline::ByteBpe:
  case Pipeline::MetaspaceBpe:
  case Pipeline::WordBpe:
    if (pipeline == Pipeline::ByteBpe) {
      startByteBpe(out, special, config.get());
    } else if (pipeline == Pipeline::MetaspaceBpe) {
      defaultPadding = "left";
      startMetaspaceBpe(out, special, config.get());
    } else {
      startWordBpe(out, special, config.get());
    }
    if (tokenizer.fields)
      out.post = readPostProcessor(*tokenizer.fields);
    return;
  }
}

/// What of it depends on their ids.
void Reader::finishStages(Pipeline pipeline, const SpecialTokens &special) {
  switch (pipeline) {
  case Pipeline::CaptionSentencePiece:
    return finishCaptionSentencePiece(out, special);
  case Pipeline::EndOfWordBpe:
    finishEndOfWordBpe(out, special);
    return warnOfOtherStages();
  case Pipeline::ScoredBpe:
    return addEnds(special, /*begins=*/true);
  case Pipeline::ScoredWords:
    return finishScoredWords(out);
  case Pipeline::WordPiece:
    finishWordPiece(out, special);
    return warnOfOtherStages();
  default:
    return;
  }
}

Result<TokenizerTables> Reader::read() {
  if (!openAll())
    return Failure{fault};
  Pipeline pipeline = choosePipeline();
  if (fault.empty())
    readModel(pipeline);
  if (!fault.empty())
    return Failure{fault};
  bool readsJson = pipeline != Pipeline::CaptionSentencePiece;
  SpecialTokens special =
      readSpecialTokens({config.get(), map.get(), added.get(),
                         readsJson ? tokenizer.get() : nullptr});
  bool isModelFile = pipeline == Pipeline::MetaspaceBpe && hasModelFile();
  if (isModelFile) {
    special.extra.clear();
    for (const AddedToken &piece : pieces)
      special.extra.push_back({piece, /*isString=*/false});
  }
  startStages(pipeline, special);
  addTokens(out, special.inOrder(out.added));
  finishStages(pipeline, special);
  addPlaceholder();
  if (isModelFile || tellsOfEnds(pipeline))
    addEnds(special, /*begins=*/false);
  readSides();
  readLimits(special);
  readCleanUp();
  out.prompt = readPrompts({folder, config.get(), model.get()}, special,
                           out.warnings, fault);
  if (!tokenizer.json && out.modelKind == VLM_TEXT_MODEL_BPE && !isModelFile &&
      pipeline != Pipeline::ScoredBpe)
    checkAllMade();
  if (!fault.empty())
    return Failure{fault};
  const auto &unk = out.model.unkToken;
  if (out.modelKind == VLM_TEXT_MODEL_WORD_PIECE &&
      (!unk || !out.model.vocabulary.contains(*unk)))
    return Failure{folder +
                   ": expected the unknown token in the vocabulary, "
                   "which words without pieces become, found " +
                   (unk ? "no '" + *unk + "'" : "none") + "; mend the file"};
  if (unk && !out.model.vocabulary.contains(*unk))
    out.warnings.push_back(
        folder + ": the unknown token '" + *unk +
        "' is not in the vocabulary; unknown characters are left out");
  return TokenizerTables{writeTables(out), std::move(out.warnings)};
}

bool vlmc::hasTokenizer(const std::string &folder) {
  std::error_code ignored;
  return std::ranges::any_of(
      std::initializer_list<const char *>{"tokenizer.json", "tokenizer.model",
                                          "vocab.json", "vocab.txt",
                                          "spiece.model"},
      [&](const char *name) {
        return std::filesystem::exists(std::filesystem::path(folder) / name,
                                       ignored);
      });
}

Result<TokenizerTables> vlmc::readTokenizer(const std::string &folder) {
  return Reader(folder).read();
}
