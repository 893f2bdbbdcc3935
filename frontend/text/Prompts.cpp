//===- Prompts.cpp - What a processor does to prompts ---------------------===//
#include "frontend/text/Prompts.h"

#include "frontend/support/MappedFile.h"

#include <filesystem>

using namespace vlmc;
using namespace vlmc::text;

namespace {

/// Reads the files of one folder; the first fault is kept.
class PromptReader {
public:
  PromptReader(const PromptFiles &files, std::vector<std::string> &warnings,
               std::string &fault)
      : files(files), warnings(warnings), fault(fault) {}
  PromptDescription read(const SpecialTokens &special);

private:
  std::string path(const char *name) const {
    return (std::filesystem::path(files.folder) / name).string();
  }
  bool exists(const char *name) const {
    std::error_code ignored;
    return std::filesystem::exists(path(name), ignored);
  }
  std::optional<Json> open(const char *name);
  std::string readText(const char *name);
  void readTemplates(const Json *processor, PromptDescription &out);
  void readTemplates(const Fields &fields, PromptDescription &out);
  std::map<std::string, std::string> readTemplateFolder();
  bool readQueries(const Fields *processor, PromptDescription &out);
  void readPictures(const Fields *processor, const SpecialTokens &special,
                    PromptDescription &out);
  void readFrames(const SpecialTokens &special, PromptDescription &out) const;
  bool readParts(const Fields *processor, const SpecialTokens &special,
                 PromptDescription &out) const;

  const PromptFiles &files;
  std::vector<std::string> &warnings;
  std::string &fault;
};

} // namespace

std::optional<Json> PromptReader::open(const char *name) {
  if (!exists(name))
    return std::nullopt;
  Result<Json> json = readJsonFile(path(name));
  if (json)
    return std::move(*json);
  if (fault.empty())
    fault = json.message();
  return std::nullopt;
}

std::string PromptReader::readText(const char *name) {
  Result<MappedFile> file = MappedFile::open(path(name));
  if (file)
    return std::string(file->text());
  if (fault.empty())
    fault = file.message();
  return "";
}

/// A template; or several by name: an object, or a list of objects with name
/// and template.
void PromptReader::readTemplates(const Fields &fields, PromptDescription &out) {
  const Json *value = fields.find("chat_template");
  if (!value)
    return;
  auto add = [&](const std::string &name, const Json &source) {
    if (!source.is_string())
      return false;
    (name == "default" ? out.chatTemplate : out.templates[name]) =
        source.get<std::string>();
    return true;
  };
  bool good = value->is_string() || value->is_object() || value->is_array();
  if (value->is_string())
    out.chatTemplate = value->get<std::string>();
  else if (value->is_object())
    for (const auto &[name, source] : value->items())
      good = add(name, source) && good;
  else if (value->is_array())
    for (const Json &entry : *value)
      good = entry.is_object() && entry.contains("name") &&
             entry["name"].is_string() && entry.contains("template") &&
             add(entry["name"].get<std::string>(), entry["template"]) && good;
  if (!good)
    fields.fail("chat_template",
                "expected a template, or several by name (an object, or a list "
                "of objects with name and template), found " +
                    describe(*value));
  else if (out.chatTemplate.empty() && !out.templates.empty())
    warnings.push_back(fields.where("chat_template") +
                       ": has no template of the name 'default'; "
                       "conversations have to name one");
}

/// The templates of a folder of their own, by the names of their files.
std::map<std::string, std::string> PromptReader::readTemplateFolder() {
  std::map<std::string, std::string> found;
  std::error_code ignored;
  for (const auto &file : std::filesystem::directory_iterator(
           path("additional_chat_templates"), ignored))
    if (file.path().extension() == ".jinja")
      found[file.path().stem().string()] = readText(
          ("additional_chat_templates/" + file.path().filename().string())
              .c_str());
  return found;
}

/// In the order in which transformers looks; the tokenizer's own come last.
void PromptReader::readTemplates(const Json *processor,
                                 PromptDescription &out) {
  if (processor && processor->contains("chat_template") &&
      !(*processor)["chat_template"].is_null())
    return readTemplates(
        Fields(*processor, path("processor_config.json"), "", fault), out);
  std::map<std::string, std::string> others = readTemplateFolder();
  if (std::optional<Json> json = open("chat_template.json")) {
    if (!others.empty())
      warnings.push_back(path("additional_chat_templates") +
                         ": ignored, as chat_template.json is there; save the "
                         "default template as chat_template.jinja");
    return readTemplates(Fields(*json, path("chat_template.json"), "", fault),
                         out);
  }
  out.templates = std::move(others);
  if (exists("chat_template.jinja"))
    out.chatTemplate = readText("chat_template.jinja");
  if (auto named = out.templates.extract("default");
      !named.empty() && out.chatTemplate.empty())
    out.chatTemplate = named.mapped();
  if (out.chatTemplate.empty() && out.templates.empty() && files.config &&
      files.config->json.is_object())
    readTemplates(*files.config, out);
}

/// A whole number of a file, within bounds.
static std::optional<int64_t> integer(const Fields *fields, const char *name,
                                      int64_t least) {
  const Json *value = fields ? fields->find(name) : nullptr;
  if (!value)
    return std::nullopt;
  constexpr int64_t most = 1 << 16;
  if (value->is_number_integer() && *value >= least && *value <= most)
    return value->get<int64_t>();
  fields->fail(name, "expected an integer from " + std::to_string(least) +
                         " to 65536, found " + describe(*value));
  return std::nullopt;
}

/// Whether prompts of the model are texts and pictures in turn, and the latter
/// stand between tokens of their own.
static bool framesPictures(const Fields *model) {
  std::string type =
      model ? model->optionalString("model_type").value_or("") : "";
#define PROMPT_FRAMES_PICTURES(MODEL_TYPE)                                     \
  if (type == (MODEL_TYPE))                                                    \
    return true;
#include "frontend/families/TokenizerClasses.def"
  return false;
}

/// Whether a placeholder is one token, which stays in the prompt.
static bool marksPictures(const Fields *model) {
  std::string type =
      model ? model->optionalString("model_type").value_or("") : "";
#define PROMPT_MARKS_PICTURES(MODEL_TYPE)                                      \
  if (type == (MODEL_TYPE))                                                    \
    return true;
#include "frontend/families/TokenizerClasses.def"
  return false;
}

/// Whether pictures of the model are lines of patches in front of the prompt;
/// then which tokens stand around them.
static bool linesPictures(const Fields *model, PromptDescription &out) {
  std::string type =
      model ? model->optionalString("model_type").value_or("") : "";
#define PROMPT_LINES_PICTURES(MODEL_TYPE, TOKEN, LINE, END, PROMPT_END)        \
  if (type == (MODEL_TYPE)) {                                                  \
    out.picturesFirst = VLM_TEXT_PICTURES_FIRST;                               \
    out.pictureToken = (TOKEN);                                                \
    out.pictureLine = (LINE);                                                  \
    out.pictureEnd = (END);                                                    \
    out.promptEnd = (PROMPT_END);                                              \
    return true;                                                               \
  }
#include "frontend/families/TokenizerClasses.def"
  return false;
}

/// Whether pictures of the model stand between two tokens of the tokenizer's.
static bool wrapsPictures(const Fields *model) {
  std::string type =
      model ? model->optionalString("model_type").value_or("") : "";
#define PROMPT_WRAPS_PICTURES(MODEL_TYPE)                                      \
  if (type == (MODEL_TYPE))                                                    \
    return true;
#include "frontend/families/TokenizerClasses.def"
  return false;
}

/// Whether pictures of the model stand between two tokens, and prompts have an
/// end; then which.
static bool enclosesPictures(const Fields *model, const SpecialTokens &special,
                             PromptDescription &out) {
  std::string type =
      model ? model->optionalString("model_type").value_or("") : "";
  std::string start, end;
#define PROMPT_ENCLOSES_PICTURES(MODEL_TYPE, START, END)                       \
  if (type == (MODEL_TYPE)) {                                                  \
    start = (START);                                                           \
    end = (END);                                                               \
  }
#include "frontend/families/TokenizerClasses.def"
  if (start.empty())
    return false;
  for (const auto &[name, token] : special.named) {
    if (name == "boi_token")
      start = token.token.content;
    if (name == "eoi_token")
      end = token.token.content;
  }
  out.pictureFrame = start;
  out.pictureEnd = end;
  // A tokenizer without one makes it this word, in Python's way.
  out.promptEnd = "None";
  if (auto found = out.roles.find("sep_token"); found != out.roles.end())
    out.promptEnd = found->second;
  return true;
}

/// Whether pictures of the model may also be shown in crops, as
/// Gemma3Processor of transformers writes them.
static bool showsCrops(const Fields *model, const Fields *processor,
                       const SpecialTokens &special, PromptDescription &out) {
  std::string type =
      model ? model->optionalString("model_type").value_or("") : "";
  std::string around;
  int64_t tokens = 0;
#define PROMPT_SHOWS_CROPS(MODEL_TYPE, TOKENS, AROUND, FIRST, THEN, BETWEEN)   \
  if (type == (MODEL_TYPE)) {                                                  \
    tokens = (TOKENS);                                                         \
    around = (AROUND);                                                         \
    out.cropsBegin = (FIRST);                                                  \
    out.cropsMiddle = (THEN);                                                  \
    out.cropsJoin = (BETWEEN);                                                 \
  }
#include "frontend/families/TokenizerClasses.def"
  if (!tokens)
    return false;
  std::string end;
  out.pictureToken = "<image_soft_token>";
  out.placeholder = "<start_of_image>";
  end = "<end_of_image>";
  for (const auto &[name, token] : special.named) {
    if (name == "image_token")
      out.pictureToken = token.token.content;
    if (name == "boi_token")
      out.placeholder = token.token.content;
    if (name == "eoi_token")
      end = token.token.content;
  }
  out.pictureFrame = around + out.placeholder;
  out.pictureEnd = end + around;
  out.pictureExtra = static_cast<int32_t>(
      integer(processor, "image_seq_length", 1).value_or(tokens));
  return true;
}

/// What stands for a video in prompts of the model.
static void readVideos(const Fields *model, const Fields *processor,
                       const SpecialTokens &special, PromptDescription &out) {
  std::string type =
      model ? model->optionalString("model_type").value_or("") : "";
#define PROMPT_READS_VIDEOS(MODEL_TYPE, TOKEN, NAME)                           \
  if (type == (MODEL_TYPE)) {                                                  \
    out.videoToken = (TOKEN);                                                  \
    out.frameName = (NAME);                                                    \
  }
#include "frontend/families/TokenizerClasses.def"
  if (out.videoToken.empty())
    return;
  if (processor)
    if (auto token = processor->optionalString("video_token"))
      out.videoToken = *token;
  for (const auto &[name, token] : special.named)
    if (name == "video_token")
      out.videoToken = token.token.content;
}

/// Whether pictures of the model stand between tokens that no file calls by a
/// name.
static bool wrapsPicturesWith(const Fields *model, PromptDescription &out) {
  std::string type =
      model ? model->optionalString("model_type").value_or("") : "";
#define PROMPT_WRAPS_PICTURES_WITH(MODEL_TYPE, TOKEN, BEGIN, END)              \
  if (type == (MODEL_TYPE)) {                                                  \
    out.pictureToken = (TOKEN);                                                \
    out.pictureFrame = (BEGIN);                                                \
    out.pictureEnd = (END);                                                    \
    return true;                                                               \
  }
#include "frontend/families/TokenizerClasses.def"
  return false;
}

/// Whether the begin token of the model's prompts stands behind the pictures;
/// what ends the prompts.
static bool beginsBehindPictures(const Fields *model, PromptDescription &out) {
  std::string type =
      model ? model->optionalString("model_type").value_or("") : "";
#define PROMPT_BEGINS_BEHIND_PICTURES(MODEL_TYPE, PROMPT_END)                  \
  if (type == (MODEL_TYPE)) {                                                  \
    out.picturesFirst = VLM_TEXT_PICTURES_BEFORE_BEGIN;                        \
    out.promptEnd = (PROMPT_END);                                              \
    return true;                                                               \
  }
#include "frontend/families/TokenizerClasses.def"
  return false;
}

/// Whether prompts of the model have their begin token behind the pictures that
/// they begin with; a placeholder is one token, which stays.
static bool leadsWithPictures(const Fields *model, const SpecialTokens &special,
                              PromptDescription &out) {
  std::string type =
      model ? model->optionalString("model_type").value_or("") : "";
  std::string token;
#define PROMPT_LEADS_WITH_PICTURES(MODEL_TYPE, TOKEN)                          \
  if (type == (MODEL_TYPE))                                                    \
    token = (TOKEN);
#include "frontend/families/TokenizerClasses.def"
  if (token.empty())
    return false;
  out.pictureToken = token;
  for (const auto &[name, named] : special.named)
    if (name == "image_token")
      out.pictureToken = named.token.content;
  out.pictureExtra = 1;
  out.picturesFirst = VLM_TEXT_PICTURES_LEADING;
  if (auto found = out.roles.find("bos_token"); found != out.roles.end())
    out.begin = found->second;
  return true;
}

/// As IdeficsProcessor of transformers does, which writes the begin token
/// itself.
void PromptReader::readFrames(const SpecialTokens &special,
                              PromptDescription &out) const {
  out.pictureToken = "<image>";
  out.pictureExtra = 1;
  out.pictureFrame = "<fake_token_around_image>";
  out.stripsParts = true;
  if (auto found = out.roles.find("bos_token"); found != out.roles.end())
    out.begin = found->second;
  for (const auto &token : special.extra)
    if (token.token.content == "<end_of_utterance>")
      out.partEnd = token.token.content;
}

/// Whether pictures of the model stand in parts at their placeholders, as
/// Idefics2Processor, Idefics3Processor and SmolVLMProcessor of transformers
/// write them. All of their tokens may have names in the tokenizer's files.
bool PromptReader::readParts(const Fields *processor,
                             const SpecialTokens &special,
                             PromptDescription &out) const {
  std::string type =
      files.model ? files.model->optionalString("model_type").value_or("") : "";
  int32_t tokens = 0;
#define PROMPT_PARTS_PICTURES(MODEL_TYPE, TOKENS)                              \
  if (type == (MODEL_TYPE)) {                                                  \
    out.picturesFirst = VLM_TEXT_PICTURES_PARTS;                               \
    tokens = (TOKENS);                                                         \
  }
#define PROMPT_TILES_PICTURES(MODEL_TYPE, TOKENS)                              \
  if (type == (MODEL_TYPE)) {                                                  \
    out.picturesFirst = VLM_TEXT_PICTURES_TILES;                               \
    tokens = (TOKENS);                                                         \
  }
#include "frontend/families/TokenizerClasses.def"
  if (!tokens)
    return false;
  out.pictureToken = "<image>";
  out.pictureFrame = "<fake_token_around_image>";
  if (out.picturesFirst == VLM_TEXT_PICTURES_TILES)
    out.pictureLine = "<global-img>";
  for (const auto &[name, named] : special.named) {
    if (name == "image_token")
      out.pictureToken = named.token.content;
    if (name == "image_boundary_token" || name == "fake_image_token")
      out.pictureFrame = named.token.content;
    if (name == "global_image_token" && !out.pictureLine.empty())
      out.pictureLine = named.token.content;
  }
  out.pictureExtra = static_cast<int32_t>(
      integer(processor, "image_seq_len", 1).value_or(tokens));
  return true;
}

/// Of models that look at pictures by learned queries: each has a token, in
/// front of the prompt. Whether there are any.
bool PromptReader::readQueries(const Fields *processor,
                               PromptDescription &out) {
  auto queries = integer(processor, "num_query_tokens", 1);
  if (!queries && files.model && files.model->find("qformer_config"))
    queries = integer(files.model, "num_query_tokens", 1).value_or(32);
  if (!queries)
    return false;
  out.picturesFirst = VLM_TEXT_PICTURES_FIRST;
  out.picturePatch = 0;
  out.pictureExtra = static_cast<int32_t>(*queries);
  return true;
}

/// How many tokens a picture takes. Where the processor names no patch, those
/// of the model are counted.
void PromptReader::readPictures(const Fields *processor,
                                const SpecialTokens &special,
                                PromptDescription &out) {
  if (showsCrops(files.model, processor, special, out))
    return;
  readVideos(files.model, processor, special, out);
  // Then the model tells how many tokens a picture has.
  if (wrapsPicturesWith(files.model, out))
    return;
  if (namesPictureTower(files.model)) {
    out.pictureToken = placeholderText;
    return;
  }
  // The classes that read videos have a default for a picture's token.
  bool hasPictures = files.model && (!out.videoToken.empty() ||
                                     files.model->find("image_token_index") ||
                                     files.model->find("vocabulary_map") ||
                                     files.model->find("image_token_id"));
  if (!hasPictures && !(processor && processor->find("patch_size")))
    return;
  out.pictureToken = "<image>";
  if (processor)
    if (auto token = processor->optionalString("image_token"))
      out.pictureToken = *token;
  for (const auto &[name, token] : special.named)
    if (name == "image_token")
      out.pictureToken = token.token.content;
  if (enclosesPictures(files.model, special, out))
    return; // the model tells how many tokens a picture has
  if (wrapsPictures(files.model)) {
    for (const auto &[name, token] : special.named) {
      if (name == "context_image_token")
        out.pictureToken = token.token.content;
      if (name == "start_image_token")
        out.pictureFrame = token.token.content;
      if (name == "end_image_token")
        out.pictureEnd = token.token.content;
    }
    return; // the model tells how many tokens a picture has
  }
  if (beginsBehindPictures(files.model, out)) {
    if (auto found = out.roles.find("bos_token"); found != out.roles.end())
      out.begin = found->second;
    // Defaults are those of the tower's class and, without a tower's config, of
    // the model's.
    out.picturePatch = 14;
    if (files.model->find("vision_config")) {
      Fields vision = files.model->inside("vision_config");
      out.picturePatch =
          static_cast<uint32_t>(integer(&vision, "patch_size", 1).value_or(16));
    }
    return;
  }
  if (readQueries(processor, out))
    return;
  if (auto patch = integer(processor, "patch_size", 1)) {
    std::string strategy =
        processor->optionalString("vision_feature_select_strategy")
            .value_or("");
    out.picturePatch = static_cast<uint32_t>(*patch);
    out.pictureExtra = static_cast<int32_t>(
        integer(processor, "num_additional_image_tokens", 0).value_or(0) -
        (strategy == "default"));
    return;
  }
  if (!files.model || !files.model->find("vision_config"))
    return;
  Fields vision = files.model->inside("vision_config");
  std::string strategy =
      files.model->optionalString("vision_feature_select_strategy")
          .value_or("default");
  out.picturePatch =
      static_cast<uint32_t>(integer(&vision, "patch_size", 1).value_or(0));
  out.pictureExtra = strategy == "full";
}

bool vlmc::text::namesPictureTower(const Fields *model) {
  return model && model->find("mm_vision_tower") &&
         !model->find("text_config") && !model->find("vision_config");
}

PromptDescription PromptReader::read(const SpecialTokens &special) {
  PromptDescription out;
  for (const auto &[role, token] : special.roles)
    if (token)
      out.roles[role] = token->token.content;
  std::optional<Json> processor = open("processor_config.json");
  if (processor && !processor->is_object())
    processor.reset(); // the reader of pictures tells
  readTemplates(processor ? &*processor : nullptr, out);
  if (linesPictures(files.model, out) ||
      leadsWithPictures(files.model, special, out)) {
  } else if (framesPictures(files.model)) {
    readFrames(special, out);
  } else if (marksPictures(files.model)) {
    out.pictureToken = "<image>";
    out.pictureExtra = 1;
  } else if (processor) {
    Fields fields(*processor, path("processor_config.json"), "", fault);
    if (!readParts(&fields, special, out))
      readPictures(&fields, special, out);
  } else if (!readParts(nullptr, special, out)) {
    readPictures(nullptr, special, out);
  }
  return out;
}

PromptDescription vlmc::text::readPrompts(const PromptFiles &files,
                                          const SpecialTokens &special,
                                          std::vector<std::string> &warnings,
                                          std::string &fault) {
  return PromptReader(files, warnings, fault).read(special);
}
