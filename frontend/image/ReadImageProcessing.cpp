//===- ReadImageProcessing.cpp - preprocessor_config.json and its like ----===//
//
// One Reader reads one JSON object. It keeps the first error and goes on, so
// that the code below reads like the list of keys that it is.
//
//===----------------------------------------------------------------------===//
#include "frontend/image/ImageProcessing.h"
#include "frontend/support/Json.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <set>
#include <string_view>

namespace vlmc {

/// Larger sides than this are taken for a slip: a picture of that size has
/// four gigapixels.
static constexpr int64_t maxSide = 65536;

/// Keys that generic code saves and that change nothing here: pictures are RGB
/// before they are processed, and the layout of the result is the model's.
static constexpr std::string_view keysWithoutEffect[] = {
    "_processor_class",
    "_valid_processor_keys",
    "auto_map",
    "data_format",
    "device",
    "disable_grouping",
    "feature_extractor_type",
    "image_num_channels",
    "image_seq_length",
    "input_data_format",
    "model_input_names",
    "pad_size",
    "processor_class",
    "return_tensors",
    "video_metadata",
    "video_processor_type",
};

namespace {
/// The numbers in a size; which ones there are tells what it means.
struct SizeForm {
  std::optional<int64_t> shortestEdge, longestEdge, height, width, maxHeight,
      maxWidth;
};

/// Reads the keys of one object.
class Reader {
public:
  Reader(std::string file, std::string prefix, const Json &object,
         std::vector<std::string> &warnings)
      : file(std::move(file)), prefix(std::move(prefix)), object(object),
        warnings(warnings) {}

  /// The value of `key`, or null if it is absent or null: to transformers these
  /// are the same.
  const Json *find(const std::string &key) {
    read.insert(key);
    auto found = object.find(key);
    return found == object.end() || found->is_null() ? nullptr : &*found;
  }

  /// Keeps the first error: `key` was expected to be `expected`.
  void fail(const std::string &key, const std::string &expected,
            const Json &found) {
    failWith(key + ": expected " + expected + ", found " + describe(found) +
             "; mend the file");
  }
  void failWith(const std::string &message) {
    if (error.empty())
      error = file + ": " + prefix + message;
  }

  void readFlag(const std::string &key, bool &out);
  void readSize(const std::string &key, bool square, SizeForm &out);
  void readFilter(Resample &out);
  void readNumber(const std::string &key, double &out);
  void readTriple(const std::string &key, bool isDivisor,
                  std::array<double, 3> &out);
  void readType(const std::vector<std::string> &names, ImageBackend &backend);
  void readGrid(std::vector<std::array<int64_t, 2>> &out);
  void checkTiles(const ImageProcessing &image);
  void readPatches(ImageProcessing &image);
  void readPadding(const ImageProcessing &image);
  void readFittedTiles(ImageProcessing &image);
  void readPatchRows(ImageProcessing &image);
  void readQuarters(ImageProcessing &image);
  void readSquares(ImageProcessing &image);
  void readSampling();
  void reportOthers();

  std::string error;
  /// Whether a size may be that of the longest edge alone.
  bool takesLongest = false;
  /// The class that the file names, without suffixes; "": it names none.
  std::string type;

private:
  bool readMembers(const std::string &key, const Json &object, SizeForm &out);
  std::optional<int64_t> side(const std::string &key, const Json &value);

  std::string file;
  std::string prefix;
  const Json &object;
  std::vector<std::string> &warnings;
  std::set<std::string> read;
};
} // namespace

void Reader::readFlag(const std::string &key, bool &out) {
  const Json *value = find(key);
  if (!value)
    return;
  if (!value->is_boolean())
    return fail(key, "true or false", *value);
  out = value->get<bool>();
}

std::optional<int64_t> Reader::side(const std::string &key, const Json &value) {
  bool isInteger = value.is_number_integer();
  bool fits = isInteger && (!value.is_number_unsigned() ||
                            value.get<uint64_t>() <= uint64_t(maxSide));
  if (fits && value.get<int64_t>() >= 1 && value.get<int64_t>() <= maxSide)
    return value.get<int64_t>();
  fail(key, "an integer from 1 to " + std::to_string(maxSide), value);
  return std::nullopt;
}

/// The members of an object, if together they mean a size. False: they do not.
bool Reader::readMembers(const std::string &key, const Json &object,
                         SizeForm &out) {
  struct Member {
    const char *name;
    std::optional<int64_t> SizeForm::*field;
  };
  static constexpr Member shortest{"shortest_edge", &SizeForm::shortestEdge},
      longest{"longest_edge", &SizeForm::longestEdge},
      height{"height", &SizeForm::height}, width{"width", &SizeForm::width},
      maxHeight{"max_height", &SizeForm::maxHeight},
      maxWidth{"max_width", &SizeForm::maxWidth};
  static const std::vector<Member> forms[] = {{height, width},
                                              {shortest},
                                              {shortest, longest},
                                              {maxHeight, maxWidth},
                                              {longest}};
  std::set<std::string> found;
  for (const auto &[name, member] : object.items())
    if (!member.is_null())
      found.insert(name);
  for (const std::vector<Member> &form : forms) {
    std::set<std::string> names;
    for (const Member &member : form)
      names.insert(member.name);
    const bool isSize = key == "size";
    const bool isLongest = &form == std::end(forms) - 1;
    const bool isAllowed =
        isLongest ? (isSize ? takesLongest : key == "max_image_size")
                  : isSize || &form == forms;
    if (names != found || !isAllowed)
      continue;
    for (const Member &member : form)
      out.*member.field = side(key + "." + member.name, object[member.name]);
    return true;
  }
  return false;
}

void Reader::readSize(const std::string &key, bool square, SizeForm &out) {
  const Json *value = find(key);
  if (!value)
    return;
  const std::string forms =
      key == "size" ? "an integer, [height, width], {\"shortest_edge\"}, "
                      "{\"shortest_edge\", \"longest_edge\"}, {\"height\", "
                      "\"width\"} or {\"max_height\", \"max_width\"}"
                    : "an integer, [height, width] or {\"height\", \"width\"}";
  out = SizeForm();
  if (value->is_number()) {
    auto edge = side(key, *value);
    if (square)
      out.height = out.width = edge;
    else
      out.shortestEdge = edge;
  } else if (value->is_array() && value->size() == 2) {
    out.height = side(key + "[0]", (*value)[0]);
    out.width = side(key + "[1]", (*value)[1]);
  } else if (!value->is_object() || !readMembers(key, *value, out)) {
    fail(key, forms, *value);
  }
}

void Reader::readFilter(Resample &out) {
  const Json *value = find("resample");
  if (!value)
    return;
  if (!value->is_number_integer() || *value < 0 || *value > 5)
    return fail("resample",
                "an integer from 0 to 5 (0 nearest, 1 Lanczos, 2 bilinear, 3 "
                "bicubic, 4 box, 5 Hamming)",
                *value);
  out = static_cast<Resample>(value->get<int>());
}

void Reader::readNumber(const std::string &key, double &out) {
  const Json *value = find(key);
  if (!value)
    return;
  if (!value->is_number() || !std::isfinite(value->get<double>()))
    return fail(key, "a finite number", *value);
  out = value->get<double>();
}

void Reader::readTriple(const std::string &key, bool isDivisor,
                        std::array<double, 3> &out) {
  const Json *value = find(key);
  if (!value)
    return;
  std::vector<Json> numbers;
  if (value->is_number())
    numbers.assign(3, *value);
  else if (value->is_array() && value->size() == 3)
    numbers.assign(value->begin(), value->end());
  else
    return fail(key, "3 numbers (red, green, blue) or one for all", *value);
  for (size_t i = 0; i < 3; ++i) {
    // The arithmetic is in float: what is no float or a zero there is refused.
    double number = numbers[i].is_number()
                        ? numbers[i].get<double>()
                        : std::numeric_limits<double>::quiet_NaN();
    float rounded = static_cast<float>(number);
    if (!std::isfinite(rounded) || (isDivisor && rounded == 0.0F))
      return fail(key + "[" + std::to_string(i) + "]",
                  isDivisor ? "a finite number other than 0"
                            : "a finite number",
                  numbers[i]);
    out[i] = number;
  }
}

void Reader::readGrid(std::vector<std::array<int64_t, 2>> &out) {
  const std::string key = "image_grid_pinpoints";
  const Json *value = find(key);
  if (!value)
    return;
  auto isSide = [](const Json &side) {
    return side.is_number_integer() && side > 0 && side <= maxSide;
  };
  bool good = value->is_array() && !value->empty();
  out.clear();
  for (const Json &each : good ? *value : Json::array()) {
    good = good && each.is_array() && each.size() == 2 && isSide(each[0]) &&
           isSide(each[1]);
    if (good)
      out.push_back({each[0].get<int64_t>(), each[1].get<int64_t>()});
  }
  if (!good)
    fail(key, "pairs of a height and a width in pixels", *value);
}

/// The resolutions of min_patches to max_patches tiles, in the order in which
/// GotOcr2ImageProcessor compares them.
void Reader::readPatches(ImageProcessing &image) {
  constexpr int64_t most = 64;
  int64_t bounds[] = {1, 12};
  const char *keys[] = {"min_patches", "max_patches"};
  for (int i = 0; i < 2; ++i)
    if (const Json *value = find(keys[i])) {
      if (!value->is_number_integer() || *value < (i ? bounds[0] : 1) ||
          *value > most)
        return fail(keys[i],
                    "an integer from " + std::to_string(i ? bounds[0] : 1) +
                        " to " + std::to_string(most),
                    *value);
      bounds[i] = value->get<int64_t>();
    }
  if (bounds[1] < bounds[0])
    return failWith("min_patches: expected at most max_patches, " +
                    std::to_string(bounds[1]) + ", found " +
                    std::to_string(bounds[0]) + "; mend the file");
  // The class that joins words and pictures always cuts these.
  bool ignored = true;
  readFlag("crop_to_patches", ignored);
  if (image.height != image.width || !image.height)
    return failWith("size: expected one side for height and width, found "
                    "others; such tiles are not supported");
  for (int64_t tiles = bounds[0]; tiles <= bounds[1]; ++tiles)
    for (int64_t across = 1; across <= tiles; ++across)
      if (tiles % across == 0)
        image.grid.push_back(
            {tiles / across * *image.height, across * *image.height});
}

/// `do_pad` of other classes fills pictures up at the right and the bottom, to
/// `pad_size` or the largest of a batch: where all come out in one size,
/// nothing.
void Reader::readPadding(const ImageProcessing &image) {
  bool pads = false;
  readFlag("do_pad", pads);
  SizeForm to;
  readSize("pad_size", /*square=*/true, to);
  if (!pads)
    return;
  std::optional<int64_t> height = image.height, width = image.width;
  if (image.doCenterCrop) {
    height = image.cropHeight;
    width = image.cropWidth;
  }
  bool isWhole = height && width && to.height.value_or(*height) == *height &&
                 to.width.value_or(*width) == *width;
  if (!isWhole || !(image.doResize || image.doCenterCrop))
    failWith("do_pad: expected false, found true; this step is not supported "
             "where pictures come out in several sizes or smaller than "
             "pad_size, set it to false if the model works without it");
}

/// Pictures become rows of whole patches (Siglip2ImageProcessor); nothing else
/// tells their size.
void Reader::readPatchRows(ImageProcessing &image) {
  struct Number {
    const char *key;
    int64_t most;
    int64_t ImageProcessing::*field;
  };
  for (const Number &number :
       {Number{"patch_size", 4096, &ImageProcessing::patchSize},
        Number{"max_num_patches", 65536, &ImageProcessing::maxPatches}})
    if (const Json *value = find(number.key)) {
      if (!value->is_number_integer() || *value < 1 || *value > number.most)
        return fail(number.key,
                    "an integer from 1 to " + std::to_string(number.most),
                    *value);
      image.*number.field = value->get<int64_t>();
    }
  image.doCenterCrop = false;
  image.shortestEdge.reset();
  image.longestEdge.reset();
  image.height.reset();
  image.width.reset();
  image.maxHeight.reset();
  image.maxWidth.reset();
}

/// All arrangements of up to max_image_tiles tiles, in the order in which
/// MllamaImageProcessor numbers them.
void Reader::readFittedTiles(ImageProcessing &image) {
  constexpr int64_t most = 64;
  int64_t tiles = 4;
  if (const Json *value = find("max_image_tiles")) {
    if (!value->is_number_integer() || *value < 1 || *value > most)
      return fail("max_image_tiles",
                  "an integer from 1 to " + std::to_string(most), *value);
    tiles = value->get<int64_t>();
  }
  bool pads = true;
  readFlag("do_pad", pads);
  for (auto [key, isOn] :
       {std::pair("do_pad", pads), std::pair("do_resize", image.doResize)})
    if (!isOn)
      return failWith(std::string(key) +
                      ": expected true, found false; such tiles cannot be "
                      "made without this step");
  if (image.height != image.width || !image.height)
    return failWith("size: expected one side for height and width, found "
                    "others; such tiles are not supported");
  for (int64_t down = 1; down <= tiles; ++down)
    for (int64_t across = 1; down * across <= tiles; ++across)
      image.grid.push_back({down * *image.height, across * *image.height});
}

/// Pictures come out in sizes of their own, and a batch of them with zeros
/// around, which nobody reads (Idefics2ImageProcessor).
void Reader::readQuarters(ImageProcessing &image) {
  bool ignored = true;
  readFlag("do_pad", ignored);
  readFlag("do_image_splitting", image.quarters);
  const bool isCapped = image.shortestEdge && image.longestEdge;
  image.capsEdges = image.doResize && isCapped;
  if (image.doResize && !isCapped && !(image.height && image.width))
    failWith("size: expected {\"shortest_edge\", \"longest_edge\"} or "
             "{\"height\", \"width\"}, found another; such processors are "
             "not supported");
}

/// Pictures become squares of max_image_size (Idefics3ImageProcessor).
void Reader::readSquares(ImageProcessing &image) {
  bool ignored = true;
  for (const char *key : {"do_pad", "return_row_col_info"})
    readFlag(key, ignored);
  readFlag("do_image_splitting", image.cutsLines);
  SizeForm square;
  readSize("max_image_size", /*square=*/true, square);
  if (find("max_image_size") && !square.longestEdge)
    return fail("max_image_size", "{\"longest_edge\"}",
                *find("max_image_size"));
  image.tileSize = square.longestEdge.value_or(image.tileSize);
  if (image.doResize && !image.longestEdge && !(image.height && image.width))
    failWith("size: expected {\"longest_edge\"} or {\"height\", "
             "\"width\"}, found another; such processors are not supported");
}

/// Tiles are resized as the whole picture is; here they keep their size.
void Reader::checkTiles(const ImageProcessing &image) {
  int64_t edge = image.shortestEdge.value_or(image.height.value_or(0));
  bool isSquare = image.shortestEdge
                      ? !image.longestEdge
                      : image.height && image.height == image.width;
  int64_t tile = image.doCenterCrop ? image.cropHeight : edge;
  if (!isSquare || tile != edge || image.cropHeight != image.cropWidth)
    return failWith("size and crop_size: expected tiles of one side, found "
                    "others; such processors are not supported");
  for (auto [height, width] : image.grid)
    if (height % tile || width % tile)
      return failWith("image_grid_pinpoints: expected multiples of the tile's "
                      "side " +
                      std::to_string(tile) + ", found [" +
                      std::to_string(height) + ", " + std::to_string(width) +
                      "]; mend the file");
}

/// Which frames would be taken of a video: here they are given, all of them.
void Reader::readSampling() {
  for (const char *key :
       {"do_sample_frames", "num_frames", "fps", "image_grid_pinpoints",
        "do_pad", "crop_to_patches", "min_patches", "max_patches",
        "image_processor_type", "video_processor_type", "min_frames",
        "max_frames", "initial_shift", "video_sampling_rate"})
    if (const Json *value = find(key);
        value && std::string_view(key) == "do_sample_frames" && *value == true)
      warnings.push_back(file + ": " + prefix + key +
                         ": true, but all frames that are given are taken");
}

static bool dropSuffix(std::string &name, std::string_view suffix) {
  if (!name.ends_with(suffix))
    return false;
  name.resize(name.size() - suffix.size());
  return true;
}

void Reader::readType(const std::vector<std::string> &names,
                      ImageBackend &backend) {
  std::string key = "image_processor_type";
  const Json *value = find(key);
  if (!value) {
    key = "feature_extractor_type";
    value = find(key);
  }
  if (!value)
    return;
  if (!value->is_string())
    return fail(key, "a string", *value);
  std::string name = value->get<std::string>();
  dropSuffix(name, "Fast");
  if (dropSuffix(name, "Pil"))
    backend = ImageBackend::Pil;
  if (dropSuffix(name, "FeatureExtractor"))
    name += "ImageProcessor";
  type = name;
  if (std::find(names.begin(), names.end(), name) != names.end())
    return;
  std::string expected;
  for (const std::string &known : names)
    expected += (expected.empty() ? "\"" : " or \"") + known + "\"";
  failWith(key + ": expected " + expected + ", found " + describe(*value) +
           "; this model family is not known to work with that processor");
}

void Reader::reportOthers() {
  for (const auto &[key, value] : object.items()) {
    if (read.count(key) || value.is_null())
      continue;
    if (std::find(std::begin(keysWithoutEffect), std::end(keysWithoutEffect),
                  key) != std::end(keysWithoutEffect))
      continue;
    // A processing step that this compiler does not know; off it does no harm.
    bool isStep = key.starts_with("do_");
    if (isStep && value != false)
      failWith(key + ": expected false, found " + describe(value) +
               "; this step is not supported, set it to false if the model "
               "works without it");
    else if (!isStep)
      warnings.push_back(file + ": " + prefix + key +
                         ": unknown key without effect, ignored");
  }
}

static ImageProcessing readObject(Reader &reader,
                                  const ImageProcessorClass &known) {
  ImageProcessing image = known.defaults;
  if (!known.isOfVideos)
    reader.readType(known.names, image.backend);
  reader.readFlag("do_resize", image.doResize);
  bool square = known.defaultToSquare;
  reader.readFlag("default_to_square", square);
  reader.takesLongest = image.tileSize != 0;
  SizeForm size{image.shortestEdge, image.longestEdge, image.height,
                image.width,        image.maxHeight,   image.maxWidth};
  reader.readSize("size", square, size);
  if (!known.sizeAlias.empty())
    reader.readSize(known.sizeAlias, /*square=*/true, size);
  image.shortestEdge = size.shortestEdge;
  image.longestEdge = size.longestEdge;
  image.height = size.height;
  image.width = size.width;
  image.maxHeight = size.maxHeight;
  image.maxWidth = size.maxWidth;
  bool useSquare = false;
  reader.readFlag("use_square_size", useSquare);
  if (useSquare && known.defaults.shortestEdge) {
    // Old files: the default edge for both sides, whatever `size` says.
    image.height = image.width = known.defaults.shortestEdge;
    image.shortestEdge.reset();
    image.longestEdge.reset();
    image.maxHeight.reset();
    image.maxWidth.reset();
  }
  reader.readFilter(image.resample);
  reader.readFlag("do_center_crop", image.doCenterCrop);
  SizeForm crop;
  reader.readSize("crop_size", /*square=*/true, crop);
  image.cropHeight = crop.height.value_or(image.cropHeight);
  image.cropWidth = crop.width.value_or(image.cropWidth);
  reader.readFlag("do_rescale", image.doRescale);
  reader.readNumber("rescale_factor", image.rescaleFactor);
  reader.readFlag("do_normalize", image.doNormalize);
  reader.readTriple("image_mean", /*isDivisor=*/false, image.mean);
  reader.readTriple("image_std", /*isDivisor=*/true, image.std);
  reader.readFlag("do_convert_rgb", image.doConvertRgb);
  if (known.isOfVideos)
    reader.readSampling();
  if (!known.padsAs.empty() && reader.type == known.padsAs)
    reader.readFlag("do_pad", image.padsToSquare);
  if (image.stretchesTiles)
    reader.readPatches(image);
  if (image.fitsTiles)
    reader.readFittedTiles(image);
  if (image.maxPatches)
    reader.readPatchRows(image);
  if (known.offsetsRescaled) {
    reader.readFlag("rescale_offset", image.offsetsRescaled);
    reader.readFlag("include_top", image.dividesAgain);
  }
  // The class that joins words and pictures has its own values of these.
  if (image.panCrops)
    for (const char *key :
         {"do_pan_and_scan", "pan_and_scan_min_crop_size",
          "pan_and_scan_max_num_crops", "pan_and_scan_min_ratio_to_activate"})
      reader.find(key);
  if (known.cutsTiles) {
    image.doResize = true; // tiles are resized whatever the file says
    bool ignored = true; // rows of fewer tiles are filled up; nobody reads that
    reader.readFlag("do_pad", ignored);
    reader.readGrid(image.grid);
    reader.checkTiles(image);
  }
  if (known.defaults.capsEdges)
    reader.readQuarters(image);
  if (image.tileSize)
    reader.readSquares(image);
  if (!image.padsToSquare && !image.fitsTiles && !known.cutsTiles &&
      !known.isOfVideos && !known.defaults.capsEdges && !image.tileSize)
    reader.readPadding(image);
  reader.reportOthers();
  return image;
}

/// The object in `path`; null if there is no such file.
static Result<Json> readObjectFile(const std::filesystem::path &path) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored))
    return Json();
  Result<Json> json = readJsonFile(path.string());
  if (json && !json->is_object())
    return Failure{path.string() + ": expected a JSON object, found " +
                   describe(*json) + "; mend the file"};
  return json;
}

namespace {
/// Where the settings of a processor are: a member of processor_config.json,
/// else the first of some files.
struct Places {
  std::string member;
  std::vector<std::string> files;
};
} // namespace

/// Reads what is there; nothing: no file is.
static Result<std::optional<ImageProcessing>>
readPlaces(const std::string &folder, const Places &places,
           const ImageProcessorClass &known,
           std::vector<std::string> &warnings) {
  std::filesystem::path file =
      std::filesystem::path(folder) / "processor_config.json";
  Result<Json> json = readObjectFile(file);
  if (!json)
    return json.takeFailure();
  std::string prefix;
  if (json->is_object() && json->contains(places.member)) {
    prefix = places.member + ".";
    Json nested = (*json)[places.member];
    if (!nested.is_object())
      return Failure{file.string() + ": " + places.member +
                     ": expected an object, found " + describe(nested) +
                     "; mend the file"};
    json = Result<Json>(std::move(nested));
  } else {
    json = Result<Json>(Json());
    for (const std::string &name : places.files) {
      if (!json->is_null())
        break;
      file = std::filesystem::path(folder) / name;
      json = readObjectFile(file);
      if (!json)
        return json.takeFailure();
    }
  }
  if (json->is_null())
    return std::optional<ImageProcessing>();
  Reader reader(file.string(), prefix, *json, warnings);
  ImageProcessing image = readObject(reader, known);
  if (!reader.error.empty())
    return Failure{reader.error};
  return std::optional(image);
}

Result<ImageProcessing>
readImageProcessing(const std::string &folder, const ImageProcessorClass &known,
                    std::vector<std::string> &warnings) {
  auto image =
      readPlaces(folder, {"image_processor", {"preprocessor_config.json"}},
                 known, warnings);
  if (!image)
    return image.takeFailure();
  if (*image)
    return **image;
  warnings.push_back(
      folder +
      ": found neither preprocessor_config.json nor an "
      "image_processor in processor_config.json, pictures are "
      "processed by the defaults of " +
      (known.names.empty() ? "the model family" : known.names.front()));
  return known.defaults;
}

Result<ImageProcessing>
readVideoProcessing(const std::string &folder, const ImageProcessorClass &known,
                    std::vector<std::string> &warnings) {
  auto image = readPlaces(
      folder,
      {"video_processor",
       {"video_preprocessor_config.json", "preprocessor_config.json"}},
      known, warnings);
  if (!image)
    return image.takeFailure();
  return image->value_or(known.defaults);
}

} // namespace vlmc
