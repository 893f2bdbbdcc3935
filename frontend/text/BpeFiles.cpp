//===- BpeFiles.cpp - Vocabulary and merges -------------------------------===//
#include "frontend/text/BpeFiles.h"

#include "frontend/support/MappedFile.h"

using namespace vlmc;
using namespace vlmc::text;

Vocabulary vlmc::text::readVocabulary(const Fields &fields) {
  Vocabulary vocabulary;
  std::unordered_map<uint32_t, const std::string *> owners;
  for (const auto &[token, value] : fields.json.items()) {
    if (!value.is_number_unsigned() || value.get<uint64_t>() >= maxIds) {
      fields.fail(
          "\"" + token + "\"",
          "expected a token id (an integer from 0 to 16777215), found " +
              describe(value));
      return {};
    }
    auto id = value.get<uint32_t>();
    auto at = vocabulary.emplace(token, id).first;
    auto [owner, isNew] = owners.try_emplace(id, &at->first);
    if (!isNew) {
      fields.fail("", "expected one token for each id, found \"" +
                          *owner->second + "\" and \"" + token + "\" for " +
                          std::to_string(id));
      return {};
    }
  }
  return vocabulary;
}

/// Splits "left right"; false if there is not exactly one blank.
static bool splitMerge(std::string_view line,
                       std::pair<std::string, std::string> &out) {
  size_t blank = line.find(' ');
  if (blank == line.npos || line.find(' ', blank + 1) != line.npos)
    return false;
  out = {std::string(line.substr(0, blank)),
         std::string(line.substr(blank + 1))};
  return true;
}

static std::vector<std::pair<std::string, std::string>>
readMerges(const Fields &model) {
  std::vector<std::pair<std::string, std::string>> merges;
  for (const Json &merge : model.array("merges")) {
    std::pair<std::string, std::string> pair;
    bool good = false;
    if (merge.is_string()) {
      good = splitMerge(merge.get_ref<const std::string &>(), pair);
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
               merge[1].is_string()) {
      pair = {merge[0].get<std::string>(), merge[1].get<std::string>()};
      good = true;
    }
    if (!good) {
      model.fail("merges[" + std::to_string(merges.size()) + "]",
                 "expected \"LEFT RIGHT\" or [\"LEFT\", \"RIGHT\"], found " +
                     describe(merge));
      return merges;
    }
    merges.push_back(std::move(pair));
  }
  return merges;
}

std::string vlmc::text::checkMerges(const BpeDescription &bpe,
                                    const std::string &where) {
  for (size_t i = 0; i < bpe.merges.size(); ++i) {
    const auto &[left, right] = bpe.merges[i];
    auto problem = [&](const std::string &token) {
      return where + "[" + std::to_string(i) +
             "]: expected tokens of the vocabulary, found \"" + left +
             "\" and \"" + right + "\", and \"" + token +
             "\" is not one; fetch the file again";
    };
    for (const std::string *token : {&left, &right})
      if (!bpe.vocabulary.contains(*token))
        return problem(*token);
    if (right.size() < bpe.wordPrefix.size())
      return problem(right);
    if (std::string both = left + right.substr(bpe.wordPrefix.size());
        !bpe.vocabulary.contains(both))
      return problem(both);
  }
  return "";
}

BpeDescription vlmc::text::readBpe(const Fields &root) {
  BpeDescription bpe;
  Fields model = root.inside("model");
  // Old files do not name the type; a model with merges is this one.
  std::string type =
      model.has("type") || !model.has("merges") ? model.string("type") : "BPE";
  if (type != "BPE") {
    model.failUnsupported("type",
                          "expected a model that vlmc supports (BPE, Unigram, "
                          "WordPiece), found \"" +
                              type + "\"");
    return bpe;
  }
  if (const Json *dropout = model.find("dropout");
      dropout && (!dropout->is_number() || dropout->get<double>() != 0))
    model.fail(
        "dropout",
        "expected null, for ids that do not change from run to run, found " +
            describe(*dropout));
  bpe.unkToken = model.optionalString("unk_token");
  bpe.wordPrefix =
      model.optionalString("continuing_subword_prefix").value_or("");
  bpe.wordSuffix = model.optionalString("end_of_word_suffix").value_or("");
  bpe.flags |= model.boolean("fuse_unk", false) ? VLM_TEXT_MODEL_FUSE_UNK : 0;
  bpe.flags |=
      model.boolean("byte_fallback", false) ? VLM_TEXT_MODEL_BYTE_FALLBACK : 0;
  bpe.flags |=
      model.boolean("ignore_merges", false) ? VLM_TEXT_MODEL_IGNORE_MERGES : 0;
  bpe.vocabulary = readVocabulary(model.inside("vocab"));
  bpe.merges = readMerges(model);
  return bpe;
}

/// Where the first byte stands that is no well-formed UTF-8, or npos.
static size_t findBrokenUtf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    auto byte = [&](size_t i) {
      return at + i < text.size() ? static_cast<uint8_t>(text[at + i]) : 0u;
    };
    auto tail = [&](size_t i) { return (byte(i) & 0xC0) == 0x80; };
    size_t count =
        byte(0) < 0x80                                            ? 1
        : byte(0) >= 0xC2 && byte(0) < 0xE0 && tail(1)            ? 2
        : byte(0) >= 0xE0 && byte(0) < 0xF0 && tail(1) && tail(2) ? 3
        : byte(0) >= 0xF0 && byte(0) < 0xF5 && tail(1) && tail(2) && tail(3)
            ? 4
            : 0;
    bool overlong = (byte(0) == 0xE0 && byte(1) < 0xA0) ||
                    (byte(0) == 0xF0 && byte(1) < 0x90);
    bool outside = (byte(0) == 0xED && byte(1) > 0x9F) ||
                   (byte(0) == 0xF4 && byte(1) > 0x8F);
    if (!count || overlong || outside)
      return at;
    at += count;
  }
  return text.npos;
}

/// One merge a line; lines that begin with #version do not count.
static std::optional<Failure> readMergesFile(const std::string &path,
                                             BpeDescription &bpe) {
  Result<MappedFile> file = MappedFile::open(path);
  if (!file)
    return file.takeFailure();
  std::string_view text = file->text();
  bpe.endsInsideLine = !text.empty() && !text.ends_with('\n');
  for (size_t number = 1; !text.empty(); ++number) {
    size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    if (line.ends_with('\r'))
      line.remove_suffix(1);
    if (line.starts_with("#version"))
      continue;
    std::string where = path + ":" + std::to_string(number) + ": ";
    if (size_t at = findBrokenUtf8(line); at != line.npos)
      return Failure{where +
                     "expected UTF-8, found a broken character at byte " +
                     std::to_string(at) + "; fetch the file again"};
    if (!splitMerge(line, bpe.merges.emplace_back()))
      return Failure{
          where + "expected two tokens with one blank between them, found '" +
          std::string(line) + "'; mend the file or fetch it again"};
  }
  return std::nullopt;
}

Result<BpeDescription> vlmc::text::readBpeFiles(const std::string &vocabPath,
                                                const std::string &mergesPath) {
  Result<Json> json = readJsonFile(vocabPath);
  if (!json)
    return json.takeFailure();
  std::string fault;
  BpeDescription bpe;
  bpe.vocabulary = readVocabulary(Fields(*json, vocabPath, "", fault));
  if (!fault.empty())
    return Failure{fault};
  if (std::optional<Failure> cut = readMergesFile(mergesPath, bpe))
    return *cut;
  return bpe;
}
