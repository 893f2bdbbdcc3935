//===- PictureRows.cpp - Where pictures lie that tokens attend to ---------===//
#include "runtime/tasks/PictureRows.h"

#include <algorithm>

namespace vlmc::rt {

int64_t countBefore(std::span<const Picture> pictures, int64_t token) {
  return std::ranges::count_if(
      pictures, [&](const Picture &picture) { return picture.begin < token; });
}

bool PictureRows::seesAhead(Pictures pictures) const {
  return attended & (VLM_ABI_ATTEND_GROUP | VLM_ABI_ATTEND_AHEAD) &&
         !pictures.empty() && pictures[0].begin > 0;
}

int64_t PictureRows::known(Pictures pictures, int64_t token) const {
  if (!seesAhead(pictures))
    return countBefore(pictures, token);
  return token > 0 ? int64_t(pictures.size()) : 0;
}

int64_t PictureRows::shown(const Picture &picture) const {
  return attended & VLM_ABI_ATTEND_GROUP ? picture.shown : perPicture;
}

int64_t PictureRows::hidden(Pictures pictures, const Picture &picture) const {
  return attended & VLM_ABI_ATTEND_GROUP && seesAhead(pictures)
             ? perPicture - picture.shown
             : 0;
}

int64_t PictureRows::count(Pictures pictures, int64_t number) const {
  int64_t rows = 0;
  for (const Picture &picture : pictures.first(size_t(number)))
    rows += shown(picture) + hidden(pictures, picture);
  return rows;
}

PictureRows::Range PictureRows::seen(Pictures pictures, int64_t number) const {
  if (number == 0)
    return {0,
            seesAhead(pictures) ? count(pictures, int64_t(pictures.size())) : 0,
            false};
  int64_t first = 0;
  if (attended & VLM_ABI_ATTEND_LATEST)
    first = number - 1;
  if (attended & VLM_ABI_ATTEND_GROUP)
    for (first = number - 1;
         first > 0 && pictures[size_t(first)].begin ==
                          pictures[size_t(first) - 1].begin + 1;)
      --first;
  auto rowsBefore = [&](int64_t end) {
    int64_t rows = 0;
    for (const Picture &picture : pictures.first(size_t(end)))
      rows += shown(picture);
    return rows;
  };
  return {rowsBefore(first), rowsBefore(number), true};
}

} // namespace vlmc::rt
