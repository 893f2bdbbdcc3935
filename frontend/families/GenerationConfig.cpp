//===- GenerationConfig.cpp - What generation_config.json says ------------===//
//
// Source: GenerationConfig and _get_logits_processor of transformers. Keys of
// sampling alone (temperature, top_k, ...) say nothing of a greedy answer.
//
//===----------------------------------------------------------------------===//
#include "frontend/families/GenerationConfig.h"

#include "frontend/families/DualEncoder.h"

#include <algorithm>
#include <filesystem>

namespace vlmc {

/// Where the answers would be others by a way of searching that vlmc lacks.
static void warnOfSearches(ConfigSection &file, const Json &values) {
  auto numberOf = [&](const char *key) {
    auto found = values.find(key);
    return found != values.end() && found->is_number() ? found->get<double>()
                                                       : 0;
  };
  if (numberOf("num_beams") > 1)
    for (const char *key : {"num_beam_groups", "diversity_penalty"})
      if (numberOf(key) > (key[0] == 'n' ? 1 : 0))
        file.warn(key, "is not obeyed: vlmc searches with one group of beams");
  if (double scale = numberOf("guidance_scale"); scale != 0 && scale != 1)
    file.warn("guidance_scale", "is not obeyed: vlmc has no classifier-free "
                                "guidance");
  if (numberOf("penalty_alpha") > 0)
    file.warn("penalty_alpha", "is not obeyed: vlmc has no contrastive search");
  for (const char *key : {"constraints", "dola_layers", "force_words_ids",
                          "stop_strings", "watermarking_config"})
    if (auto found = values.find(key);
        found != values.end() && !found->is_null() && !found->empty())
      file.warn(key, "is not obeyed; give stop strings with the request");
}

/// An id or a list of them.
static std::vector<int64_t> readIds(ConfigSection &file,
                                    const std::string &key) {
  std::vector<int64_t> ids;
  const Json *given = file.find(key);
  if (!given)
    return ids;
  for (const Json &id : given->is_array() ? *given : Json::array({*given})) {
    if (!id.is_number_integer() || id < 0 || id > maxId) {
      file.error(key, "expected token ids, found " + describe(id) +
                          "; mend the file");
      return {};
    }
    ids.push_back(id.get<int64_t>());
  }
  return ids;
}

static bool readSequence(const Json &given,
                         spec::TokenRules::Sequence &sequence) {
  if (!given.is_array() || given.empty())
    return false;
  for (const Json &id : given) {
    if (!id.is_number_integer() || id < 0 || id > maxId)
      return false;
    sequence.add_ids(id.get<int64_t>());
  }
  return true;
}

/// Words that are an end token alone stay allowed, as in transformers.
static void readForbidden(ConfigSection &file, const std::vector<int64_t> &ends,
                          spec::TokenRules &rules) {
  const Json *given = file.find("bad_words_ids");
  if (!given)
    return;
  for (const Json &each : *given) {
    spec::TokenRules::Sequence sequence;
    if (!given->is_array() || !readSequence(each, sequence))
      return file.error("bad_words_ids", "expected lists of token ids, found " +
                                             describe(each) +
                                             "; mend the file");
    bool isEnd = sequence.ids_size() == 1 &&
                 std::ranges::find(ends, sequence.ids(0)) != ends.end();
    if (!isEnd)
      *rules.add_forbidden() = sequence;
  }
}

/// Pairs of a list of ids and a number; of equal lists the last counts.
static void readBiased(ConfigSection &file, spec::TokenRules &rules) {
  const Json *given = file.find("sequence_bias");
  if (!given)
    return;
  for (const Json &each : *given) {
    spec::TokenRules::Sequence sequence;
    if (!given->is_array() || !each.is_array() || each.size() != 2 ||
        !each[1].is_number() || !readSequence(each[0], sequence))
      return file.error("sequence_bias",
                        "expected pairs of a list of token ids and a number, "
                        "found " +
                            describe(each) + "; mend the file");
    sequence.set_bias(each[1].get<double>());
    for (auto it = rules.mutable_biased()->begin();
         it != rules.mutable_biased()->end(); ++it)
      if (std::ranges::equal(it->ids(), sequence.ids())) {
        rules.mutable_biased()->erase(it);
        break;
      }
    *rules.add_biased() = sequence;
  }
}

static void readLengths(ConfigSection &file, spec::TokenRules &rules) {
  rules.set_ngram(file.integer("no_repeat_ngram_size", 0, 0, maxId));
  rules.set_prompt_ngram(
      file.integer("encoder_no_repeat_ngram_size", 0, 0, maxId));
  rules.set_min_tokens(file.integer("min_length", 0, 0, maxId));
  if (auto least = file.optionalInteger("min_new_tokens", 0, maxId)) {
    rules.set_min_new_tokens(*least);
    rules.set_min_tokens(0); // which it replaces
  }
  const Json *decay = file.find("exponential_decay_length_penalty");
  if (!decay)
    return;
  if (!decay->is_array() || decay->size() != 2 ||
      !(*decay)[0].is_number_integer() || (*decay)[0] < 0 ||
      !(*decay)[1].is_number())
    return file.error("exponential_decay_length_penalty",
                      "expected a number of tokens and a factor, found " +
                          describe(*decay) + "; mend the file");
  rules.set_decay_start((*decay)[0].get<int64_t>());
  rules.set_decay_factor((*decay)[1].get<double>());
}

/// How answers are searched for.
static void readBeams(ConfigSection &file, spec::Generation &generation) {
  constexpr int64_t most = 64; // as many sequences as a request may take
  int64_t beams = file.optionalInteger("num_beams", 1, most).value_or(1);
  if (beams <= 1)
    return;
  generation.set_beams(beams);
  if (double penalty = file.number("length_penalty", 1, -1e3, 1e3);
      penalty != 1)
    generation.set_length_penalty(penalty);
  const Json *end = file.find("early_stopping");
  if (end && *end == true)
    generation.set_beam_end(spec::Generation::FULL);
  else if (end && *end == "never")
    generation.set_beam_end(spec::Generation::IMPOSSIBLE);
  else if (end && *end != false)
    file.error("early_stopping", "expected true, false or \"never\", found " +
                                     describe(*end) + "; mend the file");
}

static void readRules(ConfigSection &file, const std::vector<int64_t> &ends,
                      spec::Generation &generation) {
  spec::TokenRules rules;
  readBiased(file, rules);
  for (auto [key, set] : {std::pair("encoder_repetition_penalty",
                                    &spec::TokenRules::set_prompt_penalty),
                          std::pair("repetition_penalty",
                                    &spec::TokenRules::set_repetition_penalty)})
    if (double penalty = file.number(key, 1, 1e-6, 1e6); penalty != 1)
      (rules.*set)(penalty);
  readForbidden(file, ends, rules);
  readLengths(file, rules);
  if (auto begin = file.optionalInteger("forced_bos_token_id", 0, maxId))
    rules.set_forced_begin(*begin);
  for (int64_t id : readIds(file, "forced_eos_token_id"))
    rules.add_forced_end(id);
  for (int64_t id : readIds(file, "suppress_tokens"))
    rules.add_suppressed(id);
  for (int64_t id : readIds(file, "begin_suppress_tokens"))
    rules.add_first_suppressed(id);
  if (rules.ByteSizeLong() > 0)
    *generation.mutable_rules() = rules;
}

static Json nonNull(const Json &object) {
  Json values = Json::object();
  for (const auto &[key, value] : object.items())
    if (!value.is_null())
      values[key] = value;
  return values;
}

/// What transformers makes a generation config of where there is no file of its
/// own: the keys of config.json as they stand there, without the defaults of
/// its class; and those of the decoder's section that are not beside it.
/// Source: GenerationConfig.from_model_config.
static Json legacyValues(const Json &config) {
  Json values = nonNull(config);
  for (const char *section : {"decoder", "generator", "text_config"})
    if (auto found = config.find(section);
        found != config.end() && found->is_object() && !found->empty()) {
      const Json inner = nonNull(*found);
      for (const auto &[key, value] : inner.items())
        values.emplace(key, value);
      break;
    }
  return values;
}

/// The file that says how answers are chosen, and what it says; false where it
/// cannot be read.
static bool openFile(const std::string &folder, ConfigLog &log,
                     std::string &path, Json &values) {
  const std::filesystem::path root = folder;
  std::error_code ignored;
  path = (root / "generation_config.json").string();
  const bool isLegacy = !std::filesystem::exists(path, ignored);
  if (isLegacy)
    path = (root / "config.json").string();
  if (isLegacy && !std::filesystem::exists(path, ignored))
    return true;
  Result<Json> json = readJsonFile(path);
  if (!json || !json->is_object()) {
    log.errors.push_back(json ? path + ": expected an object" : json.message());
    return false;
  }
  values = isLegacy ? legacyValues(*json) : *json;
  return true;
}

void readGenerationConfig(const DecoderFacts &facts, const std::string &folder,
                          ConfigLog &log, spec::Generation &generation) {
  constexpr size_t mostEnds = 8;
  std::string path;
  Json values;
  if (!openFile(folder, log, path, values))
    return;
  const bool isThere = !values.is_null();
  if (!isThere)
    values = Json::object();
  ConfigSection file(values, path, "", log);
  std::vector<int64_t> ends =
      isThere ? readIds(file, "eos_token_id") : facts.endTokens;
  std::optional<int64_t> pad =
      isThere ? file.optionalInteger("pad_token_id", -1, maxId)
              : facts.padToken;
  if (auto most = file.optionalInteger("max_new_tokens", 1, maxId))
    generation.set_max_new_tokens(*most);
  if (auto most = file.optionalInteger("max_length", 1, maxId))
    generation.set_max_length(*most);
  readRules(file, ends, generation);
  readBeams(file, generation);
  warnOfSearches(file, values);
  if (ends.size() > mostEnds) {
    log.errors.push_back(path + ": eos_token_id: expected at most " +
                         std::to_string(mostEnds) + " tokens, found " +
                         std::to_string(ends.size()) +
                         "; leave those out that never end an answer");
    return;
  }
  for (int64_t id : ends)
    generation.add_end_token_ids(id);
  if (pad && *pad >= 0)
    generation.set_pad_token_id(*pad);
}

} // namespace vlmc
