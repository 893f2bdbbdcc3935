//===- Requests.cpp - The requests.json of `vlmc run` ---------------------===//
#include "tools/vlmc/Requests.h"

#include "frontend/support/MappedFile.h"
#include "runtime/abi/vlm_abi.h"
#include "runtime/vlm.h"
#include "tools/vlmc/Messages.h"
#include "tools/vlmc/VideoFrames.h"

#include <algorithm>
#include <filesystem>
#include <set>

namespace vlmc::tool {

namespace fs = std::filesystem;

/// The tasks and the fields of their cases beside `name`, `task` and the free
/// ones; see readTask() for what the model must be for each.
static const std::vector<std::pair<std::string, std::set<std::string>>> &
taskFields() {
  static const std::vector<std::pair<std::string, std::set<std::string>>>
      fields = {{"generate",
                 {"messages", "text", "interleaved", "batch", "images",
                  "videos", "processor_kwargs", "max_new_tokens", "num_beams",
                  "length_penalty", "early_stopping"}},
                {"embed", {"images", "texts"}},
                {"match", {"images", "texts"}},
                {"tokenize", {"tokenizer", "texts"}},
                {"decode", {"images"}}};
  return fields;
}

/// Fields that are the writer's own.
static bool isFree(const std::string &field) {
  return field == "family" || field == "generate";
}

static Fault wrong(const std::string &where, const std::string &expected,
                   const Json *found) {
  return Fault(where + ": expected " + expected + ", found " +
               (found ? describe(*found) : "nothing") + "; mend the file");
}

namespace {
/// Reads the fields of one object and keeps the first fault.
class FieldReader {
public:
  /// `inOrder`: the object with its keys in the file's order; null where
  /// nobody asks for it.
  FieldReader(const Json &object, std::string where,
              const OrderedJson *inOrder = nullptr)
      : object(object), where(std::move(where)), inOrder(inOrder) {}

  std::string string(const std::string &field);
  std::vector<std::string> strings(const std::string &field);
  int64_t positive(const std::string &field);
  bool has(const std::string &field) const { return object.contains(field); }
  const Json &value(const std::string &field) const { return object[field]; }
  const OrderedJson &ordered(const std::string &field) const {
    return (*inOrder)[field];
  }
  const std::string &place() const { return where; }
  /// Takes a field that is not among `known` as a fault.
  void finish(const std::set<std::string> &known);
  void fail(const Fault &first) {
    if (!fault)
      fault = first;
  }

  std::optional<Fault> fault;

private:
  const Json *find(const std::string &field) const {
    auto found = object.find(field);
    return found == object.end() ? nullptr : &*found;
  }
  const Json &object;
  std::string where;
  const OrderedJson *inOrder;
};
} // namespace

std::string FieldReader::string(const std::string &field) {
  const Json *value = find(field);
  if (value && value->is_string())
    return value->get<std::string>();
  fail(wrong(where + ": " + field, "a string", value));
  return "";
}

std::vector<std::string> FieldReader::strings(const std::string &field) {
  const Json *value = find(field);
  std::vector<std::string> result;
  bool isList = value && value->is_array();
  if (isList)
    for (const Json &element : *value) {
      isList = isList && element.is_string();
      if (isList)
        result.push_back(element.get<std::string>());
    }
  if (!isList)
    fail(wrong(where + ": " + field, "a list of strings", value));
  return result;
}

int64_t FieldReader::positive(const std::string &field) {
  const Json *value = find(field);
  constexpr int64_t most = INT32_MAX;
  if (value && value->is_number_integer() && value->get<int64_t>() > 0 &&
      value->get<int64_t>() <= most)
    return value->get<int64_t>();
  fail(wrong(where + ": " + field, "a positive integer", value));
  return 1;
}

void FieldReader::finish(const std::set<std::string> &known) {
  std::string list;
  for (const std::string &field : known)
    list += (list.empty() ? "" : ", ") + field;
  for (const auto &[field, value] : object.items())
    if (!known.count(field) && !isFree(field))
      fail(Fault(where + ": unknown field '" + field + "': expected one of " +
                 list + "; remove it"));
}

/// Pictures and tensors are told relative to the file.
static std::string resolve(const fs::path &folder, const std::string &path) {
  return (folder / path).string();
}

static bool isListOfStrings(const Json &value) {
  return value.is_array() && !value.empty() &&
         std::ranges::all_of(value,
                             [](const Json &each) { return each.is_string(); });
}

static std::vector<std::string> resolveFrames(const fs::path &folder,
                                              const Json &frames) {
  std::vector<std::string> paths;
  for (const Json &frame : frames)
    paths.push_back(resolve(folder, frame.get<std::string>()));
  return paths;
}

/// Frames of each video.
static void readVideos(FieldReader &reader, RequestCase &request,
                       const fs::path &folder) {
  const Json &list = reader.value("videos");
  if (!list.is_array() || !std::ranges::all_of(list, isListOfStrings))
    return reader.fail(wrong(reader.place() + ": videos",
                             "a list of videos, each a list of paths of frames",
                             &list));
  for (const Json &frames : list)
    request.videos.push_back(resolveFrames(folder, frames));
}

/// Texts and pictures in turn.
static void readInterleaved(FieldReader &reader, RequestCase &request,
                            const fs::path &folder) {
  const Json &list = reader.value("interleaved");
  PromptFields &prompt = request.prompt;
  prompt.isInterleaved = true;
  bool isGood = list.is_array();
  for (const Json &part : isGood ? list : Json::array()) {
    bool isPicture = part.is_object() && part.size() == 1 &&
                     part.contains("image") && part["image"].is_string();
    bool isVideo = part.is_object() && part.size() == 1 &&
                   part.contains("video") && isListOfStrings(part["video"]);
    isGood = isGood && (isPicture || isVideo || part.is_string());
    if (!isGood)
      break;
    prompt.isPicture.push_back(isPicture || isVideo);
    prompt.isVideo.push_back(isVideo);
    prompt.prompts.push_back(part.is_string() ? part.get<std::string>() : "");
    if (isPicture)
      request.images.push_back(
          resolve(folder, part["image"].get<std::string>()));
    if (isVideo)
      request.videos.push_back(resolveFrames(folder, part["video"]));
  }
  if (!isGood)
    reader.fail(wrong(reader.place() + ": interleaved",
                      "a list of strings and of objects {\"image\": path} or "
                      "{\"video\": [paths of frames]}",
                      &list));
}

static bool isCount(const Json &value) {
  return value.is_number_integer() && value >= 1 && value <= 65536;
}

/// One keyword of the processor's. False: it is none that vlmc knows.
static bool readProcessorOption(const std::string &name, const Json &value,
                                PromptFields &prompt) {
  if (name == "padding_side" && (value == "left" || value == "right"))
    prompt.padsLeft = value == "left";
  else if (name == "add_special_tokens" && value.is_boolean())
    prompt.addsSpecial = value.get<bool>();
  else if (name == "add_end_of_utterance_token" && value.is_boolean())
    prompt.endsParts = value.get<bool>();
  else if (name == "do_pan_and_scan" && value.is_boolean())
    prompt.view.pans = value.get<bool>();
  else if (name == "pan_and_scan_min_crop_size" && isCount(value))
    prompt.view.panSide = value.get<int64_t>();
  else if (name == "pan_and_scan_max_num_crops" && isCount(value))
    prompt.view.panCrops = value.get<int64_t>();
  else if (name == "pan_and_scan_min_ratio_to_activate" && value.is_number())
    prompt.view.panRatio = value.get<double>();
  else // what vlmc does anyway
    return (name == "padding" && (value == true || value == "longest")) ||
           (name == "truncation" && value == false) || name == "return_tensors";
  return true;
}

/// What the processor is told beside texts and pictures; also by groups, as
/// transformers takes it.
static void readProcessorOptions(FieldReader &reader, PromptFields &prompt) {
  const std::string where = reader.place() + ": processor_kwargs";
  const Json &options = reader.value("processor_kwargs");
  if (!options.is_object())
    return reader.fail(wrong(where, "an object", &options));
  auto read = [&](const std::string &place, const std::string &name,
                  const Json &value) {
    if (!readProcessorOption(name, value, prompt))
      reader.fail(Fault(
          place + ": '" + name + "': expected padding_side (\"left\" or " +
          "\"right\"), add_special_tokens (true or false), "
          "add_end_of_utterance_token (true or false), do_pan_and_scan and "
          "its like or padding (true), which vlmc supports, found " +
          describe(value) + "; remove it"));
  };
  for (const auto &[name, value] : options.items()) {
    bool isGroup = name == "text_kwargs" || name == "images_kwargs" ||
                   name == "common_kwargs";
    if (!isGroup || !value.is_object())
      read(where, name, value);
    else
      for (const auto &[inner, each] : value.items())
        read(where + ": " + name, inner, each);
  }
}

/// Messages; pictures whose paths stand in them go before those of `images`.
static void readMessages(FieldReader &reader, RequestCase &request,
                         const fs::path &folder) {
  OrderedJson messages = normalisedMessages(reader.ordered("messages"));
  if (messages.is_null())
    return reader.fail(wrong(reader.place() + ": messages", "a list of objects",
                             &reader.value("messages")));
  std::vector<std::string> paths;
  for (const std::string &path : picturesOf(messages))
    paths.push_back(resolve(folder, path));
  request.images.insert(request.images.begin(), paths.begin(), paths.end());
  std::vector<std::vector<std::string>> videos;
  for (const std::vector<std::string> &video : videosOf(messages)) {
    std::vector<std::string> frames;
    for (const std::string &path : video)
      frames.push_back(resolve(folder, path));
    if (frames.size() == 1) {
      Outcome<std::vector<std::string>> found = framesOf(frames[0]);
      if (!found)
        return reader.fail(found.takeFault());
      frames = std::move(*found);
    }
    videos.push_back(std::move(frames));
  }
  request.videos.insert(request.videos.begin(), videos.begin(), videos.end());
  request.prompt.messages = std::move(messages);
}

/// How long an answer is, and how it is searched for.
static void readLengthAndBeams(FieldReader &reader, RequestCase &request) {
  if (reader.has("max_new_tokens"))
    request.maxNewTokens = reader.positive("max_new_tokens");
  if (reader.has("num_beams")) {
    request.beams.beams = reader.positive("num_beams");
    if (*request.beams.beams > VLM_MAX_ANSWERS)
      reader.fail(wrong(reader.place() + ": num_beams",
                        "at most " + std::to_string(+VLM_MAX_ANSWERS),
                        &reader.value("num_beams")));
  }
  if (reader.has("length_penalty")) {
    const Json &value = reader.value("length_penalty");
    if (value.is_number())
      request.beams.lengthPenalty = value.get<double>();
    else
      reader.fail(
          wrong(reader.place() + ": length_penalty", "a number", &value));
  }
  if (reader.has("early_stopping")) {
    const Json &value = reader.value("early_stopping");
    if (value.is_boolean())
      request.beams.end =
          value.get<bool>() ? VLM_ABI_BEAMS_FULL : VLM_ABI_BEAMS_UNLIKELY;
    else if (value == "never")
      request.beams.end = VLM_ABI_BEAMS_IMPOSSIBLE;
    else
      reader.fail(wrong(reader.place() + ": early_stopping",
                        "true, false or \"never\"", &value));
  }
}

/// One of the ways to give prompts, and the pictures.
static void readGenerate(FieldReader &reader, RequestCase &request,
                         const fs::path &folder) {
  std::string ways;
  for (const char *way : {"messages", "text", "interleaved", "batch"})
    if (reader.has(way))
      ways += (ways.empty() ? "" : ", ") + std::string(way);
  if (ways.empty() || ways.find(',') != ways.npos)
    return reader.fail(
        Fault(reader.place() +
              ": expected one of messages, text, interleaved, batch, found " +
              (ways.empty() ? "none" : ways) + "; mend the file"));
  if (reader.has("videos"))
    readVideos(reader, request, folder);
  if (reader.has("images"))
    for (const std::string &path : reader.strings("images"))
      request.images.push_back(resolve(folder, path));
  if (ways == "text")
    request.prompt.prompts.push_back(reader.string("text"));
  else if (ways == "batch")
    request.prompt.prompts = reader.strings("batch");
  else if (ways == "interleaved")
    readInterleaved(reader, request, folder);
  else
    readMessages(reader, request, folder);
  if (ways == "batch" && request.prompt.prompts.empty() && !reader.fault)
    reader.fail(Fault(reader.place() +
                      ": batch: expected at least one prompt, found none; "
                      "mend the file"));
  if (reader.has("processor_kwargs"))
    readProcessorOptions(reader, request.prompt);
  readLengthAndBeams(reader, request);
}

/// The fields that belong to the case's task.
static void readTask(FieldReader &reader, RequestCase &request, bool isTensors,
                     const fs::path &folder, const std::string &where) {
  request.task = reader.has("task") ? reader.string("task") : "generate";
  auto task =
      std::ranges::find(taskFields(), request.task,
                        &std::pair<std::string, std::set<std::string>>::first);
  if (task == taskFields().end()) {
    std::string list;
    for (const auto &[name, fields] : taskFields())
      list += (list.empty() ? "" : ", ") + name;
    return reader.fail(Fault(where + ": task: expected one of " + list +
                             ", found '" + request.task + "'; mend the file"));
  }
  std::set<std::string> known = task->second;
  if (isTensors) {
    known = {"tensors", "prefix"};
    request.tensors = resolve(folder, reader.string("tensors"));
    request.prefix = reader.has("prefix") ? reader.string("prefix") : "";
    if (request.task == "generate") {
      known.insert(
          {"max_new_tokens", "num_beams", "length_penalty", "early_stopping"});
      readLengthAndBeams(reader, request);
    }
  } else if (request.task == "generate") {
    readGenerate(reader, request, folder);
  } else {
    if (reader.has("images"))
      for (const std::string &path : reader.strings("images"))
        request.images.push_back(resolve(folder, path));
    if (reader.has("texts"))
      request.texts = reader.strings("texts");
    if (reader.has("tokenizer"))
      request.tokenizer = reader.string("tokenizer");
  }
  known.insert({"name", "task"});
  reader.finish(known);
}

static RequestCase readCase(const Json &value, const OrderedJson &inOrder,
                            const std::string &where, bool isTensors,
                            const fs::path &folder) {
  RequestCase request;
  if (!value.is_object()) {
    request.fault = wrong(where, "an object", &value);
    return request;
  }
  FieldReader reader(value, where, &inOrder);
  request.name = reader.string("name");
  readTask(reader, request, isTensors, folder, where);
  request.fault = reader.fault;
  return request;
}

Outcome<RequestFile> readRequests(const std::string &path) {
  Result<Json> json = readJsonFile(path);
  if (!json)
    return Fault(json.takeFailure());
  if (!json->is_object())
    return wrong(path, "an object", &*json);
  // It is JSON, as has just been seen; but for a change since then.
  Result<MappedFile> text = MappedFile::open(path);
  if (!text)
    return Fault(text.takeFailure());
  OrderedJson ordered = OrderedJson::parse(text->text(), nullptr,
                                           /*allow_exceptions=*/false);
  FieldReader reader(*json, path);
  RequestFile file;
  std::string mode = reader.string("mode");
  if (!reader.fault && mode != "files" && mode != "tensors")
    reader.fail(Fault(path +
                      ": mode: expected \"files\" or \"tensors\", "
                      "found \"" +
                      mode + "\"; mend the file"));
  file.isTensors = mode == "tensors";
  auto cases = json->find("cases");
  if (cases == json->end() || !cases->is_array())
    reader.fail(wrong(path + ": cases", "a list of objects",
                      cases == json->end() ? nullptr : &*cases));
  reader.finish({"mode", "cases"});
  if (reader.fault)
    return *reader.fault;
  if (ordered.is_discarded() || !ordered.contains("cases") ||
      ordered["cases"].size() != cases->size())
    return Fault(path + ": changed while it was being read; run the command "
                        "again");

  std::set<std::string> names;
  fs::path folder = fs::path(path).parent_path();
  for (const Json &value : *cases) {
    std::string where = path + ": case " + std::to_string(file.cases.size());
    if (value.is_object() && value.contains("name") &&
        value["name"].is_string())
      where += " '" + value["name"].get<std::string>() + "'";
    const OrderedJson &inOrder = ordered["cases"][file.cases.size()];
    file.cases.push_back(
        readCase(value, inOrder, where, file.isTensors, folder));
    RequestCase &added = file.cases.back();
    if (!added.fault && !names.insert(added.name).second)
      added.fault = Fault(where + ": name: stands twice, its tensors could not "
                                  "be told apart; rename the case");
  }
  return file;
}

} // namespace vlmc::tool
