//===- SeenPictures.cpp - Pictures that tokens attend to ------------------===//
#include "tools/vlmc/SeenPictures.h"

#include <algorithm>
#include <cstring>

namespace vlmc::tool {

/// The pictures of each prompt, with zeros where a prompt has fewer.
static HostTensor spread(const HostTensor &pixels,
                         const std::vector<int64_t> &pictures, int64_t most) {
  std::vector<int64_t> shape = {int64_t(pictures.size()), most};
  shape.insert(shape.end(), pixels.shape.begin() + 1, pixels.shape.end());
  HostTensor all = HostTensor::zeros(VLM_F32, shape);
  size_t each = pixels.bytes.size() / size_t(pixels.shape[0]);
  size_t from = 0;
  for (size_t row = 0; row < pictures.size(); ++row) {
    std::memcpy(all.bytes.data() + row * size_t(most) * each,
                pixels.bytes.data() + from, size_t(pictures[row]) * each);
    from += size_t(pictures[row]) * each;
  }
  return all;
}

/// Frames as [batch, pictures of a prompt, frames, ...] and how many each has,
/// of those of all pictures and videos, one behind the other.
static void spreadFrames(const std::vector<int64_t> &pictures, int64_t most,
                         TensorMap &tensors) {
  const HostTensor pixels = std::move(tensors["pixel_values"]);
  const auto batch = int64_t(pictures.size());
  std::vector<int64_t> counts(size_t(batch * most), 0);
  const auto given = tensors.find("frame_counts");
  int64_t mostFrames = 1;
  for (int64_t row = 0, medium = 0; row < batch; ++row)
    for (int64_t i = 0; i < pictures[size_t(row)]; ++i, ++medium) {
      int64_t count =
          given == tensors.end() ? 1 : given->second.data<int64_t>()[medium];
      count = std::max<int64_t>(1, count); // a picture
      counts[size_t(row * most + i)] = count;
      mostFrames = std::max(mostFrames, count);
    }
  std::vector<int64_t> shape = {batch, most, mostFrames};
  shape.insert(shape.end(), pixels.shape.begin() + 1, pixels.shape.end());
  HostTensor all = HostTensor::zeros(VLM_F32, shape);
  const size_t each = pixels.bytes.size() / size_t(pixels.shape[0]);
  size_t from = 0;
  for (size_t medium = 0; medium < counts.size(); ++medium) {
    const size_t bytes = size_t(counts[medium]) * each;
    std::memcpy(all.bytes.data() + medium * size_t(mostFrames) * each,
                pixels.bytes.data() + from, bytes);
    from += bytes;
  }
  tensors["pixel_values"] = std::move(all);
  tensors["frame_counts"] =
      HostTensor::of(VLM_I64, {batch, most}, counts.data());
}

/// The last token that a picture is seen from, plus one: the next picture's,
/// unless that adjoins.
static std::vector<int64_t> endsOf(const std::vector<int64_t> &places,
                                   int64_t columns) {
  std::vector<int64_t> ends(places.size(), columns);
  for (size_t i = places.size(); i-- > 0;)
    if (i + 1 < places.size())
      ends[i] = places[i + 1] == places[i] + 1 ? ends[i + 1] : places[i + 1];
  return ends;
}

/// cross_attention_mask, and the pictures by prompt.
static void addSeenTiles(const vlm_abi_generation &facts,
                         const std::vector<int64_t> &pictures,
                         TensorMap &tensors) {
  auto pixels = tensors.find("pixel_values");
  if (pixels == tensors.end())
    return;
  const HostTensor &ids = tensors["input_ids"];
  const HostTensor &there = tensors["aspect_ratio_mask"];
  const int64_t batch = ids.shape[0], columns = ids.shape[1],
                tiles = there.shape[1];
  int64_t most = *std::max_element(pictures.begin(), pictures.end());
  std::vector<int64_t> mask(size_t(batch * columns * most * tiles), 0);
  int64_t picture = 0;
  for (int64_t row = 0; row < batch; ++row) {
    std::vector<int64_t> places;
    const int64_t *own = ids.data<int64_t>() + row * columns;
    for (int64_t column = 0; column < columns; ++column)
      if (own[column] == facts.image_token)
        places.push_back(column);
    std::vector<int64_t> ends = endsOf(places, columns);
    for (size_t i = 0;
         i < std::min(places.size(), size_t(pictures[size_t(row)])); ++i)
      for (int64_t column = places[i]; column < ends[i]; ++column)
        std::copy_n(there.data<int64_t>() + (picture + int64_t(i)) * tiles,
                    tiles,
                    mask.data() +
                        ((row * columns + column) * most + int64_t(i)) * tiles);
    picture += pictures[size_t(row)];
  }
  tensors["cross_attention_mask"] =
      HostTensor::of(VLM_I64, {batch, columns, most, tiles}, mask.data());
  pixels->second = spread(pixels->second, pictures, most);
  std::vector<int64_t> allIds, allThere;
  const auto *idOf = tensors["aspect_ratio_ids"].data<int64_t>();
  const auto *thereOf = there.data<int64_t>();
  for (int64_t count : pictures)
    for (int64_t i = 0; i < most; ++i) {
      allIds.push_back(i < count ? *idOf++ : 0);
      for (int64_t tile = 0; tile < tiles; ++tile)
        allThere.push_back(i < count ? *thereOf++ : tile == 0);
    }
  tensors["aspect_ratio_ids"] =
      HostTensor::of(VLM_I64, {batch, most}, allIds.data());
  tensors["aspect_ratio_mask"] =
      HostTensor::of(VLM_I64, {batch, most, tiles}, allThere.data());
}

void addSeenPictures(const vlm_abi_generation &facts,
                     const std::vector<int64_t> &pictures, TensorMap &tensors) {
  if (facts.attended & VLM_ABI_ATTEND_GROUP)
    return addSeenTiles(facts, pictures, tensors);
  const HostTensor &ids = tensors["input_ids"];
  int64_t most =
      std::max<int64_t>(1, *std::max_element(pictures.begin(), pictures.end()));
  int64_t columns = ids.shape[1];
  std::vector<int64_t> mask(size_t(ids.shape[0] * columns * most), 0);
  for (int64_t row = 0; row < ids.shape[0]; ++row) {
    int64_t seen = 0;
    bool isOver = false;
    for (int64_t column = 0; column < columns; ++column) {
      int64_t id = ids.data<int64_t>()[row * columns + column];
      if (id == facts.image_token) {
        isOver = false;
        ++seen;
      }
      int64_t *to = mask.data() + (row * columns + column) * most;
      int64_t first =
          facts.attended & VLM_ABI_ATTEND_LATEST ? seen - 1 : int64_t(0);
      for (int64_t i = std::max<int64_t>(0, first);
           i < std::min(seen, most) && !isOver; ++i)
        to[i] = 1;
      if (facts.attended & VLM_ABI_ATTEND_UNTIL_END && facts.n_end_tokens)
        isOver = isOver || id == facts.end_tokens[0];
    }
  }
  tensors["image_attention_mask"] =
      HostTensor::of(VLM_I64, {ids.shape[0], columns, most}, mask.data());
  auto pixels = tensors.find("pixel_values");
  if (pixels == tensors.end())
    return;
  if (facts.picture_flags & VLM_ABI_READS_VIDEOS)
    return spreadFrames(pictures, most, tensors);
  pixels->second = spread(pixels->second, pictures, most);
}

/// A tensor of a file that has not the shape that others ask for.
static Fault badShape(const std::string &name, const std::string &expected,
                      const std::vector<int64_t> &found) {
  return Fault(name + ": expected " + expected + ", found " +
               describeShape(found) + "; mend the file of tensors");
}

std::optional<Fault> checkSeenPictures(const TensorMap &tensors) {
  const std::vector<int64_t> &ids = tensors.at("input_ids").shape;
  auto pixels = tensors.find("pixel_values");
  if (pixels == tensors.end() || pixels->second.shape[0] == ids[0])
    return std::nullopt;
  return badShape("pixel_values",
                  "the pictures of each of the " + std::to_string(ids[0]) +
                      " rows of input_ids " + describeShape(ids) +
                      ", padded to one number",
                  pixels->second.shape);
}

Outcome<HostTensor> encodeFrames(const vlm_model_t *model,
                                 const TensorMap &tensors) {
  rt::FrameTower frames;
  if (std::optional<Fault> fault = check(frames.open(model)))
    return *fault;
  const HostTensor &pixels = tensors.at("pixel_values");
  const std::vector<int64_t> &shape = pixels.shape;
  const int64_t side = frames.readSide();
  if (shape.size() != 6 || shape[3] != 3 || shape[4] != side ||
      shape[5] != side)
    return badShape("pixel_values",
                    "[batch, pictures, frames, 3, " + std::to_string(side) +
                        ", " + std::to_string(side) + "]",
                    shape);
  const auto counts = tensors.find("frame_counts");
  const std::vector<int64_t> media{shape[0], shape[1]};
  if (counts != tensors.end() && counts->second.shape != media)
    return badShape("frame_counts",
                    describeShape(media) + ", as pixel_values has pictures",
                    counts->second.shape);
  const int64_t perMedium = shape[2] * shape[3] * shape[4] * shape[5];
  const int64_t perFeatures = frames.rows * frames.featureWidth();
  HostTensor all = HostTensor::zeros(
      VLM_F32, {shape[0], shape[1], frames.rows, frames.featureWidth()});
  for (int64_t i = 0; i < shape[0] * shape[1]; ++i) {
    const int64_t count =
        counts == tensors.end() ? shape[2] : counts->second.data<int64_t>()[i];
    if (count < 0 || count > shape[2])
      return Fault("frame_counts: expected 0 to " + std::to_string(shape[2]) +
                   ", the frames of pixel_values, found " +
                   std::to_string(count) + "; mend the file of tensors");
    if (count == 0)
      continue;
    rt::FrameTower::Floats made;
    if (std::optional<Fault> fault =
            check(frames.run(pixels.data<float>() + i * perMedium, count, side,
                             side, i % shape[1], made)))
      return *fault;
    std::ranges::copy(made, all.data<float>() + i * perFeatures);
  }
  return all;
}

Outcome<SeenRows> readSeenRows(const vlm_abi_generation &facts,
                               const TensorMap &tensors, size_t number,
                               const std::vector<int64_t> &columns,
                               int64_t rowsPerPicture) {
  const std::vector<int64_t> &ids = tensors.at("input_ids").shape;
  SeenRows rows;
  rows.first.assign(columns.size(), 0);
  rows.last.assign(columns.size(), 0);
  rows.shown.assign(columns.size(), 1);
  auto found = tensors.find("image_attention_mask");
  if (found == tensors.end())
    return rows;
  const HostTensor &mask = found->second;
  // Without pictures the mask shows none, however many it has room for.
  auto pixels = tensors.find("pixel_values");
  std::vector<int64_t> wanted{ids[0], ids[1]};
  wanted.push_back(pixels != tensors.end()  ? pixels->second.shape[1]
                   : mask.shape.size() == 3 ? mask.shape[2]
                                            : 1);
  if (mask.shape != wanted)
    return badShape("image_attention_mask",
                    describeShape(wanted) +
                        ", the sizes of input_ids and the pictures of a row of "
                        "pixel_values",
                    mask.shape);
  int64_t pictures = mask.shape[2];
  for (size_t i = 0; i < columns.size(); ++i) {
    const int64_t *seen = mask.data<int64_t>() +
                          (int64_t(number) * ids[1] + columns[i]) * pictures;
    const int64_t *end = seen + pictures;
    const int64_t *first = std::find(seen, end, 1);
    const int64_t *last = std::find(first, end, 0);
    if (std::find(last, end, 1) != end)
      return Fault("image_attention_mask: expected tokens that see pictures "
                   "one behind the other, found token " +
                   std::to_string(columns[i]) + " of prompt " +
                   std::to_string(number) + " that leaves some out");
    rows.first[i] = int32_t((first - seen) * rowsPerPicture);
    rows.last[i] = int32_t((last - seen) * rowsPerPicture);
    if (first == end && facts.attended & VLM_ABI_ATTEND_AHEAD) {
      rows.shown[i] = 0;
      rows.first[i] = 0;
      rows.last[i] = int32_t(pictures * rowsPerPicture);
    }
  }
  return rows;
}

//===----------------------------------------------------------------------===//
// Tiles
//===----------------------------------------------------------------------===//

/// How many tiles each picture of a prompt has.
static std::vector<int64_t> countTiles(const TensorMap &tensors, size_t number,
                                       const rt::TiledTower &tower) {
  const HostTensor &there = tensors.at("aspect_ratio_mask");
  std::vector<int64_t> counts;
  for (int64_t i = 0; i < there.shape[1]; ++i) {
    const int64_t *own = there.data<int64_t>() +
                         (int64_t(number) * there.shape[1] + i) * tower.tiles;
    counts.push_back(std::count(own, own + tower.tiles, 1));
  }
  return counts;
}

/// Keeps the rows [1, N, D] of picture `number` in `all`, tile by tile.
static void keepTiles(const HostTensor &rows, const std::vector<int32_t> &order,
                      int64_t number, HostTensor &all) {
  const int64_t width = rows.shape[2];
  float *to = all.data<float>() + number * int64_t(order.size()) * width;
  for (int32_t row : order)
    to = std::copy_n(rows.data<float>() + row * width, width, to);
}

/// The last state of a token, and behind it those of layers, which transformers
/// has feature by feature: rows [1, N, D] and [1, N, S * D] as [1, N, D + D *
/// S].
static HostTensor joinStates(const HostTensor &last, const HostTensor &others) {
  const int64_t width = last.shape[2], states = others.shape[2] / width;
  HostTensor joined =
      HostTensor::zeros(VLM_F32, {1, last.shape[1], width * (1 + states)});
  auto *to = joined.data<float>();
  for (int64_t row = 0; row < last.shape[1]; ++row) {
    to = std::copy_n(last.data<float>() + row * width, width, to);
    const float *from = others.data<float>() + row * width * states;
    for (int64_t i = 0; i < width * states; ++i)
      *to++ = from[i % states * width + i / states];
  }
  return joined;
}

Outcome<TensorMap> encodeTiles(const vlm_model_t *model,
                               const TensorMap &tensors,
                               rt::TiledTower &tower) {
  const vlm_entry_t *entry = nullptr;
  std::optional<Fault> fault =
      check(vlm_model_entry(model, "encode_image", &entry));
  if (!fault)
    fault = check(tower.open(entry));
  if (fault)
    return *fault;
  const HostTensor &pixels = tensors.at("pixel_values");
  const std::vector<int64_t> &shape = pixels.shape;
  const int64_t side = tower.readSide();
  if (shape.size() != 6 || shape[0] < 1 || shape[1] < 1 ||
      shape[2] != tower.tiles || shape[3] != 3 || shape[4] != shape[5] ||
      shape[5] < side)
    return badShape("pixel_values",
                    "[batch, pictures, " + std::to_string(tower.tiles) +
                        ", 3, side, side] of a side of at least " +
                        std::to_string(side),
                    shape);
  const int64_t pictures = shape[0] * shape[1];
  for (auto [name, sizes] :
       {std::pair("aspect_ratio_ids", std::vector<int64_t>{shape[0], shape[1]}),
        std::pair("aspect_ratio_mask",
                  std::vector<int64_t>{shape[0], shape[1], tower.tiles})})
    if (auto found = tensors.find(name); found == tensors.end())
      return Fault(std::string(name) +
                   ": expected numbers for each picture of pixel_values, "
                   "found none; mend the file of tensors");
    else if (found->second.shape != sizes)
      return badShape(name,
                      describeShape(sizes) + " for pixel_values " +
                          describeShape(shape),
                      found->second.shape);
  std::vector<int32_t> order = tower.rows();
  TensorMap all;
  for (int64_t i = 0; i < pictures; ++i) {
    auto row = size_t(i / shape[1]);
    int64_t count = countTiles(tensors, row, tower)[size_t(i % shape[1])];
    rt::TiledInputs in = tower.inputs(
        tensors.at("aspect_ratio_ids").data<int64_t>()[i], count,
        pixels.data<float>() + i * tower.tiles * shape[3] * shape[4] * shape[5],
        shape[5]);
    TensorMap results;
    if ((fault = runEntry(entry, in.tensors, results)))
      return *fault;
    if (results.count("vision_features.states"))
      results["vision_features"] = joinStates(
          results["vision_features"], results["vision_features.states"]);
    for (const char *name : {"image_features", "vision_features"})
      if (auto made = results.find(name); made != results.end()) {
        const std::vector<int64_t> &rows = made->second.shape;
        if (i == 0)
          all[name] = HostTensor::zeros(VLM_F32,
                                        {shape[0], shape[1], rows[1], rows[2]});
        keepTiles(made->second, order, i, all[name]);
      }
  }
  if (auto states = all.find("vision_features"); states != all.end())
    states->second.shape = {shape[0], shape[1], tower.tiles, tower.tokens,
                            states->second.shape.back()};
  return all;
}

HostTensor gatherTiles(const TensorMap &tensors, const HostTensor &features,
                       size_t number, const rt::TiledTower &tower) {
  const std::vector<int64_t> &shape = features.shape;
  const int64_t perPicture = shape[2], width = shape[3];
  HostTensor own =
      HostTensor::zeros(VLM_F32, {1, shape[1] * perPicture, width});
  std::vector<int64_t> counts = countTiles(tensors, number, tower);
  auto *to = own.data<float>();
  for (bool areThere : {true, false})
    for (int64_t i = 0; i < shape[1]; ++i) {
      int64_t rows = counts[size_t(i)] * tower.tokens;
      const float *from = features.data<float>() +
                          (int64_t(number) * shape[1] + i) * perPicture * width;
      to = areThere ? std::copy_n(from, rows * width, to)
                    : std::copy_n(from + rows * width,
                                  (perPicture - rows) * width, to);
    }
  return own;
}

Outcome<SeenRows> readSeenTiles(const TensorMap &tensors, size_t number,
                                const std::vector<int64_t> &columns,
                                const rt::TiledTower &tower) {
  SeenRows rows;
  rows.first.assign(columns.size(), 0);
  rows.last.assign(columns.size(), 0);
  rows.shown.assign(columns.size(), 0);
  if (!tower.isThere()) // no pictures
    return rows;
  const std::vector<int64_t> &ids = tensors.at("input_ids").shape;
  const int64_t pictures = tensors.at("aspect_ratio_mask").shape[1];
  const auto all = int32_t(pictures * tower.tiles * tower.tokens);
  auto found = tensors.find("cross_attention_mask");
  const std::vector<int64_t> wanted{ids[0], ids[1], pictures, tower.tiles};
  if (found != tensors.end() && found->second.shape != wanted)
    return badShape("cross_attention_mask",
                    describeShape(wanted) +
                        ", the sizes of input_ids and aspect_ratio_mask",
                    found->second.shape);
  std::vector<int64_t> counts = countTiles(tensors, number, tower);
  for (size_t i = 0; i < columns.size(); ++i) {
    rows.last[i] = all;
    if (found == tensors.end()) {
      rows.shown[i] = 1;
      continue;
    }
    const int64_t *seen =
        found->second.data<int64_t>() +
        (int64_t(number) * ids[1] + columns[i]) * pictures * tower.tiles;
    int64_t at = 0;
    bool isOver = false;
    for (int64_t picture = 0; picture < pictures; ++picture) {
      const int64_t *own = seen + picture * tower.tiles;
      int64_t count = std::count(own, own + tower.tiles, 1);
      bool isWhole = count == counts[size_t(picture)] &&
                     std::find(own, own + count, 0) == own + count;
      if (count && (isOver || !isWhole))
        return Fault("cross_attention_mask: expected tokens that see all tiles "
                     "of pictures one behind the other, found token " +
                     std::to_string(columns[i]) + " of prompt " +
                     std::to_string(number) + " that leaves some out");
      if (count && !rows.shown[i]) {
        rows.shown[i] = 1;
        rows.first[i] = int32_t(at);
      }
      isOver = rows.shown[i] && !count;
      at += counts[size_t(picture)] * tower.tokens;
      if (count)
        rows.last[i] = int32_t(at);
    }
  }
  return rows;
}

} // namespace vlmc::tool
